"""Output for a terminal: colours, and tables that fit its width.

Only a terminal gets colours, unless NO_COLOR is set (https://no-color.org) or the terminal is dumb. The width is COLUMNS or the terminal's;
for a file or a pipe it is DEFAULT_WIDTH. Lines are drawn in Unicode if the output's encoding has it.
"""

import os
import shutil
import sys
import textwrap
import unicodedata

DEFAULT_WIDTH = 96
NARROWEST_TABLE = 76  # in a narrower terminal the rows become paragraphs

COLOURS = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}
LINES = {"top": "╭─╮", "middle": "├─┤", "bottom": "╰─╯", "side": "│", "below": "↳ "}
PLAIN_LINES = {"top": "+-+", "middle": "+-+", "bottom": "+-+", "side": "|", "below": "  "}
GAP = "  "


class Terminal:
    """A stream, with its width, its colours and its characters."""

    def __init__(self, stream=None, environment=None):
        self.stream = stream or sys.stdout
        environment = os.environ if environment is None else environment
        is_terminal = self.stream.isatty()
        self.has_colours = (is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb")
        self.has_unicode = "utf" in (self.stream.encoding or "").lower()
        if is_terminal and not environment.get("COLUMNS"):
            self.width = shutil.get_terminal_size().columns
        else:
            self.width = int(environment.get("COLUMNS") or DEFAULT_WIDTH)

    def say(self, text=""):
        """Print the text; a character that the encoding lacks becomes a question mark."""
        encoding = self.stream.encoding or "ascii"
        print(text.encode(encoding, "replace").decode(encoding), file=self.stream, flush=True)

    def paint(self, text, colour):
        if not self.has_colours or not colour:
            return text
        return f"\033[{COLOURS[colour]}m{text}\033[0m"

    def symbol(self, unicode_symbol, plain_symbol):
        return unicode_symbol if self.has_unicode else plain_symbol


def width_of(text):
    """The number of columns that the text needs."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text, width, ellipsis="…"):
    """The beginning of the text, if it is too wide."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - width_of(ellipsis):
        text = text[:-1]
    return text + ellipsis


def pad(text, width, right):
    space = " " * (width - width_of(text))
    return space + text if right else text + space


class Column:
    """The head of a column; whether its cells are aligned at the right, and the least width to which they may be cut."""

    def __init__(self, head, right=False, least=None):
        self.head = head
        self.right = right
        self.least = least


class Row:
    """A cell for each column, a colour for some (by the column's head), and a note for the line below."""

    def __init__(self, cells, colours=None, note=""):
        self.cells = cells
        self.colours = colours or {}
        self.note = note


def column_widths(columns, rows, room):
    """The widths of the cells. If they need more than room, columns that may be cut become narrower, the last one first."""
    widths = [max([width_of(column.head)] + [width_of(row.cells[i]) for row in rows]) for i, column in enumerate(columns)]
    for i in reversed(range(len(columns))):
        if columns[i].least:
            widths[i] -= max(0, min(sum(widths) - room, widths[i] - columns[i].least))
    return widths


def draw_table(terminal, columns, rows):
    """The table as lines: a frame, the heads, and for each row a line and its note, which begins at the second column."""
    lines = LINES if terminal.has_unicode else PLAIN_LINES
    ellipsis = terminal.symbol("…", "...")
    gaps = len(GAP) * (len(columns) - 1)
    widths = column_widths(columns, rows, terminal.width - gaps - 4)
    inside = sum(widths) + gaps
    side = terminal.paint(lines["side"], "dim")

    def rule(which):
        left, line, right = lines[which]
        return terminal.paint(left + line * (inside + 2) + right, "dim")

    def line_of(cells, colours):
        shown = (terminal.paint(pad(cut(cell, width, ellipsis), width, column.right), colours.get(column.head))
                 for cell, width, column in zip(cells, widths, columns))
        return f"{side} {GAP.join(shown)} {side}"

    def note_of(text):
        indentation = widths[0] + len(GAP)
        note = pad(cut(lines["below"] + text, inside - indentation, ellipsis), inside - indentation, False)
        return f"{side} {' ' * indentation}{terminal.paint(note, 'dim')} {side}"

    drawn = [rule("top"), line_of([column.head for column in columns], {column.head: "bold" for column in columns}), rule("middle")]
    for row in rows:
        drawn.append(line_of(row.cells, row.colours))
        if row.note:
            drawn.append(note_of(row.note))
    return drawn + [rule("bottom")]


def draw_paragraphs(terminal, columns, rows):
    """For a narrow terminal: each row as a paragraph, its first two cells as a heading."""
    drawn = []
    for row in rows:
        heading = textwrap.wrap(f"{row.cells[0]}  {row.cells[1]}", terminal.width, subsequent_indent="   ")
        drawn += [terminal.paint(line, "bold") for line in heading]
        for column, cell in list(zip(columns, row.cells))[2:]:
            if cell.strip():
                cell = cut(cell.strip(), terminal.width - 11, terminal.symbol("…", "..."))
                drawn.append(f"   {column.head:<8}" + terminal.paint(cell, row.colours.get(column.head)))
        if row.note:
            drawn += [terminal.paint(line, "dim") for line in textwrap.wrap(
                row.note, terminal.width, initial_indent="   ", subsequent_indent="   ")]
        drawn.append("")
    return drawn


def draw(terminal, columns, rows):
    return (draw_table if terminal.width >= NARROWEST_TABLE else draw_paragraphs)(terminal, columns, rows)

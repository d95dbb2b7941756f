"""Figures: the contestants take turns, each figure has a median with its minimum and maximum,
and a target is met or not."""

import statistics
import time


class Series:
    """A figure that was measured several times."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, digits=0):
        """The median, the minimum and the maximum. If there is one value, only that value."""
        median, least, most = (f"{value:,.{digits}f}" for value in (self.median, min(self.values), max(self.values)))
        if len(self.values) == 1:
            return median
        return f"{median} ({least} – {most})"

    def over(self, other):
        """The ratio of two figures, round by round."""
        return Series(mine / theirs for mine, theirs in zip(self.values, other.values))


def best(*series):
    """The largest of several figures, round by round."""
    return Series(max(values) for values in zip(*(one.values for one in series)))


def least(*series):
    return Series(min(values) for values in zip(*(one.values for one in series)))


def in_turns(rounds, contestants, say=print):
    """Runs the contestants in turn for a number of rounds. Returns {name: {figure: Series}}.

    contestants is {name: function that returns {figure: number}}. If something slows the machine
    down for a while, it slows all contestants. Every second round runs backwards, so no
    contestant always runs after the same other one.
    """
    collected = {name: {} for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[::-1 if number % 2 else 1]:
            begin = time.monotonic()
            figures = contestants[name]()
            for figure, value in figures.items():
                collected[name].setdefault(figure, []).append(value)
            shown = ", ".join(f"{figure} {value:,.4g}" for figure, value in figures.items())
            title = name if isinstance(name, str) else ", ".join(str(part) for part in name)
            say(f"  round {number + 1}, {title}: {shown} [{time.monotonic() - begin:.1f} s]")
    return {name: {figure: Series(values) for figure, values in figures.items()} for name, figures in collected.items()}


class Target:
    """A target that the median must reach."""

    def __init__(self, text, series, at_least=None, at_most=None, digits=2):
        self.text, self.series, self.digits = text, series, digits
        self.at_least, self.at_most = at_least, at_most

    @property
    def met(self):
        value = self.series.median
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def row(self):
        wanted = f"≥ {self.at_least:,}" if self.at_least is not None else f"≤ {self.at_most:,}"
        return f"| {self.text} | {wanted} | {self.series.text(self.digits)} | {len(self.series.values)} | {'met' if self.met else '**NOT met**'} |"

"""Translates the shipped templates into the languages of other engines.

Those engines have no common form of inheritance, and they treat lines that contain only a tag in
different ways. So each mail becomes one template with its layout, without such lines. It prints
the same.
"""

import re


def flatten(layout, mail):
    """A mail that fills blocks of the layout becomes one Mustache template without blocks,
    comments or standalone tags."""
    blocks = {name: re.sub(r"\A\n", "", body)
              for name, body in re.findall(r"\{\{\$(\w+)\}\}(.*?)\{\{/\1\}\}", mail, re.DOTALL)}
    whole = re.sub(r"\{\{\$(\w+)\}\}(.*?)\{\{/\1\}\}", lambda block: blocks.get(block[1], block[2]), layout, flags=re.DOTALL)
    whole = re.sub(r"(?m)^[ \t]*(\{\{[#^/!][^}]*\}\})[ \t]*\n", r"\1", whole)
    whole = re.sub(r"\{\{![^}]*\}\}", "", whole)
    # A line that consists of tags and must be kept. "nothing" is not the name of a variable.
    return re.sub(r"(?m)^((?:\{\{[#^/][^}]*\}\})+)$", r"\1{{nothing}}", whole)


def with_tags(template, opening, inverted, closing, variable):
    """The template with other tags, in which {} stands for the name. The closing tags are given
    for both kinds of section."""
    kinds = []

    def tag(match):
        sigil, name = match[1], match[2]
        if sigil in ("#", "^"):
            kinds.append(sigil)
            return (opening if sigil == "#" else inverted).format(name)
        if sigil == "/":
            return closing[kinds.pop()]
        return variable.format(name)

    return re.sub(r"\{\{([#^/]?)([\w.]+)\}\}", tag, template)


def handlebars(template):
    return with_tags(template, "{{{{#if {}}}}}", "{{{{#unless {}}}}}", {"#": "{{/if}}", "^": "{{/unless}}"}, "{{{{{}}}}}")


def jinja(template):
    return with_tags(template, "{{% if {} %}}", "{{% if not {} %}}", {"#": "{% endif %}", "^": "{% endif %}"}, "{{{{ {} }}}}")

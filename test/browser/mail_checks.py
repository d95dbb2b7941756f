"""The requirements for every mail, whatever it contains."""

import os
import re

# The checks. page_checks.js has those that need a browser.
CHECKS = {
    "overflow": "the page does not scroll sideways",
    "cut-off": "no text leaves its box or is cut off",
    "small-text": "no text is smaller than 13 px",
    "contrast": "text has the contrast that WCAG AA asks for",
    "alt": "every image has an alternative text, if an empty one",
    "title": "there is a title",
    "lang": "the language is declared",
    "layout-table": "tables that are there for the layout are not announced as data",
    "tap-target": "what can be tapped is at least 44 px high and wide",
    "broken-number": "no number is broken into two lines",
    "direction": "text from right to left does not reorder what is around it",
    "external": "nothing is loaded from elsewhere",
    "size": "the mail is shorter than what Gmail clips",
    "unfilled": "no tag of the template is left",
}

GMAIL_CLIPS_AT = 102_000

# Code that loads something, or may do so in other clients. Chromium ignores the parts that only
# Outlook reads.
LOADS = re.compile(
    r"""<(?:link|script|iframe|object|embed|base)\b | @import
    | (?<![\w-])(?:src|srcset|background|poster|data)\s*=\s*(?!["']?data:)
    | \burl\(\s*(?!["']?data:)""",
    re.IGNORECASE | re.VERBOSE,
)

with open(os.path.join(os.path.dirname(__file__), "page_checks.js"), encoding="utf-8") as file:
    PAGE_CHECKS = file.read()


def check_source(html):
    size = len(html.encode())
    if size >= GMAIL_CLIPS_AT:
        yield "size", f"it has {size} bytes"
    for found in LOADS.finditer(html):
        yield "external", html[found.start() : found.start() + 60]
    if "{{" in html:
        yield "unfilled", html[html.index("{{") :][:60]


def check_mail(browser, html, width=700, scheme="light"):
    """Shows a mail. Returns its problems as pairs of a check and a finding."""
    requests = browser.show(html, width, scheme)
    problems = [tuple(problem) for problem in browser.evaluate(f"({PAGE_CHECKS})()")]
    problems += [("external", "it asks for " + url) for url in requests]
    problems += check_source(html)
    unknown = {check for check, _ in problems} - set(CHECKS)
    assert not unknown, unknown
    return problems

#!/usr/bin/python3
"""Checks the text parts of the shipped mails, as a terminal shows them, as TAP."""

import re
import sys

from mails import SAMPLES, TEMPLATES, render

COLUMNS = 78

# If the task of a test run succeeded, the counts decide about the heading.
VERDICTS = {
    "typical": "❌ 8 of 128 tests failed, 1 could not be run",
    "none-passed": "❌ 128 of 128 tests failed",
    "large-numbers": "❌ 999999999 of 999999999 tests failed, 88888888 could not be run",
    "unknown-counts": "❌ 8 of 72 tests passed",
    "no-tests": "⚠️ No tests were run",
}


def shown(value):
    """The beginning of a value. The mail shows only this much of a long value."""
    return value if len(value) < 255 else value[:200]


def heading(template, name, variables):
    if template == "test_execution_summary" and name in VERDICTS:
        return VERDICTS[name]
    return "✅ Task Completed" if variables["status"] == "success" else "❌ Task Failed"


def problems(text, variables, first_line):
    """Returns the problems of a text part. Its values and its heading are known."""
    lines = text.rstrip("\n").split("\n")
    values = {shown(part) for value in variables.values() for part in str(value).split("\n") if len(part) > 2}
    values.add(first_line.split(" ", 1)[1])
    for line in lines:
        # Addresses and tracebacks must not be broken. So a line may be wide if the given value is
        # wide.
        given = sum(len(value) for value in values if value in line)
        if len(line) > COLUMNS and given < COLUMNS / 2:
            yield f"{len(line)} columns: {line}"
        if line != line.rstrip() or (line.endswith(":") and line.startswith("-")):
            yield f"nothing behind it: {line}"
    if "\n\n\n" in text:
        yield "two empty lines"
    if re.search(r"\{\{|&(#\d+|[a-z]+);|<\w", text):
        yield "a tag, an entity or markup"
    if lines[0] != first_line:
        yield f"the first line is {lines[0]}"
    for name, label in (("tests_passed", "Passed"), ("tests_failed", "Failed"), ("total_tests", "Total")):
        number = variables.get(name)
        is_shown = number is not None and number < 10**15
        if "Test Results" in text and is_shown != bool(re.search(rf"\b{label}: {number}\b(?!.*\b{label}:)", text)):
            yield f"{label} is not {number}"


def main():
    print(f"1..{len(TEMPLATES) * len(SAMPLES) + 4}")
    number = 0

    def ok(is_ok, name, found=()):
        nonlocal number
        number += 1
        print(f"{'' if is_ok else 'not '}ok {number} - {name}")
        for problem in [] if is_ok else found:
            print(f"# {problem}")
        sys.stdout.flush()

    for template in TEMPLATES:
        for name, variables in SAMPLES.items():
            first_line = heading(template, name, variables)
            found = list(problems(render(template, variables, "text"), variables, first_line))
            ok(not found, f"{template}-{name}", found)

    # The checks must notice what is wrong.
    sample = SAMPLES["none-passed"]
    text = render("test_execution_summary", sample, "text")
    for what, broken in {
        "a long line": text + "word " * 20 + "end\n",
        "a wrong number": text.replace("Passed: 0", "Passed: 00"),
        "an entity": text + "&#9989;\n",
        "a missing value": text + "- Name: \n",
    }.items():
        found = list(problems(broken, sample, VERDICTS["none-passed"]))
        ok(broken != text and len(found) == 1, f"reports: {what}", found)


main()

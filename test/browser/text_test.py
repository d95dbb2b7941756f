#!/usr/bin/python3
"""Looks at the text part of the shipped mails as a terminal shows it, as TAP."""

import re
import sys

from mails import SAMPLES, TEMPLATES, render

COLUMNS = 78


def problems(text, variables):
    """What is wrong with a text part, whose values we know."""
    lines = text.rstrip("\n").split("\n")
    values = {part for value in variables.values() for part in str(value).split("\n") if len(part) > 2}
    for line in lines:
        # Addresses and tracebacks must not be broken: a line may be wide if it is so by what was given.
        given = sum(len(value) for value in values if value in line)
        if len(line) > COLUMNS and given < COLUMNS / 2:
            yield f"{len(line)} columns: {line}"
        if line != line.rstrip() or (line.endswith(":") and line.startswith("-")):
            yield f"nothing behind it: {line}"
    if "\n\n\n" in text:
        yield "two empty lines"
    if re.search(r"\{\{|&(#\d+|[a-z]+);|<\w", text):
        yield "a tag, an entity or markup"
    symbol, words = ("✅", "Task Completed") if variables["status"] == "success" else ("❌", "Task Failed")
    if lines[0] != f"{symbol} {words}":
        yield f"the first line is {lines[0]}"
    for name, label in (("tests_passed", "Passed"), ("tests_failed", "Failed"), ("total_tests", "Total")):
        number = variables.get(name)
        if "Test Results" in text and not re.search(rf"\b{label}: {number}\b(?!.*\b{label}:)", text):
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
            found = list(problems(render(template, variables, "text"), variables))
            ok(not found, f"{template}-{name}", found)

    # The same look must find what is wrong.
    sample = SAMPLES["none-passed"]
    text = render("test_execution_summary", sample, "text")
    for what, broken in {
        "a long line": text + "word " * 20 + "end\n",
        "a wrong number": text.replace("Passed: 0", "Passed: 00"),
        "an entity": text + "&#9989;\n",
        "a missing value": text + "- Name: \n",
    }.items():
        ok(broken != text and len(list(problems(broken, sample))) == 1, f"reports: {what}", problems(broken, sample))


main()

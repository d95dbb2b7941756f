"""Measures how long Jinja2 takes to render a mail. The templates are compiled before.

    render_jinja.py DIRECTORY MAIL SECONDS [show]

Prints microseconds of processor time per mail (subject, HTML and text). With "show" it prints
those three instead, with a NUL between them.
"""

import json
import sys
import time

import jinja2

directory, mail, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])


def read(suffix):
    with open(f"{directory}/{mail}.{suffix}", encoding="utf-8") as file:
        return file.read()


variables = json.loads(read("json"))
parts = [jinja2.Environment(autoescape=suffix == "html", keep_trailing_newline=True).from_string(read(suffix + ".jinja"))
         for suffix in ("subject", "html", "txt")]


def measure(duration):
    start = time.process_time()
    mails = 0
    while True:
        for _ in range(100):
            for part in parts:
                part.render(variables)
        mails += 100
        end = time.process_time()
        if end - start >= duration:
            return (end - start) / mails * 1e6


if len(sys.argv) > 4:
    print(*(part.render(variables) for part in parts), sep="\0", end="")
else:
    measure(seconds / 4)
    print(f"{measure(seconds):.3f}")

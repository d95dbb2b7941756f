#!/usr/bin/python3
"""Shows the shipped mails in a browser, as TAP.

The server renders every template with every sample. The browser shows each mail at three widths,
in light and in dark mode. It also shows it without style sheets, as some clients do (Gmail for
some accounts), so that only inline styles are left. mail_checks.py has the requirements. The
pictures are left in the directory PICTURES.
"""

import os
import re
import sys

from chromium import Chromium
from mail_checks import check_mail
from mails import SAMPLES, TEMPLATES, preview_failure, render

WIDTHS = (320, 375, 700)
ERROR_LENGTH = 100_000

MODES = {
    "light": ("light", lambda html: html),
    "dark": ("dark", lambda html: html),
    "no-style-sheet": ("light", lambda html: re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)),
}


def mails():
    for template in TEMPLATES:
        for name, variables in SAMPLES.items():
            yield f"{template}-{name}", render(template, variables)
        yield f"{template}-long-error", preview_failure(template, ERROR_LENGTH)


def main():
    directory = os.environ.get("PICTURES", "build/test/pictures")
    os.makedirs(directory, exist_ok=True)
    print(f"1..{len(TEMPLATES) * (len(SAMPLES) + 1) * len(MODES) * len(WIDTHS)}")
    number = 0
    with Chromium() as browser:
        for mail, html in mails():
            for mode, (scheme, seen_by_client) in MODES.items():
                for width in WIDTHS:
                    problems = check_mail(browser, seen_by_client(html), width, scheme)
                    name = f"{mail}-{mode}-{width}"
                    with open(os.path.join(directory, name + ".png"), "wb") as file:
                        file.write(browser.picture(width, quick=True))
                    number += 1
                    print(f"{'not ' if problems else ''}ok {number} - {name}")
                    for check, found in problems:
                        print(f"# {check}: {found}")
                    sys.stdout.flush()


main()

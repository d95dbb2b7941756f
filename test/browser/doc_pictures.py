#!/usr/bin/python3
"""Makes the pictures of the documentation: doc_pictures.py DIRECTORY. The command to call is test/browser/pictures."""

import os
import sys

from chromium import Chromium
from mails import FAILED, TYPICAL, render

# File, template, sample, width, colour scheme, pixels for each.
PICTURES = [
    ("task-completed", "task_completion", TYPICAL, 700, "light", 1.5),
    ("task-completed-phone-dark", "task_completion", TYPICAL, 375, "dark", 2),
    ("task-failed", "task_completion", FAILED, 700, "light", 1.5),
    ("test-run-summary", "test_execution_summary", TYPICAL, 700, "light", 1.5),
]


def main(directory):
    with Chromium() as browser:
        for name, template, sample, width, scheme, scale in PICTURES:
            browser.show(render(template, sample), width, scheme, scale)
            with open(os.path.join(directory, name + ".png"), "wb") as file:
                file.write(browser.picture(width))


main(sys.argv[1])

#!/usr/bin/python3
"""Makes the pictures of the documentation: doc_pictures.py DIRECTORY. The command to call is test/browser/pictures."""

import os
import sys

from chromium import Chromium
from mails import FAILED, TYPICAL, render

COMPLETED = {**TYPICAL, "num_tests_generated": None}
SUMMARY = {**TYPICAL, "task_name": "Test Execution Summary"}

# File, template, sample, width, colour scheme, pixels for each.
PICTURES = [
    ("task-completed", "task_completion", COMPLETED, 700, "light", 1.25),
    ("task-completed-phone-dark", "task_completion", COMPLETED, 375, "dark", 1.5),
    ("task-failed", "task_completion", FAILED, 700, "light", 1.25),
    ("test-run-summary", "test_execution_summary", SUMMARY, 700, "light", 1.25),
]
MAX_BYTES = 150_000


def main(directory):
    with Chromium() as browser:
        for name, template, sample, width, scheme, scale in PICTURES:
            browser.show(render(template, sample), width, scheme, scale)
            picture = browser.picture(width)
            if len(picture) >= MAX_BYTES:
                sys.exit(f"{name} has {len(picture)} bytes, too many for a page")
            with open(os.path.join(directory, name + ".png"), "wb") as file:
                file.write(picture)


main(sys.argv[1])

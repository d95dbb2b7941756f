#!/usr/bin/python3
"""Makes the pictures of the documentation: doc_pictures.py DIRECTORY. Call
test/browser/pictures, which calls this.

Each picture contains the digest of the page that it shows. doc_pictures_test.py compares the
digests and finds stale pictures.
"""

import hashlib
import os
import struct
import sys
import zlib

from chromium import Chromium
from mails import FAILED, TYPICAL, render

COMPLETED = {**TYPICAL, "num_tests_generated": None}
SUMMARY = {**TYPICAL, "task_name": "Test Execution Summary"}

# File, template, sample, width, colour scheme, pixels for each CSS pixel.
PICTURES = [
    ("task-completed", "task_completion", COMPLETED, 700, "light", 1.25),
    ("task-completed-phone-dark", "task_completion", COMPLETED, 375, "dark", 1.5),
    ("task-failed", "task_completion", FAILED, 700, "light", 1.25),
    ("test-run-summary", "test_execution_summary", SUMMARY, 700, "light", 1.25),
]
MAX_BYTES = 150_000


KEYWORD = b"Source"


def pages():
    """For each picture: its name, and the HTML, width, colour scheme and scale to show."""
    for name, template, sample, width, scheme, scale in PICTURES:
        yield name, (render(template, sample), width, scheme, scale)


def digest_of(page):
    return hashlib.sha256(repr(page).encode()).hexdigest()


def with_digest(picture, digest):
    """Adds a text chunk to a PNG, before its last chunk, which is empty."""
    chunk = b"tEXt" + KEYWORD + b"\0" + digest.encode()
    return picture[:-12] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + picture[-12:]


def digest_in(picture):
    """Returns the text that with_digest added to a PNG, or None."""
    position = 8
    while position < len(picture):
        (length,) = struct.unpack_from(">I", picture, position)
        kind, data = picture[position + 4 : position + 8], picture[position + 8 : position + 8 + length]
        if kind == b"tEXt" and data.startswith(KEYWORD + b"\0"):
            return data.removeprefix(KEYWORD + b"\0").decode()
        position += length + 12
    return None


def main(directory):
    with Chromium() as browser:
        for name, page in pages():
            browser.show(*page)
            picture = with_digest(browser.picture(page[1]), digest_of(page))
            if len(picture) >= MAX_BYTES:
                sys.exit(f"{name} has {len(picture)} bytes, too many for a page")
            with open(os.path.join(directory, name + ".png"), "wb") as file:
                file.write(picture)


if __name__ == "__main__":
    main(sys.argv[1])

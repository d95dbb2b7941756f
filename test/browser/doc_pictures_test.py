#!/usr/bin/python3
"""Tests that the pictures of the documentation show the current mails, as TAP. If not, run
test/browser/pictures."""

import pathlib
import sys

from doc_pictures import digest_in, digest_of, pages

IMAGES = pathlib.Path(__file__).resolve().parent.parent.parent / "doc/images"


def main():
    current = {name: digest_of(page) for name, page in pages()}
    kept = {file.stem: digest_in(file.read_bytes()) for file in IMAGES.glob("*.png")}
    names = sorted(current | kept)
    failed = 0
    print(f"1..{len(names)}")
    for number, name in enumerate(names, 1):
        good = name in current and current[name] == kept.get(name)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - doc/images/{name}.png shows what is made now")
        if not good:
            print(f"# its page is {current.get(name)}, that of the picture {kept.get(name)}: call test/browser/pictures")
    return 1 if failed else 0


sys.exit(main())

#!/usr/bin/python3
"""Tests the diagram of the documentation in light and dark mode, as TAP. Its texts must be
legible, must not overlap, and must lie inside the diagram."""

import os
import sys
import xml.etree.ElementTree

from chromium import Chromium

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../doc/images/path-of-a-row.svg")

# Returns the problems as lines. The background of a text is the last box before it that contains
# its middle.
CHECKS = """
(() => {
  const svg = document.querySelector("svg"), found = [];
  const texts = [...svg.querySelectorAll("text")], boxes = [...svg.querySelectorAll("rect")];
  const box = element => element.getBoundingClientRect();
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => {
    const [r, g, b] = channels(colour).slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const has = (outer, x, y) => outer.left <= x && x <= outer.right && outer.top <= y && y <= outer.bottom;
  const page = box(boxes[0]);

  for (const text of texts) {
    const place = box(text), x = (place.left + place.right) / 2, y = (place.top + place.bottom) / 2;
    const grounds = boxes.filter(b => has(box(b), x, y) && b.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING);
    const ground = grounds[grounds.length - 1];
    if (!ground) { found.push(`${text.textContent}: outside`); continue; }
    const ratio = contrast(getComputedStyle(text).fill, getComputedStyle(ground).fill);

    if (ratio < 4.5) found.push(`${text.textContent}: contrast ${ratio.toFixed(1)}`);
    if (parseFloat(getComputedStyle(text).fontSize) < 13) found.push(`${text.textContent}: small`);
    if (!has(page, place.left, place.top) || !has(page, place.right, place.bottom)) found.push(`${text.textContent}: outside`);
    if (ground !== boxes[0] && box(ground).width < 300 && place.width > box(ground).width - 8) found.push(`${text.textContent}: wider than its box`);
    for (const other of texts) {
      const there = box(other);
      if (other !== text && place.left < there.right && there.left < place.right && place.top < there.bottom - 1 && there.top < place.bottom - 1)
        found.push(`${text.textContent}: on ${other.textContent}`);
    }
  }
  return found;
})()
"""

# The diagram must pass. Each of these changes must be noticed.
BROKEN = [
    ("ink that is hardly there", "--ink: #1c2530", "--ink: #c0c4c8", "contrast"),
    ("a longer word in a box", ">pending<", ">not yet claimed<", "wider than its box"),
    ("a text that was moved", 'x="210" y="37"', 'x="930" y="37"', "outside"),
    ("a text upon another one", 'x="400" y="257"', 'x="400" y="230"', "on "),
]


def main():
    results = []
    with open(FILE, encoding="utf-8") as file:
        svg = file.read()
    xml.etree.ElementTree.fromstring(svg)
    with Chromium() as browser:
        for scheme in ("light", "dark"):
            browser.show(f"<!DOCTYPE html><body>{svg}</body>", 1000, scheme)
            results.append((f"the diagram, {scheme}", browser.evaluate(CHECKS)))
        for what, old, new, said in BROKEN:
            assert old in svg, old
            browser.show(f"<!DOCTYPE html><body>{svg.replace(old, new)}</body>", 1000, "light")
            found = browser.evaluate(CHECKS)
            results.append((f"noticed: {what}", [] if any(said in line for line in found) else [f"found {found}"]))

    print(f"1..{len(results)}")
    for number, (name, problems) in enumerate(results, 1):
        print(f"{'not ' if problems else ''}ok {number} - {name}")
        for problem in problems:
            print(f"# {problem}")
    return any(problems for _, problems in results)


sys.exit(main())

#!/usr/bin/python3
"""Tests the checks of mails, as TAP. Each broken mail must be reported by its check, and by no
other one."""

import sys

from chromium import Chromium
from mail_checks import CHECKS, GMAIL_CLIPS_AT, check_mail

STYLE = """:root { color-scheme: light dark } body { margin: 16px; color: #222; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #111 } }"""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def page(body, head="<title>Mail</title>", style="", lang='lang="en"'):
    return (
        f'<!DOCTYPE html><html {lang}><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"{head}<style>{STYLE}{style}</style></head><body>{body}</body></html>"
    )


GOOD = page(
    f"""<h1>Task Completed</h1><p>Hello <span dir="auto">محمد</span>, <bdi>בדיקות</bdi></p>
    <table role="presentation"><tr><td>ID</td><td>1</td></tr></table>
    <table><tr><th>Name</th><td>data</td></tr></table>
    <a href="https://app.example" style="display:inline-block;padding:12px;line-height:20px">Open</a>
    <img alt="Logo" src="{PIXEL}"><div style="display:none;font-size:1px">preheader</div>"""
)

# What is broken, the check that must report it, the page, and the width or mode in which the page is
# shown. The default is 700 px in light mode.
BROKEN = [
    ("a wide box", "overflow", page('<div style="width:500px;height:9px"></div>'), 375),
    ("a wide box on a narrow phone", "overflow", page('<div style="width:310px;height:9px"></div>'), 320),
    ("text cut off", "cut-off", page(f'<div style="overflow:hidden">{"x" * 200}</div>'), 375),
    ("text cut off below", "cut-off", page('<div style="overflow:hidden;height:9px">text</div>')),
    (
        "text that runs into the next cell",
        "cut-off",
        page(
            """<table role="presentation" style="table-layout:fixed;width:200px">
            <tr><td>Donaudampfschifffahrt</td><td>x</td></tr></table>"""
        ),
    ),
    (
        "a number in two lines",
        "broken-number",
        page('<p style="width:60px;font-size:28px;word-break:break-word">999999</p>'),
    ),
    ("12 px", "small-text", page('<p style="font-size:12px">text</p>')),
    ("12 px on phones", "small-text", page("text", style="@media (max-width:480px) { body { font-size: 12px } }"), 375),
    ("grey on white", "contrast", page('<p style="color:#888">text</p>')),
    ("ink that stays dark in dark mode", "contrast", page('<p style="color:#222">text</p>'), 700, "dark"),
    ("a box that stays light", "contrast", page('<div style="background:#fff"><p>text</p></div>'), 700, "dark"),
    ("a half transparent box", "contrast", page('<div style="background:rgb(0 0 0/60%)"><p>text</p></div>')),
    ("faded text", "contrast", page('<div style="opacity:.5"><p>text</p></div>')),
    ("text that is hardly large", "contrast", page('<p style="font-size:20px;color:#888">text</p>')),
    ("text on a gradient", "contrast", page('<p style="background-image:linear-gradient(#fff,#eee)">text</p>')),
    ("an image without alt", "alt", page(f'<img src="{PIXEL}">')),
    ("a drawing without a name", "alt", page('<svg width="9" height="9"></svg>')),
    ("no title", "title", page("text", head="")),
    ("an empty title", "title", page("text", head="<title> </title>")),
    ("no language", "lang", page("text", lang="")),
    ("a table without role", "layout-table", page("<table><tr><td>text</td></tr></table>")),
    (
        "a flat button",
        "tap-target",
        page('<a href="#x" style="display:inline-block;padding:11px 20px;line-height:20px">Open</a>'),
    ),
    (
        "a narrow button",
        "tap-target",
        page('<a href="#x" style="display:inline-block;padding:12px 0;width:40px;line-height:20px">Go</a>'),
    ),
    ("Arabic among English", "direction", page("<p>Hello محمد (12),</p>")),
    ("Hebrew from left to right", "direction", page('<p dir="ltr">בדיקות</p>')),
    ("an image from elsewhere", "external", page('<img alt="" src="https://cdn.invalid/x.png">')),
    ("an image beside the mail", "external", page('<img alt="" src="logo.png">')),
    ("a background", "external", page("<hr>", style="hr { background-image: url(https://cdn.invalid/x.png) }")),
    ("a style sheet", "external", page("text", style="@import 'https://cdn.invalid/x.css';")),
    ("what only Outlook loads", "external", page('<!--[if mso]><v:fill src="https://cdn.invalid/x"/><![endif]-->text')),
    ("a script", "external", page("text", head="<title>x</title><script>fetch('/x')</script>")),
    ("a mail that Gmail clips", "size", page("<p>text</p>" + "<!-- -->" * (GMAIL_CLIPS_AT // 8))),
    ("a tag that was left", "unfilled", page("<p>Hello {{recipient_name}}</p>")),
]


def main():
    cases = [("nothing", None, GOOD, width, scheme) for width in (320, 700) for scheme in ("light", "dark")] + BROKEN
    print(f"1..{len(cases) + 2}")
    number = 0

    def ok(is_ok, name, *notes):
        nonlocal number
        number += 1
        print(f"{'' if is_ok else 'not '}ok {number} - {name}")
        if not is_ok:
            for note in notes:
                print(f"# {note}")
        sys.stdout.flush()

    with Chromium() as browser:
        for what, check, html, *where in cases:
            problems = check_mail(browser, html, *where)
            expected = set() if check is None else {check}
            ok({found for found, _ in problems} == expected, f"{check or 'no check'} reports: {what}", *problems)
        browser.show(page('<img alt="" src="https://cdn.invalid/x.png">'), 700, "light")
        ok(browser.requests == ["https://cdn.invalid/x.png"], "a request is seen, and refused", browser.requests)
    ok({check for _, check, *_ in BROKEN} == set(CHECKS), "every check has been seen to fail")


main()

#!/usr/bin/python3
"""Reads composed messages with an independent parser.

MESSAGE_DUMP in the environment is the program that composes them. Python's email package parses
each message strictly. It must find no defect, and every part must be the same as the input. The
header must have our fields in number and order, whatever the parts contain.
"""

import codecs
import email
import email.header
import email.policy
import email.utils
import os
import random
import re
import struct
import subprocess
import sys
import unicodedata

FIELDS = ["Date", "From", "To", "Subject", "Message-ID", "X-Notification-ID", "Auto-Submitted",
          "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]
UNSAFE = re.compile("[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")

tests = 0
failures = 0


def ok(passed, name, detail=""):
    global tests, failures
    tests += 1
    failures += not passed
    print(f"{'ok' if passed else 'not ok'} {tests} - {name}")
    if not passed:
        print("# " + str(detail).replace("\n", "\n# "))


class Composer:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def compose(self, **parts):
        request = b""
        for value in (str(parts.get("date", 1705329025)), parts.get("from_name", "Rhesis AI"),
                      parts.get("from_", "engineering@rhesis.ai"), parts.get("to_name", "Jane Doe"),
                      parts.get("to", "jane@example.com"), parts.get("original", ""),
                      parts.get("subject", "Done"), str(parts.get("id", 7)),
                      parts.get("text", "text\n"), parts.get("html", "<p>html</p>\n")):
            if isinstance(value, str):
                value = value.encode("utf-8", "surrogatepass")
            request += struct.pack("<I", len(value)) + value
        self.process.stdin.write(request)
        self.process.stdin.flush()
        length, = struct.unpack("<I", self.process.stdout.read(4))
        return self.process.stdout.read(length)


def replace_byte(error):
    return "\ufffd", error.start + 1


codecs.register_error("replace_byte", replace_byte)


def as_utf8(value):
    """Returns bytes or text as our code reads them: a byte that belongs to no character becomes
    U+FFFD."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return value.decode("utf-8", "replace_byte")


def header_values(value, max_chars):
    """Returns the values that may be read from a header with this value. Versions of PostgreSQL
    differ in whether a text can be cut before an invisible character."""
    text = UNSAFE.sub(" ", as_utf8(value)).strip(" ")
    if len(text) <= max_chars:
        return [text]
    values = []
    for joined in (("Mn", "Me"), ("Mn", "Me", "Cf")):
        kept = max_chars - 1
        while kept > 0 and unicodedata.category(text[kept]) in joined:
            kept -= 1
        values.append(text[:kept].rstrip(" ") + "…")
    return values


def body(value):
    return as_utf8(value).replace("\r\n", "\n").replace("\r", "\n")


def mailbox(raw, field):
    """Returns name and address of a field, read by the older parser of Python. The newer one
    adds spaces between the encoded words of a name."""
    value = email.message_from_bytes(raw)[field].replace("\r\n", "").replace("\n", "")
    name, address = email.utils.parseaddr(value)
    return str(email.header.make_header(email.header.decode_header(name))), address


def defects(message):
    found = list(message.defects)
    for name in message.keys():
        found += message[name].defects
    for part in message.iter_parts():
        found += [*part.defects, *part["Content-Type"].defects]
    return found


def problems(raw, parts):
    """Returns all problems of a composed message."""
    wrong = []
    lines = raw.split(b"\r\n")
    if any(b"\r" in line or b"\n" in line for line in lines):
        wrong.append("a bare CR or LF")
    if any(len(line) > 78 for line in lines):
        wrong.append(f"a line of {max(map(len, lines))} bytes")
    if any(line.startswith((b".", b"From ")) for line in lines):
        wrong.append("a line that begins with a dot or From")
    if re.search(rb"[^\x20-\x7e\r\n\t]", raw):
        wrong.append("a byte that is not printable ASCII")
    if any(re.search(rb"[ \t]$", line) for line in lines if not line.startswith(b"Subject: ")):
        wrong.append("a blank at the end of a line")
    for word in re.findall(rb"=\?[^ ]*\?=", raw.split(b"\r\n\r\n")[0]):
        if len(word) > 75:
            wrong.append(f"an encoded word of {len(word)} bytes")

    message = email.message_from_bytes(raw, policy=email.policy.default)
    if defects(message):
        wrong.append(f"defects {defects(message)}")
    if list(message.keys()) != FIELDS:
        wrong.append(f"fields {message.keys()}")
        return wrong
    for name, address, field in (("from_name", "engineering@rhesis.ai", "From"),
                                 ("to_name", parts.get("to", "jane@example.com"), "To")):
        default = {"from_name": "Rhesis AI", "to_name": "Jane Doe"}[name]
        expected = header_values(parts.get(name, default), 128)
        if [found.addr_spec for found in message[field].addresses] != [address]:
            wrong.append(f"{field} addresses {message[field].addresses}")
        expected = ["" if name == address else name for name in expected]
        if mailbox(raw, field) not in [(name, address) for name in expected]:
            wrong.append(f"{field} is {mailbox(raw, field)!r}, not {expected!r}")
    expected = header_values(parts.get("subject", "Done"), 255)
    if str(message["Subject"]) not in expected:
        wrong.append(f"subject {str(message['Subject'])!r}, not {expected!r}")
    alternatives = list(message.iter_parts())
    if [part.get_content_type() for part in alternatives] != ["text/plain", "text/html"]:
        wrong.append(f"parts {alternatives}")
        return wrong
    for part, name, default in zip(alternatives, ("text", "html"), ("text\n", "<p>html</p>\n")):
        got = part.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n")
        if got != body(parts.get(name, default)):
            wrong.append(f"{name} {got!r}, not {body(parts.get(name, default))!r}")
    return wrong


def check(composer, name, **parts):
    raw = composer.compose(**parts)
    wrong = problems(raw, parts)
    ok(not wrong, name, "\n".join(wrong) + "\n" + raw[:3000].decode("latin-1"))


INJECTION = "x\r\nBcc: evil@example.org\r\n\r\n.\r\nMAIL FROM:<evil@example.org>\r\n"
INTERESTING = ["\r", "\n", "\r\n", "\r\n.\r\n", ".", "From ", " ", "\t", "  ", "=", "=?", "?=", "=?utf-8?q?x?=",
               "\"", "\\", ",", ";", ":", "<", ">", "@", "(", ")", "[", "]", "a", "word", "x" * 70,
               "ä", "€", "🎉", "ש", "e\u0301", "\u202e", "\u2028", "\u0085", "\x00", "\x01", "\x7f",
               "\ud800", "--=_rhesis_", "Bcc: x@y", "\r\nBcc: x@y", "\u00a0", "\ufeff", "👩‍💻"]


def random_text(rng, pieces, nul):
    text = b"".join(rng.choice(INTERESTING).encode("utf-8", "surrogatepass")
                    for _ in range(rng.randrange(pieces)))
    if rng.random() < 0.3:
        text += rng.randbytes(rng.randrange(40))
    return text if nul else text.replace(b"\x00", b"")


def main():
    composer = Composer(os.environ["MESSAGE_DUMP"])

    check(composer, "an ordinary message")
    check(composer, "umlauts", subject="Prüfung abgeschlossen: größer", to_name="Jürgen Größe",
          text="Grüße\n", html="<p>Grüße ✅</p>")
    check(composer, "Chinese and emoji, long", subject="任务完成 🎉" * 20, to_name="王小明 🎉" * 12,
          text="任务完成 🎉" * 500, html="<b>任务完成</b>" * 500)
    check(composer, "combining characters, long", subject="e\u0301" * 300, to_name="e\u0301" * 300)
    check(composer, "right-to-left", subject="\u200fהמשימה הושלמה", to_name="שרה כהן")
    check(composer, "a megabyte of text without a line break", text="x" * 1000000, html="é" * 500000)
    check(composer, "a megabyte of line breaks", text="\n" * 1000000, html="\r" * 1000000)
    check(composer, "a megabyte of blanks", text=" " * 1000000, html="\t\n" * 500000,
          subject="\n" * 1000000)
    for name in ("subject", "to_name", "from_name", "text", "html"):
        check(composer, f"an injection attempt in {name}", **{name: INJECTION})
        check(composer, f"a boundary in {name}", **{name: "x\r\n--=_rhesis_0000000000000000--\r\n"})
        check(composer, f"an encoded injection attempt in {name}",
              **{name: "=?utf-8?q?x=0D=0ABcc:_evil@example.org?="})
        check(composer, f"nothing in {name}", **{name: ""})
    check(composer, "a name that closes its address", to_name='x" <evil@example.org>, "')
    check(composer, "a name that is the address", to_name="jane@example.com")
    check(composer, "a quoted local part", to='"jane,doe"@example.com')

    dates = [email.message_from_bytes(composer.compose(date=date), policy=email.policy.default)["Date"]
             .datetime.timestamp() for date in (0, 951782400, 1709164800, 4102444799)]
    ok(dates == [0, 951782400, 1709164800, 4102444799], "dates", dates)
    redirected = email.message_from_bytes(composer.compose(original="joe@example.org"),
                                          policy=email.policy.default)
    ok(redirected["X-Original-Recipient"] == "joe@example.org", "the original recipient")
    for address in ("evil@example.org\r\nBcc: x@y", "a b@c", "a@b>", "", "x"):
        ok(composer.compose(to=address).startswith(b"problem: "), f"refused: {address!r}")

    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    wrong = []
    for _ in range(500):
        parts = {name: random_text(rng, 30, nul=False) for name in ("subject", "to_name", "from_name")}
        parts |= {name: random_text(rng, 100, nul=True) for name in ("text", "html")}
        wrong = problems(composer.compose(**parts), parts)
        if wrong:
            wrong.append(repr(parts))
            break
    ok(not wrong, f"500 random messages (seed {seed})", "\n".join(wrong))

    composer.process.stdin.close()
    ok(composer.process.wait() == 0, "the composer ends well")
    print(f"1..{tests}")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

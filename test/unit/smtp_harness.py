"""For smtp_test: runs the driver against a server that misbehaves; and TAP."""

import functools
import glob
import json
import os
import re
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "..", "peers")
DRIVER = os.environ.get("SMTP_DRIVER", os.path.join(HERE, "..", "..", "build", "unit", "smtp_driver"))

OUTCOME = re.compile(
    r"mail (?P<mail>\d+): (?P<stage>\w+) (?P<kind>\w+) code=(?P<code>\d+) enhanced=(?P<enhanced>\S+)"
    r" dot=(?P<dot>[01]) reused=(?P<reused>[01]) text=(?P<text>.*)"
)
SUMMARY = re.compile(r"sent (\d+) of (\d+), taken back (\d+), connections opened (\d+)")

KEPT = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with


@functools.cache
def certificates():
    """Returns the directory that make-certificates fills."""
    subprocess.run([os.path.join(PEERS, "make-certificates"), KEPT.name], check=True)
    return KEPT.name


class Run:
    """One run of the driver against one server, with the output of both."""

    def __init__(self, driver=(), peer=(), rules=(), certificate="good", implicit=False, environment=None):
        with tempfile.TemporaryDirectory() as directory:
            self.directory = directory
            self.command = [DRIVER, "--host", "localhost"]
            transcript = os.path.join(directory, "transcript")
            rules_file = os.path.join(directory, "rules")
            with open(rules_file, "w", encoding="utf-8") as file:
                json.dump(list(rules), file)
            command = [
                os.path.join(PEERS, "smtp_peer.py"),
                "--directory", directory, "--transcript", transcript, "--rules", rules_file, *peer,
            ]
            if certificate:
                base = os.path.join(certificates(), certificate)
                command += ["--tls-cert", base + ".pem", "--tls-key", base + ".key"]
                self.command += ["--ca-file", os.path.join(certificates(), "ca.pem")]
            if implicit:
                command += ["--implicit-tls"]
                self.command += ["--tls", "implicit"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                try:
                    self.command += ["--port", server.stdout.readline().strip(), *driver]
                    done = subprocess.run(
                        self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                        env={**os.environ, **(environment or {})}, check=False, timeout=600,
                    )
                finally:
                    server.terminate()
            self.output = done.stdout
            self.status = done.returncode
            with open(transcript, encoding="utf-8") as file:
                self.transcript = file.read()
            self.envelopes = []
            self.stored = []
            for name in sorted(glob.glob(os.path.join(directory, "*.json"))):
                with open(name, encoding="utf-8") as file:
                    self.envelopes.append(json.load(file))
                with open(name[:-5] + ".eml", "rb") as file:
                    self.stored.append(file.read())
        self.mails = {int(m["mail"]): m for m in OUTCOME.finditer(self.output)}
        summary = SUMMARY.search(self.output)
        self.sent, self.count, self.taken_back, self.connections = map(int, summary.groups()) if summary else (0,) * 4

    def outcome(self, mail):
        found = self.mails.get(mail)
        if not found:
            return "none"
        code = "" if found["code"] == "0" else " " + found["code"]
        dot = " dot" if found["dot"] == "1" else ""
        return f"{found['stage']} {found['kind']}{code}{dot}"

    def said(self, pattern):
        return re.findall(r"^\d+ C (?:%s)" % pattern, self.transcript, re.MULTILINE)

    def broken_promises(self):
        """Returns the broken rules among those that hold for every server."""
        problems = []
        if self.status not in (0, 1):
            problems.append(f"the driver ended with status {self.status}")
        if len(self.mails) + self.taken_back != self.count:
            problems.append("not exactly one outcome for each mail")
        stored = [int(re.sub(r"\D", "", envelope["to"][0]) or 0) for envelope in self.envelopes]
        for number, found in self.mails.items():
            sent = found["kind"] == "reply" and found["code"].startswith("2")
            if sent and stored.count(number) != 1:
                problems.append(f"mail {number} is reported as sent and was stored {stored.count(number)} times")
            if found["dot"] == "0" and number in stored:
                problems.append(f"mail {number} is reported as surely not sent, and was stored")
        return problems


class Tap:
    """Numbered results. A failure shows the output of the run."""

    def __init__(self):
        self.number = 0
        self.failed = 0

    def ok(self, good, name, run=None, why=""):
        self.number += 1
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        if not good:
            self.failed += 1
            shown = f"{why}\n"
            if run:
                shown += f"{' '.join(run.command)}\n{run.output}\n{run.transcript}"
            print(re.sub(r"^", "# ", shown.rstrip(), flags=re.MULTILINE), flush=True)

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {why}", flush=True)

    def equal(self, got, expected, name, run=None):
        self.ok(got == expected, name, run, f"got {got!r}, expected {expected!r}")

    def promises(self, run, name):
        problems = run.broken_promises()
        self.ok(not problems, name, run, "; ".join(problems))

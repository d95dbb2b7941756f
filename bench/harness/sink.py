"""The mail server bench/sink, started for a scenario. It answers questions on its control
socket."""

import json
import os
import socket
import subprocess
import tempfile

from .cluster import cpu_of

USER, PASSWORD = "bench", "not a secret"


class Sink:
    """"with Sink(program, certificates=directory, ...) as sink": it accepts mail on sink.port.

    Delays are in milliseconds. With tls, it offers STARTTLS and requires a login.
    """

    def __init__(self, program, certificates, reply_delay=0, accept_delay=0, stamps=False, tls=False):
        self.tls = tls
        self.ca = f"{certificates}/ca.pem"
        self.command = [program, "--reply-delay", str(reply_delay), "--accept-delay", str(accept_delay)]
        if stamps:
            self.command.append("--stamps")
        if tls:
            self.command += ["--certificate", f"{certificates}/good.pem", "--key", f"{certificates}/good.key",
                             "--user", USER, "--password", PASSWORD]

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="rhesis-sink-", dir="/tmp")
        path = os.path.join(self.directory.name, "control")
        self.process = subprocess.Popen([*self.command, "--control", path], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.answers = self.socket.makefile("r", encoding="utf-8")
        self.cpu_before = 0
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.answers.close()
        self.socket.close()
        self.directory.cleanup()

    def ask(self, question, timeout=60):
        self.socket.settimeout(timeout)
        self.socket.sendall(question.encode())
        return json.loads(self.answers.readline())

    def reset(self):
        """Resets the counts, and returns what they were."""
        self.cpu_before = cpu_of(self.process.pid)
        return self.ask("reset")

    def cpu(self):
        """The seconds of processor time since the last reset."""
        return cpu_of(self.process.pid) - self.cpu_before

    def counts(self):
        return self.ask("counts")

    def wait(self, mails, timeout=120):
        """Returns the counts as soon as that number of mails has been accepted."""
        return self.ask(f"wait {mails}", timeout)

    def stamps(self):
        """For each mail, in the order of acceptance: nanoseconds of the monotonic clock, and the
        local part of the recipient."""
        self.socket.settimeout(60)
        self.socket.sendall(b"stamps")
        stamps = []
        for line in self.answers:
            if line == "\n":
                return stamps
            moment, key = line.split()
            stamps.append((int(moment), key))
        raise EOFError("the sink has ended")

    def settings(self):
        """The settings of the extension for this mail server."""
        settings = {"rhesis_notify__smtp_host": "localhost", "rhesis_notify__smtp_port": self.port}
        if self.tls:
            settings |= {"rhesis_notify__smtp_tls": "starttls", "rhesis_notify__smtp_ca_file": self.ca,
                         "rhesis_notify__smtp_user": USER, "rhesis_notify__smtp_password": PASSWORD}
        return settings

    def login(self):
        """The settings of a peer for this mail server."""
        return {"port": self.port} | ({"ca": self.ca, "user": USER, "password": PASSWORD} if self.tls else {})


def rate(counts):
    """The mails per second between the first acceptance and the last one."""
    return (counts["mails"] - 1) / (counts["last"] - counts["first"]) * 1e9


def paces(sink, count, parts, timeout):
    """Waits for that number of mails since the last reset. Splits them into equal parts and
    returns the mails per second of each."""
    rates = []
    last, mails = None, 0
    for part in range(1, parts + 1):
        counts = sink.wait(count * part // parts, timeout=timeout)
        # No acceptance precedes the very first mail, so the first part has one interval less.
        begin, before = (last, mails) if rates else (counts["first"], 1)
        last, mails = counts["last"], counts["mails"]
        rates.append((mails - before) / (last - begin) * 1e9)
    return rates

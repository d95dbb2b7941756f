"""What smtp_peer.py does wrong on demand.

Rules (--rules FILE) are a JSON list, read again whenever the file changes; replace the file with a
rename. A rule says where it applies and what happens there:

    stage       connect greeting ehlo starttls tls auth mail rcpt data body dot accepted rset noop quit
                ("dot": the final dot has come, nothing is stored; "accepted": stored, not yet answered)
    match       regular expression for the command's argument or the recipient (default: any)
    after       leave the first n times alone
    count       apply n times, then no more (default: for ever)
    connection  only on the n-th connection of this server
    above       only if more than n connections are open, counted when this one came
    mails       only on a connection that has taken so many mails
    bytes       at stage body: apply once so many bytes have come (default 1)
    action      reply      answer with text ("\\n" in it makes a multi-line reply)
                close      close the connection (at stage connect: with a reset)
                silence    never read or answer again; the connection stays open
                hold       wait until there are other rules, or the client has gone, then go by those
                garbage    bytes that are no reply
                slow       the reply in pieces of one byte, pause_ms (default 1) apart
                multiline  the reply's first line as ten
                long       the reply's first line with 64 kB of text
                early      the reply before its command
    text        the reply (default: the usual one)
    extra       one more reply behind it, unasked for
    then        "close": close the connection afterwards
"""

import json
import os
import re
import threading


class Rules:
    """The rules file, read again when it changes, and how often each rule has matched."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.version = None
        self.rules = []

    def _refresh(self):
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            self.version, self.rules = None, []
            return
        version = (status.st_mtime_ns, status.st_ino, status.st_size)
        if version != self.version:
            with open(self.path, encoding="utf-8") as file:
                rules = json.load(file)
            for rule in rules:
                rule["seen"] = 0
                rule["pattern"] = re.compile(rule.get("match", ""))
                rule["version"] = version
            self.version, self.rules = version, rules

    def changed_since(self, version):
        """Whether the file is another one than that of this version."""
        with self.lock:
            self._refresh()
            return self.version != version

    def find(self, stage, argument, connection, position, received=None, early=False, taken=0):
        """The first rule for this moment, or None. Counts the match."""
        if self.path is None:
            return None
        with self.lock:
            self._refresh()
            for rule in self.rules:
                if rule["stage"] != stage or (rule["action"] == "early") != early:
                    continue
                if rule.get("connection", connection) != connection:
                    continue
                if position <= rule.get("above", -1) or taken < rule.get("mails", 0):
                    continue
                if received is not None and received < rule.get("bytes", 1):
                    continue
                if not early and not rule["pattern"].search(argument):
                    continue
                rule["seen"] += 1
                number = rule["seen"] - rule.get("after", 0)
                if 0 < number <= rule.get("count", number):
                    return rule
            return None

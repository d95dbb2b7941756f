"""The rules by which smtp_peer.py misbehaves.

The file (--rules FILE) is a JSON list. It is read again whenever it changes, so replace it with
a rename. A rule has conditions and an action:

    stage       connect greeting ehlo starttls tls auth mail rcpt data body dot accepted rset noop quit
                ("dot": after the final dot, before the mail is stored; "accepted": after it is stored,
                before the reply)
    match       regular expression for the argument of the command or the recipient (default: any)
    after       ignore the first n matches
    count       apply to n matches, then no more (default: no limit)
    connection  only on the n-th connection of this server
    above       only if more than n connections were open when this one came
    mails       only on a connection that has accepted this number of mails
    bytes       at stage body: apply after this number of bytes (default 1)
    action      reply      answer with text ("\\n" in it makes a multi-line reply)
                close      close the connection (at stage connect: with a reset)
                silence    never read or answer again; the connection stays open
                hold       wait until the rules change or the client leaves, then use the new rules
                garbage    bytes that are not a reply
                slow       the reply in pieces of one byte, pause_ms (default 1) apart
                multiline  the first line of the reply ten times
                long       the first line of the reply with 64 kB of text
                early      the reply before its command
    text        the reply (default: the usual one)
    extra       a further, unexpected reply after it
    then        "close": close the connection afterwards
"""

import json
import os
import re
import threading


class Rules:
    """The rules file, and how often each rule has matched. The file is read again when it
    changes."""

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
        """Is the file no longer of this version?"""
        with self.lock:
            self._refresh()
            return self.version != version

    def find(self, stage, argument, connection, position, received=None, early=False, taken=0):
        """Returns the first rule that matches now, or None. Counts the match."""
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

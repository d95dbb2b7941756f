#!/usr/bin/python3
"""A real SMTP server for the tests and the demo. It misbehaves where its rules say so.

It listens on 127.0.0.1, accepts pipelined input, and offers STARTTLS and AUTH. It stores each
mail with its envelope in its directory, numbered after the mails that are there already. It
writes a transcript. On SIGUSR1 it closes all connections. It needs only Python's standard
library, and has one thread for each connection.

smtp_rules.py describes the rules.
"""

import argparse
import base64
import glob
import hmac
import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import sys
import threading
import time

from smtp_rules import Rules

LONGEST_COMMAND = 65536
GARBAGE = b"\x00\xff\xfe\x80 this is no reply \x1b[31m\r\n"

USUAL_REPLY = {
    "greeting": "220 peer.test ESMTP ready",
    "ehlo": "250 peer.test",
    "starttls": "220 2.0.0 Ready to start TLS",
    "auth": "235 2.7.0 Authentication successful",
    "mail": "250 2.1.0 Ok",
    "rcpt": "250 2.1.5 Ok",
    "data": "354 End data with <CR><LF>.<CR><LF>",
    "dot": "250 2.0.0 Ok: queued",
    "rset": "250 2.0.0 Ok",
    "noop": "250 2.0.0 Ok",
    "quit": "221 2.0.0 Bye",
}


class Closed(Exception):
    """The client or a rule has ended the connection."""


class Server:
    """What all connections share: options, rules, the transcript, and the numbers of the mails."""

    def __init__(self, options):
        self.options = options
        self.rules = Rules(options.rules)
        self.lock = threading.Lock()
        self.arrival = threading.Condition(self.lock)
        self.transcript = open(options.transcript, "a", encoding="utf-8") if options.transcript else None
        self.connections = 0
        self.open_connections = 0
        self.sessions = set()
        self.mails = len(glob.glob(f"{glob.escape(options.directory)}/*.json")) if options.directory else 0
        self.tls_version = None
        self.tls_cached = None

    def log(self, connection, direction, text):
        if self.transcript:
            with self.lock:
                self.transcript.write(f"{connection} {direction} {text}\n")
                self.transcript.flush()

    def tls_context(self):
        """Makes the TLS context again if the file of the certificate has changed."""
        version = os.stat(self.options.tls_cert).st_mtime_ns
        with self.lock:
            if version != self.tls_version:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.options.tls_cert, self.options.tls_key)
                self.tls_cached, self.tls_version = context, version
            return self.tls_cached

    def store(self, data, envelope):
        """Writes the mail and then its envelope. Each file appears complete or not at all.
        Returns the number of the mail."""
        with self.lock:
            self.mails += 1
            number = self.mails
        if self.options.directory:
            base = os.path.join(self.options.directory, f"{number:04d}")
            for suffix, content in ((".eml", data), (".json", json.dumps(envelope, indent=1).encode())):
                with open(base + ".part", "wb") as file:
                    file.write(content)
                os.rename(base + ".part", base + suffix)
        return number

    def serve(self, listener):
        while True:
            sock, _ = listener.accept()
            with self.lock:
                self.connections += 1
                self.open_connections += 1
                session = Session(self, sock, self.connections, self.open_connections)
                self.sessions.add(session)
                self.arrival.notify_all()
            threading.Thread(target=self._connection, args=(session,), daemon=True).start()

    def wait_for_connections(self, count):
        with self.arrival:
            self.arrival.wait_for(lambda: self.connections >= count)

    def hang_up(self, *_):
        """Called by a signal handler. It must not wait for the lock, because the interrupted
        code may hold it."""
        for session in list(self.sessions):
            try:
                session.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _connection(self, session):
        number = session.number
        self.log(number, "-", "connected")
        try:
            session.run()
        except (Closed, OSError):
            pass
        finally:
            with self.lock:
                self.open_connections -= 1
                self.sessions.discard(session)
            self.log(number, "-", "closed")
            session.sock.close()


class Session:
    """One connection."""

    def __init__(self, server, sock, number, position):
        self.server = server
        self.options = server.options
        self.sock = sock
        self.number = number
        self.position = position  # among the open connections, when it came
        self.input = bytearray()
        self.output = bytearray()
        self.answered_early = set()
        self.tls = False
        self.user = None
        self.sender = None
        self.recipients = []
        self.taken = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # The wire

    def receive(self):
        """Reads more input. Sends the pending replies first, as a pipelining server does."""
        self.flush()
        chunk = self.sock.recv(262144)
        if not chunk:
            raise Closed
        self.input += chunk

    def flush(self):
        if self.output:
            if self.options.reply_delay:
                time.sleep(self.options.reply_delay / 1000)
            self.sock.sendall(self.output)
            self.output.clear()

    def read_line(self):
        searched = 0
        while (end := self.input.find(b"\n", searched)) < 0:
            if len(self.input) > LONGEST_COMMAND:
                raise Closed
            searched = len(self.input)
            self.receive()
        line = bytes(self.input[:end]).rstrip(b"\r")
        del self.input[: end + 1]
        return line.decode("utf-8", "backslashreplace")

    def silence(self):
        """Neither answers nor reads until the client closes the connection."""
        self.flush()
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        poll.poll()
        raise Closed

    # Replies

    def send(self, lines, rule=None):
        """Queues one reply, given as its lines."""
        code = lines[0][:3]
        texts = [lines[0][4:]] + list(lines[1:])
        action = rule["action"] if rule else "reply"
        if action == "multiline":
            texts[:1] = [f"{texts[0]} (line {i} of 10)" for i in range(1, 11)]
        elif action == "long":
            # libcurl 8 closes a connection if a line of the server has more than 64 kB
            texts[0] += " " + "x" * 60000
        for i, text in enumerate(texts):
            separator = " " if i == len(texts) - 1 else "-"
            self.server.log(self.number, "S", f"{code}{separator}{text}"[:200])
            self.output += f"{code}{separator}{text}\r\n".encode()
        if action == "slow":
            pieces, self.output = bytes(self.output), bytearray()
            for i in range(len(pieces)):
                self.sock.sendall(pieces[i : i + 1])
                time.sleep(rule.get("pause_ms", 1) / 1000)

    def find_rule(self, stage, argument="", received=None):
        def find():
            return self.server.rules.find(stage, argument, self.number, self.position, received, taken=self.taken)

        rule = find()
        while rule and rule["action"] == "hold":
            self.server.log(self.number, "-", f"rule: hold at {stage}")
            self.flush()
            self.wait_while_there(rule["version"])
            rule = find()
        return rule

    def wait_while_there(self, version):
        """Waits until the rules are no longer of this version."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        while not self.server.rules.changed_since(version):
            if poll.poll(20):
                raise Closed

    def obey(self, rule, usual):
        """Does what a rule says instead of the usual reply, which is given as lines."""
        action = rule["action"]
        self.server.log(self.number, "-", f"rule: {action} at {rule['stage']}")
        if action == "close":
            self.flush()
            raise Closed
        if action == "silence":
            self.silence()
        if action == "garbage":
            self.server.log(self.number, "S", "(garbage)")
            self.output += GARBAGE
        else:
            self.send(rule["text"].split("\n") if "text" in rule else usual, rule)
        if "extra" in rule:
            self.send(rule["extra"].split("\n"))
        if rule.get("then") == "close":
            self.flush()
            raise Closed

    def reply(self, stage, usual, argument=""):
        """Answers at this stage. Returns whether the usual reply was given."""
        if stage in self.answered_early:
            self.answered_early.discard(stage)
            return True
        rule = self.find_rule(stage, argument)
        if rule:
            self.obey(rule, usual)
            kept = "text" not in rule and rule["action"] != "garbage"
            kept = kept or rule.get("text", "")[:1] == usual[0][:1]
        else:
            self.send(usual)
            kept = True
        self.answer_early(stage)
        return kept

    def following(self, stage):
        """The stage whose reply may come too early, after this stage's reply; or None."""
        if stage == "ehlo":
            if self.offers_starttls():
                return "starttls"
            return "auth" if self.options.user and not self.options.no_auth else "mail"
        stages = {"greeting": "ehlo", "auth": "mail", "mail": "rcpt", "rcpt": "data", "data": "dot", "accepted": "mail"}
        return stages.get(stage)

    def answer_early(self, stage):
        following = self.following(stage)
        rule = following and self.server.rules.find(following, "", self.number, self.position, early=True)
        if rule:
            self.answered_early.add(following)
            self.server.log(self.number, "-", f"rule: early at {following}")
            self.send(rule.get("text", USUAL_REPLY[following]).split("\n"))

    # The dialogue

    def run(self):
        rule = self.find_rule("connect")
        if rule:
            if rule["action"] == "close":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.obey(rule, [USUAL_REPLY["greeting"]])
        if self.options.implicit_tls:
            self.start_tls()
        if not rule:
            self.reply("greeting", [USUAL_REPLY["greeting"]])
        while True:
            line = self.read_line()
            verb, _, argument = line.partition(" ")
            verb = verb.upper()
            shown = "AUTH " + argument.split(" ")[0] if verb == "AUTH" else line
            self.server.log(self.number, "C", shown[:200])
            command = getattr(self, "command_" + verb.lower(), None)
            if command:
                command(argument)
            else:
                self.send(["500 5.5.2 Command unknown"])

    def start_tls(self):
        rule = self.find_rule("tls")
        if rule:
            self.obey(rule, [""])
        self.flush()
        self.input.clear()
        try:
            self.sock = self.server.tls_context().wrap_socket(self.sock, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.server.log(self.number, "-", f"TLS failed: {getattr(error, 'reason', None) or error}")
            raise Closed from error
        self.tls = True
        self.server.log(self.number, "-", self.sock.version())

    def offers_starttls(self):
        return bool(self.options.tls_cert) and not (self.tls or self.options.no_starttls)

    def capabilities(self):
        yield f"SIZE {self.options.size_limit}"
        yield "8BITMIME"
        yield "ENHANCEDSTATUSCODES"
        if not self.options.no_pipelining:
            yield "PIPELINING"
        if self.offers_starttls():
            yield "STARTTLS"
        elif self.options.user and not self.options.no_auth:
            yield f"AUTH {self.options.mechanisms}"

    def command_ehlo(self, argument):
        self.reset()
        self.reply("ehlo", [USUAL_REPLY["ehlo"], *self.capabilities()], argument)

    def command_helo(self, argument):
        self.reset()
        self.reply("ehlo", [USUAL_REPLY["ehlo"]], argument)

    def command_starttls(self, argument):
        if not self.offers_starttls():
            self.send(["502 5.5.1 STARTTLS not offered"])
        elif self.reply("starttls", [USUAL_REPLY["starttls"]], argument):
            self.start_tls()

    def ask(self, challenge):
        self.send(["334 " + base64.b64encode(challenge).decode()])
        self.flush()
        return base64.b64decode(self.read_line())

    def answer_challenge(self):
        challenge = b"<1.2@peer.test>"
        user, _, digest = self.ask(challenge).decode().rpartition(" ")
        return user, digest == hmac.new(self.options.password.encode(), challenge, "md5").hexdigest()

    def command_auth(self, argument):
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if mechanism in self.options.refuse_mechanisms.split():
            self.send(["535 5.7.8 Authentication credentials invalid"])
            return
        if mechanism == "CRAM-MD5":
            user, right = self.answer_challenge()
            user, password = user.encode(), self.options.password.encode() if right else b""
        elif mechanism == "PLAIN":
            secret = base64.b64decode(initial) if initial else self.ask(b"")
            _, user, password = (secret.split(b"\0") + [b"", b"", b""])[:3]
        elif mechanism == "LOGIN":
            user = base64.b64decode(initial) if initial else self.ask(b"Username:")
            password = self.ask(b"Password:")
        else:
            self.send(["504 5.5.4 Mechanism unknown"])
            return
        right = (user.decode(), password.decode()) == (self.options.user, self.options.password)
        usual = USUAL_REPLY["auth"] if right else "535 5.7.8 Authentication credentials invalid"
        if self.reply("auth", [usual], user.decode()) and right:
            self.user = self.options.user

    def command_mail(self, argument):
        if self.options.user and not self.user and not self.options.no_auth:
            self.send(["530 5.7.0 Authentication required"])
        elif self.sender is not None:
            self.send(["503 5.5.1 Nested MAIL"])
        elif self.reply("mail", [USUAL_REPLY["mail"]], argument):
            self.sender = address_in(argument)

    def command_rcpt(self, argument):
        if self.sender is None:
            self.send(["503 5.5.1 MAIL first"])
        elif self.reply("rcpt", [USUAL_REPLY["rcpt"]], address_in(argument)):
            self.recipients.append(address_in(argument))

    def command_data(self, argument):
        if not self.recipients and not self.options.data_without_recipient:
            self.send(["554 5.5.1 No valid recipients"])
        elif self.reply("data", [USUAL_REPLY["data"]], argument):
            self.receive_mail(self.read_data())

    def read_data(self):
        """Returns the bytes of the mail before the final dot, without the stuffed dots."""
        searched = 0
        interrupted = False
        self.input[:0] = b"\r\n"
        while (end := self.input.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(self.input) - 4)
            if not interrupted and len(self.input) > 2:
                rule = self.find_rule("body", received=len(self.input) - 2)
                if rule:
                    interrupted = True
                    self.obey(rule, ["451 4.3.0 In the middle of the body"])
            self.receive()
        if not interrupted and end > 0:
            rule = self.find_rule("body", received=end)
            if rule:
                self.obey(rule, ["451 4.3.0 In the middle of the body"])
        data = bytes(self.input[2 : end + 2])
        del self.input[: end + 5]
        self.server.log(self.number, "C", f"(mail of {len(data)} bytes)")
        if data.startswith(b"."):
            data = data[1:]
        return data.replace(b"\r\n..", b"\r\n.")

    def receive_mail(self, data):
        recipient = ", ".join(self.recipients)
        if (rule := self.find_rule("dot", recipient)) is not None:
            self.obey(rule, [USUAL_REPLY["dot"]])
        elif not self.recipients:
            self.send(["554 5.5.1 No valid recipients"])
        else:
            if self.options.accept_from:
                self.flush()
                self.server.wait_for_connections(self.options.accept_from)
            if self.options.accept_delay:
                self.flush()
                time.sleep(self.options.accept_delay / 1000)
            found = re.search(rb"^message-id:\s*(<[^>\r\n]*>)", data, re.IGNORECASE | re.MULTILINE)
            self.taken += 1
            number = self.server.store(
                data,
                {
                    "from": self.sender,
                    "to": self.recipients,
                    "tls": self.sock.version() if self.tls else None,
                    "user": self.user,
                    "connection": self.number,
                    "message_id": found.group(1).decode("utf-8", "replace") if found else None,
                },
            )
            if "dot" in self.answered_early:
                self.answered_early.discard("dot")
            else:
                self.reply("accepted", [f"250 2.0.0 Ok: queued as {number:04d}"], recipient)
        self.reset()

    def reset(self):
        self.sender = None
        self.recipients = []

    def command_rset(self, argument):
        self.reset()
        self.reply("rset", [USUAL_REPLY["rset"]], argument)

    def command_noop(self, argument):
        self.reply("noop", [USUAL_REPLY["noop"]], argument)

    def command_quit(self, argument):
        self.reply("quit", [USUAL_REPLY["quit"]], argument)
        self.flush()
        raise Closed


def address_in(argument):
    """Returns the address in FROM:<…> or TO:<…>."""
    found = re.match(r"(?:FROM|TO):\s*<([^>]*)>", argument, re.IGNORECASE)
    return found.group(1) if found else argument


def parse_arguments():
    parser = argparse.ArgumentParser(description="An SMTP server for tests, that misbehaves on demand.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", help="the port is written here, once it listens")
    parser.add_argument("--directory", help="mails go here: NNNN.eml and, after it, NNNN.json")
    parser.add_argument("--transcript", help="one line for each command and reply")
    parser.add_argument("--tls-cert", help="certificate (chain): STARTTLS is offered")
    parser.add_argument("--tls-key")
    parser.add_argument("--implicit-tls", action="store_true", help="TLS from the first byte")
    parser.add_argument("--user", help="login is offered (after TLS, where that is offered) and required")
    parser.add_argument("--password", default="")
    parser.add_argument("--mechanisms", default="PLAIN LOGIN")
    parser.add_argument("--refuse-mechanisms", default="", help="of those that are offered, as with a wrong password")
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--no-starttls", action="store_true")
    parser.add_argument("--no-auth", action="store_true", help="login is neither offered nor required")
    parser.add_argument("--data-without-recipient", action="store_true",
                        help="answer DATA with 354 although every recipient was refused")
    parser.add_argument("--size-limit", type=int, default=26214400)
    parser.add_argument("--receive-buffer", type=int, help="bytes that the system takes before the server reads them")
    parser.add_argument("--reply-delay", type=float, default=0, help="milliseconds before replies")
    parser.add_argument("--accept-delay", type=float, default=0, help="milliseconds to accept a mail")
    parser.add_argument("--accept-from", type=int, metavar="N", help="accept no mail before N connections have come")
    parser.add_argument("--rules", help="JSON; see smtp_rules.py")
    return parser.parse_args()


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    if options.directory:
        os.makedirs(options.directory, exist_ok=True)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=512)
    if options.receive_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    port = listener.getsockname()[1]
    if options.port_file:
        with open(options.port_file + ".part", "w", encoding="ascii") as file:
            file.write(f"{port}\n")
        os.rename(options.port_file + ".part", options.port_file)
    print(port, flush=True)
    server = Server(options)
    signal.signal(signal.SIGUSR1, server.hang_up)
    server.serve(listener)


if __name__ == "__main__":
    main()

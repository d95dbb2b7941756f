"""A private PostgreSQL with the extension: one server for us and for the peers, each in a database of its own.

It runs in a directory of its own, from a copy of the staged PostgreSQL, and listens on a socket there. PostgreSQL does not
run as root: started by root, it runs as the user postgres.
"""

import os
import shutil
import subprocess
import time

import psycopg2

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.sql")

# The same for everybody. What is not here is PostgreSQL's default: fsync, synchronous_commit and full_page_writes are on.
CONFIGURATION = """
shared_preload_libraries = 'rhesis_notify'
listen_addresses = ''
unix_socket_directories = '{socket}'
max_connections = 150
shared_buffers = '1GB'
max_wal_size = '8GB'
checkpoint_timeout = '15min'
jit = off
rhesis_notify.smtp_tls = 'none'
rhesis_notify.from_email = 'Rhesis AI <noreply@bench.example>'
rhesis_notify.frontend_url = 'https://app.rhesis.example'
rhesis_notify.log_deliveries = off
rhesis_notify.smtp_connections = 16
include_if_exists = '{socket}/scenario.conf'
"""


def cpu_of(pid):
    """Seconds of the processor's time: the process, and those of its children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / CLOCK_TICKS


class Cluster:
    """with Cluster(bindir, stage, directory) as cluster: runs while the block does."""

    def __init__(self, stage, bindir, directory):
        self.directory = directory
        self.stage = stage
        self.bindir = f"{directory}/stage{bindir}"
        self.data = f"{directory}/data"
        self.log = f"{directory}/server.log"
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []

    def run(self, program, *arguments, **options):
        """Runs one of PostgreSQL's programs as its user; returns what it printed."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.directory, "LANG": "C.UTF-8", "PGHOST": self.directory,
                       "PGUSER": "postgres", "PGDATABASE": "bench"}
        return subprocess.run([*self.as_user, f"{self.bindir}/{program}", *arguments], check=True, env=environment,
                              cwd=self.directory, stdout=subprocess.PIPE, text=True, **options).stdout

    def __enter__(self):
        try:
            os.makedirs(self.directory)
            shutil.copytree(self.stage, f"{self.directory}/stage", symlinks=True)
            if self.as_user:
                subprocess.run(["chown", "-R", "postgres", self.directory], check=True)
            self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N")
            with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as file:
                file.write(CONFIGURATION.format(socket=self.directory))
            self.control("start")
            for database in ("bench", "graphile_worker", "pg_boss"):
                self.sql(f"CREATE DATABASE {database}", database="postgres")
            with open(APP, encoding="utf-8") as file:
                self.sql(file.read())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if os.path.exists(f"{self.data}/postmaster.pid"):
            self.control("stop", "-m", "immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def control(self, *action):
        # pg_ctl's server would keep our end of a pipe open.
        self.run("pg_ctl", "-D", self.data, "-l", self.log, "-s", "-w", *action, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    # ---- SQL ----

    def uri(self, database):
        return f"postgresql:///{database}?host={self.directory}&user=postgres"

    def connect(self, database="bench"):
        connection = psycopg2.connect(host=self.directory, user="postgres", dbname=database)
        connection.autocommit = True
        return connection

    def sql(self, text, *parameters, database="bench"):
        """Runs it outside a transaction; returns the rows."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def value(self, text, *parameters, database="bench"):
        return self.sql(text, *parameters, database=database)[0][0]

    def until(self, text, timeout=60, database="bench"):
        """Waits until the query says true."""
        end = time.monotonic() + timeout
        while not self.value(text, database=database):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout} s: {text}\n{self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self):
        with open(self.log, encoding="utf-8") as file:
            return "".join(file.readlines()[-20:])

    # ---- The extension ----

    def configure(self, **settings):
        """Restarts the server with these settings beside those that all scenarios have; a dot is written as two underscores."""
        with open(f"{self.directory}/scenario.conf", "w", encoding="utf-8") as file:
            for name, value in settings.items():
                file.write(f"{name.replace('__', '.')} = '{value}'\n")
        self.control("restart", "-m", "fast")
        workers = settings.get("rhesis_notify__workers", 1)
        self.until(f"SELECT count(*) = {workers} FROM rhesis_notify.worker_status WHERE database = 'bench' AND state = 'idle'")

    def worker_pids(self):
        return [pid for pid, in self.sql("SELECT pid FROM rhesis_notify.worker_status WHERE database = 'bench'")]

    def queue(self, count, start=1, users=1000):
        """Commits so many tasks in one transaction, for the users in turn; the mails are those of app.sql."""
        self.sql("SELECT bench.queue(%s, %s, %s)", count, start, users)

    def clear(self):
        self.sql("TRUNCATE rhesis_notify.task_notifications RESTART IDENTITY CASCADE")

    def settled(self):
        """Waits until no outcome is left to be recorded."""
        self.until("SELECT NOT EXISTS (SELECT FROM rhesis_notify.task_notifications WHERE delivery_status IN ('pending', 'sending', 'deferred'))")

    def pause(self):
        self.sql("SELECT rhesis_notify.pause()")

    def resume(self):
        self.sql("SELECT rhesis_notify.resume()")

    # ---- What it costs ----

    def postmaster(self):
        with open(f"{self.data}/postmaster.pid", encoding="utf-8") as file:
            return int(file.readline())

    def cpu(self):
        """Seconds of the processor's time that all of the server's processes have used, the ended ones too."""
        postmaster = self.postmaster()
        with open(f"/proc/{postmaster}/task/{postmaster}/children", encoding="utf-8") as file:
            children = file.read().split()
        total = cpu_of(postmaster)
        for child in children:
            try:
                total += cpu_of(child)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

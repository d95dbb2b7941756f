"""One server for the extension and for the peers. Each of them has its own database."""

import os
import time

import psycopg2

from .postgres import Postgres

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
TABLE = "rhesis_notify.task_notifications"
APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.sql")

# The same settings for all. Other settings have PostgreSQL's defaults.
CONFIGURATION = """
max_connections = 150
shared_buffers = '1GB'
max_wal_size = '8GB'
checkpoint_timeout = '15min'
rhesis_notify.smtp_tls = 'none'
rhesis_notify.from_email = 'Rhesis AI <noreply@bench.example>'
rhesis_notify.frontend_url = 'https://app.rhesis.example'
rhesis_notify.log_deliveries = off
rhesis_notify.smtp_connections = 16
include_if_exists = '{socket}/scenario.conf'
"""


def cpu_of(pid):
    """The seconds of processor time of a process and of its children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / CLOCK_TICKS


def run_time(pid):
    """The same for a process with one thread, without its children. The result is exact to a
    nanosecond; that of cpu_of is exact to 10 ms."""
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0]) / 1e9


def status_of(pid, name):
    """A number from /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


def private_memory(pid):
    """The private memory of a process in MB."""
    return status_of(pid, "RssAnon") / 1024


class Cluster(Postgres):
    """"with Cluster(directory) as cluster": the server runs while the block runs."""

    database = "bench"
    configuration = CONFIGURATION

    def set_up(self):
        for database in ("bench", "graphile_worker", "pg_boss"):
            self.sql(f"CREATE DATABASE {database}", database="postgres")
        with open(APP, encoding="utf-8") as file:
            self.sql(file.read())
        unsafe = [name for name, value in self.durability().items() if value == "off" and name != "synchronous_commit"]
        if unsafe:
            raise RuntimeError(f"there is nothing to measure with {' and '.join(unsafe)} off: a crash could lose what was committed")

    def durability(self):
        """The settings that decide whether a commit outlives a crash, as the server reports
        them."""
        return {name: self.value(f"SHOW {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")}

    def __exit__(self, kind=None, *rest):
        if kind is not None and issubclass(kind, Exception):
            self.show_state()
        super().__exit__(kind, *rest)

    def show_state(self):
        """The end of the log, which may explain why a scenario failed."""
        try:
            for row in self.sql("SELECT database, worker, state, in_flight, connections, sent, deferred, failed, last_error FROM rhesis_notify.worker_status"):
                print("  worker:", *row)
            print(self.log_tail())
        except (OSError, psycopg2.Error) as problem:
            print(f"  the server does not say: {problem}")

    # ---- SQL ----

    def uri(self, database):
        return f"postgresql:///{database}?host={self.directory}&user=postgres"

    def connect(self, database="bench"):
        connection = psycopg2.connect(host=self.directory, user="postgres", dbname=database)
        connection.autocommit = True
        return connection

    def sql(self, text, *parameters, database="bench"):
        """Runs a query outside a transaction and returns the rows."""
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
        """Waits until the query returns true."""
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
        """Restarts the server with these settings. All scenarios share the other settings. In a
        name, two underscores stand for a dot."""
        with open(f"{self.directory}/scenario.conf", "w", encoding="utf-8") as file:
            for name, value in settings.items():
                file.write(f"{name.replace('__', '.')} = '{value}'\n")
        self.control("restart", "-m", "fast")
        workers = settings.get("rhesis_notify__workers", 1)
        self.until(f"SELECT count(*) = {workers} FROM rhesis_notify.worker_status WHERE database = 'bench' AND state = 'idle'")

    def worker_pids(self):
        return [pid for pid, in self.sql("SELECT pid FROM rhesis_notify.worker_status WHERE database = 'bench'")]

    def queue(self, count, start=1, users=1000):
        """Commits count tasks in one transaction. The users take turns. The mails are those of
        app.sql."""
        self.sql("SELECT bench.queue(%s, %s, %s)", count, start, users)

    def clear(self):
        self.sql(f"TRUNCATE {TABLE} RESTART IDENTITY CASCADE")

    def settled(self, sink, mails, newest=0, database="bench"):
        """Waits until every outcome is recorded. Then it raises an error unless the sink has
        accepted count mails since its reset, and the table has count new rows, each with its
        outcome. So no mail is lost, and none is sent twice."""
        self.until(f"SELECT NOT EXISTS (SELECT FROM {TABLE} WHERE finished_at IS NULL)", database=database)
        taken = sink.counts()["mails"]
        rows, recorded = self.sql(f"""SELECT count(*), count(*) FILTER (WHERE delivery_status = 'sent' AND attempts = 1 AND
            recipient_email IS NOT NULL AND message_id IS NOT NULL AND smtp_reply LIKE '250 %%') FROM {TABLE} WHERE id > %s""",
                                  newest, database=database)[0]
        if not mails == taken == rows == recorded:
            raise RuntimeError(f"{mails:,} mails are owed: the sink has taken {taken:,}, and {recorded:,} of {rows:,} rows say so")

    def pause(self):
        self.sql("SELECT rhesis_notify.pause()")

    def resume(self):
        self.sql("SELECT rhesis_notify.resume()")

    # ---- Costs ----

    def postmaster(self):
        with open(f"{self.data}/postmaster.pid", encoding="utf-8") as file:
            return int(file.readline())

    def cpu(self):
        """The seconds of processor time of all processes of the server, including those that
        have ended."""
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

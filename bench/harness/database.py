"""A database of a cluster with the extension and the application, beside the one that is called bench."""

import contextlib

from .cluster import cpu_of

TABLE = "rhesis_notify.task_notifications"


class Database:
    def __init__(self, cluster, name):
        """A copy of bench's, which is to be small yet."""
        self.cluster, self.name = cluster, name
        cluster.sql(f"CREATE DATABASE {name} TEMPLATE bench", database="postgres")

    def connect(self):
        return self.cluster.connect(self.name)

    def sql(self, text, *parameters):
        return self.cluster.sql(text, *parameters, database=self.name)

    def value(self, text, *parameters):
        return self.cluster.value(text, *parameters, database=self.name)

    def set(self, setting, value):
        """A setting of this database; returns when the worker goes by it."""
        before = self.worker_start()
        self.sql(f"ALTER DATABASE {self.name} SET rhesis_notify.{setting} = '{value}'")
        self.cluster.until(f"SELECT started_at > '{before}' AND state = 'idle' FROM rhesis_notify.worker_status "
                           f"WHERE database = '{self.name}'")

    def worker_start(self):
        return self.value(f"SELECT started_at FROM rhesis_notify.worker_status WHERE database = '{self.name}'")

    def worker_pid(self):
        return self.value(f"SELECT pid FROM rhesis_notify.worker_status WHERE database = '{self.name}'")

    def worker_cpu(self):
        return cpu_of(self.worker_pid())

    def serve(self):
        """Waits until its worker runs."""
        self.cluster.until(f"SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = '{self.name}' AND state = 'idle'")

    def add_history(self, count, old=0, chunk=100000):
        """Mails that were sent long ago, the first of them before retention's default; vacuumed as often as autovacuum would."""
        self.sql("SELECT rhesis_notify.pause()")
        for first in range(1, count + 1, chunk):
            self.sql("CALL bench.send_history(%s, %s, %s)", first, min(first + chunk - 1, count), old)
            self.sql(f"VACUUM {TABLE}")
        self.sql(f"ANALYZE {TABLE}")
        self.resume()

    def hold_back(self, count, users=1000, chunk=100000):
        """A backlog that waits for resume()."""
        self.sql("SELECT rhesis_notify.pause()")
        for first in range(1, count + 1, chunk):
            self.sql("SELECT bench.queue(%s, %s, %s)", min(chunk, count - first + 1), first, users)

    def resume(self):
        self.sql("SELECT rhesis_notify.resume()")

    def clear(self):
        self.sql(f"TRUNCATE {TABLE} RESTART IDENTITY CASCADE")

    def settled(self):
        self.cluster.until(f"SELECT NOT EXISTS (SELECT FROM {TABLE} WHERE delivery_status IN ('pending', 'deferred')) "
                           f"AND NOT EXISTS (SELECT FROM {TABLE} WHERE delivery_status = 'sending')", database=self.name)


@contextlib.contextmanager
def old_snapshot(cluster, name):
    """A dump of that database, or a session that somebody has forgotten."""
    connection = cluster.connect(name)
    connection.set_session(isolation_level="REPEATABLE READ", autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    yield
    connection.close()


def drain(database, sink, count, parts=1, timeout=400):
    """Has a backlog sent that was held back; returns the mails per second of each of so many equal parts."""
    sink.reset()
    database.resume()
    rates = []
    last, mails = None, 0
    for part in range(1, parts + 1):
        counts = sink.wait(count * part // parts, timeout=timeout)
        # The first mail of all has no acceptance before it.
        begin, before = (last, mails) if rates else (counts["first"], 1)
        last, mails = counts["last"], counts["mails"]
        rates.append((mails - before) / (last - begin) * 1e9)
    database.settled()
    return rates

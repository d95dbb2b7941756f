"""A further database of a cluster, with the extension and the application. The first one is
called bench."""

import contextlib
import os

from .cluster import TABLE, cpu_of
from .sink import paces


class Database:
    def __init__(self, cluster, name):
        """Copies the database bench, which must still be small."""
        self.cluster, self.name = cluster, name
        self.newest = 0  # the id of the last row before the backlog
        self.queued = 0  # of all backlogs
        cluster.sql(f"CREATE DATABASE {name} TEMPLATE bench", database="postgres")
        # The copy is adopted, so that it sends mail as a database of its own.
        self.sql("SELECT rhesis_notify.adopt_database(true)")

    def connect(self):
        return self.cluster.connect(self.name)

    def sql(self, text, *parameters):
        return self.cluster.sql(text, *parameters, database=self.name)

    def value(self, text, *parameters):
        return self.cluster.value(text, *parameters, database=self.name)

    def set(self, setting, value):
        """Changes a setting of this database. Returns when the worker uses it."""
        before = self.worker_start()
        self.sql(f"ALTER DATABASE {self.name} SET rhesis_notify.{setting} = '{value}'")
        self.cluster.until(f"SELECT started_at > '{before}' AND state <> 'starting' FROM rhesis_notify.worker_status "
                           f"WHERE database = '{self.name}'")

    def worker_start(self):
        return self.value(f"SELECT started_at FROM rhesis_notify.worker_status WHERE database = '{self.name}'")

    def worker_pid(self):
        return self.value(f"SELECT pid FROM rhesis_notify.worker_status WHERE database = '{self.name}'")

    def worker_cpu(self):
        return cpu_of(self.worker_pid())

    def serve(self):
        """Waits until the worker of this database runs."""
        self.cluster.until(f"SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = '{self.name}' AND state = 'idle'")

    def add_history(self, count, old=0):
        """Adds mails that were sent long ago; the first ones are older than the default of
        retention. Each of them leaves two dead rows. Autovacuum starts at 1,000 dead rows plus a
        tenth of the table."""
        self.sql("SELECT rhesis_notify.pause()")
        done = 0
        while done < count:
            last = min(done + 500 + done // 20, count)
            self.sql("CALL bench.send_history(%s, %s, %s)", done + 1, last, old)
            self.sql(f"VACUUM {TABLE}")
            done = last
        self.sql(f"ANALYZE {TABLE}")
        self.resume()

    def restore_history(self, other):
        """Copies the finished rows of another database, as a restored dump has them: each row
        was written once, in its final state."""
        dump = f"{self.cluster.directory}/history.copy"
        other.sql(f"COPY {TABLE} TO '{dump}'")
        self.sql(f"COPY {TABLE} FROM '{dump}'")
        os.unlink(dump)
        self.sql(f"SELECT setval(pg_get_serial_sequence('{TABLE}', 'id'), max(id)) FROM {TABLE}")
        self.sql(f"VACUUM ANALYZE {TABLE}")

    def hold_back(self, count, users=1000, chunk=100000):
        """Adds a backlog that waits for resume()."""
        self.sql("SELECT rhesis_notify.pause()")
        self.newest = self.value(f"SELECT coalesce(max(id), 0) FROM {TABLE}")
        for first in range(1, count + 1, chunk):
            self.sql("SELECT bench.queue(%s, %s, %s)", min(chunk, count - first + 1), self.queued + first, users)
        self.queued += count

    def resume(self):
        self.sql("SELECT rhesis_notify.resume()")

    def clear(self):
        self.sql(f"TRUNCATE {TABLE} RESTART IDENTITY CASCADE")

    def settled(self, sink, count):
        """As Cluster.settled(), but only for the backlog: it ignores older rows."""
        self.cluster.settled(sink, count, self.newest, self.name)


@contextlib.contextmanager
def old_snapshot(cluster, name):
    """Holds a snapshot, as a dump or a forgotten session does."""
    connection = cluster.connect(name)
    connection.set_session(isolation_level="REPEATABLE READ", autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    yield
    connection.close()


def drain(database, sink, count, parts=1, timeout=400):
    """Sends the backlog that hold_back() added. Splits it into equal parts and returns the mails
    per second of each."""
    sink.reset()
    database.resume()
    rates = paces(sink, count, parts, timeout)
    database.settled(sink, count)
    return rates

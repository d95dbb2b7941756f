"""A backlog of a million rows: the pace must not sink, and vacuum must be able to follow."""

import threading
import time

from harness.database import TABLE, Database, drain
from harness.figures import Series, Target

TITLE = "A backlog of a million rows"
ORDER = 8

PARTS, TENTH = 50, 5


class Watch:
    """Looks once a second, while the block runs, at dead rows and at how long the worker keeps a snapshot or a transaction open."""

    def __init__(self, database):
        self.database = database
        self.ended = threading.Event()
        self.dead, self.held = [], 0
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.vacuums = self.vacuum_count()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def vacuum_count(self):
        return self.database.value(f"SELECT autovacuum_count FROM pg_stat_all_tables WHERE relid = '{TABLE}'::regclass")

    def look(self):
        begin, known, since = time.monotonic(), None, 0
        while not self.ended.wait(1):
            now = time.monotonic()
            self.dead.append((now - begin, self.database.value(f"SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = '{TABLE}'::regclass")))
            xmin = self.database.value("SELECT string_agg(coalesce(backend_xid, backend_xmin)::text, ' ') FROM pg_stat_activity "
                                       "WHERE backend_type = 'rhesis_notify worker' AND datname = current_database()")
            if xmin != known:
                known, since = xmin, now
            if xmin is not None:
                self.held = max(self.held, now - since)


def run(bench, report):
    count = bench.pick(1000000, 40000)
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(autovacuum_naptime=bench.pick("1min", "5s"), **sink.settings())
        database = Database(cluster, "million")
        database.serve()
        database.hold_back(1000)
        drain(database, sink, 1000)
        begin = time.monotonic()
        database.hold_back(count)
        bench.say(f"  put in: {time.monotonic() - begin:.0f} s")
        cluster.sql("CHECKPOINT")
        with Watch(database) as watch:
            rates = drain(database, sink, count, PARTS)
        bench.say(f"  mails/s: {', '.join(f'{rate:,.0f}' for rate in rates)}")
        # Vacuum comes once a minute, and takes a while.
        cluster.until(f"SELECT n_dead_tup <= 1000 + 0.02 * n_live_tup FROM pg_stat_all_tables WHERE relid = '{TABLE}'::regclass",
                      timeout=200, database=database.name)
        vacuums = watch.vacuum_count() - watch.vacuums
        size = database.value(f"SELECT pg_total_relation_size('{TABLE}')")

    tenths = [TENTH / sum(1 / rate for rate in rates[i:i + TENTH]) for i in range(0, PARTS, TENTH)]
    report.target(Target(f"the last tenth of {count:,}, over the first, by fiftieths", Series(rates[-TENTH:]).over(Series(rates[:TENTH])), at_least=0.85))
    report.target(Target("seconds that the worker kept a snapshot or a transaction open, at the most", Series([watch.held]), at_most=2, digits=1))
    report.target(Target("autovacuums until hardly a dead row was left", Series([vacuums]), at_least=1, digits=0))
    report.text(f"One backlog of {count:,}, once; the pace is that of each of {PARTS} equal parts. By tenths, in mails per second: "
                f"{', '.join(f'{rate:,.0f}' for rate in tenths)}. While they went out "
                f"there were up to {max((dead for _, dead in watch.dead), default=0):,} dead rows, two for each mail since the last vacuum; "
                f"afterwards the table and its indexes took {size / count:,.0f} bytes for each row.")
    points = [(count * number // PARTS, rate) for number, rate in enumerate(rates, 1)]
    report.lines("million", "mails sent", "mails per second", {"rhesis_notify": points})

"""Backlogs of a million rows, one after the other: the rate must not fall, and vacuum must keep
up."""

import contextlib
import threading
import time

from harness.database import TABLE, Database, drain
from harness.figures import Series, Target

TITLE = "A backlog of a million rows"
ORDER = 8

PARTS, TENTH = 50, 5

# The number of dead rows, and the transactions and snapshots that the worker holds open.
SEEN = f"""SELECT (SELECT n_dead_tup FROM pg_catalog.pg_stat_all_tables WHERE relid = '{TABLE}'::regclass), string_agg(coalesce(backend_xid, backend_xmin)::text, ' ')
FROM pg_catalog.pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = current_database()"""


class Watch:
    """Looks ten times a second while the block runs. It records the maximum of dead rows, and
    the longest time for which the worker keeps a snapshot or a transaction open."""

    def __init__(self, database):
        self.database = database
        self.ended = threading.Event()
        self.dead = self.held = 0
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def look(self):
        known, since = None, 0
        with contextlib.closing(self.database.connect()) as connection, connection.cursor() as cursor:
            while not self.ended.wait(0.1):
                now = time.monotonic()
                cursor.execute(SEEN)
                dead, xmin = cursor.fetchone()
                self.dead = max(self.dead, dead)
                if xmin != known:
                    known, since = xmin, now
                if xmin is not None:
                    self.held = max(self.held, now - since)


def vacuum_count(database):
    return database.value(f"SELECT autovacuum_count FROM pg_stat_all_tables WHERE relid = '{TABLE}'::regclass")


def tenths(rates):
    """The rates of ten equal parts, computed from the rates of all parts."""
    return [TENTH / sum(1 / rate for rate in rates[i:i + TENTH]) for i in range(0, PARTS, TENTH)]


def one_run(database, sink, count, naptime, say):
    """Adds a million rows and sends them. Returns the rates of the parts, the observations, and
    the size of the table per row."""
    begin = time.monotonic()
    # After a checkpoint, the first change of a page writes the whole page to the WAL. With a
    # checkpoint here, that happens while the rows are inserted. Otherwise it would happen with the
    # first mails, because the index of random task ids is soon touched everywhere.
    database.sql("CHECKPOINT")
    database.hold_back(count)
    put_in = time.monotonic() - begin
    with Watch(database) as watch:
        rates = drain(database, sink, count, PARTS)
    by_tenths = tenths(rates)
    size, rows = database.sql(f"SELECT pg_total_relation_size('{TABLE}'), count(*) FROM {TABLE}")[0]
    say(f"  put in {put_in:.0f} s; mails/s {', '.join(f'{rate:,.0f}' for rate in by_tenths)}; dead {watch.dead:,}; {size / rows:,.0f} bytes a row "
        f"[{time.monotonic() - begin:.0f} s]")
    leaves = 2 * naptime * PARTS / sum(1 / rate for rate in rates)
    return {"rates": rates, "tenths": by_tenths, "dead": watch.dead, "dead over leaves": watch.dead / leaves, "held": watch.held, "bytes": size / rows}


def run(bench, report):
    # 60 s is the default of autovacuum_naptime.
    count, runs, naptime = bench.pick((1000000, 5, 60), (40000, 2, 5))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(autovacuum_naptime=naptime, **sink.settings())
        database = Database(cluster, "million")
        database.serve()
        database.hold_back(1000)
        drain(database, sink, 1000)
        before = vacuum_count(database)
        found = [one_run(database, sink, count, naptime, bench.say) for _ in range(runs)]
        vacuums = vacuum_count(database) - before

    series = {name: Series(one[name] for one in found) for name in ("dead", "dead over leaves", "held")}
    ratio = Series(one["tenths"][-1] / one["tenths"][0] for one in found)
    report.target(Target(f"the last tenth of {count:,}, over the first", ratio, at_least=0.85))
    report.target(Target("the same: not much faster either", ratio, at_most=1.15))
    report.target(Target("seconds that the worker kept a snapshot or a transaction open, at the most", Series([max(series["held"].values)]),
                         at_most=0.5, digits=1))
    report.target(Target(f"dead rows at the most, over those that the mails of {naptime} s leave", Series([max(series["dead over leaves"].values)]),
                         at_most=1.1))
    report.target(Target(f"autovacuums meanwhile, for {runs} backlogs", Series([vacuums]), at_least=runs, digits=0))
    report.text(f"Backlogs of {count:,}, {runs} in succession; what was sent stays in the table. By tenths, in mails per second, medians: "
                f"{', '.join(f'{Series(paces).median:,.0f}' for paces in zip(*(one['tenths'] for one in found)))}. "
                f"Each mail leaves two dead rows, and autovacuum comes every {naptime} s: at the most there were {series['dead'].text()} of them. "
                f"After the first, table and indexes took {found[0]['bytes']:,.0f} bytes for each row, after the last {found[-1]['bytes']:,.0f}.")
    points = [(count * (number // PARTS) + count * (number % PARTS + 1) // PARTS, rate)
              for number, rate in enumerate(rate for one in found for rate in one["rates"])]
    report.lines("million", "mails sent", "mails per second", {"rhesis_notify": points})

"""A million old rows are removed while mails are sent: how much this slows the mails down, and
whether all rows are removed."""

import collections
import re

from harness.database import TABLE, Database, drain
from harness.figures import Series, Target, in_turns

TITLE = "Retention at work"
ORDER = 6.5

MOST_ROUNDS = 24


def wal_place(database):
    return database.value("SELECT pg_current_wal_insert_lsn()")


def deletions(database, begin, end):
    """Returns {transaction: number of rows that it removed}, from the WAL between two positions."""
    relation = database.value("SELECT format('%%s/%%s/%%s', d.dattablespace, d.oid, pg_relation_filenode(%s)) "
                              "FROM pg_database AS d WHERE datname = current_database()", TABLE)
    records = database.cluster.run("pg_waldump", "--path", f"{database.cluster.data}/pg_wal", "--start", begin, "--end", end,
                                   "--rmgr", "Heap", "--relation", relation)
    return collections.Counter(re.findall(r"tx: +(\d+), .*desc: DELETE ", records))


def round_of(database, sink, count, margin, retention):
    """Measures mails in the middle of a backlog. Other mails are sent before and after them,
    while the worker restarts for this setting. Without those, an idle worker would remove old
    rows much faster."""
    def run():
        database.hold_back(margin + count + margin)
        sink.reset()
        database.resume()
        begin = wal_place(database)
        database.set("retention", retention)
        first = sink.wait(margin)
        last = sink.wait(margin + count, timeout=400)
        end = wal_place(database)
        database.set("retention", "0")
        sink.wait(margin + count + margin)
        database.settled(sink, margin + count + margin)
        removed = deletions(database, begin, end)
        return {"mails/s": (last["mails"] - first["mails"]) / (last["last"] - first["last"]) * 1e9,
                "removed": sum(removed.values()), "most at a time": max(removed.values(), default=0)}
    return run


def rounds_until(removed, contestants, say):
    """Two rounds at a time, forwards and backwards, until that number of rows is removed."""
    figures = {name: collections.defaultdict(lambda: Series([])) for name in contestants}
    while sum(figures["with"]["removed"].values) < removed and len(figures["with"]["removed"].values) < MOST_ROUNDS:
        for name, found in in_turns(2, contestants, say).items():
            for figure, series in found.items():
                figures[name][figure].values += series.values
    return figures


def run(bench, report):
    old, margin = bench.pick((1000000, 5000), (20000, 2000))
    counts = bench.pick({"without": 40000, "with": 120000}, {"without": 5000, "with": 15000})
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(rhesis_notify__retention=0, **sink.settings())
        database = Database(cluster, "retention")
        database.serve()
        # A quarter more rows than `old`, so that some are left until the last round ends.
        database.add_history(old + old // 4, old + old // 4)
        cluster.sql("CHECKPOINT")
        database.hold_back(counts["without"])
        drain(database, sink, counts["without"])
        figures = rounds_until(old, {name: round_of(database, sink, counts[name], margin, retention)
                                     for name, retention in (("without", "0"), ("with", "30d"))}, bench.say)

    removed, most = figures["with"]["removed"], figures["with"]["most at a time"]
    report.target(Target("while old rows are removed, over without", figures["with"]["mails/s"].over(figures["without"]["mails/s"]), at_least=0.9))
    report.target(Target("old rows that were removed while mails were sent", Series([sum(removed.values)]), at_least=old, digits=0))
    report.target(Target("rows removed in a transaction, at the most", Series([max(most.values)]), at_most=1000, digits=0))
    report.text(f"Backlogs of {counts['with']:,}, and {counts['without']:,} without, one after the other until {old:,} old rows were gone. Only those count "
                "that were removed while there was mail to be sent, when retention takes a small share of the time; they and their transactions "
                "are counted in PostgreSQL's log (WAL).")
    report.table(["", "mails per second", "rows removed meanwhile"],
                 [[name, one["mails/s"].text(), one["removed"].text()] for name, one in figures.items()])
    report.bars("retention", "mails per second", {f"rhesis_notify, {name} removal": one["mails/s"] for name, one in figures.items()})

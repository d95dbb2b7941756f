"""A long history, many users, and retention at work: what has grown must not be paid for by the mails of today."""

import json
import time

from harness.database import TABLE, Database, drain
from harness.figures import Series, Target, in_turns

TITLE = "Growth: two million finished rows, a million users, retention"
ORDER = 6

USERS = """
INSERT INTO public."user" (id, email, name, organization_id)
SELECT bench.user_id('user' || n), 'user' || n || '@bench.example', 'Ada Müller', bench.organization_id()
FROM generate_series(1001, %s) AS n
"""


def warm_up(database, sink, count):
    """A backlog that is not counted: it reads what has to be in memory, and pays for the first change of a page after the checkpoint."""
    database.hold_back(count)
    drain(database, sink, count)


def pace(database, sink, count, users=1000):
    """Keeps what the database has; the backlog is for so many users in turn."""
    def run():
        database.hold_back(count, users)
        return {"mails/s": drain(database, sink, count)[0]}
    return run


def scan_counts(database):
    return database.sql("""SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relid = 'public."user"'::regclass""")[0]


# ---- What the claim reads ----

def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def buffers(plan):
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def claim_buffers(database, batch, batches=5):
    """Buffers for each row: to find and lock it; all of the claim's, with the fetch for the update, the new version and its index
    entries. And the indexes that were read."""
    database.sql("CREATE EXTENSION queue_probe")
    database.hold_back(batch * (batches + 1))
    connection = database.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        for setting, value in (("log_min_duration", 0), ("log_nested_statements", "on"), ("log_analyze", "on"), ("log_buffers", "on"),
                               ("log_timing", "off"), ("log_format", "json"), ("log_level", "notice")):
            cursor.execute(f"SET auto_explain.{setting} = '{value}'")
        # The first one is planned, which reads the catalogs.
        cursor.execute("SELECT count(*) FROM queue_probe.claim(1, %s, true)", (batch,))
        connection.notices.clear()
        for _ in range(batches):
            cursor.execute("SELECT count(*) FROM queue_probe.claim(1, %s, false)", (batch,))
            if cursor.fetchone()[0] != batch:
                raise RuntimeError("there was less to claim than was put in")
    plans = [json.loads(notice[notice.index("{"):])["Plan"] for notice in connection.notices]
    updates = [plan for plan in plans if plan["Node Type"] == "ModifyTable"]
    connection.rollback()
    connection.close()
    database.sql(f"DELETE FROM {TABLE} WHERE delivery_status = 'pending'")
    database.resume()
    finds = [node for update in updates for node in nodes(update) if node.get("Subplan Name") == "CTE due"]
    scans = {node["Index Name"] for find in finds for node in nodes(find) if "Index Name" in node}
    return Series(buffers(find) / batch for find in finds), Series(buffers(update) / batch for update in updates), scans


# ---- Retention ----

def purge_counts(database):
    return database.sql("SELECT n_tup_del, (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) "
                        f"FROM pg_stat_all_tables WHERE relid = '{TABLE}'::regclass")[0]


def retention(database, sink, old, count, rounds, say):
    """Paces without and with old rows being removed meanwhile; then how long the rest takes, and how many go at a time."""
    def with_retention(value):
        def run():
            database.set("retention", value)
            removed, _ = purge_counts(database)
            figures = pace(database, sink, count)()
            # The statistics of a worker that is at work come in late.
            database.set("retention", "0")
            return figures | {"removed": purge_counts(database)[0] - removed}
        return run

    figures = in_turns(rounds, {"without": with_retention("0"), "with": with_retention("30d")}, say)
    left = database.value(f"SELECT count(*) FROM {TABLE} WHERE finished_at < now() - interval '30 d'")
    before, begin = purge_counts(database), time.monotonic()
    database.set("retention", "30d")
    database.cluster.until(f"SELECT NOT EXISTS (SELECT FROM {TABLE} WHERE finished_at < now() - interval '30 d')", timeout=400,
                           database=database.name)
    took = time.monotonic() - begin
    database.set("retention", "0")
    after = purge_counts(database)
    return figures, {"rows": old, "left": left, "seconds": took, "rows in a transaction": left / max(after[1] - before[1], 1)}


# ---- The whole ----

def run(bench, report):
    history, old, users, count = bench.pick((2000000, 1000000, 1000000, 20000), (40000, 20000, 20000, 2000))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(max_worker_processes=16, rhesis_notify__retention=0, **sink.settings())
        empty, long, crowded = (Database(cluster, name) for name in ("empty", "history", "crowd"))
        for database in (empty, long, crowded):
            database.serve()
        begin = time.monotonic()
        long.add_history(history, old)
        crowded.sql(USERS, users)
        crowded.sql('VACUUM ANALYZE public."user"')
        bench.say(f"  history and users: {time.monotonic() - begin:.0f} s")
        cluster.sql("CHECKPOINT")
        for database in (empty, long, crowded):
            warm_up(database, sink, count)

        scans, lookups = scan_counts(crowded)
        figures = in_turns(bench.rounds, {
            "an empty table": pace(empty, sink, count),
            "history": pace(long, sink, count),
            "many users": pace(crowded, sink, count, users),
        }, bench.say)
        paces = {name: one["mails/s"] for name, one in figures.items()}
        read, touched, indexes = claim_buffers(long, 128)
        removing, rest = retention(long, sink, old, bench.pick(60000, 2000), bench.rounds, bench.say)
        # A worker's statistics come in a little later.
        scans, lookups = (after - before for after, before in zip(scan_counts(crowded), (scans, lookups)))

    report.target(Target(f"{history:,} finished rows, over an empty table", paces["history"].over(paces["an empty table"]), at_least=0.9))
    report.target(Target("buffers that are read to find and lock a due row, with that history", read, at_most=3))
    report.target(Target(f"{users:,} users, over a thousand", paces["many users"].over(paces["an empty table"]), at_least=0.9))
    report.target(Target("scans of the whole table of users meanwhile", Series([scans]), at_most=0, digits=0))
    report.target(Target("while retention removes old rows, over without", removing["with"]["mails/s"].over(removing["without"]["mails/s"]),
                         at_least=0.9))
    report.target(Target("rows that retention removes in a transaction", Series([rest["rows in a transaction"]]), at_most=1000, digits=0))
    report.text(f"Backlogs of {count:,}, in turn in three databases of one server. The history is what a worker leaves: each row was written, "
                f"claimed and recorded, and vacuum came every 100,000 rows. The claim finds its rows by {', '.join(sorted(indexes))}; "
                f"with the fetch for its update, and the new version and its index entries, it touches {touched.text(1)} buffers for a row. The users were looked up by index "
                f"{lookups:,} times.")
    report.table(["", "mails per second"], [[name, one.text()] for name, one in paces.items()])
    report.text(f"Retention: {rest['rows']:,} of the rows are too old. While backlogs are worked off it takes a small share of the time "
                f"and removed {removing['with']['removed'].text()} in each; the last {rest['left']:,} were gone {rest['seconds']:.0f} s after "
                "there was no mail to send any more.")
    report.table(["", "mails per second", "rows removed meanwhile"],
                 [[name, one["mails/s"].text(), one["removed"].text()] for name, one in removing.items()])

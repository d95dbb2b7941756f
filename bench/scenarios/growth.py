"""A long history and many users: old rows must not make new mails more expensive."""

import json
import time

from harness.database import TABLE, Database, drain
from harness.figures import Series, Target, in_turns

TITLE = "Growth: two million finished rows, a million users"
ORDER = 6

# The same as LARGEST_BATCH in src/worker/worker_outbox.h.
BATCH = 64

USERS = """
INSERT INTO public."user" (id, email, name, organization_id)
SELECT bench.user_id('user' || n), 'user' || n || '@bench.example', 'Ada Müller', bench.organization_id()
FROM generate_series(1001, %s) AS n
"""


def warm_up(database, sink, count):
    """A backlog that is not measured. It reads the data into memory, and pays for the first
    change of each page after the checkpoint."""
    database.hold_back(count)
    drain(database, sink, count)


def pace(database, sink, count, users=1000, keeps=True):
    """Sends a backlog for that number of users in turn. If keeps is false, older rows of the
    database are removed first."""
    def run():
        if not keeps:
            database.clear()
        database.hold_back(count, users)
        return {"mails/s": drain(database, sink, count)[0]}
    return run


def scan_counts(database):
    return database.sql("""SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relid = 'public."user"'::regclass""")[0]


# ---- The pages that a claim reads ----

def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def buffers(plan):
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def claim_plans(database, batch, batches):
    """The executed plans of that number of full claims."""
    database.sql("CREATE EXTENSION queue_probe")
    database.hold_back(batch * (batches + 1))
    connection = database.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        for setting, value in (("log_min_duration", 0), ("log_nested_statements", "on"), ("log_analyze", "on"), ("log_buffers", "on"),
                               ("log_timing", "off"), ("log_format", "json"), ("log_level", "notice")):
            cursor.execute(f"SET auto_explain.{setting} = '{value}'")
        # The first claim makes the plan, which reads the catalogs.
        cursor.execute("SELECT count(*) FROM queue_probe.claim(1, %s, true)", (batch,))
        connection.notices.clear()
        for _ in range(batches):
            cursor.execute("SELECT count(*) FROM queue_probe.claim(1, %s, false)", (batch,))
            if cursor.fetchone()[0] != batch:
                raise RuntimeError("there was less to claim than was put in")
    plans = [json.loads(notice[notice.index("{"):])["Plan"] for notice in connection.notices]
    connection.rollback()
    connection.close()
    database.sql(f"DELETE FROM {TABLE} WHERE delivery_status = 'pending'")
    database.resume()
    return [plan for plan in plans if plan["Node Type"] == "ModifyTable"]


def claim_buffers(database, batch, batches=5):
    """Buffers per row: below the update node (to find, lock and fetch the rows), and of the
    whole claim (with the new versions and their index entries). Also the indexes that were read."""
    updates = claim_plans(database, batch, batches)
    # A node of the plan includes the buffers of the nodes below it.
    below = [next(child for child in update["Plans"] if child["Parent Relationship"] == "Outer") for update in updates]
    scans = {node["Index Name"] for update in updates for node in nodes(update)
             if "Index Name" in node and node["Relation Name"] == "task_notifications"}
    return Series(buffers(node) / batch for node in below), Series(buffers(update) / batch for update in updates), scans


# ---- The rate ----

def run(bench, report):
    history, users, count = bench.pick((2000000, 1000000, 20000), (40000, 20000, 2000))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(max_worker_processes=16, rhesis_notify__retention=0, **sink.settings())
        databases = [Database(cluster, name) for name in ("empty", "history", "restored", "crowd")]
        empty, long, restored, crowded = databases
        for database in databases:
            database.serve()
        begin = time.monotonic()
        long.add_history(history)
        restored.restore_history(long)
        crowded.sql(USERS, users)
        crowded.sql('VACUUM ANALYZE public."user"')
        bench.say(f"  histories and users: {time.monotonic() - begin:.0f} s")
        cluster.sql("CHECKPOINT")
        for database in databases:
            warm_up(database, sink, count)

        scans, lookups = scan_counts(crowded)
        # Differences of a few percent must be visible above the noise of the machine.
        figures = in_turns(bench.pick(11, 1), {
            "an empty table": pace(empty, sink, count, keeps=False),
            "history": pace(long, sink, count),
            "history, restored": pace(restored, sink, count),
            "many users": pace(crowded, sink, count, users, keeps=False),
        }, bench.say)
        paces = {name: one["mails/s"] for name, one in figures.items()}
        read, touched, indexes = claim_buffers(long, BATCH)
        # The statistics of a worker arrive a little later.
        scans, lookups = (after - before for after, before in zip(scan_counts(crowded), (scans, lookups)))

    ratios = {name: one.over(paces["an empty table"]) for name, one in paces.items()}
    report.target(Target(f"{history:,} finished rows, over an empty table", ratios["history"], at_least=0.9))
    report.target(Target(f"buffers that the claim reads to find, lock and fetch a row, with that history ({touched.median:.1f} with what it writes)", read, at_most=3))
    report.target(Target(f"scans of the whole table of {users:,} users", Series([scans]), at_most=0, digits=0))
    report.text(f"Backlogs of {count:,}, in turn in four databases of one server; the empty table, and that for many users, is emptied before each. "
                "The history is what a worker leaves: each row was written, claimed and recorded, and vacuum came as often as autovacuum does. "
                "The restored one has the same rows, written once, in their last state.")
    report.table(["", "mails per second", "over an empty table"], [[name, one.text(), ratios[name].text(2)] for name, one in paces.items()])
    report.bars("growth", "mails per second", {f"rhesis_notify, {name}": one for name, one in paces.items()})
    report.text(f"A claim of {BATCH} rows finds them by {', '.join(sorted(indexes))}; with the new versions and their index entries, which no plan "
                f"saves, it touches {touched.text(1)} buffers for each. The users were looked up by index {lookups:,} times, and the backlogs were "
                "for all of them in turn, each far away from the one before: what that costs is memory that is in no cache.")

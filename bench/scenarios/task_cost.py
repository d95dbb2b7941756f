"""What a task pays for its row: the same table with our trigger, without one, and with one that calls NOTIFY."""

import os
import re
import signal

from harness.figures import Target, in_turns

TITLE = "What a task pays"
ORDER = 4

OURS, DELIVERING, PLAIN, NOTIFY = ("rhesis_notify, with its trigger", "rhesis_notify, delivering meanwhile",
                                   "the same table without a trigger", "with a trigger that calls NOTIFY")
TABLES = {OURS: "rhesis_notify.task_notifications", DELIVERING: "rhesis_notify.task_notifications",
          PLAIN: "bench.no_trigger", NOTIFY: "bench.notify_trigger"}
CLIENTS = 16

MAKE = """
CREATE TABLE bench.no_trigger (LIKE rhesis_notify.task_notifications INCLUDING ALL);
CREATE TABLE bench.notify_trigger (LIKE rhesis_notify.task_notifications INCLUDING ALL);
CREATE FUNCTION bench.notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('tasks', ''); RETURN NULL; END $$;
CREATE TRIGGER notify AFTER INSERT ON bench.notify_trigger FOR EACH STATEMENT EXECUTE FUNCTION bench.notify();
"""

INSERT = """INSERT INTO {table} (task_id, task_name, status, user_id, organization_id, template, result)
VALUES (gen_random_uuid()::text, 'generate_test_set', 'success', bench.user_id('user1')::text,
 bench.organization_id()::text, 'task_completion', '{{"test_run_id": "abcd1234"}}');
"""


def contestant(bench, cluster, name, synchronous):
    table = TABLES[name]
    path = f"{cluster.directory}/insert-{table}.sql"
    with open(path, "w", encoding="utf-8") as file:
        file.write(INSERT.format(table=table))

    def insert():
        output = cluster.run("pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(bench.pick(5, 2)), "-f", path, "bench")
        return {"tps": float(re.search(r"tps = ([\d.]+)", output)[1])}

    def run():
        cluster.sql(f"ALTER DATABASE bench SET synchronous_commit = {synchronous}")
        cluster.clear()
        cluster.sql(f"TRUNCATE {table} CASCADE")
        cluster.sql("CHECKPOINT")
        if name == DELIVERING:
            return insert()
        pid, = cluster.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        try:
            return insert()
        finally:
            cluster.clear()
            os.kill(pid, signal.SIGCONT)
    return run


def run(bench, report):
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.sql(MAKE)
        cluster.configure(**sink.settings())
        for synchronous in ("on", "off"):
            figures = in_turns(bench.rounds, {name: contestant(bench, cluster, name, synchronous) for name in TABLES}, bench.say)
            rates = {name: one["tps"] for name, one in figures.items()}
            ratio = {name: rate.over(rates[PLAIN]) for name, rate in rates.items()}
            report.target(Target(f"synchronous_commit {synchronous}: over the same table without the trigger", ratio[OURS], at_least=0.97, digits=3))
            report.text(f"synchronous_commit {synchronous}:")
            report.table(["", "transactions per second", "over the table without a trigger"],
                         [[name, rates[name].text(), ratio[name].text(3)] for name in TABLES])
            report.bars(f"task_cost-{synchronous}", f"transactions per second, synchronous_commit {synchronous}", rates)
    report.text(f"pgbench, {CLIENTS} clients, one row per transaction. The tables are alike in columns, indexes and constraints. But for the line "
                "that says so, the worker's process is stopped: as to a task it is one that is busy on a core of its own, and what is measured is the "
                "task's side. \"Delivering meanwhile\" is worker, mail server and clients all on this machine's cores.")

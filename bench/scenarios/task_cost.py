"""What a task pays for its row: the same table with our trigger, without one, and with one that calls NOTIFY."""

import re

from harness.figures import Target, in_turns

TITLE = "What a task pays"
ORDER = 4

TABLES = {"rhesis_notify, with its trigger": "rhesis_notify.task_notifications", "without a trigger": "bench.no_trigger",
          "with a trigger that calls NOTIFY": "bench.notify_trigger"}
CLIENTS = 16

MAKE = """
CREATE TABLE bench.no_trigger (LIKE rhesis_notify.task_notifications INCLUDING ALL);
CREATE TABLE bench.notify_trigger (LIKE rhesis_notify.task_notifications INCLUDING ALL);
CREATE FUNCTION bench.notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('tasks', ''); RETURN NULL; END $$;
CREATE TRIGGER notify AFTER INSERT ON bench.notify_trigger FOR EACH STATEMENT EXECUTE FUNCTION bench.notify();
"""

INSERT = """INSERT INTO {table} (task_id, task_name, status, user_id, organization_id, template, result)
VALUES (gen_random_uuid()::text, 'generate_test_set', 'success', 'c0ffee00-0000-4000-8000-000000000001',
 'c0ffee00-0000-4000-8000-000000000002', 'task_completion', '{{"test_run_id": "abcd1234"}}');
"""


def contestant(bench, cluster, table, synchronous):
    path = f"{cluster.directory}/insert-{table}.sql"
    with open(path, "w", encoding="utf-8") as file:
        file.write(INSERT.format(table=table))

    def run():
        cluster.sql(f"TRUNCATE {table} CASCADE")
        cluster.sql("CHECKPOINT")
        output = cluster.run("pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(bench.pick(8, 2)), "-f", path,
                             "bench", input=None)
        return {"tps": float(re.search(r"tps = ([\d.]+)", output)[1])}

    def with_setting():
        cluster.sql(f"ALTER DATABASE bench SET synchronous_commit = {synchronous}")
        return run()
    return with_setting


def run(bench, report):
    with bench.cluster() as cluster:
        cluster.sql(MAKE)
        cluster.pause()
        for synchronous in ("on", "off"):
            figures = in_turns(bench.rounds, {name: contestant(bench, cluster, table, synchronous) for name, table in TABLES.items()}, bench.say)
            rates = {name: one["tps"] for name, one in figures.items()}
            ratio = {name: rate.over(rates["without a trigger"]) for name, rate in rates.items()}
            report.target(Target(f"synchronous_commit {synchronous}: over the table without the trigger",
                                 ratio["rhesis_notify, with its trigger"], at_least=0.97, digits=3))
            report.text(f"synchronous_commit {synchronous}:")
            report.table(["", "transactions per second", "over the table without a trigger"],
                         [[name, rates[name].text(), ratio[name].text(3)] for name in TABLES])
            report.bars(f"task_cost-{synchronous}", f"transactions per second, synchronous_commit {synchronous}", rates)
    report.text(f"pgbench, {CLIENTS} clients, one row per transaction. The tables are alike in columns, indexes and constraints. Mail is paused: "
                "the worker is woken as always, but what is measured is the task's side, not who gets the machine's cores.")

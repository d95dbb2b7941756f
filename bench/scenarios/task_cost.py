"""The cost of a row for the task: the same table with our trigger, without a trigger, and with a
trigger that calls NOTIFY."""

import os
import re
import signal

from harness.cluster import TABLE, cpu_of
from harness.figures import Target, in_turns

TITLE = "What a task pays"
ORDER = 4

OURS, PAUSED, DELIVERING, PLAIN, NOTIFY = ("rhesis_notify, its worker stopped", "rhesis_notify, its worker awake but paused",
                                           "rhesis_notify, delivering meanwhile", "the same table without a trigger",
                                           "with a trigger that calls NOTIFY")
ENABLED = {OURS: "wake_workers", PAUSED: "wake_workers", DELIVERING: "wake_workers", PLAIN: None, NOTIFY: "notify"}
CLIENTS = 16

MAKE = f"""
CREATE FUNCTION bench.notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('tasks', ''); RETURN NULL; END $$;
CREATE TRIGGER notify AFTER INSERT ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION bench.notify();
"""

INSERT = f"""INSERT INTO {TABLE} (task_id, task_name, status, user_id, organization_id, template, result)
VALUES (gen_random_uuid()::text, 'generate_test_set', 'success', bench.user_id('user1')::text,
 bench.organization_id()::text, 'task_completion', '{{"test_run_id": "abcd1234"}}');
"""


class Stopped:
    """Stops the worker's process at a moment when it holds no lock."""

    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        self.pid, = self.cluster.worker_pids()
        while True:
            os.kill(self.pid, signal.SIGSTOP)
            if not self.cluster.value("SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE pid = %s)", self.pid):
                return self
            os.kill(self.pid, signal.SIGCONT)

    def __exit__(self, *_):
        self.cluster.clear()
        os.kill(self.pid, signal.SIGCONT)


class Paused:
    """The worker runs and sends nothing."""

    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        self.cluster.pause()
        return self

    def __exit__(self, *_):
        self.cluster.clear()
        self.cluster.resume()


class Run:
    def __init__(self, bench, cluster, sink):
        self.cluster, self.sink, self.seconds = cluster, sink, bench.pick(2, 1)
        self.script = f"{cluster.directory}/insert.sql"
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(INSERT)

    def insert(self):
        output = self.cluster.run("pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(self.seconds),
                                  "-f", self.script, "bench")
        return {"tps": float(re.search(r"tps = ([\d.]+)", output)[1])}

    def insert_paused(self):
        """The same with a worker that is awake. Also returns the share of a processor that the
        worker uses."""
        pid, = self.cluster.worker_pids()
        before = cpu_of(pid)
        figures = self.insert()
        return figures | {"worker": (cpu_of(pid) - before) / self.seconds}

    def deliver(self):
        """The same, until all inserted rows have been sent."""
        self.sink.reset()
        figures = self.insert()
        self.cluster.settled(self.sink, self.cluster.value(f"SELECT count(*) FROM {TABLE}"))
        return figures

    def contestant(self, name, synchronous):
        def run():
            self.cluster.sql(f"ALTER DATABASE bench SET synchronous_commit = {synchronous}")
            self.cluster.clear()
            for trigger in ("wake_workers", "notify"):
                self.cluster.sql(f"ALTER TABLE {TABLE} {'ENABLE' if trigger == ENABLED[name] else 'DISABLE'} TRIGGER {trigger}")
            self.cluster.sql("CHECKPOINT")
            if name == DELIVERING:
                return self.deliver()
            if name == PAUSED:
                with Paused(self.cluster):
                    return self.insert_paused()
            with Stopped(self.cluster):
                return self.insert()
        return run


def run(bench, report):
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.sql(MAKE)
        cluster.configure(**sink.settings())
        measured = Run(bench, cluster, sink)
        for synchronous in ("on", "off"):
            # The first run creates WAL segments, which the other runs use again.
            measured.contestant(PLAIN, synchronous)()
            rates, ratio, shares = {}, {}, {}
            # Differences of a few percent must be visible above the noise of the machine. So the
            # most important contestants run many rounds.
            for rounds, names in ((bench.rounds, (DELIVERING, PLAIN, NOTIFY)), (bench.pick(25, 1), (OURS, PAUSED, PLAIN))):
                figures = in_turns(rounds, {name: measured.contestant(name, synchronous) for name in names}, bench.say)
                shares |= {name: one["worker"] for name, one in figures.items() if "worker" in one}
                rates |= {name: one["tps"] for name, one in figures.items()}
                ratio |= {name: rates[name].over(rates[PLAIN]) for name in names}
            for name in (OURS, PAUSED):
                report.target(Target(f"synchronous_commit {synchronous}: {name}, over the same table without the trigger", ratio[name], at_least=0.97, digits=3))
            report.text(f"synchronous_commit {synchronous}; awake but paused, the worker took {shares[PAUSED].text(2)} of a processor:")
            report.table(["", "transactions per second", "over the table without a trigger"],
                         [[name, rates[name].text(), ratio[name].text(3)] for name in ENABLED])
            report.bars(f"task_cost-{synchronous}", f"transactions per second, synchronous_commit {synchronous}",
                        {name: rates[name] for name in ENABLED})
    report.text(f"pgbench, {CLIENTS} clients, one row per transaction, {measured.seconds} s a round; the figures of the table without a trigger are those beside "
                "the first line's. It is one table, whose triggers are enabled and disabled. The targets are the task's own side: the worker's process is stopped, "
                "and so uses none of the processors that the clients need, as if it were busy on one of its own; or it is awake but paused, and not "
                "woken by tasks, as it could do nothing about their rows before the pause is over. "
                f"Delivering meanwhile, worker and mail server share this machine's {os.cpu_count()} cores, which the clients fill by themselves.")

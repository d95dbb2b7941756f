"""Fifty databases with the extension on one server: their cost while there is nothing to do, and
how soon they are served."""

import time

from harness.cluster import private_memory, run_time, status_of
from harness.database import Database
from harness.figures import Series, Target

TITLE = "Fifty databases"
ORDER = 10

SERVED = "SELECT count(*) = {0} AND count(*) FILTER (WHERE state = 'idle') = {0} FROM rhesis_notify.worker_status"


def processes(cluster):
    """For the launcher and the workers: {pid: (seconds of CPU, wake-ups)}."""
    found = {}
    for pid, in cluster.sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'rhesis_notify %'"):
        found[pid] = (run_time(pid), status_of(pid, "voluntary_ctxt_switches"))
    return found


def restart(cluster, count):
    """The seconds from the moment when the server accepts connections again until all databases
    are served."""
    cluster.control("restart", "-m", "fast")
    begin = time.monotonic()
    cluster.until(SERVED.format(count))
    return time.monotonic() - begin


def mail(cluster, sink, name, count=20):
    """Sends a number of mails from one database."""
    sink.reset()
    cluster.sql("SELECT bench.queue(%s, 1, 1000)", count, database=name)
    sink.wait(count)
    cluster.settled(sink, count, database=name)


def run(bench, report):
    count, minutes = bench.pick((50, 1.25), (6, 0.05))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(max_worker_processes=count + 8, **sink.settings())
        begin = time.monotonic()
        names = ["bench", *(f"db{number}" for number in range(2, count + 1))]
        for name in names[1:]:
            Database(cluster, name)
        bench.say(f"  databases created: {time.monotonic() - begin:.0f} s")
        cluster.until(SERVED.format(count), timeout=120)
        started = Series([restart(cluster, count) for _ in range(bench.rounds)])
        bench.say(f"  served after a restart: {started.text(2)} s")

        before, begin = processes(cluster), time.monotonic()
        time.sleep(minutes * 60)
        after, took = processes(cluster), time.monotonic() - begin
        if set(before) != set(after):
            raise RuntimeError("a worker was replaced while nothing happened")
        used = sum(cpu - before[pid][0] for pid, (cpu, _) in after.items())
        wakes = sum(switches - before[pid][1] for pid, (_, switches) in after.items()) / len(after) / took * 60
        memory = [private_memory(pid) for pid in after]
        for name in names:
            mail(cluster, sink, name)

    report.target(Target(f"seconds until {count} databases are served after a restart", started, at_most=10))
    report.target(Target(f"CPU of launcher and {count} idle workers, percent of one processor", Series([used / took * 100]), at_most=0.1, digits=3))
    report.target(Target("times a minute that one of them wakes", Series([wakes]), at_most=2, digits=1))
    report.text(f"One worker for each database, so {count + 1} of max_worker_processes = {count + 8}; {took:.0f} s without mail: the safety check "
                f"comes once a minute. A worker that has sent nothing yet has {sum(memory) / len(memory):.1f} MB of its own. Afterwards each database was given tasks, and their mails went out.")

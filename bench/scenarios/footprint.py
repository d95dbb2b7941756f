"""What the worker needs while it works, and while there is nothing to do."""

import statistics
import time

from harness.cluster import private_memory, run_time, status_of
from harness.figures import Series, Target

TITLE = "Memory, and doing nothing"
ORDER = 5

CONNECTIONS = 16

# The processes of the extension, by their names in pg_stat_activity.
OURS = "SELECT pid, backend_type FROM pg_catalog.pg_stat_activity WHERE backend_type LIKE 'rhesis_notify %' ORDER BY backend_type"


def wake_ups(pid):
    """The number of times that the process has slept."""
    return status_of(pid, "voluntary_ctxt_switches")


def memory_until(pid, sink, mails, timeout=120):
    """Samples of its private memory, until the sink has accepted that number of mails."""
    samples, end = [], time.monotonic() + timeout
    while True:
        samples.append(private_memory(pid))
        if sink.counts()["mails"] >= mails:
            return samples
        if time.monotonic() > end:
            raise TimeoutError(f"the sink has not taken {mails:,} mails within {timeout} s")
        time.sleep(0.005)


def memory(bench, cluster, sink, report):
    """The private memory of the worker over many mails, for each tenth of them. It depends on
    the number of claimed mails that are not sent yet. So the peaks show the maximum, and the
    medians show whether it grows."""
    steps, size = 10, bench.pick(10000, 500)
    pid, = cluster.worker_pids()
    sink.reset()
    medians, peaks = [], []
    for step in range(1, steps + 1):
        cluster.queue(size, start=step * size)
        samples = memory_until(pid, sink, step * size)
        cluster.settled(sink, step * size)
        medians.append((step * size, statistics.median(samples)))
        peaks.append((step * size, max(samples)))
        bench.say(f"  after {step * size:,} mails: {medians[-1][1]:.1f} MB, at the most {peaks[-1][1]:.1f} MB")
    if cluster.worker_pids() != [pid]:
        raise RuntimeError("the worker is not the one that began")
    report.target(Target(f"private memory of the worker in MB with {CONNECTIONS} connections, at the most in a run of {steps * size:,} mails",
                         Series([max(mb for _, mb in peaks)]), at_most=40, digits=1))
    # Memory that is used for the first time appears in the first two tenths, if these are not
    # short.
    if not bench.quick:
        first, rest = (max(mb for _, mb in tenths) for tenths in (medians[:2], medians[2:]))
        report.target(Target("the same run: the highest median of the last eight tenths, over that of the first two", Series([rest / first]), at_most=1.1))
    report.lines("footprint", "mails", "MB of private memory", {"the median": medians, "at the most": peaks})


def log_position(cluster):
    return cluster.value("SELECT pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn")


def backlog(cluster, sink, connections, count, checkpoint=False):
    """The maximum of the worker's private memory while it sends the mails, and the bytes of WAL
    per mail: for the row of the task, and for the worker.

    After a checkpoint, the first change of each page writes the whole page to the WAL.
    """
    cluster.configure(rhesis_notify__smtp_connections=connections, **sink.settings())
    cluster.clear()
    cluster.pause()
    start = log_position(cluster)
    cluster.queue(count)
    if checkpoint:
        cluster.sql("CHECKPOINT")
    queued = log_position(cluster)
    pid, = cluster.worker_pids()
    sink.reset()
    cluster.resume()
    most = max(memory_until(pid, sink, count))
    cluster.settled(sink, count)
    return most, (queued - start) / count, (log_position(cluster) - queued) / count


def connections(bench, cluster, sink, report):
    """Memory and WAL, by the number of connections."""
    count = bench.pick(20000, 2000)
    found = {f"{number}": backlog(cluster, sink, number, count) for number in (8, CONNECTIONS)}
    found[f"{CONNECTIONS}, after a checkpoint"] = backlog(cluster, sink, CONNECTIONS, count, checkpoint=True)
    found["256"] = backlog(cluster, sink, 256, count)
    with bench.sink(reply_delay=10, accept_delay=50) as far:
        found["256, far server"] = backlog(cluster, far, 256, count)
    for name, (most, _, log) in found.items():
        bench.say(f"  {name}: {most:.1f} MB, {log:,.0f} bytes of log a mail")
    report.target(Target(f"private memory of the worker in MB with 256 connections to a far server, at the most in a backlog of {count:,}",
                         Series([found["256, far server"][0]]), at_most=40, digits=1))
    report.text(f"By the number of connections, for a backlog of {count:,}, measured once: private memory at the most meanwhile, and the log (WAL) that is written. After a "
                "checkpoint the first change of a page writes all of it; the other lines are without. The far server is that of the scenario of this name: there the worker "
                "holds most, mails on their way and what it has claimed behind them.")
    report.table(["connections", "MB of private memory", "bytes of log for a task's row", "bytes of log for a mail, by the worker"],
                 [[name, f"{most:.1f}", f"{row:,.0f}", f"{mail:,.0f}"] for name, (most, row, mail) in found.items()])


def fall_silent(pids, seconds):
    """Waits until the processes have slept for that time. Before, connections to the mail server
    stay open for a while, and the timer of a finished statement may still fire once."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        before = [wake_ups(pid) for pid in pids]
        time.sleep(seconds)
        if [wake_ups(pid) for pid in pids] == before:
            return
    raise TimeoutError("they do not fall silent")


def idle(bench, cluster, report):
    """The wake-ups of launcher and worker while nothing happens. Each may check once a minute,
    and no more."""
    seconds = bench.pick(300, 6)
    rows = cluster.sql(OURS)
    fall_silent([pid for pid, _ in rows], bench.pick(15, 4))
    before = {pid: wake_ups(pid) for pid, _ in rows}
    own, whole = sum(run_time(pid) for pid, _ in rows), cluster.cpu()
    time.sleep(seconds)
    own, whole = sum(run_time(pid) for pid, _ in rows) - own, cluster.cpu() - whole
    counts = {name: wake_ups(pid) - before[pid] for pid, name in rows}
    # Each process sleeps for a minute after a check. This is the number of checks if the first one
    # is due at once.
    checks = 1 + seconds // 60
    for name, count in counts.items():
        bench.say(f"  {name}: {count} wake-ups in {seconds} s")
        report.target(Target(f"idle for {seconds} s: wake-ups of the {name.removeprefix('rhesis_notify ')}, one a check", Series([count]), at_most=checks, digits=0))
    report.text(f"A wake-up is a voluntary context switch in /proc/PID/status. Each process looks once a minute whether there is something to do: {checks - 1} times in "
                f"{seconds} s, {checks} where the first look comes at once. In {seconds} s launcher and worker together used {own * 1000:.1f} ms of the "
                f"processor's time (/proc/PID/schedstat); all processes of the server {whole * 1000:.0f} ms in steps of 10, autovacuum's after all those mails among them.")


def run(bench, report):
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(**sink.settings())
        memory(bench, cluster, sink, report)
        idle(bench, cluster, report)
        connections(bench, cluster, sink, report)

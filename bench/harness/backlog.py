"""A backlog that a warm worker sends: what a mail costs it, and how fast it is."""

from .cluster import run_time
from .sink import rate

WARM = 1000


def send_backlog(cluster, sink, backlog, recording):
    """Microseconds of the worker's time for a mail, and mails per second. recording(pid) is entered while the worker has mails."""
    cluster.configure(**sink.settings())
    warm_up(cluster, sink, WARM)
    cluster.pause()
    cluster.queue(backlog)
    pid, = cluster.worker_pids()
    sink.reset()
    with recording(pid):
        before = run_time(pid)
        cluster.resume()
        counts = sink.wait(backlog)
        cluster.settled(sink, backlog, newest=WARM)
        used = run_time(pid) - before
    return used / backlog * 1e6, rate(counts)


def warm_up(cluster, sink, mails):
    """Empties the table, and has so many mails sent: the first pay for the connections and the plans."""
    cluster.clear()
    sink.reset()
    cluster.queue(mails)
    sink.wait(mails)
    cluster.settled(sink, mails)

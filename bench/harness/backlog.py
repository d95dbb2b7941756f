"""A warm worker sends a backlog: the cost of a mail, and the rate."""

from .cluster import run_time
from .sink import rate

WARM = 1000


def send_backlog(cluster, sink, backlog, recording):
    """Returns the microseconds of the worker's time per mail, and the mails per second. The
    context recording(pid) is active while the worker sends."""
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
    """Empties the table and sends count mails. The first mails pay for the connections and the
    plans, so they are not measured."""
    cluster.clear()
    sink.reset()
    cluster.queue(mails)
    sink.wait(mails)
    cluster.settled(sink, mails)

"""A transaction is open during the whole run, as in a dump or a forgotten session. So vacuum can
remove nothing."""

import contextlib

from harness import peers
from harness.database import Database, drain, old_snapshot
from harness.figures import Series, Target, in_turns
from harness.sink import paces

TITLE = "With an old snapshot held open"
ORDER = 7

PEERS = ("graphile-worker", "pg-boss")
PARTS = 10


def figures(rates):
    return {"mails/s": PARTS / sum(1 / rate for rate in rates), "last tenth over first": rates[-1] / rates[0]}


def single_cost(database, sink, count, gone):
    """The worker's CPU time for a single mail, when many sent mails precede it."""
    sink.reset()
    before = database.worker_cpu()
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        for number in range(1, count + 1):
            cursor.execute("SELECT bench.queue(1, %s, 1000)", (gone + number,))
            sink.wait(number)
    database.cluster.settled(sink, count, gone, database.name)
    return {"CPU ms": (database.worker_cpu() - before) / count * 1000}


def ours(database, sink, count, singles, held):
    def run():
        database.clear()
        with old_snapshot(database.cluster, database.name) if held else contextlib.nullcontext():
            database.hold_back(count)
            rates = drain(database, sink, count, PARTS)
            return figures(rates) | single_cost(database, sink, singles, count)
    return run


def theirs(bench, cluster, sink, name, count, held):
    """The rates of a peer by tenths, with the snapshot or without it. The process of the peer
    starts before the snapshot is taken."""
    sink.reset()
    peers.empty(name, cluster)
    peers.produce(name, cluster, 500)
    with peers.worker(name, cluster, sink, bench.templates) as worker:
        sink.wait(500)
        worker.pause()
        with old_snapshot(cluster, peers.DATABASES[name]) if held else contextlib.nullcontext():
            peers.produce(name, cluster, count)
            sink.reset()
            worker.resume()
            rates = paces(sink, count, PARTS, timeout=400)
    bench.say(f"  {name}, {'held' if held else 'free'}: {', '.join(f'{rate:,.0f}' for rate in rates)}")
    return rates


def run(bench, report):
    count, free_count, singles = bench.pick((200000, 50000, 1000), (2000, 1000, 100))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(**sink.settings())
        database = Database(cluster, "held")
        database.serve()
        own = in_turns(bench.rounds, {"free": ours(database, sink, count, singles, False),
                                      "held": ours(database, sink, count, singles, True)}, bench.say)
        tenths = {name: theirs(bench, cluster, sink, name, count, True) for name in PEERS}
        without = {name: figures(theirs(bench, cluster, sink, name, free_count, False))["mails/s"] for name in PEERS}

    free, held = own["free"], own["held"]
    kept, steady = held["mails/s"].over(free["mails/s"]), held["last tenth over first"]
    others = {name: {figure: Series([value]) for figure, value in figures(rates).items()} for name, rates in tenths.items()}
    report.target(Target(f"a backlog of {count:,}, over the same without the snapshot", kept, at_least=0.8))
    report.target(Target(f"CPU of a single mail behind {count:,} that have gone, over the same without the snapshot",
                         held["CPU ms"].over(free["CPU ms"]), at_most=2))
    report.compare(f"mails per second of a backlog of {count:,}, with the snapshot", held["mails/s"],
                   {name: one["mails/s"] for name, one in others.items()})
    report.compare("last tenth of it over the first", steady, {name: one["last tenth over first"] for name, one in others.items()})
    report.text(f"Backlogs of {count:,} for everybody. A peer takes minutes for one, so the peers were measured once, and without the snapshot with "
                f"{free_count:,}.")
    report.table(["", "mails per second without the snapshot", "with it", "with it over without", "last tenth over first, with it"],
                 [["rhesis_notify", free["mails/s"].text(), held["mails/s"].text(), kept.text(2), steady.text(2)],
                  *([f"{name}, once", f"{without[name]:,.0f}", one["mails/s"].text(), f"{one['mails/s'].median / without[name]:.2f}",
                     one["last tenth over first"].text(2)] for name, one in others.items())])
    report.text("The peers by tenths, in mails per second. " + " ".join(f"{name}: {', '.join(f'{rate:,.0f}' for rate in rates)}."
                                                                       for name, rates in tenths.items()))
    report.bars("old_snapshot", "mails per second", {
        "rhesis_notify, no snapshot": free["mails/s"], "rhesis_notify, snapshot held": held["mails/s"],
        **{f"{name}, snapshot held": one["mails/s"] for name, one in others.items()}})
    report.text(f"Of the worker's process, for single mails, each put in when the one before was accepted, behind the {count:,} that have gone:")
    report.table(["", "CPU ms for a single mail"], [["without the snapshot", free["CPU ms"].text(3)], ["with it", held["CPU ms"].text(3)]])

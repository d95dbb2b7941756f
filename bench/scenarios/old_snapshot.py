"""A transaction that is held open for the whole run, as by a dump or a forgotten session: vacuum can remove nothing."""

import contextlib

from harness import peers
from harness.database import Database, drain, old_snapshot
from harness.figures import Target, in_turns

TITLE = "With an old snapshot held open"
ORDER = 7

PEERS = ("graphile-worker", "pg-boss")
PARTS = 10


def ours(database, sink, count, held):
    def run():
        database.clear()
        with old_snapshot(database.cluster, database.name) if held else contextlib.nullcontext():
            database.hold_back(count)
            rates = drain(database, sink, count, PARTS)
        return {"mails/s": PARTS / sum(1 / rate for rate in rates), "last tenth over first": rates[-1] / rates[0]}
    return run


def single_cost(database, sink, count, gone, held):
    """The worker's CPU for single mails behind so many that have gone."""
    def run():
        database.clear()
        with old_snapshot(database.cluster, database.name) if held else contextlib.nullcontext():
            database.hold_back(gone)
            drain(database, sink, gone)
            sink.reset()
            before = database.worker_cpu()
            with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
                for number in range(1, count + 1):
                    cursor.execute("SELECT bench.queue(1, %s, 1000)", (gone + number,))
                    sink.wait(number)
            return {"CPU ms": (database.worker_cpu() - before) / count * 1000}
    return run


def theirs(bench, cluster, sink, name, count, held):
    """In one process, which has started before the snapshot is taken."""
    def run():
        sink.reset()
        peers.produce(name, cluster, 500)
        with peers.worker(name, cluster, sink, bench.templates) as worker:
            sink.wait(500)
            worker.pause()
            with old_snapshot(cluster, peers.DATABASES[name]) if held else contextlib.nullcontext():
                peers.produce(name, cluster, count)
                sink.reset()
                worker.resume()
                middle = sink.wait(count // 2, timeout=400)
                end = sink.wait(count, timeout=400)
        first = (middle["mails"] - 1) / (middle["last"] - middle["first"])
        last = (end["mails"] - middle["mails"]) / (end["last"] - middle["last"])
        return {"mails/s": (end["mails"] - 1) / (end["last"] - end["first"]) * 1e9, "second half over first": last / first}
    return run


def run(bench, report):
    count = bench.pick(200000, 6000)
    their_count = bench.pick(20000, 800)
    gone, singles = bench.pick((50000, 1000), (2000, 100))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(**sink.settings())
        database = Database(cluster, "held")
        database.serve()
        own = in_turns(bench.rounds, {"rhesis_notify": ours(database, sink, count, False),
                                "rhesis_notify, held": ours(database, sink, count, True)}, bench.say)
        single = in_turns(bench.rounds, {"free": single_cost(database, sink, singles, gone, False),
                                   "held": single_cost(database, sink, singles, gone, True)}, bench.say)
        other = {}
        for name in PEERS:
            other |= in_turns(bench.rounds, {name: theirs(bench, cluster, sink, name, their_count, False),
                                  f"{name}, held": theirs(bench, cluster, sink, name, their_count, True)}, bench.say)

    ratios = {name: figures[f"{name}, held"]["mails/s"].over(figures[name]["mails/s"])
              for figures, names in ((own, ["rhesis_notify"]), (other, PEERS)) for name in names}
    report.target(Target(f"a backlog of {count:,}, over the same without the snapshot", ratios["rhesis_notify"], at_least=0.8))
    report.target(Target(f"CPU of a single mail behind {gone:,} that have gone, over the same without the snapshot",
                         single["held"]["CPU ms"].over(single["free"]["CPU ms"]), at_most=2))
    for name in PEERS:
        report.compare(f"mails per second, held, of backlogs of {count:,} and {their_count:,}", own["rhesis_notify, held"]["mails/s"],
                       {name: other[f"{name}, held"]["mails/s"]})
        report.compare("share of its pace that is kept", ratios["rhesis_notify"], {name: ratios[name]})
    report.text(f"We: backlogs of {count:,}; the peers: of {their_count:,}, as they are slower: behind their heads less is dead in the end.")
    report.table(["", "mails per second", "held", "held over free", "last part over first, held"],
                 [["rhesis_notify", own["rhesis_notify"]["mails/s"].text(), own["rhesis_notify, held"]["mails/s"].text(),
                   ratios["rhesis_notify"].text(2), own["rhesis_notify, held"]["last tenth over first"].text(2) + " (tenths)"],
                  *([name, other[name]["mails/s"].text(), other[f"{name}, held"]["mails/s"].text(), ratios[name].text(2),
                     other[f"{name}, held"]["second half over first"].text(2) + " (halves)"] for name in PEERS)])
    report.bars("old_snapshot", "mails per second", {name: one["mails/s"] for name, one in (own | other).items()})
    report.table(["", "CPU ms of the worker for a single mail"], [[name, one["CPU ms"].text(3)] for name, one in single.items()])

"""Single tasks on an idle system: the time from the acknowledged commit to the acceptance of the
mail."""

from harness import peers
from harness.figures import Target, in_turns, least

TITLE = "Latency"
ORDER = 3

PEERS = ("graphile-worker", "pg-boss")
INTERVAL = 20  # milliseconds between two tasks: longer than a peer's slowest hundredth takes, so that none waits for the one before
BESIDE = 6  # the same beside another client: no peer is in those figures
BUSY_RATE = 500  # rows per second of the other client
WARM = 500  # mails that are not counted: the first pay for the connections, the plans and the peers' compiler


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def figures(committed, accepted):
    """Both arguments are {key: nanoseconds}: when the task's commit was acknowledged, and when its
    mail was accepted."""
    waited = [(accepted[key] - moment) / 1e6 for key, moment in committed.items()]
    return {"p50": percentile(waited, 0.5), "p99": percentile(waited, 0.99), "longest": max(waited)}


class Run:
    """The recipient of a mail shows which task it belongs to."""

    def __init__(self, bench, cluster, sink):
        self.bench, self.cluster, self.sink = bench, cluster, sink
        self.count = bench.pick(1000, 100)

    def accepted(self):
        return {key: moment for moment, key in self.sink.stamps()}

    def singles(self, name):
        self.sink.reset()
        committed = peers.produce(name, self.cluster, self.count, interval=INTERVAL)
        self.sink.wait(self.count)
        return figures(committed, self.accepted())

    def warm_up(self):
        self.cluster.clear()
        self.sink.reset()
        self.cluster.queue(WARM)
        self.sink.wait(WARM)
        self.cluster.settled(self.sink, WARM)

    def ours(self):
        self.warm_up()
        found = self.singles("rhesis-notify")
        self.cluster.settled(self.sink, self.count, newest=WARM)
        return found

    def peer(self, name):
        def run():
            peers.empty(name, self.cluster)
            self.sink.reset()
            with peers.worker(name, self.cluster, self.sink, self.bench.templates):
                peers.produce(name, self.cluster, WARM)
                self.sink.wait(WARM)
                return self.singles(name)
        return run

    def busy(self):
        """The latency of the extension while another client inserts rows at a fixed rate. Also
        returns the rate that the client reached."""
        self.warm_up()
        self.sink.reset()
        seconds = self.count * BESIDE / 1000
        other = peers.produce("rhesis-notify", self.cluster, int((seconds + 2) * BUSY_RATE), interval=1000 / BUSY_RATE,
                              prefix="load", background=True)
        self.sink.wait(BUSY_RATE)
        committed = peers.produce("rhesis-notify", self.cluster, self.count, interval=BESIDE)
        printed, _ = other.communicate(timeout=60)
        load = [int(line.split()[1]) for line in printed.splitlines()]
        self.sink.wait(self.count + len(load))
        found = figures(committed, self.accepted())
        self.cluster.settled(self.sink, self.count + len(load), newest=WARM)
        begin, end = min(committed.values()), max(committed.values())
        return found | {"rows/s": sum(begin <= moment <= end for moment in load) / (end - begin) * 1e9}


def run(bench, report):
    beside = f"rhesis_notify, beside {BUSY_RATE} rows/s"
    with bench.cluster() as cluster, bench.sink(stamps=True) as sink:
        cluster.configure(**sink.settings())
        measured = Run(bench, cluster, sink)
        found = in_turns(bench.rounds, {
            "rhesis_notify": measured.ours,
            **{name: measured.peer(name) for name in PEERS},
            beside: measured.busy,
        }, bench.say)

    ours, busy = found["rhesis_notify"], found[beside]
    for figure in ("p50", "p99"):
        report.target(Target(f"{figure}, over the faster peer's", ours[figure].over(least(*(found[name][figure] for name in PEERS))),
                             at_most=0.4))
        report.compare(figure, ours[figure], {name: found[name][figure] for name in PEERS}, more_is_better=False)
    report.target(Target(f"p99 in ms, while another client inserts {BUSY_RATE} rows/s", busy["p99"], at_most=20))
    report.target(Target("rows per second that the other client did insert meanwhile", busy["rows/s"], at_least=BUSY_RATE * 95 // 100, digits=0))
    report.text(f"{measured.count:,} tasks a round, one every {INTERVAL} ms, each in a transaction of its own, put in from Node by the same driver; "
                f"milliseconds from the acknowledgement of the commit to the acceptance. Beside the other client one every {BESIDE} ms. "
                f"Each table was empty but for {WARM:,} mails just before. A mail may be accepted before the client has its acknowledgement: then the figure "
                "is negative.")
    report.table(["", "p50 ms", "p99 ms", "longest ms"],
                 [[name, *(one[figure].text(2) for figure in ("p50", "p99", "longest"))] for name, one in found.items()])
    report.bars("latency-p50", "p50: milliseconds from commit to acceptance", {name: one["p50"] for name, one in found.items()}, digits=2)
    report.bars("latency-p99", "p99: milliseconds from commit to acceptance", {name: one["p99"] for name, one in found.items()}, digits=2)

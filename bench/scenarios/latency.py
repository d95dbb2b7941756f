"""Single tasks on an idle system: from the acknowledged commit to the mail's acceptance."""

from harness import peers
from harness.figures import Target, in_turns, least

TITLE = "Latency"
ORDER = 3

PEERS = ("graphile-worker", "pg-boss")
INTERVAL = 6  # milliseconds between two tasks
BUSY_RATE = 500  # rows per second of the other client


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Run:
    def __init__(self, bench, cluster, sink):
        self.bench, self.cluster, self.sink = bench, cluster, sink
        self.count = bench.pick(1000, 200)

    def figures(self, name):
        """Puts single tasks in; the mails of each are told apart by their recipients."""
        self.sink.reset()
        committed = peers.produce(name, self.cluster, self.count, interval=INTERVAL)
        self.sink.wait(self.count)
        accepted = {key: moment for moment, key in self.sink.stamps()}
        waited = [(accepted[key] - moment) / 1e6 for key, moment in committed.items()]
        return {"p50": percentile(waited, 0.5), "p99": percentile(waited, 0.99), "longest": max(waited)}

    def ours(self):
        return self.figures("rhesis-notify")

    def peer(self, name):
        def run():
            self.sink.reset()
            with peers.worker(name, self.cluster, self.sink, self.bench.templates) as worker:
                # The first mails pay for the connections and for the compiler.
                peers.produce(name, self.cluster, 500)
                self.sink.wait(500)
                return self.figures(name)
        return run

    def busy(self):
        """Ours, while another client puts in so many rows a second."""
        seconds = self.count * INTERVAL / 1000
        self.sink.reset()
        other = peers.produce("rhesis-notify", self.cluster, int((seconds + 2) * BUSY_RATE), interval=1000 / BUSY_RATE,
                              prefix="load", background=True)
        self.sink.wait(BUSY_RATE)
        committed = peers.produce("rhesis-notify", self.cluster, self.count, interval=INTERVAL)
        printed, _ = other.communicate(timeout=60)
        self.sink.wait(len(committed) + len(printed.splitlines()))
        accepted = {key: moment for moment, key in self.sink.stamps() if key.startswith("user")}
        waited = [(accepted[key] - moment) / 1e6 for key, moment in committed.items()]
        return {"p50": percentile(waited, 0.5), "p99": percentile(waited, 0.99), "longest": max(waited)}


def run(bench, report):
    with bench.cluster() as cluster, bench.sink(stamps=True) as sink:
        for name in PEERS:
            peers.produce(name, cluster, 0)
        cluster.configure(**sink.settings())
        measured = Run(bench, cluster, sink)
        measured.ours()
        figures = in_turns(bench.rounds, {
            "rhesis_notify": measured.ours,
            **{name: measured.peer(name) for name in PEERS},
            f"rhesis_notify, beside {BUSY_RATE} rows/s": measured.busy,
        }, bench.say)

    ours, busy = figures["rhesis_notify"], figures[f"rhesis_notify, beside {BUSY_RATE} rows/s"]
    for figure in ("p50", "p99"):
        report.target(Target(f"{figure}, over the faster peer's", ours[figure].over(least(*(figures[name][figure] for name in PEERS))),
                             at_most=0.4))
        report.compare(figure, ours[figure], {name: figures[name][figure] for name in PEERS}, more_is_better=False)
    report.target(Target(f"p99 in ms, while another client inserts {BUSY_RATE} rows/s", busy["p99"], at_most=20))
    report.text(f"{measured.count:,} tasks a round, one every {INTERVAL} ms, each in a transaction of its own, put in from Node by the same driver; "
                "milliseconds from the acknowledgement of the commit to the acceptance. A mail may be accepted before the client "
                "has its acknowledgement: then the figure is negative.")
    report.table(["", "p50 ms", "p99 ms", "longest ms"],
                 [[name, *(one[figure].text(2) for figure in ("p50", "p99", "longest"))] for name, one in figures.items()])
    report.bars("latency-p50", "p50: milliseconds from commit to acceptance", {name: one["p50"] for name, one in figures.items()}, digits=2)
    report.bars("latency-p99", "p99: milliseconds from commit to acceptance", {name: one["p99"] for name, one in figures.items()}, digits=2)

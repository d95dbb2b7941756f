"""A backlog at full speed: the extension, the peers, and programs that send without a queue.
Also the CPU time per mail."""

import contextlib
import subprocess

from harness import peers
from harness.figures import Target, best, in_turns, least
from harness.sink import rate

TITLE = "Throughput"
ORDER = 1

PEERS = ("graphile-worker", "pg-boss")
LIBCURL = "libcurl, CONNECT_ONLY"


class Run:
    """All contestants send to one sink, with TLS or without it. Each of them returns its
    figures."""

    def __init__(self, bench, cluster, sink):
        self.bench, self.cluster, self.sink = bench, cluster, sink
        self.warm = bench.pick(1000, 200)

    def taken(self, counts):
        """The counts of the mail server, and its share of a processor."""
        took = (counts["last"] - counts["first"]) / 1e9
        return {"mails/s": rate(counts), "bytes": counts["bytes"] / counts["mails"], "mail server": self.sink.cpu() / took}

    def measure(self, count, begin, cpu):
        """Sends that number of mails. The time starts with begin()."""
        self.sink.reset()
        before = cpu()
        begin()
        counts = self.sink.wait(count, timeout=240)
        used = cpu() - before
        return {"CPU ms": used / count * 1000} | self.taken(counts)

    def ours(self, workers, count):
        def run():
            self.cluster.configure(rhesis_notify__workers=workers, **self.sink.settings())
            self.cluster.clear()
            self.sink.reset()
            self.cluster.queue(self.warm)
            self.sink.wait(self.warm)
            self.cluster.settled(self.sink, self.warm)
            self.cluster.pause()
            self.cluster.queue(count)
            figures = self.measure(count, self.cluster.resume, self.cluster.cpu)
            self.cluster.settled(self.sink, count, newest=self.warm)
            return figures
        return run

    def peer(self, name, count, processes=1):
        def run():
            self.sink.reset()
            peers.empty(name, self.cluster)
            peers.produce(name, self.cluster, self.warm)
            with contextlib.ExitStack() as stack:
                workers = [stack.enter_context(peers.worker(name, self.cluster, self.sink, self.bench.templates)) for _ in range(processes)]
                self.sink.wait(self.warm)
                for worker in workers:
                    worker.pause()
                peers.produce(name, self.cluster, count)
                figures = self.measure(count, lambda: [worker.resume() for worker in workers],
                                       lambda: self.cluster.cpu() + sum(worker.cpu() for worker in workers))
            return figures
        return run

    def smtp_source(self, count, *options):
        def run():
            self.sink.reset()
            subprocess.run(["smtp-source", *options, "-s", "16", "-l", "12000", "-m", str(count),
                            f"127.0.0.1:{self.sink.port}"], check=True, stdout=subprocess.DEVNULL)
            return self.taken(self.sink.wait(count))
        return run

    def python(self, processes, count):
        def run():
            self.sink.reset()
            with peers.connection_per_mail(self.sink, self.bench.message, count, processes) as peer:
                peer.begin()
                return self.taken(self.sink.wait(count))
        return run

    def libcurl(self, count):
        def run():
            with peers.libcurl("pipelined", self.sink, self.bench.message, 16, count) as peer:
                return self.measure(count, peer.begin, peer.cpu)
        return run


def not_the_limit(figures):
    """The mail server has one thread. If it used a whole processor, this would measure the mail
    server."""
    return Target("of a processor, what the mail server took for one worker of ours", figures["rhesis_notify"]["mail server"], at_most=0.9)


def table(report, figures):
    def cell(one, name, digits):
        return one[name].text(digits) if name in one else ""
    report.table(["", "mails per second", "CPU ms per mail", "bytes per mail", "of a processor, the mail server took"],
                 [[name, cell(one, "mails/s", 0), cell(one, "CPU ms", 3), f"{one['bytes'].median:,.0f}", cell(one, "mail server", 2)]
                  for name, one in figures.items()])


def bars(report, name, label, rates):
    report.bars(name, label, {contestant: one for contestant, one in rates.items() if contestant != LIBCURL})


def plain(bench, cluster, report):
    count = bench.pick(20000, 1000)
    with bench.sink() as sink:
        run = Run(bench, cluster, sink)
        figures = in_turns(bench.rounds, {
            "rhesis_notify": run.ours(1, count),
            "rhesis_notify, 2 workers": run.ours(2, count),
            **{name: run.peer(name, count) for name in PEERS},
            "graphile-worker, 2 processes": run.peer("graphile-worker", count, processes=2),
            "smtp-source": run.smtp_source(count),
            "smtp-source -d": run.smtp_source(count, "-d"),
            LIBCURL: run.libcurl(10 * count),
        }, bench.say)
    rates = {name: one["mails/s"] for name, one in figures.items()}
    costs = {name: one["CPU ms"] for name, one in figures.items() if "CPU ms" in one}
    report.target(Target("one worker, over the faster of graphile-worker and pg-boss",
                         rates["rhesis_notify"].over(best(*(rates[name] for name in PEERS))), at_least=7))
    for name in ("smtp-source", "smtp-source -d"):
        report.target(Target(f"one worker, over `{name} -s 16 -l 12000`", rates["rhesis_notify"].over(rates[name]), at_least=0.4))
    report.target(Target("two workers, over one", rates["rhesis_notify, 2 workers"].over(rates["rhesis_notify"]), at_least=1))
    report.target(Target("CPU per mail, worker and server, over the cheaper peer's",
                         costs["rhesis_notify"].over(least(*(costs[name] for name in PEERS))), at_most=0.2, digits=3))
    report.target(not_the_limit(figures))
    others = [name for name in rates if not name.startswith("rhesis_notify")]
    report.compare("mails per second in the clear", rates["rhesis_notify"], {name: rates[name] for name in others})
    report.compare("CPU per mail", costs["rhesis_notify"], {name: costs[name] for name in others if name in costs}, more_is_better=False)
    report.text(f"In the clear, 16 connections. A backlog of {count:,} rows, in a table that was empty but for the {run.warm:,} mails that each queue "
                f"has sent just before; {count:,} mails of smtp-source, ten times as many of libcurl. From the first acceptance to the last. smtp-source "
                "has no queue and renders nothing; it makes a connection for each mail, with `-d` it keeps its 16. libcurl, also without a queue and "
                "rendering, makes 16 connections, over which a bare transaction takes one round trip: the limit of the protocol here, and near the "
                "sink's own. The picture is without it: beside its bar the others could not be told apart. CPU is that of all processes of the "
                "database server, and of the peer's own.")
    table(report, figures)
    bars(report, "throughput", "mails per second, in the clear", rates)


def encrypted(bench, cluster, report):
    count, python = bench.pick((20000, 800), (1000, 100))
    with bench.sink(tls=True) as sink:
        run = Run(bench, cluster, sink)
        figures = in_turns(bench.rounds, {
            "rhesis_notify": run.ours(1, count),
            **{name: run.peer(name, count) for name in PEERS},
            "Python, a connection per mail": run.python(1, python),
            "Python, 4 processes": run.python(4, python),
            LIBCURL: run.libcurl(10 * count),
        }, bench.say)
    rates = {name: one["mails/s"] for name, one in figures.items()}
    report.target(Target("STARTTLS and login, over the faster of the two", rates["rhesis_notify"].over(best(*(rates[name] for name in PEERS))),
                         at_least=6))
    report.target(not_the_limit(figures))
    report.compare("mails per second with STARTTLS", rates["rhesis_notify"], {name: one for name, one in rates.items() if name != "rhesis_notify"})
    report.text(f"With STARTTLS and a login; the same backlog. The Python task connects, starts TLS, logs in and sends a text that is ready, "
                f"{python:,} times; libcurl as above.")
    table(report, figures)
    bars(report, "throughput-tls", "mails per second, STARTTLS and login", rates)


def run(bench, report):
    with bench.cluster() as cluster:
        plain(bench, cluster, report)
        encrypted(bench, cluster, report)

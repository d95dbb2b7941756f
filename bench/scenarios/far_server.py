"""A mail server as far away as a real provider: how close the rate comes to what the distance
allows."""

from harness import peers
from harness.figures import Target, in_turns

TITLE = "A far server"
ORDER = 2

CONNECTIONS = (1, 16, 64, 256)
ROUND_TRIP, SERVER_TIME = 0.010, 0.050

# Queue libraries, programs that block, and programs that connect for each mail are measured only
# with this number of connections.
ALL_BESIDE = 16
WARM = 320  # mails that a queue sends before it is measured, as nodemailer does
LIBCURL = "libcurl, CONNECT_ONLY"


def rate_behind(stamps, before):
    """Returns the mails per second, without the first mails. The mails come in waves, one mail
    of each connection in a wave."""
    first, last = stamps[before - 1][0], stamps[-1][0]
    return (len(stamps) - before) / (last - first) * 1e9


class Run:
    def __init__(self, bench, cluster, sink):
        self.bench, self.cluster, self.sink = bench, cluster, sink
        # The number of mails on each connection. A wave takes 60 to 90 ms.
        self.waves = bench.pick(48, 16)
        # The peers without a target send fewer mails, and the one that takes a second for a wave
        # sends fewest.
        self.few, self.fewest = bench.pick((24, 6), (4, 2))

    def figures(self, connections, count, begin):
        self.sink.reset()
        begin()
        counts = self.sink.wait(count, timeout=60)
        # As for the rate, the first mail of each connection is left out. It takes two turns,
        # because its envelope is sent alone.
        turns = (counts["turns"] - 2 * connections) / (count - connections)
        rate = rate_behind(self.sink.stamps(), connections)
        allowed = connections / (turns * ROUND_TRIP + SERVER_TIME)
        return {"mails/s": rate, "round trips": turns, "of what is possible": rate / allowed, "late ms": counts["late"] / count / 1e6}

    def rate(self, count, before, peer):
        self.sink.reset()
        peer.begin()
        self.sink.wait(count)
        return {"mails/s": rate_behind(self.sink.stamps(), before)}

    def ours(self, connections):
        def run():
            self.cluster.configure(rhesis_notify__smtp_connections=connections, **self.sink.settings())
            self.cluster.clear()
            self.cluster.pause()
            count = connections * self.waves
            self.cluster.queue(count)
            figures = self.figures(connections, count, self.cluster.resume)
            self.cluster.settled(self.sink, count)
            return figures
        return run

    def nodemailer(self, connections):
        def run():
            with peers.nodemailer(self.sink, self.bench.templates, connections, connections * self.waves) as peer:
                return self.figures(connections, connections * self.waves, peer.begin)
        return run

    def pipelined(self, connections):
        def run():
            count = connections * self.few
            with peers.libcurl("pipelined", self.sink, self.bench.message, connections, count) as peer:
                return self.figures(connections, count, peer.begin)
        return run

    def upload(self):
        def run():
            count = ALL_BESIDE * self.fewest
            with peers.libcurl("upload", self.sink, self.bench.message, ALL_BESIDE, count) as peer:
                return self.rate(count, ALL_BESIDE, peer)
        return run

    def queue(self, name):
        def run():
            count = WARM + ALL_BESIDE * self.few
            peers.empty(name, self.cluster)
            peers.produce(name, self.cluster, count)
            self.sink.reset()
            with peers.worker(name, self.cluster, self.sink, self.bench.templates, ALL_BESIDE):
                self.sink.wait(count)
            return {"mails/s": rate_behind(self.sink.stamps(), WARM)}
        return run

    def python(self, processes):
        def run():
            count = processes * self.few
            with peers.connection_per_mail(self.sink, self.bench.message, count, processes) as peer:
                return self.rate(count, processes, peer)
        return run


def contestants(measured, with_tls):
    """The results by name and number of connections."""
    found = {}
    for connections in CONNECTIONS:
        found["rhesis_notify", connections] = measured.ours(connections)
        found["nodemailer", connections] = measured.nodemailer(connections)
        found[LIBCURL, connections] = measured.pipelined(connections)
    # A Python process has one connection at a time. It is compared with as many connections as
    # there are processes, and with one.
    return found | {
        ("graphile-worker", ALL_BESIDE): measured.queue("graphile-worker"),
        ("pg-boss", ALL_BESIDE): measured.queue("pg-boss"),
        ("libcurl, upload", ALL_BESIDE): measured.upload(),
        (f"Python, {ALL_BESIDE} processes", ALL_BESIDE): with_tls.python(ALL_BESIDE),
        ("Python, a connection per mail", ALL_BESIDE): with_tls.python(1),
    }


def judge(figures, report, connections):
    ours = figures["rhesis_notify", connections]
    rates = {name: one["mails/s"] for (name, number), one in figures.items() if number == connections and one is not ours}
    over = f"{connections} connection{'s' if connections > 1 else ''}"
    report.target(Target(f"{over}: of what the distance allows", ours["of what is possible"], at_least=0.95, digits=3))
    report.target(Target(f"{over}: round trips per mail", ours["round trips"], at_most=2))
    report.target(Target(f"{over}: over nodemailer with as many", ours["mails/s"].over(rates["nodemailer"]), at_least=1.1))
    report.compare(f"mails per second over {over}", ours["mails/s"], rates)


def by_connections(figures, report):
    def cells(name, connections):
        one = figures[name, connections]
        return [one["mails/s"].text(), one["round trips"].text(2)]
    report.text("The sink answers each command 10 ms after it came and takes 50 ms more to accept a mail; replies to commands that came "
                "together leave together. Its time runs from when the kernel has the command, in TLS from when it reads it; it accepted our mails over "
                f"{CONNECTIONS[-1]} connections {figures['rhesis_notify', CONNECTIONS[-1]]['late ms'].text(2)} ms late. "
                "What the distance allows is connections / (round trips per mail × 10 ms + 50 ms), with the "
                "round trips that the sink has counted: moments at which a client that had read all replies sent something. "
                "All are without the first mail of each connection. nodemailer has no queue here and no database; it has sent 320 mails before, over "
                "other connections. libcurl makes the connections (CONNECT_ONLY), over which a text that is ready is sent as our worker does it.")
    report.table(["connections", "rhesis_notify, mails per second", "its round trips per mail", "of what the distance allows",
                  "nodemailer, mails per second", "its round trips per mail", f"{LIBCURL}, mails per second", "its round trips per mail"],
                 [[connections, *cells("rhesis_notify", connections), figures["rhesis_notify", connections]["of what is possible"].text(3),
                   *cells("nodemailer", connections), *cells(LIBCURL, connections)] for connections in CONNECTIONS])
    report.lines("far_server", "connections", "mails per second", {
        name: [(connections, figures[name, connections]["mails/s"].median) for connections in CONNECTIONS]
        for name in ("rhesis_notify", "nodemailer")} | {
        "possible with a round trip a mail": [(connections, connections / (ROUND_TRIP + SERVER_TIME)) for connections in CONNECTIONS]}, log=True)


def all_beside(figures, report):
    ours = figures["rhesis_notify", ALL_BESIDE]["mails/s"]
    report.text(f"Everybody over {ALL_BESIDE} connections. The queues have a backlog, of which the first {WARM} mails do not count. libcurl's own SMTP upload, in "
                "one multi handle, keeps its connections, but blocks them all while it waits for the reply to one's final dot. The Python task connects for "
                "each mail, with STARTTLS and a login; what it sends is ready, as with libcurl.")
    report.table(["", "mails per second", "rhesis_notify over it"],
                 [[name, one["mails/s"].text(), ours.over(one["mails/s"]).text(2)]
                  for (name, connections), one in figures.items() if connections == ALL_BESIDE])


def run(bench, report):
    delays = {"reply_delay": 10, "accept_delay": 50, "stamps": True}
    with bench.cluster() as cluster, bench.sink(**delays) as sink, bench.sink(**delays, tls=True) as tls_sink:
        figures = in_turns(bench.rounds, contestants(Run(bench, cluster, sink), Run(bench, cluster, tls_sink)), bench.say)

    for connections in CONNECTIONS:
        judge(figures, report, connections)
    by_connections(figures, report)
    all_beside(figures, report)

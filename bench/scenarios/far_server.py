"""A server as far away as a real provider: how close we come to what its distance allows."""

from harness import peers
from harness.figures import Target, in_turns

TITLE = "A far server"
ORDER = 2

CONNECTIONS = (1, 16, 64, 256)
ROUND_TRIP, SERVER_TIME = 0.010, 0.050


def wave_rate(stamps, connections):
    """Mails per second, from when each connection has sent its first on: the mails come in waves, one of each connection."""
    first, last = stamps[connections - 1][0], stamps[-1][0]
    return (len(stamps) - connections) / (last - first) * 1e9


class Run:
    def __init__(self, bench, cluster, sink):
        self.bench, self.cluster, self.sink = bench, cluster, sink
        # So many mails on each connection; a wave takes 60 to 90 ms.
        self.waves = bench.pick(48, 24)

    def figures(self, connections, begin):
        count = connections * self.waves
        self.sink.reset()
        begin()
        counts = self.sink.wait(count, timeout=60)
        # As for the rate, without each connection's first mail: that one has two, for its envelope nothing was before.
        turns = (counts["turns"] - 2 * connections) / (count - connections)
        rate = wave_rate(self.sink.stamps(), connections)
        allowed = connections / (turns * ROUND_TRIP + SERVER_TIME)
        return {"mails/s": rate, "round trips": turns, "of what is possible": rate / allowed}

    def ours(self, connections):
        def run():
            self.cluster.configure(rhesis_notify__smtp_connections=connections, **self.sink.settings())
            self.cluster.clear()
            self.cluster.pause()
            self.cluster.queue(connections * self.waves)
            figures = self.figures(connections, self.cluster.resume)
            self.cluster.settled(self.sink, connections * self.waves)
            return figures
        return run

    def nodemailer(self, connections):
        def run():
            with peers.nodemailer(self.sink, self.bench.templates, connections, connections * self.waves) as peer:
                return self.figures(connections, peer.begin)
        return run


def run(bench, report):
    with bench.cluster() as cluster, bench.sink(reply_delay=10, accept_delay=50, stamps=True) as sink:
        measured = Run(bench, cluster, sink)
        contestants = {}
        for connections in CONNECTIONS:
            contestants["rhesis_notify", connections] = measured.ours(connections)
            contestants["nodemailer", connections] = measured.nodemailer(connections)
        figures = in_turns(bench.rounds, contestants, bench.say)

    for connections in CONNECTIONS:
        ours, theirs = figures["rhesis_notify", connections], figures["nodemailer", connections]
        over = f"{connections} connection{'s' if connections > 1 else ''}"
        report.target(Target(f"{over}: of what the distance allows", ours["of what is possible"], at_least=0.95, digits=3))
        report.target(Target(f"{over}: round trips per mail", ours["round trips"], at_most=2))
        report.target(Target(f"{over}: over nodemailer with as many", ours["mails/s"].over(theirs["mails/s"]), at_least=1.1))
        report.compare(f"mails per second over {over}", ours["mails/s"], {"nodemailer": theirs["mails/s"]})
    report.text("The sink answers each command 10 ms after it came and takes 50 ms more to accept a mail; replies to commands that came "
                "together leave together. What the distance allows is connections / (round trips per mail × 10 ms + 50 ms), with the "
                "round trips that the sink has counted: moments at which a client that had read all replies sent something. "
                "Both are without the first mail of each connection. nodemailer has no queue here and no database; it has sent 320 mails before, over other connections.")
    report.table(["connections", "rhesis_notify, mails per second", "its round trips per mail", "of what the distance allows",
                  "nodemailer, mails per second", "its round trips per mail"],
                 [[connections, figures["rhesis_notify", connections]["mails/s"].text(), figures["rhesis_notify", connections]["round trips"].text(2),
                   figures["rhesis_notify", connections]["of what is possible"].text(3),
                   figures["nodemailer", connections]["mails/s"].text(), figures["nodemailer", connections]["round trips"].text(2)]
                  for connections in CONNECTIONS])
    report.lines("far_server", "connections", "mails per second", {
        name: [(connections, figures[name, connections]["mails/s"].median) for connections in CONNECTIONS]
        for name in ("rhesis_notify", "nodemailer")} | {
        "possible with a round trip a mail": [(connections, connections / (ROUND_TRIP + SERVER_TIME)) for connections in CONNECTIONS]}, log=True)

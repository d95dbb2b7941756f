/* multiplexer_test.c - one descriptor reports many sockets and a timer. */
#include "postgres_fe.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtp/multiplexer.h"
#include "tap.h"

static Multiplexer *mux;
static MuxEvent events[MUX_POLL_LIMIT];
static bool timer_fired;

/* Is there an event within this number of milliseconds? */
static bool
Wakes(int milliseconds)
{
	struct pollfd wait = {.fd = MuxDescriptor(mux), .events = POLLIN};

	return poll(&wait, 1, milliseconds) > 0;
}

/* Returns all events of fd that are ready now. */
static int
Ready(int fd)
{
	int count = MuxPoll(mux, events, lengthof(events), &timer_fired);
	int ready = 0;

	for (int i = 0; i < count; i++)
		if (events[i].fd == fd)
			ready |= events[i].events;
	return ready;
}

static void
TestSockets(void)
{
	int pair[2];
	int many[2 * MUX_POLL_LIMIT][2];
	int seen = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		exit(1);
	ok(MuxWatch(mux, pair[0], MUX_READ), "a socket is watched");
	is_int(Ready(pair[0]), 0, "nothing is ready before something was sent");
	if (write(pair[1], "x", 1) != 1)
		exit(1);
	ok(Wakes(10000), "the descriptor wakes for a socket");
	is_int(Ready(pair[0]), MUX_READ, "the socket is readable");
	is_int(Ready(pair[0]), MUX_READ, "and stays so until it is read");
	ok(MuxWatch(mux, pair[0], MUX_READ | MUX_WRITE), "what is watched can change");
	is_int(Ready(pair[0]), MUX_READ | MUX_WRITE, "to both");
	ok(MuxWatch(mux, pair[0], MUX_WRITE), "and back");
	is_int(Ready(pair[0]), MUX_WRITE, "to one");
	ok(MuxWatch(mux, pair[0], 0), "it is watched no more");
	is_int(Ready(pair[0]), 0, "and tells nothing");
	ok(MuxWatch(mux, pair[0], 0), "not watching it twice is fine");
	MuxWatch(mux, pair[0], MUX_WRITE);
	close(pair[1]);
	is_int(Ready(pair[0]), MUX_READ | MUX_WRITE, "a hang-up is told as both");
	close(pair[0]);
	is_int(Ready(pair[0]), 0, "a closed socket tells nothing");
	ok(MuxWatch(mux, pair[0], 0), "a closed socket needs no watching");
	ok(!MuxWatch(mux, pair[0], MUX_READ), "and can't be watched");

	for (int i = 0; i < (int) lengthof(many); i++)
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, many[i]) != 0 ||
			!MuxWatch(mux, many[i][0], MUX_WRITE))
			exit(1);
	is_int(MuxPoll(mux, events, lengthof(events), &timer_fired), MUX_POLL_LIMIT,
		   "no more events are fetched than the array can hold");
	is_int(MuxPoll(mux, events, 3, &timer_fired), 3, "nor more than are asked for");
	for (int i = 0; i < MUX_POLL_LIMIT && seen < (int) lengthof(many); i++)
	{
		int count = MuxPoll(mux, events, lengthof(events), &timer_fired);

		for (int j = 0; j < count; j++)
			seen += MuxWatch(mux, events[j].fd, 0) ? 1 : 0;
	}
	is_int(seen, lengthof(many), "the others come with the next calls");
	for (int i = 0; i < (int) lengthof(many); i++)
	{
		close(many[i][0]);
		close(many[i][1]);
	}
}

static void
TestTimer(void)
{
	ok(MuxSetTimer(mux, 1), "the timer is armed");
	ok(Wakes(10000), "the descriptor wakes for the timer");
	is_int(Ready(-1), 0, "which is no event of a socket");
	ok(timer_fired, "it is told once");
	Ready(-1);
	ok(!timer_fired, "and not twice");
	MuxSetTimer(mux, 100000);
	MuxSetTimer(mux, 0);
	ok(Wakes(10000), "arming it anew replaces the time; 0 is at once");
	Ready(-1);
	ok(timer_fired, "and it is told");
	MuxSetTimer(mux, 0);
	MuxSetTimer(mux, -1);
	ok(!Wakes(0), "disarmed, it does not run out");
}

int
main(void)
{
	mux = MuxCreate();
	ok(mux != NULL && MuxDescriptor(mux) >= 0, "a multiplexer has a descriptor");
	TestSockets();
	TestTimer();
	MuxDestroy(mux);
	MuxDestroy(NULL);
	return done_testing();
}

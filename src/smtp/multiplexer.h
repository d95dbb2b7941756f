/*
 * multiplexer.h - one descriptor and one timer for many sockets.
 *
 * The worker waits in one place, on a WaitEventSet. Sockets can be added to it, but not removed. So
 * all sockets, libcurl's and ours, are watched by an epoll (or kqueue) descriptor, and the worker
 * waits for that one.
 */
#ifndef RHESIS_MULTIPLEXER_H
#define RHESIS_MULTIPLEXER_H

typedef struct Multiplexer Multiplexer;

#define MUX_READ (1 << 0)
#define MUX_WRITE (1 << 1)

typedef struct MuxEvent
{
	int fd;
	int events; /* MUX_READ, MUX_WRITE; both after an error or a hang-up */
} MuxEvent;

/* How many descriptors a multiplexer itself uses, at most. */
#define MUX_DESCRIPTORS 2

/* Returns a new multiplexer; NULL, with errno set, if there is no descriptor or no memory. */
extern Multiplexer *MuxCreate(void);

/* Close and free the multiplexer. NULL is allowed. */
extern void MuxDestroy(Multiplexer *mux);

/*
 * Returns the descriptor to wait for. It is readable when a socket is ready or the timer has
 * expired.
 */
extern int MuxDescriptor(const Multiplexer *mux);

/*
 * Watch fd for these events (level-triggered) and no others. With events = 0, stop watching fd,
 * which may be unwatched or closed already. Returns false, with errno set, if the kernel refuses.
 * Allocates nothing, so libcurl's callbacks may call this.
 */
extern bool MuxWatch(Multiplexer *mux, int fd, int events);

/*
 * Let the timer expire once, after this time. A negative value disarms the timer. Returns false,
 * with errno set, if the kernel refuses.
 */
extern bool MuxSetTimer(Multiplexer *mux, int64 milliseconds);

/*
 * Fetch the events that are there, without waiting, at most limit of them; limit is at most
 * MUX_POLL_LIMIT. Returns their number; if that is limit, there may be more. Sets *timer_fired to
 * true if the timer has expired since the last call that reported it. One fd may have two events.
 */
#define MUX_POLL_LIMIT 64

extern int MuxPoll(Multiplexer *mux, MuxEvent *events, int limit, bool *timer_fired);

#endif

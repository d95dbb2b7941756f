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

/* NULL: there is no descriptor or no memory, and errno is set. */
extern Multiplexer *MuxCreate(void);

/* NULL is allowed. */
extern void MuxDestroy(Multiplexer *mux);

/* The descriptor to wait for. It is readable when a socket is ready or the timer has expired. */
extern int MuxDescriptor(const Multiplexer *mux);

/*
 * Watch fd for events (level-triggered). events = 0: watch it no more; that is allowed for a
 * descriptor that is not watched or is closed. False: the kernel refuses, and errno is set. It
 * allocates nothing, so libcurl's callbacks may call it.
 */
extern bool MuxWatch(Multiplexer *mux, int fd, int events);

/*
 * Let the timer expire once, after this time. A negative value disarms it. False: the kernel
 * refuses, and errno is set.
 */
extern bool MuxSetTimer(Multiplexer *mux, int64 milliseconds);

/*
 * Fetch the events that are there, without waiting, at most limit of them; limit is at most
 * MUX_POLL_LIMIT. Returns their number; if that is limit, there may be more. *timer_fired: the
 * timer has expired since the last call that reported it. One fd may have two events.
 */
#define MUX_POLL_LIMIT 64

extern int MuxPoll(Multiplexer *mux, MuxEvent *events, int limit, bool *timer_fired);

#endif

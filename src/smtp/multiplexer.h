/*
 * multiplexer.h - one pollable descriptor and one timer for many sockets.
 *
 * The worker sleeps in a single place, a WaitEventSet; it can't hold a set of sockets that changes all the
 * time. So all sockets, libcurl's and ours, are registered in an epoll (or kqueue) descriptor, which is
 * what the worker waits for.
 */
#ifndef RHESIS_MULTIPLEXER_H
#define RHESIS_MULTIPLEXER_H

typedef struct Multiplexer Multiplexer;

#define MUX_READ (1 << 0)
#define MUX_WRITE (1 << 1)

typedef struct MuxEvent
{
	int fd;
	int events; /* MUX_READ, MUX_WRITE; an error or a hang-up is reported as both */
} MuxEvent;

/* How many descriptors a multiplexer uses itself. */
#define MUX_DESCRIPTORS 2

/* NULL with errno set when no descriptor or no memory is to be had. */
extern Multiplexer *MuxCreate(void);

/* NULL is fine. */
extern void MuxDestroy(Multiplexer *mux);

/* The descriptor to wait for: readable when a socket is ready or the timer has run out. */
extern int MuxDescriptor(const Multiplexer *mux);

/*
 * Watch fd for events, as long as they last (level-triggered); 0 stops watching it, also when it was not
 * watched or is closed. False with errno set when the kernel refuses. Allocates nothing: it may be called
 * from libcurl's callbacks.
 */
extern bool MuxWatch(Multiplexer *mux, int fd, int events);

/* Arm the timer to run out once; a negative value disarms it. False with errno set when the kernel refuses. */
extern bool MuxSetTimer(Multiplexer *mux, int64 milliseconds);

/*
 * Fetch what is ready, without waiting; returns the number of events, at most limit (which is at most
 * MUX_POLL_LIMIT; as many as that: there may be more). *timer_fired tells whether the timer has run out
 * since the last call that said so. One fd may have two events.
 */
#define MUX_POLL_LIMIT 64

extern int MuxPoll(Multiplexer *mux, MuxEvent *events, int limit, bool *timer_fired);

#endif

/*
 * loop.h - one epoll descriptor for all that the sink waits for.
 */
#ifndef SINK_LOOP_H
#define SINK_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

/* The function to call when a descriptor is ready. Keep it until after the descriptor is closed. */
typedef struct Watch
{
	void (*ready)(void *owner, uint32_t events);
	void *owner;
} Watch;

extern void LoopAdd(int fd, Watch *watch, uint32_t events);
extern void LoopChange(int fd, Watch *watch, uint32_t events);

/* Wait for events, and call the function of each. after_batch is called after each round. */
extern void LoopRun(void (*after_batch)(void)) __attribute__((noreturn));

/* Nanoseconds of the monotonic clock. All processes of a machine have the same. */
extern int64_t Now(void);

#endif

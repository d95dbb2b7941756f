/*
 * loop.h - one epoll descriptor for everything that the sink waits for.
 */
#ifndef SINK_LOOP_H
#define SINK_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

/* Who is told that a descriptor is ready. It lives as long as the descriptor is open. */
typedef struct Watch
{
	void (*ready)(void *owner, uint32_t events);
	void *owner;
} Watch;

extern void LoopAdd(int fd, Watch *watch, uint32_t events);
extern void LoopChange(int fd, Watch *watch, uint32_t events);

/* Wait, and tell everybody whose descriptor is ready; after_batch is called after each round. */
extern void LoopRun(void (*after_batch)(void)) __attribute__((noreturn));

/* Nanoseconds of the monotonic clock, which all processes of a machine share. */
extern int64_t Now(void);

#endif

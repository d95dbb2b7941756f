/*
 * loop.c - one epoll descriptor for all that the sink waits for.
 *
 * epoll forgets a descriptor that is closed. But the current round may still have an event for it,
 * so the owner of a Watch must not be freed before after_batch is called.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "loop.h"

#define EVENTS_PER_ROUND 256

static int epoll_fd = -1;

static void
Control(int operation, int fd, Watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (epoll_fd < 0 && (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		err(1, "epoll_create1");
	if (epoll_ctl(epoll_fd, operation, fd, &event) != 0)
		err(1, "epoll_ctl");
}

void
LoopAdd(int fd, Watch *watch, uint32_t events)
{
	Control(EPOLL_CTL_ADD, fd, watch, events);
}

void
LoopChange(int fd, Watch *watch, uint32_t events)
{
	Control(EPOLL_CTL_MOD, fd, watch, events);
}

void
LoopRun(void (*after_batch)(void))
{
	struct epoll_event events[EVENTS_PER_ROUND];

	for (;;)
	{
		int count = epoll_wait(epoll_fd, events, EVENTS_PER_ROUND, -1);

		if (count < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < count; i++)
		{
			Watch *watch = events[i].data.ptr;

			watch->ready(watch->owner, events[i].events);
		}
		after_batch();
	}
}

int64_t
Now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

/*
 * multiplexer.c - one descriptor and one timer for many sockets.
 *
 * On Linux it is an epoll descriptor that watches the sockets and a timerfd. On BSD and macOS it is
 * a kqueue, which has timers of its own. Like a socket, both can be waited for in a WaitEventSet or
 * with poll().
 *
 * libcurl's callbacks call these functions. So they never block, never raise an error, and allocate
 * nothing except in MuxCreate(), which uses malloc.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <errno.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>
#else
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#endif

#include "smtp/multiplexer.h"

struct Multiplexer
{
	int fd;
#ifdef __linux__
	int timer_fd;
#endif
};

static bool OpenDescriptors(Multiplexer *mux);

Multiplexer *
MuxCreate(void)
{
	Multiplexer *mux = malloc(sizeof(Multiplexer));

	if (mux != NULL && !OpenDescriptors(mux))
	{
		free(mux);
		mux = NULL;
	}
	return mux;
}

int
MuxDescriptor(const Multiplexer *mux)
{
	return mux->fd;
}

#ifdef __linux__

static bool
OpenDescriptors(Multiplexer *mux)
{
	struct epoll_event event = {.events = EPOLLIN};
	int saved_errno;

	mux->timer_fd = -1;
	mux->fd = epoll_create1(EPOLL_CLOEXEC);
	if (mux->fd < 0)
		return false;

	mux->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.fd = mux->timer_fd;
	if (mux->timer_fd >= 0 && epoll_ctl(mux->fd, EPOLL_CTL_ADD, mux->timer_fd, &event) == 0)
		return true;

	saved_errno = errno;
	if (mux->timer_fd >= 0)
		close(mux->timer_fd);
	close(mux->fd);
	errno = saved_errno;
	return false;
}

void
MuxDestroy(Multiplexer *mux)
{
	if (mux == NULL)
		return;
	close(mux->timer_fd);
	close(mux->fd);
	free(mux);
}

bool
MuxWatch(Multiplexer *mux, int fd, int events)
{
	struct epoll_event event = {0};

	if (events == 0)
		return epoll_ctl(mux->fd, EPOLL_CTL_DEL, fd, &event) == 0 || errno == ENOENT ||
			   errno == EBADF;

	event.data.fd = fd;
	if (events & MUX_READ)
		event.events |= EPOLLIN;
	if (events & MUX_WRITE)
		event.events |= EPOLLOUT;
	if (epoll_ctl(mux->fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return true;
	return errno == ENOENT && epoll_ctl(mux->fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool
MuxSetTimer(Multiplexer *mux, int64 milliseconds)
{
	struct itimerspec spec = {.it_value = {0}};

	if (milliseconds >= 0)
	{
		spec.it_value.tv_sec = milliseconds / 1000;
		spec.it_value.tv_nsec = (milliseconds % 1000) * 1000000;

		/* A time of zero would disarm the timer. */
		if (milliseconds == 0)
			spec.it_value.tv_nsec = 1;
	}
	return timerfd_settime(mux->timer_fd, 0, &spec, NULL) == 0;
}

int
MuxPoll(Multiplexer *mux, MuxEvent *events, int limit, bool *timer_fired)
{
	struct epoll_event ready[MUX_POLL_LIMIT];
	int ready_count = epoll_wait(mux->fd, ready, Min(limit, MUX_POLL_LIMIT), 0);
	int count = 0;

	*timer_fired = false;
	for (int i = 0; i < ready_count; i++)
	{
		if (ready[i].data.fd == mux->timer_fd)
		{
			uint64 expirations;

			*timer_fired = read(mux->timer_fd, &expirations, sizeof(expirations)) > 0;
			continue;
		}
		events[count].fd = ready[i].data.fd;
		events[count].events = 0;
		if (ready[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			events[count].events |= MUX_READ;
		if (ready[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			events[count].events |= MUX_WRITE;
		count++;
	}
	return count;
}

#else /* kqueue */

/* Timers have a name space of their own, so this number is no socket. */
#define TIMER_IDENT 1

static bool
OpenDescriptors(Multiplexer *mux)
{
	mux->fd = kqueue();
	return mux->fd >= 0;
}

void
MuxDestroy(Multiplexer *mux)
{
	if (mux == NULL)
		return;
	close(mux->fd);
	free(mux);
}

/*
 * Add a filter if it is wanted, else delete it. Returns false if the kernel refuses. Deleting a
 * filter that does not exist is no error.
 */
static bool
ChangeFilter(Multiplexer *mux, uintptr_t ident, int filter, bool wanted, int flags, int64 data)
{
	struct kevent change;

	EV_SET(&change, ident, filter, wanted ? EV_ADD | flags : EV_DELETE, 0, data, 0);
	return kevent(mux->fd, &change, 1, NULL, 0, NULL) == 0 ||
		   (!wanted && (errno == ENOENT || errno == EBADF));
}

bool
MuxWatch(Multiplexer *mux, int fd, int events)
{
	return ChangeFilter(mux, fd, EVFILT_READ, events & MUX_READ, 0, 0) &&
		   ChangeFilter(mux, fd, EVFILT_WRITE, events & MUX_WRITE, 0, 0);
}

bool
MuxSetTimer(Multiplexer *mux, int64 milliseconds)
{
	/* Not every system restarts a timer that is added again: delete it first. */
	return ChangeFilter(mux, TIMER_IDENT, EVFILT_TIMER, false, 0, 0) &&
		   (milliseconds < 0 ||
			ChangeFilter(mux, TIMER_IDENT, EVFILT_TIMER, true, EV_ONESHOT, milliseconds));
}

int
MuxPoll(Multiplexer *mux, MuxEvent *events, int limit, bool *timer_fired)
{
	struct kevent ready[MUX_POLL_LIMIT];
	struct timespec no_wait = {0};
	int ready_count = kevent(mux->fd, NULL, 0, ready, Min(limit, MUX_POLL_LIMIT), &no_wait);
	int count = 0;

	*timer_fired = false;
	for (int i = 0; i < ready_count; i++)
	{
		if (ready[i].filter == EVFILT_TIMER)
		{
			*timer_fired = true;
			continue;
		}
		events[count].fd = ready[i].ident;
		if (ready[i].flags & (EV_EOF | EV_ERROR))
			events[count].events = MUX_READ | MUX_WRITE;
		else
			events[count].events = ready[i].filter == EVFILT_WRITE ? MUX_WRITE : MUX_READ;
		count++;
	}
	return count;
}

#endif

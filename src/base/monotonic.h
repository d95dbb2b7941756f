/*
 * monotonic.h - times of a clock that nobody can set, for deadlines of processes on this machine.
 *
 * Nothing has to be done when somebody sets the server's clock. A time that is compared with times
 * in rows, or that is shown, is a TimestampTz instead.
 */
#ifndef RHESIS_MONOTONIC_H
#define RHESIS_MONOTONIC_H

#include "datatype/timestamp.h"

#include <time.h>

#include "utils/timestamp.h"

/* Microseconds since some moment before the server's start: 0 has always passed. */
typedef int64 MonotonicTime;

#define MONOTONIC_NEVER PG_INT64_MAX

/* May be called in a signal handler. */
static inline MonotonicTime
MonotonicNow(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (MonotonicTime) now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

static inline MonotonicTime
MonotonicPlusMs(MonotonicTime time, int64 milliseconds)
{
	return time + milliseconds * 1000;
}

static inline MonotonicTime
DeadlineAfter(int64 milliseconds)
{
	return MonotonicPlusMs(MonotonicNow(), milliseconds);
}

/* For a timeout, which must not end too early; 0: the deadline has passed. */
static inline int64
MillisecondsUntil(MonotonicTime deadline)
{
	MonotonicTime now = MonotonicNow();

	if (deadline <= now)
		return 0;
	return (deadline - now) / 1000 + ((deadline - now) % 1000 > 0 ? 1 : 0);
}

/* What a clock on the wall will show at that time, unless it is set; DT_NOEND: never. */
static inline TimestampTz
WallClockAt(MonotonicTime time)
{
	return time == MONOTONIC_NEVER ? DT_NOEND : GetCurrentTimestamp() + (time - MonotonicNow());
}

/* When a clock on the wall shows that time, unless it is set. */
static inline MonotonicTime
MonotonicAt(TimestampTz time)
{
	if (time == DT_NOEND)
		return MONOTONIC_NEVER;
	if (time == DT_NOBEGIN)
		return 0;
	return Max(MonotonicNow() + (time - GetCurrentTimestamp()), 0);
}

#endif

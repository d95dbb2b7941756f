/*
 * monotonic.h - times of a clock that nobody can set, for deadlines of processes on this machine.
 *
 * These deadlines stay right when somebody sets the server's clock. A time that is compared with
 * times in rows, or that is shown, is a TimestampTz instead.
 */
#ifndef RHESIS_MONOTONIC_H
#define RHESIS_MONOTONIC_H

#include "datatype/timestamp.h"

#include <time.h>

#include "utils/timestamp.h"

/* Microseconds since a moment before the server's start, so 0 is always in the past. */
typedef int64 MonotonicTime;

#define MONOTONIC_NEVER PG_INT64_MAX

/* Returns the current time. A signal handler may call this. */
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

/*
 * Returns the milliseconds until the deadline, rounded up so that a timeout does not end too early;
 * 0 if the deadline has passed.
 */
static inline int64
MillisecondsUntil(MonotonicTime deadline)
{
	MonotonicTime now = MonotonicNow();

	if (deadline <= now)
		return 0;
	return (deadline - now) / 1000 + ((deadline - now) % 1000 > 0 ? 1 : 0);
}

/*
 * Returns what the server's clock will show at this time if nobody sets it; DT_NOEND for
 * MONOTONIC_NEVER.
 */
static inline TimestampTz
WallClockAt(MonotonicTime time)
{
	return time == MONOTONIC_NEVER ? DT_NOEND : GetCurrentTimestamp() + (time - MonotonicNow());
}

/*
 * Returns the time at which the server's clock will show this timestamp if nobody sets it;
 * MONOTONIC_NEVER for DT_NOEND, 0 for DT_NOBEGIN.
 */
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

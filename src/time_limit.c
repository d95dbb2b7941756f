/*
 * time_limit.c - see time_limit.h.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "time_limit.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

static TimeoutId time_limit = MAX_TIMEOUTS; /* not registered */
static volatile sig_atomic_t times_passed = 0;

/* Runs in a signal handler. */
static void
TimeLimitHandler(void)
{
	times_passed++;
	if (times_passed == 1)
		QueryCancelPending = true;
	else
		ProcDiePending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

void
StartTimeLimit(int milliseconds)
{
	if (time_limit == MAX_TIMEOUTS)
		time_limit = RegisterTimeout(USER_TIMEOUT, TimeLimitHandler);
	times_passed = 0;
	enable_timeout_every(
		time_limit, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds), milliseconds);
}

bool
TimeLimitHasPassed(void)
{
	return times_passed > 0;
}

void
StopTimeLimit(void)
{
	disable_timeout(time_limit, false);

	/* It ran out when the statement was already done: nothing is left to cancel. */
	if (times_passed > 0)
		QueryCancelPending = false;
}

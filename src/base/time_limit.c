/*
 * time_limit.c - see time_limit.h.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "base/time_limit.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define TICKS 10 /* per limit */

static TimeoutId time_limit = MAX_TIMEOUTS; /* MAX_TIMEOUTS: not registered yet */
static volatile sig_atomic_t is_running = false;
static volatile sig_atomic_t ticks = 0;
static volatile sig_atomic_t has_passed = false;
static volatile sig_atomic_t ends_process = false;
static TimeLimitWatcher watch = NULL;

static void
Cancel(void)
{
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/*
 * Sets whether the timer's signal interrupts a system call that waits, for example to open or read
 * a pipe.
 */
static void
InterruptSystemCalls(bool interrupt)
{
	struct sigaction action;

	if (sigaction(SIGALRM, NULL, &action) != 0)
		return;
	action.sa_flags = interrupt ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
	(void) sigaction(SIGALRM, &action, NULL);
}

/*
 * Lets the timer's signal interrupt a read of a file or of a program's output (file_fdw,
 * pg_read_file): PostgreSQL does not check for interrupts there. Programs that this process has
 * started get the signal that pg_cancel_backend() would send them.
 */
static void
EndForeignWaits(void)
{
	InterruptSystemCalls(true);
	if (getpgrp() == MyProcPid)
		(void) kill(-MyProcPid, SIGINT);
}

/*
 * Handles a tick of the timer, in a signal handler: cancels the statement when the limit has run
 * out, and ends the process after twice the limit.
 */
static void
TimeLimitHandler(void)
{
	ticks++;
	if (ticks >= TICKS)
	{
		has_passed = true;
		Cancel();
	}
	if (has_passed)
		EndForeignWaits();
	if (ticks >= 2 * TICKS && !ProcDiePending)
		ends_process = ProcDiePending = true;
	if (watch)
		watch(has_passed);
}

void
StartTimeLimit(int milliseconds)
{
	int interval = Max(milliseconds / TICKS, 1);

	if (time_limit == MAX_TIMEOUTS)
		time_limit = RegisterTimeout(USER_TIMEOUT, TimeLimitHandler);
	ticks = 0;
	has_passed = ends_process = false;
	is_running = true;
	enable_timeout_every(time_limit, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), interval),
						 interval);
}

bool
TimeLimitHasPassed(void)
{
	return has_passed;
}

void
CancelAgain(void *argument)
{
	if (is_running && has_passed)
		QueryCancelPending = InterruptPending = true;
}

void
StopTimeLimit(void)
{
	if (!is_running)
		return;
	disable_timeout(time_limit, false);
	is_running = false;
	if (has_passed)
		InterruptSystemCalls(false);

	/* If the limit ran out just when the statement had finished, nothing is left to cancel. */
	if (has_passed)
		QueryCancelPending = false;
	if (ends_process)
		ends_process = ProcDiePending = false;
}

void
WatchTimeLimit(TimeLimitWatcher watcher)
{
	watch = watcher;
}

void
ExpireTimeLimit(void)
{
	if (!is_running)
		return;
	has_passed = true;
	Cancel();
	EndForeignWaits();
	if (watch)
		watch(true);
}

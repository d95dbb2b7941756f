/*
 * worker_drain.c - see worker_drain.h.
 */
#include "postgres.h"

#include "worker/worker_drain.h"

#define DRAIN_PATIENCE_MS 3000

static bool draining = false;
static MonotonicTime drain_until;

void
StartDrain(void)
{
	if (!draining)
		drain_until = DeadlineAfter(DRAIN_PATIENCE_MS);
	draining = true;
}

void
StopDrain(void)
{
	draining = false;
}

bool
IsDraining(void)
{
	return draining;
}

MonotonicTime
DrainUntil(void)
{
	Assert(draining);
	return drain_until;
}

/*
 * pace.c - rhesis_notify.max_rate, kept by all workers of a database together.
 *
 * The generic cell rate algorithm: shared memory holds the time at which the next mail may leave, and each mail moves it on by one
 * interval. What was not used for a while may be made up for within a tenth of a second, no more.
 */
#include "postgres.h"

#include "pace.h"

#include "shared_state.h"

#define TOLERANCE_US 100000

/* All workers of a database go by the clock in its worker 0's slot. */
static pg_atomic_uint64 *
PaceClock(Oid database)
{
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];

		if (pg_atomic_read_u32(&slot->database) == database && slot->number == 0)
			return &slot->pace;
	}
	return NULL;
}

int64
PaceNext(Oid database, double rate, TimestampTz now)
{
	pg_atomic_uint64 *clock = rate > 0 ? PaceClock(database) : NULL;
	uint64 seen;

	if (clock == NULL)
		return 0;
	seen = pg_atomic_read_u64(clock);
	for (;;)
	{
		int64 next = Max((int64) seen, now - TOLERANCE_US);

		if (next > now)
			return next - now;
		if (pg_atomic_compare_exchange_u64(clock, &seen,
										   (uint64) (next + (int64) (USECS_PER_SEC / rate))))
			return 0;
	}
}

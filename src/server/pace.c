/*
 * pace.c - how fast a database's mails leave: rhesis_notify.max_rate, and what the mail server can bear.
 *
 * All workers of a database go by one state in shared memory. The generic cell rate algorithm: it holds the time at which the
 * next mail may leave, and each mail moves it on by one interval. When workers were late (a slow claim, a busy machine), up to
 * half a second is made up for; after a longer rest they begin with a tenth.
 *
 * When the server says "slow down" the pace is halved. It then grows evenly, to be back where it was after half a minute, and
 * goes on growing until max_rate, or four times the halved pace, shows that the limit is of no more use.
 *
 * Nothing here raises an error; a spinlock is held for some arithmetic.
 */
#include "postgres.h"

#include "server/pace.h"

#include "server/shared_state.h"
#include "storage/spin.h"

#define NS_PER_SEC INT64CONST(1000000000)
#define CATCH_UP_NS (NS_PER_SEC / 2)
#define FIRST_BURST_NS (NS_PER_SEC / 10)

#define RECOVERY_SECONDS 30 /* from the halved pace to the former one */
#define FORGET_FACTOR 4
#define SLOWEST_PACE 1.0 /* mails per second */

/*
 * The state in the slot of the database's first worker, locked; NULL: it has no slot. What it has in the future dates from before
 * the clock was set back, and counts from now.
 */
static PaceState *
LockPace(Oid database, TimestampTz now)
{
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];
		PaceState *pace = &slot->pace;

		if (pg_atomic_read_u32(&slot->database) != database || slot->number != 0)
			continue;
		SpinLockAcquire(&pace->mutex);
		if (pace->database != database)
		{
			pace->database = database;
			pace->next_ns = 0;
			pace->counted_since = 0;
			pace->counted = 0;
			pace->counted_rate = 0;
			pace->limit = 0;
		}
		pace->counted_since = Min(pace->counted_since, now);
		pace->limited_at = Min(pace->limited_at, now);
		return pace;
	}
	return NULL;
}

static double
SecondsBetween(TimestampTz from, TimestampTz to)
{
	return Max(to - from, 0) / (double) USECS_PER_SEC;
}

/* The rate that is asked for, or less while the server is being spared. 0: no limit. */
static double
LimitedRate(PaceState *pace, double rate, TimestampTz now)
{
	double growth;

	if (pace->limit == 0)
		return rate;
	growth = 1 + SecondsBetween(pace->limited_at, now) / RECOVERY_SECONDS;
	if (growth >= FORGET_FACTOR || (rate > 0 && pace->limit * growth >= rate))
	{
		pace->limit = 0;
		return rate;
	}
	return pace->limit * growth;
}

static void
CountMail(PaceState *pace, TimestampTz now)
{
	double seconds = SecondsBetween(pace->counted_since, now);

	if (seconds >= 1)
	{
		pace->counted_rate = pace->counted / seconds;
		pace->counted = 0;
		pace->counted_since = now;
	}
	pace->counted++;
}

/* Mails per second, in the last second or the one before. */
static double
CountedRate(const PaceState *pace, TimestampTz now)
{
	double seconds = SecondsBetween(pace->counted_since, now);

	return Max(pace->counted_rate, pace->counted / Max(seconds, 1));
}

/* Take the next place in the sequence: 0, or the nanoseconds until there is one. */
static int64
TakePlace(PaceState *pace, double rate, int64 now_ns)
{
	int64 interval = (int64) (NS_PER_SEC / rate);
	int64 next = Min(pace->next_ns, now_ns + interval); /* it may date from a slower rate */

	if (now_ns - next > CATCH_UP_NS)
		next = now_ns - FIRST_BURST_NS;
	if (next > now_ns)
		return next - now_ns;
	pace->next_ns = next + interval;
	return 0;
}

int64
PaceNext(Oid database, double rate, TimestampTz now)
{
	PaceState *pace = LockPace(database, now);
	int64 wait_ns = 0;

	if (pace == NULL)
		return 0;
	rate = LimitedRate(pace, rate, now);
	if (rate > 0)
		wait_ns = TakePlace(pace, rate, now * 1000);
	if (wait_ns == 0)
		CountMail(pace, now);
	SpinLockRelease(&pace->mutex);
	return (wait_ns + 999) / 1000;
}

double
PaceLimit(Oid database, double rate, TimestampTz now)
{
	PaceState *pace = LockPace(database, now);

	if (pace == NULL)
		return rate;
	rate = LimitedRate(pace, rate, now);
	SpinLockRelease(&pace->mutex);
	return rate;
}

double
PaceSlowDown(Oid database, double rate, TimestampTz now)
{
	PaceState *pace = LockPace(database, now);
	double limit = 0;

	if (pace == NULL)
		return 0;
	if (pace->limit == 0 || SecondsBetween(pace->limited_at, now) >= 1)
	{
		double counted = CountedRate(pace, now);

		rate = LimitedRate(pace, rate, now);
		limit = Max((rate > 0 ? Min(rate, counted) : counted) / 2, SLOWEST_PACE);
		pace->limit = limit;
		pace->limited_at = now;
	}
	SpinLockRelease(&pace->mutex);
	return limit;
}

/*
 * pace.c - see pace.h.
 *
 * All workers of a database use one state in shared memory, by the generic cell rate algorithm: the
 * state holds the time at which the next mail may leave, and each mail moves that time on by one
 * interval. After a short delay (a slow claim, a busy machine) the mails of up to half a second are
 * made up for at once. After a longer rest it is the mails of a tenth of a second.
 *
 * When the server asks for a slower pace, the pace is halved. Then it grows evenly, and is back at
 * the former pace after half a minute. It grows on until it reaches max_rate, or four times the
 * halved pace. Then the limit is forgotten.
 *
 * Nothing here raises an error. A spinlock is held only for some arithmetic.
 */
#include "postgres.h"

#include "server/pace.h"

#include "server/shared_state.h"
#include "storage/spin.h"

#define NS_PER_SEC INT64CONST(1000000000)
#define CATCH_UP_NS (NS_PER_SEC / 2)
#define FIRST_BURST_NS (NS_PER_SEC / 10)

#define RECOVERY_SECONDS 30 /* from the halved pace to the former pace */
#define FORGET_FACTOR 4
#define SLOWEST_PACE 1.0 /* mails per second */

/*
 * Returns the state in the slot of the database's first worker, with its mutex locked; NULL if
 * there is no such slot. A time in the future is from before the clock was set back: it becomes
 * now.
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

/*
 * Returns the rate, or a lower one while the server is spared; 0 if there is no limit. Forgets the
 * server's limit when it has grown enough.
 */
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

/*
 * Returns the mails per second that left, in the current second or the one before, whichever are
 * more.
 */
static double
CountedRate(const PaceState *pace, TimestampTz now)
{
	double seconds = SecondsBetween(pace->counted_since, now);

	return Max(pace->counted_rate, pace->counted / Max(seconds, 1));
}

/*
 * Take the next place in the sequence, for one mail. Returns 0, or the nanoseconds until there is a
 * place.
 */
static int64
TakePlace(PaceState *pace, double rate, int64 now_ns)
{
	int64 interval = (int64) (NS_PER_SEC / rate);
	int64 next = Min(pace->next_ns, now_ns + interval); /* next_ns may be from a slower rate */

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

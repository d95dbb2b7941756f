/*
 * worker_schedule.c - see worker_schedule.h.
 */
#include "postgres.h"

#include "worker/worker_schedule.h"

#include "queue/queue_aside.h"

#define SAFETY_CHECK_MS 60000
#define UNKNOWN_DUE_MS 1000 /* search again after this while the next due time is not known */
#define DUE_ALREADY_MS 100
#define LOOK_BACK_MS 1000
#define FROM_START_SHARE 100

/* When each kind of work is due. 0 means now. */
static MonotonicTime claim_at = 0;
static TimestampTz next_due = DT_NOEND; /* a claim is due then, too: by the clock on the wall */
static bool due_time_known = false;
static MonotonicTime look_back_at = 0;	/* when a claim next begins at the first waiting row */
static MonotonicTime from_start_at = 0; /* when a claim may next begin at the start of the queue */
static bool woken = false;				/* a wake-up came since a claim last began there */

static MonotonicTime safety_check_at = 0;
static MonotonicTime purge_at = 0;

/* Returns when the next claim is due. */
static MonotonicTime
NextClaim(void)
{
	return Min(claim_at, MonotonicAt(next_due));
}

MonotonicTime
NextQueueWork(void)
{
	return Min(Min(NextClaim(), AsideUntil()), Min(safety_check_at, purge_at));
}

void
ClaimAt(MonotonicTime time)
{
	claim_at = time;
	next_due = DT_NOEND;
}

void
ClaimNow(void)
{
	ClaimAt(0);
}

void
ClaimAfterWakeUp(void)
{
	ClaimNow();
	woken = true;
}

void
SuspendClaims(void)
{
	ClaimAt(MONOTONIC_NEVER);
	due_time_known = true;
}

void
NoteClaimBegins(MonotonicTime now)
{
	ClaimAt(MonotonicPlusMs(now, UNKNOWN_DUE_MS));
	due_time_known = false;
}

ClaimStart
NextClaimStart(MonotonicTime now)
{
	if (now >= from_start_at)
		return CLAIM_FROM_START;
	return now >= look_back_at || now >= MonotonicAt(next_due) ? CLAIM_FROM_FIRST : CLAIM_ONWARDS;
}

/*
 * A claim that begins at the start of the queue may take long, while an old snapshot keeps the
 * entries of finished rows there. So the longer it took, the later is the next one: together they
 * take a hundredth of the time.
 */
void
NoteClaimStart(ClaimStart start, MonotonicTime began)
{
	MonotonicTime now = MonotonicNow();

	if (start == CLAIM_ONWARDS)
		return;
	look_back_at = MonotonicPlusMs(now, LOOK_BACK_MS);
	if (start == CLAIM_FROM_FIRST)
		return;
	from_start_at = now + Min((now - began) * FROM_START_SHARE, SAFETY_CHECK_MS * INT64CONST(1000));
	woken = false;
}

void
ClaimFromStart(void)
{
	from_start_at = 0;
}

void
ForgetDueTime(void)
{
	due_time_known = false;
}

bool
NeedsDueTime(void)
{
	return !due_time_known && claim_at != 0;
}

void
NoteDueTime(TimestampTz due, MonotonicTime now)
{
	MonotonicTime soon = MonotonicPlusMs(now, DUE_ALREADY_MS);
	MonotonicTime due_at = MonotonicAt(due);

	due_time_known = true;
	/*
	 * If a row is due already, another session has locked it, or it was inserted just now. Try
	 * again soon, but not in a tight loop.
	 */
	ClaimAt(due_at > soon ? MONOTONIC_NEVER : soon);
	if (due_at > soon)
		next_due = due;
	look_back_at = Max(due_at, soon);
	if (woken)
		claim_at = Min(claim_at, from_start_at);
}

TimestampTz
NextMailDue(void)
{
	TimestampTz due = Min(next_due, WallClockAt(claim_at));

	return due_time_known && due > GetCurrentTimestamp() ? due : DT_NOEND;
}

void
GetClaimTimes(MonotonicTime now, MonotonicTime *claim_time, TimestampTz *due_time)
{
	bool is_due = NextClaim() <= now;

	*claim_time = is_due ? MONOTONIC_NEVER : claim_at;
	*due_time = is_due ? DT_NOEND : next_due;
}

bool
SafetyCheckIsDue(MonotonicTime now)
{
	return now >= safety_check_at;
}

void
PostponeSafetyCheck(void)
{
	safety_check_at = DeadlineAfter(SAFETY_CHECK_MS);
}

void
CheckSafetyNow(void)
{
	safety_check_at = 0;
}

MonotonicTime
PurgeTime(void)
{
	return purge_at;
}

void
PurgeAt(MonotonicTime time)
{
	purge_at = time;
}

void
PurgeAtSafetyCheck(void)
{
	purge_at = safety_check_at;
}

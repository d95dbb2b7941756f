/*
 * worker_schedule.h - decides when the worker works on the queue for another reason than to record
 * outcomes.
 */
#ifndef RHESIS_WORKER_SCHEDULE_H
#define RHESIS_WORKER_SCHEDULE_H

#include "base/monotonic.h"
#include "queue/queue.h"

/*
 * Returns when the worker should next work on the queue: rows may be due, or a check or a purge is
 * due.
 */
extern MonotonicTime NextQueueWork(void);

/* ---- Claims ---- */

/* The next claim is due at this time, or now. */
extern void ClaimAt(MonotonicTime time);
extern void ClaimNow(void);

/*
 * Call this when rows have come in. Claims now. If that claim does not begin at the start of the
 * queue, a later one does as soon as it may, because the rows may be before the last claimed row.
 */
extern void ClaimAfterWakeUp(void);

/*
 * Call this when the database is paused, or a copy. No row is claimed before somebody wakes the
 * worker, or a check is due.
 */
extern void SuspendClaims(void);

/*
 * Call this when a claim begins at the time now. The next claim is a second later, unless the
 * result of this one shows another time.
 */
extern void NoteClaimBegins(MonotonicTime now);

/*
 * Returns where a claim at the time now begins: at the start of the queue, unless another claim has
 * done so a short time ago (see NoteClaimStart() in worker_schedule.c). Then it begins at the first
 * waiting row once a second, and when that row is due. Otherwise it begins after the last claimed
 * row.
 */
extern ClaimStart NextClaimStart(MonotonicTime now);

/* Call this when a claim is done. start: where it began in the queue. began: when. */
extern void NoteClaimStart(ClaimStart start, MonotonicTime began);

/* The next claim begins at the start of the queue. */
extern void ClaimFromStart(void);

/* Call this when a row was returned to the queue: it may be due before the first waiting row. */
extern void ForgetDueTime(void);

/* Returns true if NoteDueTime() must be called before the worker sleeps. */
extern bool NeedsDueTime(void);

/*
 * Call this when a search at the time now has found when the first waiting row is due. due is
 * DT_NOEND if no row waits.
 */
extern void NoteDueTime(TimestampTz due, MonotonicTime now);

/*
 * Returns when the next mail is due, for people; DT_NOEND if that is not known, or no mail is due
 * later.
 */
extern TimestampTz NextMailDue(void);

/*
 * Sets when the next claim is due, in two parts for a signal handler: *claim_time by the monotonic
 * clock, and *due_time by the clock on the wall, which rows have. Both are never if the claim was
 * due already at the time now.
 */
extern void GetClaimTimes(MonotonicTime now, MonotonicTime *claim_time, TimestampTz *due_time);

/* ---- The safety check: once a minute, what nobody woke the worker for ---- */

extern bool SafetyCheckIsDue(MonotonicTime now);
extern void PostponeSafetyCheck(void);
extern void CheckSafetyNow(void);

/* ---- Retention ---- */

extern MonotonicTime PurgeTime(void);
extern void PurgeAt(MonotonicTime time);

/* Purges at the time of the next safety check. */
extern void PurgeAtSafetyCheck(void);

#endif

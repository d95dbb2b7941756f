/*
 * worker_schedule.h - when the worker has something to do on the queue besides recording outcomes.
 */
#ifndef RHESIS_WORKER_SCHEDULE_H
#define RHESIS_WORKER_SCHEDULE_H

#include "base/monotonic.h"
#include "queue/queue.h"

/* When to look at the queue: rows may be due, or it is to be checked or purged. */
extern MonotonicTime NextQueueWork(void);

/* ---- Claims ---- */

extern void ClaimAt(MonotonicTime time);
extern void ClaimNow(void);

/* Rows came in: claim now, and find them even where a claim that goes on would not look. */
extern void ClaimAfterWakeUp(void);

/* No claim before somebody wakes the worker: the database is paused, or a copy. */
extern void SuspendClaims(void);

/* A claim begins. Unless its result says more, the next claim is a second after now. */
extern void NoteClaimBegins(MonotonicTime now);

/*
 * While full batches come back, each claim goes on after the last row of the one before. Once a
 * second, and when a row may be due before that one, a claim begins at the first row that waits. It
 * may look for that row from the start of the queue, unless another claim has just done so.
 */
extern ClaimStart NextClaimStart(MonotonicTime now);

/* A claim that began like this, and at this time, has been made. */
extern void NoteClaimStart(ClaimStart start, MonotonicTime began);

/* Have the next claim begin at the start of the queue. */
extern void ClaimFromStart(void);

/* A row was returned to the queue: it may be due before the rows that were there. */
extern void ForgetDueTime(void);

/* Is NoteDueTime to be called before the worker sleeps? */
extern bool NeedsDueTime(void);

/* A look at the time of now has found when the first waiting row is due. DT_NOEND: no row waits. */
extern void NoteDueTime(TimestampTz due, MonotonicTime now);

/* When the next mail is due, for people; DT_NOEND: it is not known, or none is. */
extern TimestampTz NextMailDue(void);

/*
 * When the next claim is due, in two parts for a signal handler: by the monotonic clock, and by the
 * clock on the wall, which the rows go by. Both are never if it was due already at the time of now.
 */
extern void GetClaimTimes(MonotonicTime now, MonotonicTime *claim_time, TimestampTz *due_time);

/* ---- The safety check: once a minute, what nobody woke the worker for ---- */

extern bool SafetyCheckIsDue(MonotonicTime now);
extern void PostponeSafetyCheck(void);
extern void CheckSafetyNow(void);

/* ---- Retention ---- */

extern MonotonicTime PurgeTime(void);
extern void PurgeAt(MonotonicTime time);

/* At the time of the next safety check. */
extern void PurgeAtSafetyCheck(void);

#endif

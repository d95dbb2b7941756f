/*
 * queue_aside.h - rows that could not be claimed, and when each is tried again.
 *
 * A trigger or a constraint of the application fails for such a row. The row is left out of claims
 * for a while, so that it does not make the claims of other rows fail. Only this process knows
 * these rows.
 */
#ifndef RHESIS_QUEUE_ASIDE_H
#define RHESIS_QUEUE_ASIDE_H

#include "base/monotonic.h"

extern int AsideCount(void);

/* Returns when the first of these rows is tried again; MONOTONIC_NEVER if there is none. */
extern MonotonicTime AsideUntil(void);

/*
 * Sets aside a row whose claim failed, for the first time or again. Each failure doubles the wait.
 * briefly: it may be the server's fault, so the wait stays short. Returns false if there are too
 * many rows already.
 */
extern bool SetAside(int64 id, MonotonicTime now, bool briefly);

extern void TakeFromAside(int64 id);

/*
 * Forgets the rows whose time has come but that were not found among the due rows: they are
 * finished, deleted or not due.
 */
extern void ForgetUntried(MonotonicTime now);

/* Triggers or constraints have changed: these rows may be tried at once. */
extern void TryAsideAtOnce(void);

/* Return ids as a bigint[]: all of them, or those whose time has not come. */
extern Datum AllAside(void);
extern Datum StillAside(MonotonicTime now);

#endif

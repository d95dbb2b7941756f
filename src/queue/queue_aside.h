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

/* Returns how many rows are set aside. */
extern int AsideCount(void);

/* Returns when the next of the rows set aside is tried again; MONOTONIC_NEVER if there is none. */
extern MonotonicTime AsideUntil(void);

/*
 * Sets aside a row whose claim failed at the time now, for the first time or again. Each failure
 * doubles the time until the row is tried again. briefly: the server may be at fault, so that time
 * stays short. Returns false if too many other rows are set aside.
 */
extern bool SetAside(int64 id, MonotonicTime now, bool briefly);

/* Call this after a row was claimed: the row is no longer set aside. */
extern void TakeFromAside(int64 id);

/*
 * Call this after all due rows were tried at the time now. Forgets the rows that should have been
 * tried and were not: they are finished, deleted, locked or not due.
 */
extern void ForgetUntried(MonotonicTime now);

/* Return ids as a bigint[]: of all rows set aside, or of those that are not to be tried at now. */
extern Datum AllAside(void);
extern Datum StillAside(MonotonicTime now);

#endif

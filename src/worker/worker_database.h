/*
 * worker_database.h - whether the database is paused, and whether it is a copy of another one.
 */
#ifndef RHESIS_WORKER_DATABASE_H
#define RHESIS_WORKER_DATABASE_H

#include "base/monotonic.h"
#include "queue/queue_copy.h"

/*
 * Returns true if LookAtDatabase() must be called at the time now although nothing can be claimed:
 * after the start, and once a minute while mail is off.
 */
extern bool LookIsDue(MonotonicTime now);

/*
 * Reads the state of the database into *state, in the open transaction, and notes whether it is
 * paused or a copy. The identity is compared each time. Rows that came with a copy are searched
 * once a minute, and each time while the database is a copy.
 */
extern void LookAtDatabase(MonotonicTime now, DatabaseState *state);

/*
 * Call this when a sign of a copy was found. Until LookAtDatabase() finds none, no row is claimed,
 * adopted or removed. Logs this once, and postpones the next check.
 */
extern void StandStillAsCopy(const DatabaseState *state, CopySign sign);

extern bool IsPaused(void);
extern bool IsInCopy(void);

/* Returns true if the database is paused or a copy: then no row is claimed. */
extern bool StandsStill(void);

/* Returns true if old rows may be removed: not in a copy, and not before the state was read. */
extern bool AllowsPurge(void);

#endif

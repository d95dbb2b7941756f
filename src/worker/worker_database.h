/*
 * worker_database.h - whether the database is paused, and whether it is a copy of another one.
 */
#ifndef RHESIS_WORKER_DATABASE_H
#define RHESIS_WORKER_DATABASE_H

#include "base/monotonic.h"
#include "queue/queue_copy.h"

/* Is the database to be read, although nothing can be claimed? */
extern bool LookIsDue(MonotonicTime now);

/*
 * Read the state of the database, in the open transaction. Its identity is compared each time, the
 * whole queue once a minute.
 */
extern void LookAtDatabase(MonotonicTime now, DatabaseState *state);

/* The database is a copy: nothing is decided, neither about orphans nor about retention. */
extern void StandStillAsCopy(const DatabaseState *state, CopySign sign);

extern bool IsPaused(void);
extern bool IsInCopy(void);

/* Either of both: the rows of the queue stay there. */
extern bool StandsStill(void);

/* May old rows be removed? Not in a copy, and not before the worker knows. */
extern bool AllowsPurge(void);

#endif

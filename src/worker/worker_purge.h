/*
 * worker_purge.h - the worker's share of retention: when finished rows leave, and for how long others may wait for that.
 */
#ifndef RHESIS_WORKER_PURGE_H
#define RHESIS_WORKER_PURGE_H

#include "base/monotonic.h"

extern bool PurgeIsDue(MonotonicTime now);

/*
 * Remove one batch, in a transaction of its own, which ends early when mail comes in or becomes due.
 * last_look: when the worker saw that it could not claim.
 */
extern void PurgeOldRows(MonotonicTime last_look);

/* It has raised an error that is not about a row. */
extern void PurgeFailed(void);

#endif

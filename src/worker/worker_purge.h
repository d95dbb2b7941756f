/*
 * worker_purge.h - retention: when finished rows are removed, and how long other work may wait for
 * that.
 */
#ifndef RHESIS_WORKER_PURGE_H
#define RHESIS_WORKER_PURGE_H

#include "base/monotonic.h"

extern bool PurgeIsDue(MonotonicTime now);

/*
 * Remove one batch, in a transaction of its own, which ends early when mail comes in or becomes
 * due. last_look: when the worker saw that it could not claim.
 */
extern void PurgeOldRows(MonotonicTime last_look);

/* PurgeOldRows has raised an error that is not about a row. */
extern void PurgeFailed(void);

#endif

/*
 * worker_purge.h - retention: decides when finished rows are removed, and how long other work may
 * wait for that.
 */
#ifndef RHESIS_WORKER_PURGE_H
#define RHESIS_WORKER_PURGE_H

#include "base/monotonic.h"

/* Returns true if PurgeOldRows() is to be called at the time now. */
extern bool PurgeIsDue(MonotonicTime now);

/*
 * Removes one batch of rows, in a transaction of its own. The statement ends early when mail comes
 * in or becomes due. last_look: when this iteration has tested whether a claim is due.
 */
extern void PurgeOldRows(MonotonicTime last_look);

/* Call this when PurgeOldRows() has raised an error. Such an error is not about a row. */
extern void PurgeFailed(void);

#endif

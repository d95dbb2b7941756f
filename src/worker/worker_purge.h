/*
 * worker_purge.h - the worker's share of retention: when finished rows leave, and for how long others may wait for that.
 */
#ifndef RHESIS_WORKER_PURGE_H
#define RHESIS_WORKER_PURGE_H

#include "datatype/timestamp.h"

/* One batch, in a transaction of its own. */
extern void PurgeOldRows(void);

/* Something was raised in it that is not about a row. */
extern void PurgeFailed(void);

#endif

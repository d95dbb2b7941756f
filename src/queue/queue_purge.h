/*
 * queue_purge.h - retention: finished rows are deleted in batches, and rows that cannot be deleted
 * are passed over.
 */
#ifndef RHESIS_QUEUE_PURGE_H
#define RHESIS_QUEUE_PURGE_H

#include "queue/queue_try.h"

typedef struct PurgeResult
{
	int picked;	 /* rows that are old enough and that no other session has locked */
	int removed; /* how many of them were deleted; 0 after a failure */
	bool failed;
	QueueProblem problem; /* the failure's */
	int64 id;			  /* of the first picked row */
} PurgeResult;

/*
 * Deletes up to limit finished rows that are older than rhesis_notify.retention. A failure deletes
 * none of them. The next batch begins after the last row of this one, unless it failed.
 */
extern void PurgeBatch(int limit, PurgeResult *result);

/* The batch that failed had one row: begins the next batch after it. */
extern void PassOverPurged(void);

/* Begins the next batch at the oldest row again. */
extern void RestartPurge(void);

#endif

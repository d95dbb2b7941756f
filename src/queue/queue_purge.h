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
 * Deletes up to limit finished rows that are older than rhesis_notify.retention, and fills in
 * *result. Either all of these rows are deleted, or the batch fails and none is (a trigger may keep
 * a row without an error). If the batch succeeds, the next one begins after its last row. If it
 * fails, the next one begins where it began.
 */
extern void PurgeBatch(int limit, PurgeResult *result);

/* Call this after a batch of one row has failed. The next batch then begins after that row. */
extern void PassOverPurged(void);

/* The next batch begins at the oldest row again. */
extern void RestartPurge(void);

#endif

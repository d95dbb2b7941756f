/*
 * queue_purge.h - retention: finished rows leave in batches, around those that cannot go.
 */
#ifndef RHESIS_QUEUE_PURGE_H
#define RHESIS_QUEUE_PURGE_H

#include "queue/queue_try.h"

typedef struct PurgeResult
{
	int picked;	 /* rows that are old enough and that nobody has locked */
	int removed; /* of these; 0 after a failure */
	bool failed;
	QueueProblem problem; /* of a failure */
	int64 id;			  /* of the first picked row */
} PurgeResult;

/*
 * Remove up to limit finished rows older than rhesis_notify.retention. A failure leaves all of them. The next batch begins after
 * what this one has looked at, unless it failed.
 */
extern void PurgeBatch(int limit, PurgeResult *result);

/* The batch that failed was one row: the next one begins after it. */
extern void PassOverPurged(void);

/* The next batch begins at the oldest row again. */
extern void RestartPurge(void);

#endif

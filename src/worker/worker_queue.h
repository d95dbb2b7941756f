/*
 * worker_queue.h - the worker's side of the queue: when to claim and record, and what becomes of a claim.
 */
#ifndef RHESIS_WORKER_QUEUE_H
#define RHESIS_WORKER_QUEUE_H

#include "datatype/timestamp.h"

extern bool MayClaim(TimestampTz now);

/* Whether the database is a copy is to be looked at, although nothing can be claimed. */
extern bool LookIsDue(TimestampTz now);

/* When there is something to do on the queue besides recording: rows may be due, or it is to be checked or purged. */
extern TimestampTz NextQueueWork(void);

/* Settled outcomes wait a moment for company, unless nothing else is going on. */
extern bool RecordingIsDue(TimestampTz now);
extern TimestampTz RecordingTime(void);

/* One transaction: record what is settled, and claim if so told; what was claimed is in worker.preparing then. */
extern void WorkOnQueue(bool claiming);

/* From claimed rows to composed mails, in a transaction of its own. */
extern void PrepareClaimed(void);

/*
 * The worker ends: outcomes that triggers or constraints of an app have refused are recorded without them, or held. What stayed
 * claimed would be mailed again.
 */
extern void RecordWithoutTriggers(void);

/* One transaction that records what is settled and waits for nobody longer than half a second. */
extern void RecordBeforeExit(void);

#endif

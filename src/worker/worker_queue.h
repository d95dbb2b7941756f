/*
 * worker_queue.h - the worker's transactions on the queue: take over from dead workers, claim,
 * record.
 */
#ifndef RHESIS_WORKER_QUEUE_H
#define RHESIS_WORKER_QUEUE_H

#include "base/monotonic.h"

extern bool MayClaim(MonotonicTime now);

/*
 * One transaction: record what is settled, and claim if so told. A batch that was claimed is then
 * to be prepared.
 */
extern void WorkOnQueue(bool claiming);

/* After an error: adopt or claim each row in its own subtransaction. False: it was so already. */
extern bool StartAdoptingOneByOne(void);
extern bool StartClaimingOneByOne(void);

#endif

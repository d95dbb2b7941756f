/*
 * worker_queue.h - the worker's transactions on the queue: take over from dead workers, claim,
 * record.
 */
#ifndef RHESIS_WORKER_QUEUE_H
#define RHESIS_WORKER_QUEUE_H

#include "base/monotonic.h"

/* Returns true if a claim is due at the time now, and nothing prevents it. */
extern bool MayClaim(MonotonicTime now);

/*
 * Records settled outcomes, looks at the database if that is due, and, if claiming is true, claims
 * rows, all in one transaction. PrepareClaimed() must be called for the batch that was claimed.
 */
extern void WorkOnQueue(bool claiming);

/*
 * Call these after an error. The next transaction adopts or claims each row in its own
 * subtransaction. Returns false if the last one did so already.
 */
extern bool StartAdoptingOneByOne(void);
extern bool StartClaimingOneByOne(void);

#endif

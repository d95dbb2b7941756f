/*
 * worker_prepare.h - from claimed rows to composed mails: the batch that is being prepared.
 */
#ifndef RHESIS_WORKER_PREPARE_H
#define RHESIS_WORKER_PREPARE_H

#include "delivery/delivery.h"

/* The batch was claimed, in a transaction that is still open. There is one batch at a time. */
extern void KeepForPreparing(DeliveryBatch *batch);

/* Is there a batch that is to be prepared? */
extern bool HasBatchToPrepare(void);

/* Look up recipients and write mails, in a transaction of its own. */
extern void PrepareClaimed(void);

/*
 * The preparation has failed or was ended: the rows return to the queue, which has no effect if
 * their claim was not committed. From then on they are prepared one by one. So the row that fails
 * again is known, and the others go on. With a message of an error, a row that was alone counts an
 * attempt.
 */
extern void ReturnPreparing(const char *message);

/* The claim was rolled back. */
extern void DiscardPreparing(void);

/* For WatchTimeLimit: runs in a signal handler while a look-up goes on. */
extern void WatchLookUp(bool passed);

#endif

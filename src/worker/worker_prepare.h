/*
 * worker_prepare.h - prepares claimed rows: looks up their recipients and composes their mails.
 */
#ifndef RHESIS_WORKER_PREPARE_H
#define RHESIS_WORKER_PREPARE_H

#include "delivery/delivery.h"

/*
 * Keeps a batch for PrepareClaimed(). It was claimed in a transaction that is still open. There is
 * one batch at a time.
 */
extern void KeepForPreparing(DeliveryBatch *batch);

/* Returns true if a batch is waiting to be prepared, or is being prepared. */
extern bool HasBatchToPrepare(void);

/*
 * Looks up the recipients of the batch and composes its mails, in a transaction of its own. Its
 * deliveries are then ready or settled.
 */
extern void PrepareClaimed(void);

/*
 * Call this when the preparation has failed or was cancelled. The rows return to the queue, which
 * has no effect if their claim was not committed. From then on they are prepared one by one. So the
 * row that fails again is known, and the others are mailed. message is the text of the error; NULL
 * if there was only a cancellation or SIGTERM. A row that was alone counts an attempt if there is a
 * message, or if this has happened to it twice in a row.
 */
extern void ReturnPreparing(const char *message);

/* Call this when the claim of the batch was rolled back: forgets the batch. */
extern void DiscardPreparing(void);

/*
 * A TimeLimitWatcher: shows that a look-up is slow. If the limit has passed, closes the connections
 * to other database servers that the look-up may wait for.
 */
extern void WatchLookUp(bool passed);

#endif

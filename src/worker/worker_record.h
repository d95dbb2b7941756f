/*
 * worker_record.h - holds the outcomes of mails until they are recorded.
 *
 * An outcome is settled (to be recorded soon), locked (another session has locked the row), or
 * refused (a trigger or constraint of the application raises an error, or suppresses the update).
 */
#ifndef RHESIS_WORKER_RECORD_H
#define RHESIS_WORKER_RECORD_H

#include "base/monotonic.h"
#include "delivery/delivery.h"

/* Adds a settled delivery to those that are to be recorded. */
extern void AppendSettled(Delivery *delivery);

/*
 * Settles as returned to the queue each delivery that is ready, or of whose mail the pool has not
 * written a byte.
 */
extern void ReturnUnsent(void);

/*
 * Returns the number of mails that are ready or in flight, and of settled outcomes. Locked and
 * refused outcomes, and a batch that is to be prepared, do not count.
 */
extern int Outstanding(void);

/*
 * Returns true if no mail is ready or in flight, and no outcome is settled or locked. (Outcomes may
 * still be refused.)
 */
extern bool IsDrained(void);

/*
 * Returns true if the worker records around locks (see RecordsAroundLocks()) and has outcomes left.
 * If it exited now, these outcomes would be lost.
 */
extern bool WaitsForLocks(void);

/* Returns true if so many outcomes are refused that nothing more may be claimed. */
extern bool TooMuchIsRefused(void);

/*
 * Returns true if RecordSettled() should be called at the time now. While mails are ready or in
 * flight, settled outcomes wait a moment, so that more are recorded together.
 */
extern bool RecordingIsDue(MonotonicTime now);

/* Returns when the next outcome is to be recorded; MONOTONIC_NEVER if there is none. */
extern MonotonicTime RecordingTime(void);

/* Makes locked and refused outcomes settled again if they are to be tried again at the time now. */
extern void SettleWaiting(MonotonicTime now);

/*
 * Records the settled outcomes, in the open transaction. Deliveries are only marked: CloseSettled()
 * must be called after the commit.
 */
extern void RecordSettled(void);

/*
 * Call this when the transaction of RecordSettled() is committed. Logs and closes the recorded
 * deliveries, and keeps the locked and the refused ones.
 */
extern void CloseSettled(void);

/*
 * Returns true if there are settled outcomes, and each is to be recorded in its own subtransaction.
 */
extern bool RecordsOneByOne(void);

/*
 * Call this when RecordSettled() has raised an error. From now on, each outcome is recorded in its
 * own subtransaction, until a transaction succeeds. Returns false if that was so already.
 */
extern bool StartRecordingOneByOne(void);

/*
 * Call this when the commit has raised an error. If there are settled outcomes, does the same as
 * StartRecordingOneByOne(). Returns false if there are none, or if each was recorded in its own
 * subtransaction already.
 */
extern bool StartRecordingOneByOneAfterCommit(void);

/*
 * Recording around locks: the worker does not wait for rows that other sessions have locked, but
 * records the other outcomes and tries the locked ones again later. RecordsAroundLocks() returns
 * true if that is so now.
 */
extern bool RecordsAroundLocks(void);
extern void StartRecordingAroundLocks(void);

/*
 * Call this when the worker exits. Records the refused outcomes without the triggers that refuse
 * them. If a constraint still refuses an outcome, records the row as held. A row that stayed
 * claimed would be mailed again.
 */
extern void RecordWithoutTriggers(void);

/*
 * Call this before the worker exits after SIGTERM. Records all outcomes, and waits at most half a
 * second for each lock.
 */
extern void RecordBeforeExit(void);

#endif

/*
 * worker_record.h - outcomes that are to be recorded.
 *
 * An outcome is settled (to be recorded soon), locked (another session has locked the row), or
 * refused (a trigger or constraint of the application raises an error).
 */
#ifndef RHESIS_WORKER_RECORD_H
#define RHESIS_WORKER_RECORD_H

#include "base/monotonic.h"
#include "delivery/delivery.h"

extern void AppendSettled(Delivery *delivery);

/* Settle as returned to the queue all that is claimed and of whose mail no byte was written. */
extern void ReturnUnsent(void);

/* All that is claimed and not recorded, but for locked and refused outcomes. */
extern int Outstanding(void);

/* Is nothing left that was claimed, but for refused outcomes? */
extern bool IsDrained(void);

/*
 * Is the worker recording around rows that other sessions have locked? Those would get lost if it
 * exited.
 */
extern bool WaitsForLocks(void);

/* So many outcomes were refused that nothing more is claimed. */
extern bool TooMuchIsRefused(void);

/* Settled outcomes wait a moment for others, unless nothing else is going on. */
extern bool RecordingIsDue(MonotonicTime now);

/* When the next outcome is to be recorded; MONOTONIC_NEVER: there is none. */
extern MonotonicTime RecordingTime(void);

/* Settle what was locked or refused, as far as its time has come. */
extern void SettleWaiting(MonotonicTime now);

/* Record what is settled, in the open transaction. */
extern void RecordSettled(void);

/* That transaction is committed: log the outcomes and let them go. */
extern void CloseSettled(void);

/* Are settled outcomes to be recorded each in its own subtransaction? */
extern bool RecordsOneByOne(void);

/* Begin with that, after an error. False: it was so already. */
extern bool StartRecordingOneByOne(void);

/* The same at the commit: false, too, if nothing was recorded. */
extern bool StartRecordingOneByOneAfterCommit(void);

/* Record what is not locked, instead of waiting for other sessions. */
extern bool RecordsAroundLocks(void);
extern void StartRecordingAroundLocks(void);

/*
 * The worker exits: record refused outcomes without the triggers and constraints that refuse them,
 * or hold them. A row that stayed claimed would be mailed again.
 */
extern void RecordWithoutTriggers(void);

/* One transaction that records all outcomes, and waits for no session longer than half a second. */
extern void RecordBeforeExit(void);

#endif

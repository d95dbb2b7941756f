/*
 * worker_slot.h - a worker's own slot in shared memory: to take it, to keep it up to date, to leave
 * it.
 */
#ifndef RHESIS_WORKER_SLOT_H
#define RHESIS_WORKER_SLOT_H

#include "base/compat.h"
#include "server/shared_state.h"

/* This process's slot. */
extern WorkerSlot *my_slot;

/* The epoch of the rows that this worker claims; 0: it has none yet. */
extern int64 MyEpoch(void);

/*
 * Take the slot that the launcher has assigned. False: another process has got it since. The worker
 * leaves it at its exit.
 */
extern bool AttachSlot(int index, uint32 generation);

extern void ShowBackoff(TimestampTz until);

/* Show what a person can do about the back-off, until the next ShowBackoff(0). */
extern void ShowHint(const char *hint);

/* Show that the back-off does not pass without a person, until the next ShowBackoff(0). */
extern void ShowNeedOfPerson(void);

/*
 * Show in health() and explain() that so many rows are refused, this one among them. 0: no row is
 * refused any more. A text of NULL leaves the text that is there.
 */
extern void ShowRefusal(RefusalKind kind, int count, int64 id, const char *text);

/*
 * A look-up takes longer than usual. ShowSlowLookUp is for a signal handler, while the look-up goes
 * on; EndSlowLookUp is for its end.
 */
extern void ShowSlowLookUp(MonotonicTime since);
extern void EndSlowLookUp(void);

/* Show in health() that this row has ended its worker while it was being prepared. */
extern void ShowCulprit(int64 id);

/* Show in worker_status what went wrong last. */
extern void ShowError(const char *text);

/* End this process, and tell the launcher why. */
RHESIS_NORETURN extern void WorkerExit(WorkerExitReason exit_reason);

#endif

/*
 * worker_slot.h - takes, updates and leaves a worker's slot in shared memory.
 */
#ifndef RHESIS_WORKER_SLOT_H
#define RHESIS_WORKER_SLOT_H

#include "base/compat.h"
#include "server/shared_state.h"

/* This process's slot. */
extern WorkerSlot *my_slot;

/* Returns the epoch of the rows that this worker claims; 0 if it has none yet. */
extern int64 MyEpoch(void);

/*
 * Takes the slot that the launcher has assigned. Returns false if another process has got it since.
 * The worker leaves the slot when it exits.
 */
extern bool AttachSlot(int index, uint32 generation);

/* Shows until when the worker backs off; 0: it does not back off. */
extern void ShowBackoff(TimestampTz until);

/* Shows what a person can do about the back-off, until the next ShowBackoff(0). */
extern void ShowHint(const char *hint);

/*
 * Shows that the cause of the back-off does not go away unless a person does something, until the
 * next ShowBackoff(0).
 */
extern void ShowNeedOfPerson(void);

/*
 * Shows in health() and explain() that count rows are refused; id is one of them, and text is why.
 * count is 0 when no row is refused any more. If text is NULL, id and text stay as they are.
 */
extern void ShowRefusal(RefusalKind kind, int count, int64 id, const char *text);

/*
 * Show that a look-up takes longer than usual, and its end. since is shown as its beginning.
 * ShowSlowLookUp() is for a signal handler, while the look-up runs.
 */
extern void ShowSlowLookUp(MonotonicTime since);
extern void EndSlowLookUp(void);

/* Shows in health() that this row has ended its worker while it was being prepared. */
extern void ShowCulprit(int64 id);

/* Shows the last error in worker_status. */
extern void ShowError(const char *text);

/* Ends this process, and tells the launcher why. */
RHESIS_NORETURN extern void WorkerExit(WorkerExitReason exit_reason);

#endif

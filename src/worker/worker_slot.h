/*
 * worker_slot.h - a worker's own slot in shared memory: taking it, keeping it true, leaving it.
 */
#ifndef RHESIS_WORKER_SLOT_H
#define RHESIS_WORKER_SLOT_H

#include "base/compat.h"
#include "server/shared_state.h"

/* This process's slot. */
extern WorkerSlot *my_slot;

/* The epoch of the rows that this worker claims; 0: it has none yet. */
extern int64 MyEpoch(void);

/* Take the slot that the launcher gave out; false: it was given to another process since. It is left at exit. */
extern bool AttachSlot(int index, uint32 generation);

extern void ShowBackoff(TimestampTz until);

/* What a person can do about what it backs off for. Until the next ShowBackoff(0). */
extern void ShowHint(const char *hint);

/* What it backs off for has to be mended by a person. Until the next ShowBackoff(0). */
extern void ShowNeedOfPerson(void);

/*
 * Keep for health() and explain() that so many rows, this one among them, are refused; 0: none is any more. A text that is NULL leaves
 * the one that is there.
 */
extern void ShowRefusal(RefusalKind kind, int count, int64 id, const char *text);

/* A look-up takes longer than usual: in a signal handler, while it goes on; and when it has ended. */
extern void ShowSlowLookUp(MonotonicTime since);
extern void EndSlowLookUp(void);

/* This row has ended its worker while it was being prepared: for health(). */
extern void ShowCulprit(int64 id);

/* Keep for worker_status what went wrong last. */
extern void ShowError(const char *text);

/* End this process, telling the launcher why. */
RHESIS_NORETURN extern void WorkerExit(WorkerExitReason exit_reason);

#endif

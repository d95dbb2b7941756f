/*
 * worker_slot.c - see worker_slot.h.
 */
#include "postgres.h"

#include "worker/worker_slot.h"

#include "base/compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "worker/worker_session.h"

WorkerSlot *my_slot = NULL;

/*
 * Leave pid set: SLOT_IDLE with a pid tells the launcher that the worker has exited and that its
 * exit reason has yet to be processed.
 */
static void
LeaveSlot(int code, Datum argument)
{
	Assert(my_slot->state == SLOT_RUNNING && my_slot->pid == MyProcPid);
	pg_atomic_write_u64(&my_slot->epoch, 0);
	pg_atomic_write_u32(&my_slot->process, NO_PROCESS);
	pg_atomic_write_u32(&my_slot->in_flight, 0);
	pg_atomic_write_u32(&my_slot->connections, 0);
	pg_atomic_write_u64(&my_slot->standby_since, 0);
	LockSlots(LW_EXCLUSIVE);
	/* If SIGTERM came while the worker was connecting, the database has no error. */
	if (my_slot->exit_reason == EXIT_REASON_NONE && shutdown_was_requested)
		my_slot->exit_reason = EXIT_REASON_TERMINATED;
	my_slot->state = SLOT_IDLE;
	my_slot->activity = WORKER_STOPPED;
	my_slot->backing_off_until = 0;
	memset(my_slot->refusals, 0, sizeof(my_slot->refusals));
	my_slot->looking_up_since = 0;
	UnlockSlots();
	WakeLauncher();
}

bool
AttachSlot(int index, uint32 generation)
{
	WorkerSlot *slot = &rhesis_shared->slots[index];
	bool mine;

	Assert(my_slot == NULL && 0 <= index && index < rhesis_shared->slot_count);
	LockSlots(LW_EXCLUSIVE);
	mine = slot->state == SLOT_STARTING && slot->generation == generation;
	if (mine)
	{
		slot->state = SLOT_RUNNING;
		slot->pid = MyProcPid;
		slot->exit_reason = EXIT_REASON_NONE;
		slot->activity = WORKER_STARTING;
		slot->started_at = GetCurrentTimestamp();
		slot->backing_off_until = 0;
		slot->needs_person = false;
		slot->hint[0] = '\0';
	}
	UnlockSlots();
	if (!mine)
		return false;

	my_slot = slot;
	/*
	 * Register before connecting: on_shmem_exit callbacks run last-in first-out, so the slot is
	 * released only after the database connection is gone.
	 */
	on_shmem_exit(LeaveSlot, (Datum) 0);
	/*
	 * Keep the due_since that the last worker in this slot has left: the first claim begins at the
	 * start of the queue anyway.
	 */
	pg_atomic_write_u32(&slot->requests, WAKE_ROWS_DUE);
	pg_atomic_write_u32(&slot->process, RhesisMyProcNumber());
	return true;
}

int64
MyEpoch(void)
{
	return (int64) pg_atomic_read_u64(&my_slot->epoch);
}

void
ShowBackoff(TimestampTz until)
{
	LockSlots(LW_EXCLUSIVE);
	my_slot->backing_off_until = until;
	if (until == 0)
	{
		my_slot->needs_person = false;
		my_slot->hint[0] = '\0';
	}
	UnlockSlots();
}

void
ShowNeedOfPerson(void)
{
	LockSlots(LW_EXCLUSIVE);
	my_slot->needs_person = true;
	UnlockSlots();
}

/* Copies as much of the text as fits into size bytes. */
static void
CopyShown(char *shown, size_t size, const char *text)
{
	int limit = strnlen(text, size - 1);
	int length = Min(pg_mbcliplen(text, strlen(text), limit), limit);

	memcpy(shown, text, length);
	shown[length] = '\0';
}

void
ShowHint(const char *hint)
{
	LockSlots(LW_EXCLUSIVE);
	CopyShown(my_slot->hint, MAX_HINT, hint);
	UnlockSlots();
}

void
ShowRefusal(RefusalKind kind, int count, int64 id, const char *text)
{
	Refusal *refusal = &my_slot->refusals[kind];

	Assert(kind < REFUSAL_KINDS);
	if (count == refusal->count && text == NULL)
		return;
	LockSlots(LW_EXCLUSIVE);
	if (refusal->count == 0)
		refusal->since = GetCurrentTimestamp();
	refusal->count = count;
	if (text != NULL)
	{
		refusal->id = id;
		CopyShown(refusal->text, MAX_REFUSAL, text);
	}
	UnlockSlots();
}

/* Takes no lock, because a signal handler cannot. Only this process writes these members. */
void
ShowSlowLookUp(MonotonicTime since)
{
	my_slot->looking_up_since = since;
	my_slot->activity = WORKER_LOOKING_UP;
}

void
EndSlowLookUp(void)
{
	if (my_slot->looking_up_since == 0)
		return;
	LockSlots(LW_EXCLUSIVE);
	my_slot->looking_up_since = 0;
	my_slot->activity = WORKER_SENDING;
	UnlockSlots();
}

void
ShowCulprit(int64 id)
{
	LockSlots(LW_EXCLUSIVE);
	my_slot->culprit_id = id;
	my_slot->culprit_at = GetCurrentTimestamp();
	UnlockSlots();
}

void
ShowError(const char *text)
{
	LockSlots(LW_EXCLUSIVE);
	CopyShown(my_slot->last_error, MAX_LAST_ERROR, text);
	my_slot->last_error_at = GetCurrentTimestamp();
	UnlockSlots();
}

void
WorkerExit(WorkerExitReason exit_reason)
{
	LockSlots(LW_EXCLUSIVE);
	my_slot->exit_reason = exit_reason;
	UnlockSlots();
	proc_exit(0);
}

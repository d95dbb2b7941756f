/*
 * shared_state.c - see shared_state.h.
 */
#include "postgres.h"

#include "server/shared_state.h"

#include "base/compat.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#define TRANCHE "rhesis_notify"
#define STANDBY_MOMENT_MS 1000

SharedState *rhesis_shared = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
SharedStateSize(void)
{
	return add_size(offsetof(SharedState, slots),
					mul_size(max_worker_processes, sizeof(WorkerSlot)));
}

static void
RequestMemory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(SharedStateSize());
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
InitializeSlot(WorkerSlot *slot)
{
	pg_atomic_init_u32(&slot->database, InvalidOid);
	pg_atomic_init_u32(&slot->process, NO_PROCESS);
	pg_atomic_init_u32(&slot->requests, 0);
	pg_atomic_init_u64(&slot->due_since, (uint64) DT_NOEND);
	pg_atomic_init_u32(&slot->wanted_workers, 0);
	pg_atomic_init_u32(&slot->in_flight, 0);
	pg_atomic_init_u32(&slot->connections, 0);
	pg_atomic_init_u64(&slot->epoch, 0);
	pg_atomic_init_u64(&slot->standby_since, 0);
	pg_atomic_init_u64(&slot->sent, 0);
	pg_atomic_init_u64(&slot->deferred, 0);
	pg_atomic_init_u64(&slot->failed, 0);
	pg_atomic_init_u64(&slot->in_doubt, 0);
	pg_atomic_init_u64(&slot->last_sent_at, 0);
	SpinLockInit(&slot->pace.mutex);
}

static void
SetUpMemory(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rhesis_shared = ShmemInitStruct(TRANCHE, SharedStateSize(), &found);
	if (!found)
	{
		memset(rhesis_shared, 0, SharedStateSize());
		rhesis_shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		pg_atomic_init_u32(&rhesis_shared->launcher, NO_PROCESS);
		SpinLockInit(&rhesis_shared->changed_mutex);
		SpinLockInit(&rhesis_shared->holds_mutex);
		rhesis_shared->slot_count = max_worker_processes;
		for (int i = 0; i < rhesis_shared->slot_count; i++)
			InitializeSlot(&rhesis_shared->slots[i]);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
RequestSharedState(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = RequestMemory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = SetUpMemory;
}

void
RequirePreload(void)
{
	if (rhesis_shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg(PRELOAD_PROBLEM),
						errhint(PRELOAD_HINT)));
}

void
LockSlots(LWLockMode mode)
{
	LWLockAcquire(rhesis_shared->lock, mode);
}

void
UnlockSlots(void)
{
	LWLockRelease(rhesis_shared->lock);
}

static int
CompareSlots(const void *a, const void *b)
{
	return ((const WorkerSlot *) a)->number - ((const WorkerSlot *) b)->number;
}

/*
 * Show in the copy of a slot that the worker's commit waits for a synchronous standby. The worker
 * cannot do that while it waits. A wait of a moment is not shown.
 */
static void
ShowStandbyWait(WorkerSlot *copy)
{
	uint32 process = pg_atomic_read_u32(&copy->process);
	TimestampTz since = (TimestampTz) pg_atomic_read_u64(&copy->standby_since);

	if (since != 0 && process != NO_PROCESS &&
		GetPGProcByNumber(process)->syncRepState == SYNC_REP_WAITING &&
		TimestampDifferenceExceeds(since, GetCurrentTimestamp(), STANDBY_MOMENT_MS))
		copy->activity = WORKER_WAITING_FOR_STANDBY;
}

WorkerSlot *
CopySlots(Oid database, int *count)
{
	WorkerSlot *copies = palloc(rhesis_shared->slot_count * sizeof(WorkerSlot));

	*count = 0;
	LockSlots(LW_SHARED);
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];

		if (slot->state == SLOT_FREE ||
			(OidIsValid(database) && pg_atomic_read_u32(&slot->database) != database))
			continue;
		memcpy(&copies[*count], slot, sizeof(WorkerSlot));
		ShowStandbyWait(&copies[(*count)++]);
	}
	UnlockSlots();
	qsort(copies, *count, sizeof(WorkerSlot), CompareSlots);
	return copies;
}

static void
WakeProcess(pg_atomic_uint32 *process)
{
	uint32 number = pg_atomic_read_u32(process);

	if (number != NO_PROCESS)
		SetLatch(&GetPGProcByNumber(number)->procLatch);
}

static void
LowerDueSince(WorkerSlot *slot, TimestampTz due_since)
{
	uint64 known = pg_atomic_read_u64(&slot->due_since);

	while (due_since < (TimestampTz) known &&
		   !pg_atomic_compare_exchange_u64(&slot->due_since, &known, (uint64) due_since))
		;
}

bool
SendRequests(Oid database, uint32 requests, TimestampTz due_since)
{
	bool found = false;

	Assert((requests & ~(WAKE_ROWS_DUE | WAKE_RELOAD | WAKE_RETRY_NOW)) == 0);
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];
		Oid owner = pg_atomic_read_u32(&slot->database);
		uint32 known;

		if (!OidIsValid(owner) || (OidIsValid(database) && owner != database))
			continue;
		found = true;
		/* First the time, then the bit: the worker reads them in the reverse order. */
		LowerDueSince(slot, due_since);
		known = pg_atomic_fetch_or_u32(&slot->requests, requests);
		/* If the bits were set already, the process that set them also sets the latch. */
		if (requests & ~known)
			WakeProcess(&slot->process);
	}
	return found;
}

uint32
ConsumeRequests(WorkerSlot *slot, TimestampTz *due_since)
{
	uint32 requests = pg_atomic_exchange_u32(&slot->requests, 0);

	/*
	 * A process that sets its bit after this line wakes the worker again: at worst, the worker
	 * looks twice.
	 */
	*due_since = DT_NOEND;
	if (requests & WAKE_ROWS_DUE)
		*due_since = (TimestampTz) pg_atomic_exchange_u64(&slot->due_since, (uint64) DT_NOEND);
	return requests;
}

/*
 * Sets the bits of these requests, because a bit that is set already wakes nobody. A request that
 * came before this line is seen here. A request that comes after it wakes the worker, unless it is
 * one of these. No request gets lost, because the worker reads all bits whenever it wakes.
 */
bool
SleepThrough(WorkerSlot *slot, uint32 requests)
{
	return (pg_atomic_fetch_or_u32(&slot->requests, requests) & ~requests) != 0;
}

void
WakeLauncher(void)
{
	WakeProcess(&rhesis_shared->launcher);
}

void
NoteChangedDatabase(Oid database)
{
	SpinLockAcquire(&rhesis_shared->changed_mutex);
	if (OidIsValid(database) && rhesis_shared->changed_count < MAX_CHANGED_DATABASES)
		rhesis_shared->changed[rhesis_shared->changed_count++] = database;
	else
		rhesis_shared->changed_overflow = true;
	SpinLockRelease(&rhesis_shared->changed_mutex);
	WakeLauncher();
}

int
TakeChangedDatabases(Oid *databases)
{
	int count;

	SpinLockAcquire(&rhesis_shared->changed_mutex);
	count = rhesis_shared->changed_count;
	memcpy(databases, rhesis_shared->changed, count * sizeof(Oid));
	if (rhesis_shared->changed_overflow)
		count = -1;
	rhesis_shared->changed_count = 0;
	rhesis_shared->changed_overflow = false;
	SpinLockRelease(&rhesis_shared->changed_mutex);
	return count;
}

const char *
WorkerActivityName(WorkerActivity activity)
{
	static const char *const names[] = {
		[WORKER_STARTING] = "starting",
		[WORKER_IDLE] = "idle",
		[WORKER_SENDING] = "sending",
		[WORKER_LOOKING_UP] = "looking up recipients",
		[WORKER_PAUSED] = "paused",
		[WORKER_IN_COPY] = "a copy",
		[WORKER_MAIL_OFF] = "mail off",
		[WORKER_BACKING_OFF] = "backing off",
		[WORKER_WAITING_FOR_RECIPIENTS] = "waiting for recipients",
		[WORKER_IN_TROUBLE] = "waiting after an error",
		[WORKER_WAITING_FOR_STANDBY] = "waiting for a standby",
		[WORKER_STOPPING] = "stopping",
		[WORKER_STOPPED] = "stopped",
	};

	Assert(activity < lengthof(names));
	return names[activity];
}

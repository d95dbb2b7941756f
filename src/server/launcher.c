/*
 * launcher.c - see launcher.h.
 *
 * The launcher is connected to no database: it reads pg_database only. A probe finds out whether a
 * database has the extension. A probe is a worker, which stays if the extension is there. The
 * launcher remembers the answer until a hook tells of a change. The launcher alone assigns slots
 * and starts processes. A slot's life:
 *
 *   FREE ──a database needs a worker──▶ IDLE ──it is time──▶ STARTING ──it attaches──▶ RUNNING
 *     ▲                                 ▲ │ ▲                   │                       │
 *     └──── surplus, no extension ──────┼─┘ └─── no process ────┘                       │
 *                                       └──── the process has exited, for some reason ──┘
 *
 * A new launcher finds the slots as they are: workers run without it.
 */
#include "postgres.h"

#include "server/launcher.h"

#include <signal.h>

#include "base/compat.h"
#include "base/monotonic.h"
#include "base/time_limit.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "server/database_hold.h"
#include "server/launcher_databases.h"
#include "server/shared_state.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SCAN_INTERVAL_MS 60000
#define FIRST_RESTART_MS 200
#define LONGEST_RESTART_MS 60000
#define STEADY_AFTER_MS 60000 /* a worker that ran this long did not fail at its start */
#define FIRST_LACK_MS 50
#define LACK_SAID_MS 1000
#define LONGEST_LACK_MS 5000   /* asking for a process costs little */
#define PROBE_PATIENCE_MS 1000 /* how long other probes wait for the one that runs */
#define LONGEST_LOOK_UP_MS (3 * LOOK_UP_LIMIT_MS)

/* What only the launcher knows about a slot. */
typedef struct LauncherSlot
{
	MonotonicTime start_at;
	MonotonicTime asked_at; /* when its process was asked for */
	int restart_delay;		/* ms */
	bool has_worked;		/* its process found the extension */
	BackgroundWorkerHandle *handle;
} LauncherSlot;

static LauncherSlot *launcher_slots;
static int start_delay; /* ms between two requests for a process; above 0 while none is free */
static MonotonicTime processes_at; /* when to ask for a process again */
static MonotonicTime scan_at;	   /* when to look for new databases again */

void
RegisterLauncher(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "rhesis_notify launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "rhesis_notify launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "rhesis_notify", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "RhesisLauncherMain", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	RegisterBackgroundWorker(&worker);
}

/* Returns the milliseconds until this time, but at most those between two scans. */
static int
WaitUntil(MonotonicTime when)
{
	return (int) Min(MillisecondsUntil(when), SCAN_INTERVAL_MS);
}

/* ---- Slots ---- */

static Oid
SlotDatabase(int i)
{
	return pg_atomic_read_u32(&rhesis_shared->slots[i].database);
}

static int
FindSlot(Oid database, int number)
{
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		if (SlotDatabase(i) == database && rhesis_shared->slots[i].number == number)
			return i;
	}
	return -1;
}

/*
 * Returns the free slot that worker `number` of the database had before, else one that no worker
 * had, else any free slot; -1 if none is free. The caller holds the lock.
 */
static int
ChooseFreeSlot(Oid database, int number)
{
	int unused = -1;
	int any = -1;

	Assert(LWLockHeldByMe(rhesis_shared->lock));
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];

		if (slot->state != SLOT_FREE)
			continue;
		if (slot->former_database == database && slot->number == number)
			return i;
		if (unused < 0 && !OidIsValid(slot->former_database))
			unused = i;
		any = i;
	}
	return unused >= 0 ? unused : any;
}

/*
 * Give a free slot to worker `number` of the database. Its counters go on if the same worker had
 * the slot before, and begin at 0 otherwise. The caller holds the lock.
 */
static void
OccupySlot(WorkerSlot *slot, Oid database, int number)
{
	Assert(LWLockHeldByMeInMode(rhesis_shared->lock, LW_EXCLUSIVE));
	Assert(slot->state == SLOT_FREE && OidIsValid(database));
	if (slot->former_database != database || slot->number != number)
	{
		pg_atomic_write_u64(&slot->sent, 0);
		pg_atomic_write_u64(&slot->deferred, 0);
		pg_atomic_write_u64(&slot->failed, 0);
		pg_atomic_write_u64(&slot->in_doubt, 0);
		pg_atomic_write_u64(&slot->last_sent_at, 0);
	}
	slot->state = SLOT_IDLE;
	slot->number = number;
	slot->former_database = InvalidOid;
	slot->activity = WORKER_STOPPED;
	slot->exit_reason = EXIT_REASON_NONE;
	slot->last_error[0] = '\0';
	slot->last_error_at = 0;
	slot->culprit_at = 0;
	slot->terminated_id = 0;
	slot->backing_off_until = 0;
	slot->needs_person = false;
	slot->hint[0] = '\0';
	slot->settings_problem_logged = false;
	slot->copy_logged = false;
	slot->links_problem_logged = false;
	pg_atomic_write_u32(&slot->requests, 0);
	pg_atomic_write_u32(&slot->wanted_workers, 0);
	pg_atomic_write_u32(&slot->database, database);
}

static void
AssignSlot(Oid database, int number)
{
	int free_slot;

	LockSlots(LW_EXCLUSIVE);
	free_slot = ChooseFreeSlot(database, number);
	if (free_slot >= 0)
		OccupySlot(&rhesis_shared->slots[free_slot], database, number);
	UnlockSlots();

	if (free_slot >= 0)
	{
		launcher_slots[free_slot].start_at = 0;
		launcher_slots[free_slot].asked_at = MonotonicNow();
		launcher_slots[free_slot].restart_delay = 0;
	}
}

static bool
HasCounted(WorkerSlot *slot)
{
	return pg_atomic_read_u64(&slot->sent) > 0 || pg_atomic_read_u64(&slot->deferred) > 0 ||
		   pg_atomic_read_u64(&slot->failed) > 0 || pg_atomic_read_u64(&slot->in_doubt) > 0;
}

static void
FreeSlot(int i)
{
	WorkerSlot *slot = &rhesis_shared->slots[i];

	LockSlots(LW_EXCLUSIVE);
	Assert(slot->state == SLOT_IDLE);
	slot->state = SLOT_FREE;
	slot->former_database = HasCounted(slot) ? pg_atomic_read_u32(&slot->database) : InvalidOid;
	pg_atomic_write_u32(&slot->database, InvalidOid);
	UnlockSlots();
}

/*
 * Set the number of workers that the database wants, because a worker with a higher number found
 * itself to be one too many. Worker 0, which publishes that number, may have read older settings.
 */
static void
WantFewerWorkers(Oid database, int count)
{
	int first = FindSlot(database, 0);

	if (first >= 0)
		pg_atomic_write_u32(&rhesis_shared->slots[first].wanted_workers, count);
}

/* Decide what comes next after the process of a slot has exited for this reason. */
static void
HandleWorkerExit(int i, WorkerExitReason exit_reason)
{
	WorkerSlot *slot = &rhesis_shared->slots[i];
	LauncherSlot *launcher_slot = &launcher_slots[i];
	Oid oid = SlotDatabase(i);
	KnownDatabase *known = FindKnownDatabase(oid);
	bool steady = slot->started_at != 0 &&
				  MonotonicNow() >= MonotonicPlusMs(launcher_slot->asked_at, STEADY_AFTER_MS);

	switch (exit_reason)
	{
		case EXIT_REASON_TERMINATED:
			launcher_slot->restart_delay = 0;
			launcher_slot->start_at = DeadlineAfter(FIRST_RESTART_MS);
			return;
		case EXIT_REASON_RELOAD:
			launcher_slot->restart_delay = 0;
			launcher_slot->start_at = 0;
			return;
		case EXIT_REASON_NONE:
			/* The cause may be the database. Free the slot, so that other databases can use it. */
			if (slot->number == 0 && !launcher_slot->has_worked)
			{
				NoteFailedStart(known);
				FreeSlot(i);
				return;
			}
			launcher_slot->restart_delay =
				steady || launcher_slot->restart_delay == 0
					? FIRST_RESTART_MS
					: Min(launcher_slot->restart_delay * 2, LONGEST_RESTART_MS);
			launcher_slot->start_at = DeadlineAfter(launcher_slot->restart_delay);
			return;
		case EXIT_REASON_NO_EXTENSION:
		case EXIT_REASON_MISFIT:
			KeepAnswer(known,
					   exit_reason == EXIT_REASON_MISFIT ? ANSWER_MISFIT : ANSWER_NO_EXTENSION);
			FreeSlot(i);
			return;
		case EXIT_REASON_SURPLUS:
			WantFewerWorkers(oid, slot->number);
			FreeSlot(i);
			return;
	}
}

/*
 * Note that the slot's worker works. known is NULL if no worker may run in its database any more,
 * and no hook saw the command (the database has become a template, for instance): tell the worker
 * to exit.
 */
static void
NoteService(int i, KnownDatabase *known)
{
	launcher_slots[i].has_worked = true;
	if (known == NULL)
		SendRequests(SlotDatabase(i), WAKE_RELOAD, DT_NOEND);
	else if (rhesis_shared->slots[i].number == 0)
	{
		known->answer = ANSWER_SERVED;
		known->failures = 0;
	}
}

/*
 * End a look-up of recipients that takes much too long, by SIGTERM. The worker's own timer should
 * have ended it, but a function of the recipients' view may have reset that timer.
 */
static void
EndLongLookUp(const WorkerSlot *slot)
{
	MonotonicTime since = slot->looking_up_since;

	if (slot->state == SLOT_RUNNING && since != 0 &&
		MonotonicNow() >= MonotonicPlusMs(since, LONGEST_LOOK_UP_MS))
		(void) kill(slot->pid, SIGTERM);
}

/* Find out which processes have started or exited, and handle that. */
static void
CheckSlots(void)
{
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];
		Oid oid = SlotDatabase(i);
		KnownDatabase *known;
		WorkerExitReason exit_reason = EXIT_REASON_NONE;
		bool ended = false;
		pid_t pid;

		LockSlots(LW_EXCLUSIVE);
		if (slot->state == SLOT_IDLE && slot->pid != 0)
		{
			/*
			 * The worker has left its exit reason. A pid of 0 says that the reason was processed.
			 */
			ended = true;
			exit_reason = slot->exit_reason;
			slot->pid = 0;
		}
		else if (slot->state == SLOT_STARTING && launcher_slots[i].handle == NULL)
		{
			/*
			 * An earlier launcher has asked for this process. The process will find another
			 * generation, and exit.
			 */
			ended = true;
			slot->state = SLOT_IDLE;
			slot->generation++;
		}
		else if (slot->state == SLOT_STARTING &&
				 GetBackgroundWorkerPid(launcher_slots[i].handle, &pid) == BGWH_STOPPED)
		{
			ended = true;
			slot->state = SLOT_IDLE;
		}
		UnlockSlots();

		if (ended)
		{
			processes_at = 0; /* a process may be free now */
			HandleWorkerExit(i, exit_reason);
		}

		EndLongLookUp(slot);
		known = FindKnownDatabase(oid);
		if (slot->state == SLOT_RUNNING && slot->activity != WORKER_STARTING)
			NoteService(i, known);
		if (slot->state == SLOT_IDLE && OidIsValid(oid) && known == NULL)
			FreeSlot(i);
	}
}

/* ---- Starting ---- */

/*
 * Mark the slot as starting, and set *generation. Returns false if its database is held. A session
 * that holds a database publishes the hold before it looks at the slots, so that it sees this slot.
 */
static bool
ReserveSlot(WorkerSlot *slot, uint32 *generation)
{
	bool free_to_start;

	LockSlots(LW_EXCLUSIVE);
	Assert(slot->state == SLOT_IDLE);
	free_to_start = !DatabaseIsHeld(pg_atomic_read_u32(&slot->database));
	if (free_to_start)
	{
		slot->state = SLOT_STARTING;
		slot->exit_reason = EXIT_REASON_NONE;
		slot->started_at = 0;
		*generation = ++slot->generation;
	}
	UnlockSlots();
	return free_to_start;
}

/*
 * Ask the postmaster for the process of a slot, unless its database is held. Returns false if no
 * process is free.
 */
static bool
StartWorker(int i)
{
	WorkerSlot *slot = &rhesis_shared->slots[i];
	BackgroundWorker worker;
	uint32 generation;
	KnownDatabase *known = FindKnownDatabase(SlotDatabase(i));

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "rhesis_notify worker %d for database %u", slot->number,
			 SlotDatabase(i));
	strlcpy(worker.bgw_type, "rhesis_notify worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "rhesis_notify", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "RhesisWorkerMain", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = Int32GetDatum(i);
	worker.bgw_notify_pid = MyProcPid;

	if (!ReserveSlot(slot, &generation))
		return true;
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	if (known)
		strlcpy(worker.bgw_extra + sizeof(generation), NameStr(known->name), NAMEDATALEN);

	if (launcher_slots[i].handle)
		pfree(launcher_slots[i].handle);
	launcher_slots[i].handle = NULL;
	launcher_slots[i].has_worked = false;
	launcher_slots[i].asked_at = MonotonicNow();
	if (RegisterDynamicBackgroundWorker(&worker, &launcher_slots[i].handle))
		return true;

	LockSlots(LW_EXCLUSIVE);
	slot->state = SLOT_IDLE;
	UnlockSlots();
	return false;
}

/*
 * Note that max_worker_processes is used up: the launcher asks again, later each time. Log that
 * once, when the delay has grown to LACK_SAID_MS and not before: a process that has just exited
 * counts until the postmaster has noticed.
 */
static void
NoteLackOfProcesses(void)
{
	int delay = Min(Max(start_delay * 2, FIRST_LACK_MS), LONGEST_LACK_MS);

	if (start_delay < LACK_SAID_MS && delay >= LACK_SAID_MS)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker process is free for rhesis_notify"),
				 errdetail("max_worker_processes is %d; notifications of some databases wait.",
						   max_worker_processes),
				 errhint("Increase max_worker_processes by one for the launcher and one for "
						 "each worker, and restart the server.")));
	start_delay = delay;
	processes_at = DeadlineAfter(start_delay);
}

/* Start the workers that are due. Returns the milliseconds until another one is due. */
static int
StartDueWorkers(void)
{
	MonotonicTime now = MonotonicNow();
	int wait = SCAN_INTERVAL_MS;
	bool all_started = true;

	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		MonotonicTime start_at = Max(launcher_slots[i].start_at, processes_at);

		if (rhesis_shared->slots[i].state != SLOT_IDLE || DatabaseIsHeld(SlotDatabase(i)))
			continue;
		if (start_at > now)
		{
			all_started = all_started && launcher_slots[i].start_at > now;
			wait = Min(wait, WaitUntil(start_at));
		}
		else if (!StartWorker(i))
		{
			all_started = false;
			NoteLackOfProcesses();
			wait = Min(wait, start_delay);
		}
	}
	/* Keep the delay while a worker still waits for a process, even if others were started. */
	if (all_started)
		start_delay = 0;
	return wait;
}

/*
 * Returns until when no other probe may begin, because one is running; 0 if none is running;
 * MONOTONIC_NEVER if one waits for its process.
 */
static MonotonicTime
ProbesWaitUntil(void)
{
	MonotonicTime until = 0;

	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		Oid oid = SlotDatabase(i);
		KnownDatabase *known = FindKnownDatabase(oid);

		if (known == NULL || known->answer != ANSWER_UNKNOWN)
			continue;
		if (rhesis_shared->slots[i].state != SLOT_IDLE)
			until = Max(until, MonotonicPlusMs(launcher_slots[i].asked_at, PROBE_PATIENCE_MS));
		else if (!DatabaseIsHeld(oid))
			return MONOTONIC_NEVER; /* it has no process yet */
	}
	return until;
}

/*
 * Returns the database without a slot that the launcher probes next; NULL if there is none. Of the
 * databases that are due, that is the one with the fewest failures. If none is due, it is the one
 * that is due first.
 */
static KnownDatabase *
NextToProbe(void)
{
	HASH_SEQ_STATUS sequence;
	KnownDatabase *known;
	KnownDatabase *next = NULL;
	MonotonicTime now = MonotonicNow();

	StartKnownDatabases(&sequence);
	while ((known = hash_seq_search(&sequence)) != NULL)
	{
		if (known->answer != ANSWER_UNKNOWN || FindSlot(known->oid, 0) >= 0)
			continue;
		if (next == NULL || (next->probe_at > now && known->probe_at < next->probe_at) ||
			(known->probe_at <= now && known->failures < next->failures))
			next = known;
	}
	return next;
}

/*
 * Assign slots to the database that is probed next, and to further workers of databases that want
 * several.
 */
static void
AssignSlots(void)
{
	HASH_SEQ_STATUS sequence;
	KnownDatabase *known = NextToProbe();
	MonotonicTime now = MonotonicNow();

	if (known && known->probe_at <= now && ProbesWaitUntil() <= now)
	{
		known->changed = false;
		AssignSlot(known->oid, 0);
	}
	StartKnownDatabases(&sequence);
	while ((known = hash_seq_search(&sequence)) != NULL)
	{
		int first = known->answer == ANSWER_SERVED ? FindSlot(known->oid, 0) : -1;
		int wanted =
			first < 0 ? 0 : pg_atomic_read_u32(&rhesis_shared->slots[first].wanted_workers);

		for (int number = 1; number < wanted; number++)
		{
			if (FindSlot(known->oid, number) < 0)
				AssignSlot(known->oid, number);
		}
	}
}

/*
 * Returns the milliseconds until another probe can begin, unless something happens before. At least
 * a second, because all slots may be in use.
 */
static int
ProbeWait(void)
{
	KnownDatabase *next = NextToProbe();

	if (next == NULL)
		return SCAN_INTERVAL_MS;
	return Max(WaitUntil(Max(next->probe_at, ProbesWaitUntil())), 1000);
}

/* ---- The process ---- */

static void
ForgetLauncher(int code, Datum argument)
{
	pg_atomic_write_u32(&rhesis_shared->launcher, NO_PROCESS);
}

static void
Prepare(void)
{
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "rhesis_notify launcher", PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, "looking after databases and their workers");

	InitKnownDatabases();
	launcher_slots =
		MemoryContextAllocZero(TopMemoryContext, rhesis_shared->slot_count * sizeof(LauncherSlot));

	before_shmem_exit(ForgetLauncher, (Datum) 0);
	pg_atomic_write_u32(&rhesis_shared->launcher, RhesisMyProcNumber());
}

void
RhesisLauncherMain(Datum argument)
{
	uint32 wait_event;

	Prepare();
	wait_event = RhesisWaitEvent("RhesisNotifyLauncher");
	ereport(DEBUG1, (errmsg_internal("rhesis_notify launcher started")));
	for (;;)
	{
		int wait;

		CHECK_FOR_INTERRUPTS();
		/* After an exit code of 0 the postmaster would not restart the launcher. */
		if (ShutdownRequestPending)
			proc_exit(1);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (NoticeChanges() || MonotonicNow() >= scan_at)
		{
			ScanDatabases();
			scan_at = DeadlineAfter(SCAN_INTERVAL_MS);
		}
		CheckSlots();
		AssignSlots();
		wait = Min(StartDueWorkers(), WaitUntil(scan_at));
		wait = Min(wait, ProbeWait());
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
						 wait_event);
		ResetLatch(MyLatch);
	}
}

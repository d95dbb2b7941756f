/*
 * worker.c - the process that sends a database's mail: wait, claim, hand over, record; shutdown, reload, pause.
 *
 * One loop. A claim is committed before a byte is on the wire and an outcome before it is forgotten; in between, no transaction
 * is open. The process sleeps in one place, Wait(), on its latch and on the descriptor that stands for all of SMTP. Errors end
 * up in one place too, Recover(): a statement that failed is logged once per cause and waited out.
 *
 * Its parts: worker_state.c (what it holds), worker_queue.c and worker_smtp.c (its two sides), worker_backoff.c (how it spares a
 * mail server), worker_session.c (its session and signals), worker_slot.c and worker_activity.c (what others see of it).
 */
#include "postgres.h"

#include "worker/worker.h"

#include "base/compat.h"
#include "base/time_limit.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "queue/queue.h"
#include "server/claim_journal.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/foreign_sockets.h"
#include "worker/worker_activity.h"
#include "worker/worker_backoff.h"
#include "worker/worker_purge.h"
#include "worker/worker_queue.h"
#include "worker/worker_session.h"
#include "worker/worker_smtp.h"
#include "worker/worker_state.h"

#define LONGEST_WAIT_MS 60000
#define SHUTDOWN_GRACE_MS 1000
#define DRAIN_PATIENCE_MS 3000
#define LONGEST_TROUBLE_MS 10000

static WaitEventSet *waits;

/* Finish what is on the wire, however long a server takes to accept it, and leave. */
static void
Drain(WorkerExitReason exit_reason)
{
	if (!worker.draining)
		worker.drain_until = After(DRAIN_PATIENCE_MS);
	worker.draining = true;
	worker.drain_exit_reason = exit_reason;
	ReturnUnsent();
}

/*
 * A new process with new settings can wait, mail can't: while somebody keeps a row locked, whose outcome must not be forgotten, this
 * one goes on.
 */
static void
DrainUnlessLocked(void)
{
	bool locked = worker.around_locks && worker.settled.count + worker.locked.count > 0;

	if (worker.draining && locked)
	{
		worker.draining = false;
		worker.claim_at = 0;
	}
	if (worker.reload_requested && !locked)
		Drain(EXIT_REASON_RELOAD);
}

static void
HandleRequests(void)
{
	TimestampTz due_since;
	uint32 requests;

	CHECK_FOR_INTERRUPTS();
	requests = ConsumeRequests(my_slot, &due_since);
	if (ConfigReloadPending || (requests & WAKE_RELOAD))
	{
		ConfigReloadPending = false;
		worker.reload_requested = true;
	}
	if (requests & WAKE_ROWS_DUE)
	{
		worker.claim_at = 0;
		worker.woken = true;
		RewindClaimPosition(due_since);
		/* adopt_database() wakes it too. */
		if (worker.in_copy)
			worker.safety_check_at = 0;
	}
	if (requests & WAKE_RETRY_NOW)
		RetryNow();
	/* What is on the wire for it has no row any more. */
	if ((requests & WAKE_RELOAD) && ExtensionIsGone())
		WorkerExit(EXIT_REASON_RELOAD);
	DrainUnlessLocked();
	if (StandsStill())
		ReturnUnsent();
}

static WorkerActivity
CurrentActivity(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (worker.draining || shutdown_was_requested)
		return WORKER_STOPPING;
	if (worker.in_copy)
		return WORKER_IN_COPY;
	if (worker.pool == NULL)
		return WORKER_MAIL_OFF;
	if (now < worker.backing_off_until)
		return WORKER_BACKING_OFF;
	if (now < worker.recipients_at)
		return WORKER_WAITING_FOR_RECIPIENTS;
	if (now < worker.trouble_until || TooMuchIsRefused())
		return WORKER_IN_TROUBLE;
	if (Outstanding() > 0)
		return WORKER_SENDING;
	return worker.paused ? WORKER_PAUSED : WORKER_IDLE;
}

static void
Earlier(TimestampTz *wake_at, TimestampTz candidate)
{
	*wake_at = Min(*wake_at, candidate);
}

static TimestampTz
WakeTime(int64 pace_us)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake_at = now + LONGEST_WAIT_MS * INT64CONST(1000);

	if (worker.draining && IsDrained())
		return now;
	if (worker.draining && worker.drain_until > now)
		Earlier(&wake_at, worker.drain_until);
	if (worker.settled.count + worker.locked.count + worker.refused.count > 0)
		Earlier(&wake_at, RecordingTime());
	if (worker.ready.count > 0 && pace_us > 0)
		Earlier(&wake_at, now + pace_us);
	if (worker.draining || worker.pool == NULL)
		return wake_at;
	if (worker.backing_off_until > 0)
		Earlier(&wake_at, worker.backing_off_until);
	else if (worker.recipients_at > now)
		Earlier(&wake_at, worker.recipients_at);
	else if (HasRoomForClaim())
		Earlier(&wake_at, Max(NextQueueWork(), worker.trouble_until));
	return wake_at;
}

/*
 * While it can't claim, new rows need not wake it: what keeps it from that ends at a known
 * time, or with WAKE_RETRY_NOW or WAKE_RELOAD.
 * What came during the round is for the next one: a lock or a standby that was waited for may have used up the latch.
 */
static bool
MaySleep(void)
{
	WorkerActivity activity = CurrentActivity();
	bool cannot_claim = activity >= WORKER_PAUSED && activity <= WORKER_IN_TROUBLE;

	return !ConfigReloadPending && !SleepThrough(my_slot, cannot_claim ? WAKE_ROWS_DUE : 0);
}

static void
Wait(TimestampTz wake_at)
{
	long timeout =
		Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wake_at), LONGEST_WAIT_MS);
	WorkerActivity activity = CurrentActivity();
	WaitEvent events[3];

	ShowActivity(activity);
	if (timeout > 0)
		WaitEventSetWait(waits, timeout, events, lengthof(events), ActivityWaitEvent(activity));
	ResetLatch(MyLatch);
}

static bool
PurgeIsDue(TimestampTz now)
{
	return worker.knows_itself && !worker.in_copy && now >= worker.purge_at &&
		   now >= worker.trouble_until && !worker.draining && worker.pool != NULL;
}

/* One round. Whatever is raised in it is for Recover. */
static void
RunOneIteration(void)
{
	int64 pace_us = 0;
	TimestampTz now;
	bool claiming;

	HeedClock(GetCurrentTimestamp());
	HandleRequests();
	if (worker.pool)
	{
		if (worker.draining && GetCurrentTimestamp() >= worker.drain_until)
			SmtpPoolAbortUnsent(worker.pool);
		EndBackoff();
		RunSmtp();
		pace_us = SubmitReady();
		if (worker.ready.count + worker.in_flight > 0)
			RunSmtp();
	}
	now = GetCurrentTimestamp();
	claiming = now >= worker.trouble_until && MayClaim(now);
	if (claiming || RecordingIsDue(now) || LookIsDue(now))
	{
		WorkOnQueue(claiming);
		worker.consecutive_errors = 0;
	}
	/* A SIGTERM during the claim's commit could cancel nothing of what comes next. */
	if (shutdown_was_requested)
		return;
	if (worker.preparing)
		PrepareClaimed();
	else if (PurgeIsDue(now))
		PurgeOldRows();
	else
		Wait(MaySleep() ? WakeTime(pace_us) : 0);
}

/* Something cancels the look-up of this row each time: an operator, or the row. */
static bool
WasCancelledTwice(const DeliveryBatch *batch)
{
	int64 id = batch->deliveries[0].record.id;
	bool again = worker.cancelled_id == id;

	worker.cancelled_id = again ? 0 : id;
	return again;
}

/*
 * The row may have terminated the worker itself, through a function of a superuser: the first time that is no
 * failure of the row.
 */
static bool
WasTerminatedTwice(const DeliveryBatch *batch)
{
	int64 id = batch->deliveries[0].record.id;
	bool again = my_slot->terminated_id == id;

	my_slot->terminated_id = again ? 0 : id;
	NoteCulprit(id);
	return again;
}

/* In a signal handler, while a look-up goes on. */
static void
WatchLookUp(bool passed)
{
	if (worker.preparing == NULL)
		return;
	if (my_slot->looking_up_since == 0)
		ShowSlowLookUp(GetCurrentTimestamp());
	if (passed)
		CutForeignSockets();
}

/*
 * What was being prepared when something was raised goes back (the record does nothing to rows whose claim was not committed).
 * Then one at a time: the row that does it again is the one to blame, and the others go on.
 */
static void
ReturnPreparing(const char *message)
{
	DeliveryBatch *batch = worker.preparing;

	worker.preparing = NULL;
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->count == 1 && message)
			BlameDelivery(&batch->deliveries[i], "render_error", message);
		else if (batch->count == 1 && shutdown_was_requested && WasTerminatedTwice(batch))
			BlameDelivery(&batch->deliveries[i], "interrupted",
						  "the worker was terminated while it prepared this mail, twice in a row");
		else if (batch->count == 1 && !shutdown_was_requested && WasCancelledTwice(batch))
			BlameDelivery(&batch->deliveries[i], "recipients_error",
						  "reading recipients was cancelled, twice in a row");
		else
			GiveBack(&batch->deliveries[i], 0);
		AppendSettled(&batch->deliveries[i]);
	}
	if (batch->count > 1)
		worker.single_row_claims = batch->count;
}

/* Its claim was not committed. */
static void
DiscardPreparing(void)
{
	DeliveryBatch *batch = worker.preparing;
	int count = batch->count;

	worker.preparing = NULL;
	for (int i = 0; i < count; i++)
		CloseDelivery(&batch->deliveries[i]);
}

/* True, unless it is so already. */
static bool
TurnOn(bool *flag)
{
	bool was_off = !*flag;

	*flag = true;
	return was_off;
}

/*
 * Several rows were changed together, and an app's trigger or constraint may have refused one of them. False: they were changed one by
 * one already, or it is something else.
 */
static bool
GoesOneByOne(const ErrorData *error)
{
	bool is_lock = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	bool any = false;

	if (shutdown_was_requested)
		return false;
	switch (worker.step)
	{
		case STEP_RECORD:
			return !(is_lock && !worker.around_locks) && TurnOn(&worker.recording_one_by_one);
		case STEP_ADOPT:
			return TurnOn(&worker.adopting_one_by_one);
		case STEP_CLAIM:
			return TurnOn(&worker.claiming_one_by_one);
		case STEP_COMMIT:
			if (worker.settled.count > 0)
				any = TurnOn(&worker.recording_one_by_one);
			any |= TurnOn(&worker.adopting_one_by_one);
			any |= TurnOn(&worker.claiming_one_by_one);
			return any;
		default:
			return false;
	}
}

/* What worker_status says of it. */
static const char *
ErrorText(const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return "another session keeps something locked that the queue needs, see pg_locks";
	return error->message;
}

/* Something was raised: log it once per cause, put everything where it can be found, wait. */
static void
Recover(void)
{
	WorkerStep step = worker.step;
	ErrorData *error;
	bool cancelled;
	bool one_by_one;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	cancelled = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	one_by_one = GoesOneByOne(error);
	if (!cancelled && !one_by_one && ShouldLogError(ErrorText(error)))
		EmitErrorReport();
	FlushErrorState();
	StartTimeLimit(LOOK_UP_LIMIT_MS);
	AbortWork();
	StopTimeLimit();
	EndSlowLookUp();
	RESUME_INTERRUPTS();

	/* If this worker is about to exit, its successor prepares what is left row by row. */
	if (!shutdown_was_requested)
		NotePreparing(0, 0, 0);
	worker.step = STEP_OTHER;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && step == STEP_RECORD)
		worker.around_locks = true;
	if (worker.preparing && step != STEP_OTHER)
		DiscardPreparing();
	if (step == STEP_PURGE)
		PurgeFailed();
	if (worker.preparing)
		ReturnPreparing(cancelled ? NULL : error->message);
	FreeErrorData(error);
	worker.claim_at = 0;
	/* The queue's notion of where to look may come from what was rolled back. */
	worker.from_start_at = 0;
	if (one_by_one || step == STEP_PURGE)
		return;
	worker.consecutive_errors++;
	worker.trouble_until =
		After(Min(100 << Min(worker.consecutive_errors, 10), LONGEST_TROUBLE_MS));
}

/* SIGTERM: what is on the wire gets a moment, what came of it is recorded, then we go. */
static void
ShutDown(void)
{
	TimestampTz until = After(SHUTDOWN_GRACE_MS);

	ShowActivity(WORKER_STOPPING);
	if (worker.preparing)
		ReturnPreparing(NULL);
	ReturnUnsent();
	while (worker.in_flight > 0 && GetCurrentTimestamp() < until)
	{
		RunSmtp();
		if (worker.in_flight > 0)
			Wait(until);
	}
	if (worker.in_flight > 0)
	{
		SmtpPoolAbort(worker.pool);
		RunSmtp();
	}
	RecordBeforeExit();
}

/* ---- Start ---- */

static void
ReportSettingsProblem(const char *problem)
{
	bool was_logged;

	LockSlots(LW_EXCLUSIVE);
	was_logged = my_slot->settings_problem_logged;
	my_slot->settings_problem_logged = true;
	UnlockSlots();
	ShowError(problem);
	if (!was_logged)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("SMTP configuration incomplete. Email notifications will be disabled."),
				 errdetail("%s.", problem)));
}

/* Without complete settings there is no pool: rows wait. */
static void
TurnMailOn(void)
{
	const char *problem = OpenPool();

	if (problem)
	{
		ReportSettingsProblem(problem);
		return;
	}
	LockSlots(LW_EXCLUSIVE);
	my_slot->settings_problem_logged = false;
	UnlockSlots();
}

/* The value of frontend_url is good by another setting, so PostgreSQL's own words about settings do not say that it is refused. */
static void
ReportLinksProblem(void)
{
	const char *url = PlainFrontendUrl();
	bool was_logged;

	LockSlots(LW_EXCLUSIVE);
	was_logged = my_slot->links_problem_logged;
	my_slot->links_problem_logged = url != NULL;
	UnlockSlots();
	if (url != NULL && !was_logged && my_slot->number == 0)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"rhesis_notify.frontend_url\": \"%s\"", url),
				 errdetail("Links are https, and http for localhost only: mails go without links."),
				 errhint("%s", LINKS_ADVICE)));
}

static void
PublishEpoch(void)
{
	BeginWork("starting");
	worker.epoch = QueueNextEpoch();
	CommitWork();
	pg_atomic_write_u64(&my_slot->epoch, (uint64) worker.epoch);
	BeginJournal(my_slot - rhesis_shared->slots, worker.epoch);
}

/* An error at the start names the database: most of PostgreSQL's own messages about it do not. */
static void
NameDatabase(void *name)
{
	errcontext("start of a rhesis_notify worker in database \"%s\"", (const char *) name);
}

static void
Start(int slot, uint32 generation)
{
	ErrorContextCallback context = {error_context_stack, NameDatabase,
									MyBgworkerEntry->bgw_extra + sizeof(generation)};

	InitWorkerState();
	SpareSockets();
	pqsignal(SIGTERM, HandleWorkerSigterm);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	if (!AttachSlot(slot, generation))
		proc_exit(0);
	error_context_stack = &context;
	ConnectWorker(pg_atomic_read_u32(&my_slot->database));
	switch (FindExtension())
	{
		case EXTENSION_ABSENT:
			WorkerExit(EXIT_REASON_NO_EXTENSION);
		case EXTENSION_MISFIT:
			WorkerExit(EXIT_REASON_MISFIT);
		case EXTENSION_FITS:
			break;
	}
	error_context_stack = context.previous;
	if (my_slot->number >= rhesis_workers)
		WorkerExit(EXIT_REASON_SURPLUS);
	pg_atomic_write_u32(&my_slot->wanted_workers, rhesis_workers);

	WatchTimeLimit(WatchLookUp);
	TurnMailOn();
	ReportLinksProblem();
	PublishEpoch();
	waits = RhesisCreateWaitEventSet(3);
	AddWaitEventToSet(waits, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(waits, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (worker.pool)
		AddWaitEventToSet(waits, WL_SOCKET_READABLE, SmtpPoolDescriptor(worker.pool), NULL, NULL);
	ShowActivity(WORKER_IDLE);
	WakeLauncher();
}

void
RhesisWorkerMain(Datum argument)
{
	uint32 generation;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	Start(DatumGetInt32(argument), generation);

	while (!shutdown_was_requested && !(worker.draining && IsDrained()))
	{
		PG_TRY();
		{
			RunOneIteration();
		}
		PG_CATCH();
		{
			Recover();
			/* Without the extension there is nothing left to record in. */
			if (worker.draining && ExtensionIsGone())
				WorkerExit(worker.drain_exit_reason);
		}
		PG_END_TRY();
	}

	PG_TRY();
	{
		if (!shutdown_was_requested)
			RecordWithoutTriggers();
		else
			ShutDown();
	}
	PG_CATCH();
	{
		Recover();
	}
	PG_END_TRY();
	WorkerExit(shutdown_was_requested ? EXIT_REASON_TERMINATED : worker.drain_exit_reason);
}

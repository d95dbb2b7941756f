/*
 * worker.c - the process that sends a database's mail: wait, claim, hand over, record; shutdown,
 * reload, pause.
 *
 * The process runs one loop. A claim is committed before a byte is on the wire, and an outcome
 * before it is forgotten. No transaction is open in between. The process sleeps in one place,
 * Wait(), on its latch and on the one descriptor of SMTP. Errors are handled in one place, too,
 * Recover(): it logs a failed statement once for each cause, and waits.
 */
#include "postgres.h"

#include "worker/worker.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/monotonic.h"
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
#include "worker/foreign_sockets.h"
#include "worker/worker_activity.h"
#include "worker/worker_backoff.h"
#include "worker/worker_database.h"
#include "worker/worker_drain.h"
#include "worker/worker_error.h"
#include "worker/worker_limit.h"
#include "worker/worker_outbox.h"
#include "worker/worker_prepare.h"
#include "worker/worker_purge.h"
#include "worker/worker_queue.h"
#include "worker/worker_record.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"
#include "worker/worker_smtp.h"

#define LONGEST_WAIT_MS 60000
#define SHUTDOWN_GRACE_MS 1000

static WaitEventSet *waits;
static bool reload_requested = false; /* settings or the extension may have changed */

/*
 * Begins to drain after a reload was requested. But while another session has locked a row whose
 * outcome must still be recorded, this process continues with all its work, even if it has begun to
 * drain: a new process with new settings can wait, but mail cannot.
 */
static void
DrainUnlessLocked(void)
{
	if (IsDraining() && WaitsForLocks())
	{
		StopDrain();
		ClaimNow();
	}
	if (reload_requested && !WaitsForLocks())
	{
		StartDrain();
		ReturnUnsent();
	}
}

static void
HandleRequests(void)
{
	TimestampTz due_since;
	uint32 requests;

	CHECK_FOR_INTERRUPTS();
	requests = ConsumeRequests(my_slot, &due_since);
	if (requests != 0)
		elog(DEBUG2, "woken:%s%s%s", requests & WAKE_ROWS_DUE ? " rows are due" : "",
			 requests & WAKE_RETRY_NOW ? ", retry now" : "",
			 requests & WAKE_RELOAD ? ", reload" : "");
	if (ConfigReloadPending || (requests & WAKE_RELOAD))
	{
		ConfigReloadPending = false;
		reload_requested = true;
	}
	if (requests & WAKE_ROWS_DUE)
	{
		ClaimAfterWakeUp();
		RewindClaimPosition(due_since);
		/* The request may come from adopt_database(). */
		if (IsInCopy())
			CheckSafetyNow();
	}
	if (requests & WAKE_RETRY_NOW)
		RetryNow();
	/*
	 * If the extension was dropped, mails on the wire have no rows any more: do not wait for them.
	 */
	if ((requests & WAKE_RELOAD) && ExtensionIsGone())
		WorkerExit(EXIT_REASON_RELOAD);
	DrainUnlessLocked();
	if (StandsStill())
		ReturnUnsent();
}

static WorkerActivity
CurrentActivity(void)
{
	MonotonicTime now = MonotonicNow();

	if (IsDraining() || shutdown_was_requested)
		return WORKER_STOPPING;
	if (IsInCopy())
		return WORKER_IN_COPY;
	if (MailPool() == NULL)
		return WORKER_MAIL_OFF;
	if (now < BackoffUntil())
		return WORKER_BACKING_OFF;
	if (now < RecipientsWaitUntil())
		return WORKER_WAITING_FOR_RECIPIENTS;
	if (now < ErrorWaitUntil() || TooMuchIsRefused())
		return WORKER_IN_TROUBLE;
	if (Outstanding() > 0)
		return WORKER_SENDING;
	return IsPaused() ? WORKER_PAUSED : WORKER_IDLE;
}

/*
 * Returns when the worker may claim again, or has something else to do on the queue;
 * MONOTONIC_NEVER if it has too many mails for a claim.
 */
static MonotonicTime
ClaimWakeTime(MonotonicTime now)
{
	if (BackoffUntil() > 0)
		return BackoffUntil();
	if (RecipientsWaitUntil() > now)
		return RecipientsWaitUntil();
	return HasSpaceForClaim() ? Max(NextQueueWork(), ErrorWaitUntil()) : MONOTONIC_NEVER;
}

/*
 * Returns when the worker has to do something next. pace_us: how long the pace makes ready mails
 * wait.
 */
static MonotonicTime
WakeTime(int64 pace_us)
{
	MonotonicTime now = MonotonicNow();
	MonotonicTime wake_at = Min(MonotonicPlusMs(now, LONGEST_WAIT_MS), RecordingTime());

	if (IsDraining() && IsDrained())
		return now;
	if (IsDraining() && DrainUntil() > now)
		wake_at = Min(wake_at, DrainUntil());
	if (ReadyCount() > 0 && pace_us > 0)
		wake_at = Min(wake_at, now + pace_us);
	if (IsDraining() || MailPool() == NULL)
		return wake_at;
	return Min(wake_at, ClaimWakeTime(now));
}

/*
 * Returns true if the worker may sleep; false if a request has come during this iteration, which is
 * for the next one. (The latch alone does not show that: a wait for a lock or a standby may have
 * reset it.) While the worker cannot claim, new rows do not wake it: the cause ends at a known
 * time, or with WAKE_RETRY_NOW or WAKE_RELOAD.
 */
static bool
MaySleep(void)
{
	WorkerActivity activity = CurrentActivity();
	bool cannot_claim = activity >= WORKER_PAUSED && activity <= WORKER_IN_TROUBLE;

	return !ConfigReloadPending && !SleepThrough(my_slot, cannot_claim ? WAKE_ROWS_DUE : 0);
}

/* Sleeps until wake_at, or until the latch is set or SMTP can make progress. */
static void
Wait(MonotonicTime wake_at)
{
	long timeout = Min(MillisecondsUntil(wake_at), LONGEST_WAIT_MS);
	WorkerActivity activity = CurrentActivity();
	WaitEvent events[3];

	Assert(!IsTransactionState());
	ShowActivity(activity, Outstanding());
	if (timeout > 0)
		WaitEventSetWait(waits, timeout, events, lengthof(events), ActivityWaitEvent(activity));
	ResetLatch(MyLatch);
}

/* Does what is due, or sleeps. Recover() handles the errors that this raises. */
static void
RunOneIteration(void)
{
	int64 pace_us = 0;
	MonotonicTime now;
	bool claiming;

	HandleRequests();
	if (MailPool())
	{
		if (IsDraining() && MonotonicNow() >= DrainUntil())
			SmtpPoolAbortUnsent(MailPool());
		EndBackoff();
		RunSmtp();
		pace_us = SubmitReady();
		if (ReadyCount() + InFlightCount() > 0)
			RunSmtp();
	}
	now = MonotonicNow();
	claiming = now >= ErrorWaitUntil() && MayClaim(now);
	if (claiming || RecordingIsDue(now) || LookIsDue(now))
	{
		WorkOnQueue(claiming);
		ResetConsecutiveErrors();
	}
	/* If SIGTERM came during the commit, no later statement would be cancelled. */
	if (shutdown_was_requested)
		return;
	if (HasBatchToPrepare())
		PrepareClaimed();
	else if (PurgeIsDue(now))
		PurgeOldRows(now);
	else
		Wait(MaySleep() ? WakeTime(pace_us) : 0);
}

/*
 * Decides, after an error, whether the rows of the failed statement are to be changed one by one: a
 * trigger or constraint of the application may have refused one of them. Returns true, and makes
 * the next transaction do so. Returns false if the rows were changed one by one already, or if the
 * error has another cause.
 */
static bool
GoesOneByOne(const ErrorData *error)
{
	bool is_lock = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	bool any;

	if (shutdown_was_requested)
		return false;
	switch (CurrentStep())
	{
		case STEP_RECORD:
			return !(is_lock && !RecordsAroundLocks()) && StartRecordingOneByOne();
		case STEP_ADOPT:
			return StartAdoptingOneByOne();
		case STEP_CLAIM:
			return StartClaimingOneByOne();
		case STEP_COMMIT:
			any = StartRecordingOneByOneAfterCommit();
			any |= StartAdoptingOneByOne();
			any |= StartClaimingOneByOne();
			return any;
		default:
			return false;
	}
}

/* Returns the text of the error for worker_status. */
static const char *
ErrorText(const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return "another session keeps something locked that the queue needs, see pg_locks";
	return error->message;
}

/*
 * Handles an error: logs it once for each cause, aborts the transaction, returns a batch that was
 * being prepared, and waits, unless rows are now changed one by one.
 */
static void
Recover(void)
{
	WorkerStep step = CurrentStep();
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

	/*
	 * If this worker is about to exit, keep the note: its successor then prepares these rows one by
	 * one.
	 */
	if (!shutdown_was_requested)
		NotePreparing(0, 0, 0);
	EnterStep(STEP_OTHER);
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && step == STEP_RECORD)
		StartRecordingAroundLocks();
	if (HasBatchToPrepare() && step != STEP_OTHER)
		DiscardPreparing();
	if (step == STEP_PURGE)
		PurgeFailed();
	if (HasBatchToPrepare())
		ReturnPreparing(cancelled ? NULL : error->message);
	FreeErrorData(error);
	ClaimNow();
	/* The position of the claims may come from a transaction that was rolled back. */
	ClaimFromStart();
	if (one_by_one || step == STEP_PURGE)
		return;
	WaitAfterError();
}

/*
 * Ends the work after SIGTERM: returns unsent mails, waits SHUTDOWN_GRACE_MS for mails on the wire,
 * and records all outcomes. The caller then exits.
 */
static void
ShutDown(void)
{
	MonotonicTime until = DeadlineAfter(SHUTDOWN_GRACE_MS);

	ShowActivity(WORKER_STOPPING, Outstanding());
	if (HasBatchToPrepare())
		ReturnPreparing(NULL);
	ReturnUnsent();
	while (InFlightCount() > 0 && MonotonicNow() < until)
	{
		RunSmtp();
		if (InFlightCount() > 0)
			Wait(until);
	}
	if (InFlightCount() > 0)
	{
		SmtpPoolAbort(MailPool());
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

/* Opens the pool. If the settings are not complete, there is no pool, and rows wait. */
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

/*
 * Logs, once, that frontend_url is refused because allow_http_links is off. PostgreSQL does not log
 * it, because it checks each setting alone and accepts the value.
 */
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
	int64 epoch;

	BeginWork("starting");
	epoch = QueueNextEpoch();
	CommitWork();
	pg_atomic_write_u64(&my_slot->epoch, (uint64) epoch);
	BeginJournal(my_slot - rhesis_shared->slots, epoch);
}

/*
 * Adds the name of the database to the context of an error at the start: most messages of
 * PostgreSQL do not name it.
 */
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
	if (MailPool())
		AddWaitEventToSet(waits, WL_SOCKET_READABLE, SmtpPoolDescriptor(MailPool()), NULL, NULL);
	ShowActivity(WORKER_IDLE, 0);
	WakeLauncher();
}

void
RhesisWorkerMain(Datum argument)
{
	uint32 generation;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	Start(DatumGetInt32(argument), generation);

	while (!shutdown_was_requested && !(IsDraining() && IsDrained()))
	{
		PG_TRY();
		{
			RunOneIteration();
		}
		PG_CATCH();
		{
			Recover();
			/* Without the extension there is no table to record in. */
			if (IsDraining() && ExtensionIsGone())
				WorkerExit(EXIT_REASON_RELOAD);
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
	WorkerExit(shutdown_was_requested ? EXIT_REASON_TERMINATED : EXIT_REASON_RELOAD);
}

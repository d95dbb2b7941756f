/*
 * worker_purge.c - see worker_purge.h.
 *
 * Foreign keys and triggers of an application decide how long it takes to remove a row, and whether
 * it can be removed. So batches grow and shrink with their duration. Each batch has a limit, and
 * ends early when mail comes in or becomes due. If the removal of one row has ended early several
 * times, the row is removed while mails wait, if that does not take long. A batch that fails is
 * halved until the row is found that cannot be removed. The next batch begins after that row.
 */
#include "postgres.h"

#include "worker/worker_purge.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "queue/queue_purge.h"
#include "settings/settings.h"
#include "storage/latch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/worker_backoff.h"
#include "worker/worker_database.h"
#include "worker/worker_drain.h"
#include "worker/worker_error.h"
#include "worker/worker_outbox.h"
#include "worker/worker_record.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

#define LARGEST_PURGE 512
#define SHORT_PURGE_MS 50
#define LONG_PURGE_MS 150
#define PURGE_SHARE 20 /* the time between two batches, as a multiple of the last one */
#define PURGE_SHARE_WHEN_IDLE 2
#define BETWEEN_PASSES_MS 60000
#define RETRY_REFUSED_MS (60 * 60 * 1000)

/*
 * How long a statement may take: for several rows; for one row while there are mails; for one row
 * otherwise.
 */
#define BATCH_LIMIT_MS 400
#define ROW_LIMIT_MS 800
#define ROW_LIMIT_WHEN_IDLE_MS 10000
#define LIMIT_TICK_MS 20
#define MAX_INTERRUPTIONS 4

static int batch = 1;
static int interruptions; /* by mail, while this row was being removed */
static int most_interruptions = MAX_INTERRUPTIONS;

/* How many rows could not be removed in this pass over the rows that are old enough. */
static int kept;
static MonotonicTime retry_at = 0; /* when the rows that were kept are tried again */
static bool table_changed = false;
static Oid table = InvalidOid;
static char last_warning[256];

/* ---- The limit of a statement ---- */

static TimeoutId tick = MAX_TIMEOUTS; /* not registered */
static volatile sig_atomic_t ticks_left;
static volatile sig_atomic_t cut_short;	   /* by the limit, or for mail */
static volatile sig_atomic_t mail_came_in; /* the reason was mail */
static uint32 urgent_requests;			   /* requests that end it early; 0: mail may wait */

/* When mail is due, as far as it is known, by both clocks. If both are never, mail may wait. */
static MonotonicTime mail_at;
static TimestampTz mail_due;

/*
 * Cancels the statement if its limit has passed, or mail came in or became due. Runs in a signal
 * handler.
 */
static void
HandleTick(void)
{
	if (cut_short)
		return;
	mail_came_in = (pg_atomic_read_u32(&my_slot->requests) & urgent_requests) != 0 ||
				   MonotonicNow() >= mail_at || GetCurrentTimestamp() >= mail_due;
	if (!mail_came_in && --ticks_left > 0)
		return;
	cut_short = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/*
 * Returns true if the removal of this row has ended early often enough: then it is not ended again
 * for mail.
 */
static bool
MayMailWait(void)
{
	return interruptions >= most_interruptions;
}

/*
 * Sets what ends the statement early: requests of other processes, and the times when mail is due.
 * If the worker cannot claim, only an operator's request and the time when it can claim again
 * matter. last_look: when this iteration has tested whether a claim is due.
 */
static void
FindUrgentWork(MonotonicTime last_look)
{
	MonotonicTime hindered_until = Max(BackoffUntil(), RecipientsWaitUntil());

	urgent_requests = 0;
	mail_at = MONOTONIC_NEVER;
	mail_due = DT_NOEND;
	if (MayMailWait())
		return;
	urgent_requests = StandsStill() ? WAKE_RETRY_NOW : WAKE_ROWS_DUE;
	if (StandsStill())
		return;
	if (hindered_until > last_look)
	{
		urgent_requests = WAKE_RETRY_NOW;
		mail_at = hindered_until;
	}
	else
		GetClaimTimes(last_look, &mail_at, &mail_due);
}

static void
StartLimit(MonotonicTime last_look, int milliseconds)
{
	if (tick == MAX_TIMEOUTS)
		tick = RegisterTimeout(USER_TIMEOUT, HandleTick);
	ticks_left = milliseconds / LIMIT_TICK_MS;
	cut_short = mail_came_in = false;
	FindUrgentWork(last_look);
	enable_timeout_every(tick, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LIMIT_TICK_MS),
						 LIMIT_TICK_MS);
}

static void
StopLimit(void)
{
	if (tick == MAX_TIMEOUTS)
		return;
	disable_timeout(tick, false);
	/* If the statement had ended already, do not cancel the next one. */
	if (cut_short && !shutdown_was_requested)
		QueryCancelPending = false;
}

static int
StatementLimit(void)
{
	if (batch > 1)
		return BATCH_LIMIT_MS;
	return Outstanding() > 0 || MayMailWait() ? ROW_LIMIT_MS : ROW_LIMIT_WHEN_IDLE_MS;
}

/* ---- Rows that cannot be removed ---- */

/*
 * A callback for relation cache invalidations. The queue's definition may have changed: foreign
 * keys, triggers or rules. So refused rows may be removed now.
 */
static void
NoteTableChanged(Datum argument, Oid relation)
{
	/* No relation: it may be any of them. */
	if (relation == table || !OidIsValid(relation))
		table_changed = true;
}

static void
ReportKeptRow(int64 id, const QueueProblem *problem)
{
	if (strncmp(last_warning, problem->message, sizeof(last_warning) - 1) == 0)
		return;
	strlcpy(last_warning, problem->message, sizeof(last_warning));
	ereport(WARNING,
			(errcode(problem->sqlstate),
			 errmsg("finished notifications that are older than rhesis_notify.retention stay: %s",
					problem->message),
			 problem->source
				 ? errdetail("The first is notification %lld; %s.", (long long) id, problem->source)
				 : errdetail("The first is notification %lld.", (long long) id),
			 errhint("A foreign key to rhesis_notify.task_notifications needs ON DELETE "
					 "CASCADE or SET NULL and an index; a trigger or a rule must not refuse "
					 "the deletion. All other finished notifications are removed, and mail "
					 "goes on.")));
}

static void
NoteKept(int count, int64 id, QueueProblem *problem)
{
	if (cut_short)
		problem->message = psprintf("removing one takes longer than %d ms", StatementLimit());
	ReportKeptRow(id, problem);
	kept += count;
	ShowRefusal(REFUSED_REMOVAL, kept, id, problem->message);
}

static void
NoteFailure(PurgeResult *result)
{
	if (batch > 1)
	{
		batch /= 2;
		return;
	}
	if (cut_short && mail_came_in)
	{
		interruptions++;
		return;
	}
	NoteKept(1, result->id, &result->problem);
	interruptions = 0;
	PassOverPurged();
}

static void
NoteSuccess(const PurgeResult *result, int64 took_ms)
{
	QueueProblem suppressed = {ERRCODE_TRIGGERED_ACTION_EXCEPTION,
							   "a trigger or a rule suppresses the deletion", NULL};

	/*
	 * If mail had to wait for this row, it will probably have to wait for the next one: then
	 * interrupt that row only once.
	 */
	most_interruptions = MayMailWait() ? 1 : MAX_INTERRUPTIONS;
	interruptions = 0;
	if (result->removed < result->picked)
		NoteKept(result->picked - result->removed, result->id, &suppressed);
	if (took_ms < SHORT_PURGE_MS && result->picked == batch)
		batch = Min(2 * batch, LARGEST_PURGE);
	else if (took_ms > LONG_PURGE_MS)
		batch = Max(batch / 2, 1);
}

/*
 * Ends a pass: all rows that are old enough have been tried. The next pass begins at the oldest row
 * again if no row was kept. Otherwise it passes over the kept rows, until the queue's definition
 * has changed or RETRY_REFUSED_MS have passed.
 */
static void
EndPass(MonotonicTime now)
{
	if (kept == 0)
	{
		ShowRefusal(REFUSED_REMOVAL, 0, 0, NULL);
		last_warning[0] = '\0';
		RestartPurge();
	}
	else if (table_changed || now >= retry_at)
	{
		kept = 0;
		retry_at = MonotonicPlusMs(now, RETRY_REFUSED_MS);
		RestartPurge();
	}
	table_changed = false;
}

bool
PurgeIsDue(MonotonicTime now)
{
	return AllowsPurge() && now >= PurgeTime() && now >= ErrorWaitUntil() && !IsDraining() &&
		   MailPool() != NULL;
}

void
PurgeOldRows(MonotonicTime last_look)
{
	static bool is_watching = false;
	MonotonicTime began = MonotonicNow();
	int size = batch;
	int share = Outstanding() > 0 ? PURGE_SHARE : PURGE_SHARE_WHEN_IDLE;
	PurgeResult result;
	MonotonicTime now;

	PurgeAt(MONOTONIC_NEVER);
	if (my_slot->number != 0)
		return;
	if (!is_watching)
		CacheRegisterRelcacheCallback(NoteTableChanged, (Datum) 0);
	is_watching = true;

	EnterStep(STEP_PURGE);
	BeginWork("removing what is older than retention");
	StartLimit(last_look, StatementLimit());
	table = get_relname_relid("task_notifications", get_namespace_oid("rhesis_notify", true));
	PurgeBatch(size, &result);
	StopLimit();
	if (result.failed && !shutdown_was_requested)
		NoteFailure(&result);
	CommitWork();
	EnterStep(STEP_OTHER);
	now = MonotonicNow();
	if (!result.failed)
		NoteSuccess(&result, (now - began) / 1000);

	if (result.failed || result.picked == size)
		PurgeAt(now + (now - began) * share);
	else
	{
		EndPass(now);
		PurgeAt(MonotonicPlusMs(now, BETWEEN_PASSES_MS));
	}
}

void
PurgeFailed(void)
{
	StopLimit();
	PurgeAt(DeadlineAfter(BETWEEN_PASSES_MS));
}

/*
 * worker_record.c - see worker_record.h.
 *
 * An outcome that cannot be recorded stays in memory. After a crash, its row would be in doubt.
 */
#include "postgres.h"

#include "worker/worker_record.h"

#include "miscadmin.h"
#include "queue/queue.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "worker/delivery_list.h"
#include "worker/worker_error.h"
#include "worker/worker_outbox.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

#define RECORD_AGE_MS 20
#define LOCKED_ROWS_MS 1000
#define FIRST_REFUSAL_MS 1000 /* until a refused record is tried again; doubled each time */
#define LONGEST_REFUSAL_MS 60000
#define MOST_REFUSED 1000

static DeliveryList settled = EMPTY_DELIVERY_LIST(settled);
static MonotonicTime settled_at; /* when the oldest of them was settled */
static DeliveryList locked = EMPTY_DELIVERY_LIST(locked);
static MonotonicTime locked_until; /* when to try them again */
static DeliveryList refused = EMPTY_DELIVERY_LIST(refused);
static int refusals = 0; /* since an outcome was recorded */
static bool recording_one_by_one = false;
static bool around_locks = false;

/* ---- Where outcomes wait ---- */

void
AppendSettled(Delivery *delivery)
{
	if (settled.count == 0)
		settled_at = MonotonicNow();
	AppendDelivery(&settled, delivery);
}

void
ReturnUnsent(void)
{
	Delivery *delivery;

	while ((delivery = TakeUnsent()) != NULL)
	{
		ReturnToQueue(delivery, 0);
		AppendSettled(delivery);
	}
}

int
Outstanding(void)
{
	return ReadyCount() + InFlightCount() + settled.count;
}

bool
IsDrained(void)
{
	return Outstanding() == 0 && locked.count == 0;
}

bool
WaitsForLocks(void)
{
	return around_locks && settled.count + locked.count > 0;
}

bool
TooMuchIsRefused(void)
{
	return refusals >= LARGEST_BATCH || refused.count >= MOST_REFUSED;
}

static void
SettleLocked(void)
{
	Delivery *delivery;

	while ((delivery = TakeFirst(&locked)) != NULL)
		AppendSettled(delivery);
}

static void
SettleRefused(MonotonicTime now)
{
	int count = refused.count;

	while (count-- > 0)
	{
		Delivery *delivery = TakeFirst(&refused);

		if (delivery->record_at > now)
		{
			AppendDelivery(&refused, delivery);
			continue;
		}
		recording_one_by_one = true;
		AppendSettled(delivery);
	}
}

void
SettleWaiting(MonotonicTime now)
{
	if (now >= locked_until)
		SettleLocked();
	SettleRefused(now);
}

/*
 * Returns when the first of the refused outcomes is to be tried again; MONOTONIC_NEVER if there is
 * none.
 */
static MonotonicTime
RefusedUntil(void)
{
	MonotonicTime until = MONOTONIC_NEVER;

	for (Delivery *delivery = refused.first; delivery; delivery = delivery->next)
		until = Min(until, delivery->record_at);
	return until;
}

/*
 * Returns when the next outcome is to be recorded, if no transaction has failed; MONOTONIC_NEVER if
 * there is none.
 */
static MonotonicTime
NextRecordingTime(void)
{
	MonotonicTime when = RefusedUntil();

	if (settled.count > 0)
		when = Min(when, MonotonicPlusMs(settled_at, RECORD_AGE_MS));
	if (locked.count > 0)
		when = Min(when, locked_until);
	return when;
}

MonotonicTime
RecordingTime(void)
{
	return Max(NextRecordingTime(), ErrorWaitUntil());
}

bool
RecordingIsDue(MonotonicTime now)
{
	if (now < ErrorWaitUntil())
		return false;
	if (settled.count > 0 && (ReadyCount() + InFlightCount() == 0 || settled.count >= BatchSize()))
		return true;
	return now >= NextRecordingTime();
}

/* ---- How they are recorded ---- */

bool
RecordsOneByOne(void)
{
	return recording_one_by_one && settled.count > 0;
}

bool
StartRecordingOneByOne(void)
{
	bool was_off = !recording_one_by_one;

	recording_one_by_one = true;
	return was_off;
}

bool
StartRecordingOneByOneAfterCommit(void)
{
	return settled.count > 0 && StartRecordingOneByOne();
}

bool
RecordsAroundLocks(void)
{
	return around_locks;
}

void
StartRecordingAroundLocks(void)
{
	around_locks = true;
}

/*
 * Notes that a record was refused. It is tried again after a time that doubles with each refusal.
 */
static void
NoteRefusal(Delivery *delivery)
{
	delivery->is_refused = true;
	delivery->record_at = DeadlineAfter(
		Min((int64) FIRST_REFUSAL_MS << Min(delivery->refusals, 20), LONGEST_REFUSAL_MS));
	delivery->refusals++;
}

/* Forgets the refusals of this transaction: the error was the server's, not that of the rows. */
static void
ForgetRefusals(void)
{
	for (Delivery *delivery = settled.first; delivery; delivery = delivery->next)
		delivery->refusals -= delivery->is_refused ? 1 : 0;
}

/* Returns the settled delivery of the row with this id; NULL if there is none. */
static Delivery *
SettledDelivery(int64 id)
{
	Delivery *delivery = settled.first;

	while (delivery && delivery->record.id != id)
		delivery = delivery->next;
	Assert(delivery != NULL);
	return delivery;
}

/*
 * Call this when some of the records have changed no row. If the row is still claimed and not
 * locked, a trigger has suppressed the update: counts as refused. Otherwise an operator has taken
 * the row.
 */
static void
NoteSuppressed(const DeliveryRecord *records, int count)
{
	int64 *ids = palloc(count * sizeof(int64));
	int claimed = StillClaimed(MyEpoch(), records, count, ids);

	for (int i = 0; i < claimed; i++)
		NoteRefusal(SettledDelivery(ids[i]));
	pfree(ids);
}

/* Records the outcomes of rows that no other session has locked, and marks the other deliveries. */
static void
RecordAroundLocks(const DeliveryRecord *records, int count)
{
	int64 *ids = palloc(count * sizeof(int64));
	int locked_count = RecordUnlockedOutcomes(MyEpoch(), records, count, ids);

	for (int i = 0; i < locked_count; i++)
		SettledDelivery(ids[i])->is_locked = true;
	if (locked_count > 0)
		NoteSuppressed(records, count);
	pfree(ids);
}

/*
 * Records each settled outcome in its own subtransaction, and marks deliveries whose rows are
 * locked or whose records are refused. Raises an error that may be the server's.
 */
static void
RecordOneByOne(void)
{
	RowProblems problems = {0};
	int recorded = 0;

	SkipUsedEventIds();
	for (Delivery *delivery = settled.first; delivery; delivery = delivery->next)
	{
		QueueProblem problem;

		if (RecordOutcome(MyEpoch(), &delivery->record, &problem))
			recorded++;
		else if (problem.message == NULL)
			delivery->is_locked = true;
		else
		{
			NoteRefusal(delivery);
			if (problems.count++ == 0)
			{
				problems.id = delivery->record.id;
				problems.problem = problem;
			}
		}
	}
	if (problems.count > 0 && IsServerError(problems.problem.sqlstate) && MayBeServerError())
	{
		ForgetRefusals();
		RaiseProblem(&problems.problem);
	}
	if (problems.count > 0)
	{
		ReportRowProblems("an outcome cannot be recorded", &problems);
		NoteRefused(REFUSED_RECORD, problems.count, problems.id, problems.problem.message);
	}
	refusals = recorded > 0 ? 0 : refusals + problems.count;
}

/* Logs at DEBUG2 how many rows were recorded, and how long the statements took. */
static void
LogRecording(MonotonicTime began)
{
	int recorded = 0;

	for (const Delivery *delivery = settled.first; delivery; delivery = delivery->next)
		recorded += delivery->is_locked || delivery->is_refused ? 0 : 1;
	elog(DEBUG2, "recorded %d of %d outcomes in %.3f ms", recorded, settled.count,
		 (MonotonicNow() - began) / 1000.0);
}

void
RecordSettled(void)
{
	bool is_logged = message_level_is_interesting(DEBUG2);
	MonotonicTime began = is_logged ? MonotonicNow() : 0;
	DeliveryRecord *records;
	int count = 0;

	if (settled.count == 0)
		return;
	records = palloc(settled.count * sizeof(DeliveryRecord));
	for (Delivery *delivery = settled.first; delivery; delivery = delivery->next)
	{
		if (delivery->record.state == DELIVERY_PENDING ||
			delivery->record.state == DELIVERY_DEFERRED)
			ForgetDueTime();
		delivery->is_locked = delivery->is_refused = false;
		records[count++] = delivery->record;
	}
	Assert(count == settled.count);
	if (recording_one_by_one)
		RecordOneByOne();
	else if (around_locks)
		RecordAroundLocks(records, count);
	else if (RecordOutcomes(MyEpoch(), records, count) < count)
		NoteSuppressed(records, count);
	else
		refusals = 0;
	pfree(records);
	if (is_logged)
		LogRecording(began);
}

void
CloseSettled(void)
{
	Delivery *delivery;
	bool sent = false;

	if (settled.count == 0)
		return;
	while ((delivery = TakeFirst(&settled)) != NULL)
	{
		if (delivery->is_refused)
		{
			AppendDelivery(&refused, KeepForRecord(delivery));
			continue;
		}
		if (delivery->is_locked)
		{
			AppendDelivery(&locked, IsHeavy(delivery) ? KeepForRecord(delivery) : delivery);
			continue;
		}
		sent |= delivery->record.state == DELIVERY_SENT;
		LogDelivery(delivery);
		CloseDelivery(delivery);
	}
	if (sent)
		pg_atomic_write_u64(&my_slot->last_sent_at, (uint64) GetCurrentTimestamp());
	recording_one_by_one = false;
	around_locks = locked.count > 0;
	locked_until = DeadlineAfter(LOCKED_ROWS_MS);
	NoteRefused(REFUSED_RECORD, refused.count, 0, NULL);
}

/*
 * Call this when a constraint refuses the outcome. Records `held` instead, so that no worker sends
 * the mail again. Returns false if that fails, too.
 */
static bool
HoldRefused(const Delivery *delivery)
{
	DeliveryRecord held = delivery->record;
	QueueProblem problem;

	held.state = DELIVERY_HELD;
	held.reason = "in_doubt";
	held.event = "in_doubt";
	held.event_detail = psprintf("it is %s, which could not be recorded",
								 delivery->record.state == DELIVERY_SENT ? "sent" : "not sent");
	return RecordOutcome(MyEpoch(), &held, &problem);
}

void
RecordWithoutTriggers(void)
{
	int recorded = 0;
	Delivery *delivery;

	if (refused.count == 0)
		return;
	BeginWork("recording outcomes");
	SetConfigOption("session_replication_role", "replica", PGC_SUSET, PGC_S_OVERRIDE);
	for (delivery = refused.first; delivery; delivery = delivery->next)
	{
		QueueProblem problem;

		if (RecordOutcome(MyEpoch(), &delivery->record, &problem) || HoldRefused(delivery))
			recorded++;
	}
	CommitWork();
	SetConfigOption("session_replication_role", "origin", PGC_SUSET, PGC_S_OVERRIDE);
	ereport(WARNING,
			(errmsg_plural("%d outcome was recorded without the triggers that had refused it",
						   "%d outcomes were recorded without the triggers that had refused them",
						   recorded, recorded),
			 errdetail("The worker ends, and a mail without a recorded outcome would be sent "
					   "again.")));
	while ((delivery = TakeFirst(&refused)) != NULL)
	{
		LogDelivery(delivery);
		CloseDelivery(delivery);
	}
}

void
RecordBeforeExit(void)
{
	SettleLocked();
	SettleRefused(MONOTONIC_NEVER);
	if (settled.count == 0)
		return;
	around_locks = true;
	SetConfigOption("lock_timeout", "500", PGC_SUSET, PGC_S_OVERRIDE);
	/* Do not wait for a standby, which may be away: the shutdown waits for this commit. */
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	BeginWork("recording outcomes");
	recording_one_by_one = true;
	RecordSettled();
	CommitWork();
	CloseSettled();
	RecordWithoutTriggers();
}

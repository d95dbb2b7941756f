/*
 * worker_queue.c - the worker's side of the queue: when to claim and record, and what becomes of a claim.
 *
 * Record and claim share a transaction, the look-up and rendering of what was claimed have one of their own. None is open while
 * a mail server is waited for.
 */
#include "postgres.h"

#include "worker_queue.h"

#include "miscadmin.h"
#include "queue.h"
#include "settings.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker_session.h"
#include "worker_state.h"

#define SAFETY_CHECK_MS 60000
#define RECORD_AGE_MS 20
#define PURGE_BATCH 500
#define PURGE_SHARE 20 /* the time between two batches, in batches */
#define PURGE_SHARE_WHEN_IDLE 2
#define LOCKED_ROWS_MS 1000
#define UNKNOWN_DUE_MS 1000 /* look again after this while the next due time is not known */
#define LOOK_BACK_MS 1000
#define FROM_START_SHARE 100

static void
WaitForRecipients(const RecipientsProblem *problem)
{
	int64 delay = BackoffDelayMs(++worker.recipients_failures, 0);

	worker.recipients_at = After(delay);
	worker.claim_at = worker.recipients_at;
	if (IsNewComplaint(problem->message))
		ereport(WARNING,
				(errcode(problem->sqlstate),
				 errmsg("notifications wait: recipients can't be read: %s", problem->message),
				 problem->detail ? errdetail("%s", problem->detail) : 0,
				 problem->hint ? errhint("%s", problem->hint) : 0));
}

/*
 * A look-up that takes too long may be one row's trouble or the relation's. So the rows of its batch are looked up one by one, and
 * the one that takes too long again counts an attempt. But only one, until a look-up succeeds: if the next takes too long as well,
 * it is the relation. True: the batch was one row, and it was blamed.
 */
static bool
BlameSlowRow(DeliveryBatch *batch, const RecipientsProblem *problem)
{
	if (problem->sqlstate != ERRCODE_QUERY_CANCELED)
		return false;
	worker.singly = Max(worker.singly, batch->count);
	if (batch->count > 1 || worker.slow_row_blamed)
		return false;
	worker.slow_row_blamed = true;
	worker.claim_at = 0;
	BlameDelivery(&batch->deliveries[0], "recipients_error", problem->message);
	return true;
}

static bool
EpochIsLive(int64 candidate)
{
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		if (pg_atomic_read_u32(&rhesis_shared->slots[i].database) == MyDatabaseId &&
			(int64) pg_atomic_read_u64(&rhesis_shared->slots[i].epoch) == candidate)
			return true;
	}
	return false;
}

/* What nobody woke us for: orphans, and rows that came without a wake-up, which the claim that follows finds. */
static void
SafetyCheck(void)
{
	int orphans = AdoptOrphans(EpochIsLive);

	if (orphans > 0)
	{
		pg_atomic_fetch_add_u64(&my_slot->in_doubt, orphans);
		ereport(WARNING, (errmsg("%d notifications were being sent when a worker ended", orphans),
						  errdetail("The mail server may or may not have accepted them."),
						  errhint("They are %s; rhesis_notify.in_doubt decides.",
								  rhesis_in_doubt == IN_DOUBT_HOLD
									  ? "held until rhesis_notify.retry() or rhesis_notify.cancel()"
									  : "sent again with the same Message-ID")));
	}
	worker.safety_check_at = After(SAFETY_CHECK_MS);
	worker.from_start_at = 0;
}

/*
 * Finished rows that are too old leave a few at a time. How long that takes decides when it goes on, so that a million of them take a
 * small share of the time from mails that are due.
 */
static void
Purge(void)
{
	TimestampTz began = GetCurrentTimestamp();
	bool more = my_slot->number == 0 && PurgeFinished(PURGE_BATCH) == PURGE_BATCH;
	int share = Outstanding() > 0 ? PURGE_SHARE : PURGE_SHARE_WHEN_IDLE;
	TimestampTz now = GetCurrentTimestamp();

	worker.purge_at = more ? now + (now - began) * share : now + SAFETY_CHECK_MS * INT64CONST(1000);
}

TimestampTz
NextQueueWork(void)
{
	return Min(worker.claim_at, Min(worker.safety_check_at, worker.purge_at));
}

bool
MayClaim(TimestampTz now)
{
	if (worker.draining || shutdown_was_requested || worker.pool == NULL ||
		now < worker.backing_off_until || now < worker.recipients_at)
		return false;
	if (now < NextQueueWork())
		return false;
	return HasRoomForClaim();
}

/*
 * While full batches come back, claims go on behind each other; once a second, and when something was seen behind, one begins at the
 * first row that waits. That one may look from the start of the queue when it has not just done so: how long it takes decides how
 * seldom, so that what an old snapshot keeps there costs a hundredth of the time.
 */
static ClaimStart
NextClaimStart(TimestampTz now)
{
	if (now >= worker.from_start_at)
		return CLAIM_FROM_START;
	return now >= worker.look_back_at ? CLAIM_FROM_FIRST : CLAIM_ONWARDS;
}

static void
NoteClaimStart(ClaimStart start, TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	if (start == CLAIM_ONWARDS)
		return;
	worker.look_back_at = TimestampTzPlusMilliseconds(now, LOOK_BACK_MS);
	if (start == CLAIM_FROM_FIRST)
		return;
	worker.from_start_at =
		now + Min((now - began) * FROM_START_SHARE, SAFETY_CHECK_MS * INT64CONST(1000));
	worker.woken = false;
}

/* Claim what is due, in the open transaction. */
static void
Claim(TimestampTz now)
{
	ClaimStart start = NextClaimStart(now);
	int limit = ClaimLimit();
	TimestampTz began;
	ClaimResult claim;
	MemoryContext context;

	worker.paused = QueueIsPaused();
	worker.due_time_known = worker.paused;
	worker.claim_at = worker.paused ? DT_NOEND : TimestampTzPlusMilliseconds(now, UNKNOWN_DUE_MS);
	if (worker.paused)
		return;
	worker.singly = Max(worker.singly - 1, 0);

	/* The transaction's until the claim has succeeded: an error leaves nothing behind. */
	context =
		AllocSetContextCreate(TopTransactionContext, "rhesis_notify batch", ALLOCSET_DEFAULT_SIZES);
	began = GetCurrentTimestamp();
	ClaimDueNotifications(worker.epoch, limit, start, context, &claim);
	if (claim.count > 0)
	{
		worker.preparing = MakeBatch(context, &claim);
		MemoryContextSetParent(context, TopMemoryContext);
	}
	NoteClaimStart(start, began);
	/* Behind the last claimed row there may be more. */
	if (claim.full)
		worker.claim_at = 0;
}

static void
FindNextDueTime(TimestampTz now)
{
	TimestampTz due;

	worker.due_time_known = true;
	if (!NextDueTime(&due))
		due = DT_NOEND;
	/* Due already: locked by somebody, or it came in just now. Not in a tight loop. */
	worker.claim_at = Max(due, TimestampTzPlusMilliseconds(now, 100));
	worker.look_back_at = worker.claim_at;
	if (worker.woken)
		worker.claim_at = Min(worker.claim_at, worker.from_start_at);
}

/* Record what nobody has locked, and mark the rest. */
static void
RecordAroundLocks(const DeliveryRecord *records, int count)
{
	int64 *locked = palloc(count * sizeof(int64));
	int locked_count = RecordUnlockedOutcomes(worker.epoch, records, count, locked);

	for (Delivery *delivery = worker.settled.first; delivery; delivery = delivery->next)
	{
		delivery->is_locked = false;
		for (int i = 0; i < locked_count; i++)
		{
			if (delivery->record.id == locked[i])
				delivery->is_locked = true;
		}
	}
	pfree(locked);
}

static void
RecordSettled(void)
{
	DeliveryRecord *records = palloc(worker.settled.count * sizeof(DeliveryRecord));
	int count = 0;

	for (Delivery *delivery = worker.settled.first; delivery; delivery = delivery->next)
	{
		/* It may be due before all that was in the queue when the next due time was looked up. */
		if (delivery->record.state == DELIVERY_PENDING ||
			delivery->record.state == DELIVERY_DEFERRED)
			worker.due_time_known = worker.paused;
		records[count++] = delivery->record;
	}
	if (worker.around_locks)
		RecordAroundLocks(records, count);
	else
		RecordOutcomes(worker.epoch, records, count);
	pfree(records);
}

/* The records are on disk: log them and let them go. What is locked is tried again after a while. */
static void
CloseSettled(void)
{
	Delivery *delivery;
	bool sent = false;

	if (worker.settled.count == 0)
		return;
	while ((delivery = TakeFirst(&worker.settled)) != NULL)
	{
		if (delivery->is_locked)
		{
			AppendDelivery(&worker.locked, delivery);
			continue;
		}
		sent |= delivery->record.state == DELIVERY_SENT;
		LogDelivery(delivery);
		CloseDelivery(delivery);
	}
	if (sent)
		pg_atomic_write_u64(&my_slot->last_sent_at, (uint64) GetCurrentTimestamp());
	worker.around_locks = worker.locked.count > 0;
	worker.locked_until = After(LOCKED_ROWS_MS);
}

/* Record and claim share a transaction. */
void
WorkOnQueue(bool claiming)
{
	TimestampTz now = GetCurrentTimestamp();
	bool checking = claiming && now >= worker.safety_check_at;

	if (now >= worker.locked_until)
		SettleLocked();
	BeginWork(claiming ? "claiming what is due, recording outcomes" : "recording outcomes");
	if (worker.settled.count > 0)
		RecordSettled();
	if (checking)
		SafetyCheck();
	if (claiming && now >= worker.purge_at)
		Purge();
	if (claiming)
		Claim(now);
	if (!worker.due_time_known && worker.claim_at != 0 && worker.preparing == NULL)
		FindNextDueTime(now);
	CommitWork();
	CloseSettled();
}

void
PrepareClaimed(void)
{
	DeliveryBatch *batch = worker.preparing;
	RecipientsProblem problem = {0};
	bool readable;
	bool blamed;

	BeginWork("looking up recipients, rendering");
	readable = PrepareBatch(batch, &problem);
	CommitWork();
	worker.preparing = NULL;
	blamed = !readable && BlameSlowRow(batch, &problem);
	if (readable)
		worker.slow_row_blamed = false;
	if (!readable && !blamed)
		WaitForRecipients(&problem);
	else if (readable && worker.recipients_failures > 0)
	{
		worker.recipients_failures = 0;
		ForgetComplaint();
	}

	for (int i = 0; i < batch->count; i++)
	{
		Delivery *delivery = &batch->deliveries[i];

		if (!readable && !blamed)
			GiveBackDeferred(delivery, "recipients_error");
		if (readable && delivery->owes_mail)
			AppendDelivery(&worker.ready, delivery);
		else
			AppendSettled(delivery);
	}
}

bool
RecordingIsDue(TimestampTz now)
{
	if (now < worker.trouble_until)
		return false;
	if (worker.locked.count > 0 && now >= worker.locked_until)
		return true;
	if (worker.settled.count == 0)
		return false;
	return worker.ready.count + worker.in_flight == 0 || worker.settled.count >= BatchSize() ||
		   TimestampDifferenceExceeds(worker.settled_at, now, RECORD_AGE_MS);
}

TimestampTz
RecordingTime(void)
{
	TimestampTz when = DT_NOEND;

	if (worker.settled.count > 0)
		when = TimestampTzPlusMilliseconds(worker.settled_at, RECORD_AGE_MS);
	if (worker.locked.count > 0)
		when = Min(when, worker.locked_until);
	return Max(when, worker.trouble_until);
}

void
RecordBeforeExit(void)
{
	SettleLocked();
	if (worker.settled.count == 0)
		return;
	worker.around_locks = true;
	SetConfigOption("lock_timeout", "500", PGC_SUSET, PGC_S_OVERRIDE);
	/* Not for a standby that may be away: the shutdown waits for us. */
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	BeginWork("recording outcomes");
	RecordSettled();
	CommitWork();
	CloseSettled();
}

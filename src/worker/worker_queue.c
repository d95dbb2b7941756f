/*
 * worker_queue.c - see worker_queue.h.
 */
#include "postgres.h"

#include "worker/worker_queue.h"

#include "miscadmin.h"
#include "queue/queue.h"
#include "queue/queue_aside.h"
#include "server/claim_journal.h"
#include "settings/settings.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_backoff.h"
#include "worker/worker_database.h"
#include "worker/worker_drain.h"
#include "worker/worker_error.h"
#include "worker/worker_limit.h"
#include "worker/worker_orphans.h"
#include "worker/worker_outbox.h"
#include "worker/worker_prepare.h"
#include "worker/worker_record.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

#define SUSPECT_MS 5000	 /* between two searches for rows that claims do not take */
#define LONG_DUE_MS 1000 /* a row that was just inserted has not been due for so long */

/*
 * After an error, each row is changed in its own subtransaction: a trigger of the application may
 * have refused to change one row.
 */
static bool adopting_one_by_one = false;
static bool claiming_one_by_one = false;

/* When to search again for rows that claims do not take, although no error is raised. */
static MonotonicTime suspects_at = 0;

static bool
TurnOn(bool *flag)
{
	bool was_off = !*flag;

	*flag = true;
	return was_off;
}

bool
StartAdoptingOneByOne(void)
{
	return TurnOn(&adopting_one_by_one);
}

bool
StartClaimingOneByOne(void)
{
	return TurnOn(&claiming_one_by_one);
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

/*
 * Adopts orphans. The next claim begins at the start of the queue, to find rows that came without a
 * wake-up.
 */
static void
SafetyCheck(void)
{
	RowProblems problems = {0};
	int orphans;

	if (adopting_one_by_one)
		SkipUsedEventIds();
	TakeOverUnsent(EpochIsLive, adopting_one_by_one);
	orphans =
		adopting_one_by_one ? AdoptRowByRow(EpochIsLive, &problems) : AdoptOrphans(EpochIsLive);
	if (problems.count > 0)
		ReportRowProblems("what another worker has left behind cannot be taken over", &problems);
	adopting_one_by_one = problems.count > 0;
	if (orphans > 0)
	{
		pg_atomic_fetch_add_u64(&my_slot->in_doubt, orphans);
		ereport(WARNING,
				(errmsg_plural("%d notification was being sent when a worker ended",
							   "%d notifications were being sent when a worker ended", orphans,
							   orphans),
				 errdetail_plural("The mail server may or may not have accepted it.",
								  "The mail server may or may not have accepted them.", orphans),
				 errhint_plural("It is %s; rhesis_notify.in_doubt decides.",
								"They are %s; rhesis_notify.in_doubt decides.", orphans,
								rhesis_in_doubt == IN_DOUBT_HOLD
									? "held until rhesis_notify.retry() or rhesis_notify.cancel()"
									: "sent again with the same Message-ID")));
	}
	PostponeSafetyCheck();
	ClaimFromStart();
}

bool
MayClaim(MonotonicTime now)
{
	if (IsDraining() || shutdown_was_requested || MailPool() == NULL || now < BackoffUntil() ||
		now < RecipientsWaitUntil())
		return false;
	if (now < NextQueueWork())
		return false;
	return HasSpaceForClaim();
}

/* Claims rows one by one, with a warning if rows are refused and set aside. */
static void
ClaimOneByOne(int limit, const CopyBounds *bounds, MemoryContext context, ClaimResult *claim)
{
	RowProblems problems;

	ClaimRowByRow(MyEpoch(), limit, MayBeServerError(), bounds, context, claim, &problems);
	if (problems.count > 0)
		ReportRowProblems("a notification cannot be claimed", &problems);
	NoteRefused(REFUSED_CLAIM, AsideCount(), problems.id,
				problems.count > 0 ? problems.problem.message : NULL);
	claiming_one_by_one = claim->full && problems.count > 0;
}

/* Claims due rows, in the open transaction, and keeps them for PrepareClaimed(). */
static void
Claim(MonotonicTime now, const DatabaseState *state)
{
	ClaimStart start = NextClaimStart(now);
	int limit = ClaimLimit();
	MonotonicTime began;
	ClaimResult claim;
	MemoryContext context;

	if (IsPaused())
	{
		SuspendClaims();
		return;
	}
	NoteClaimBegins(now);
	CountClaim();

	/* The memory belongs to the transaction until the claim has succeeded. */
	context =
		AllocSetContextCreate(TopTransactionContext, "rhesis_notify batch", ALLOCSET_DEFAULT_SIZES);
	began = MonotonicNow();
	if (claiming_one_by_one || now >= AsideUntil())
		ClaimOneByOne(limit, &state->bounds, context, &claim);
	else
		ClaimDueNotifications(MyEpoch(), limit, start, &state->bounds, context, &claim);
	Assert(claim.count <= Max(limit, 0));
	NoteFitting(claim.count, claim.cut);
	if (claim.refused)
		StandStillAsCopy(state, COPY_WITH_OLD_ROWS);
	if (claim.count > 0)
	{
		DeliveryBatch *batch = MakeBatch(context, &claim);

		KeepForPreparing(batch);
		for (int i = 0; i < batch->count; i++)
			batch->deliveries[i].unsent_place = NoteUnsent(claim.notifications[i]->id);
		MemoryContextSetParent(context, TopMemoryContext);
	}
	NoteClaimStart(start, began);
	elog(claim.count > 0 ? DEBUG1 : DEBUG2, "claimed %d notifications, at most %d%s", claim.count,
		 limit, claim.full ? ", there may be more" : "");
	/* After the last claimed row there may be more. */
	if (claim.full)
		ClaimNow();
}

/*
 * Finds when the next row is due. If a row has been due for long, the next claim goes row by row.
 */
static void
FindNextDueTime(MonotonicTime now)
{
	TimestampTz due;

	if (!NextDueTime(&due))
		due = DT_NOEND;
	if (due < TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -LONG_DUE_MS) &&
		now >= suspects_at)
	{
		/* A trigger or a rule may have suppressed its claim. */
		claiming_one_by_one = true;
		suspects_at = MonotonicPlusMs(now, SUSPECT_MS);
	}
	NoteDueTime(due, now);
}

/* Outcomes that are recorded one by one have a transaction of their own, without a claim. */
void
WorkOnQueue(bool claiming)
{
	MonotonicTime now = MonotonicNow();
	bool looking;
	DatabaseState state;

	SettleWaiting(now);
	claiming &= !RecordsOneByOne();
	looking = claiming || LookIsDue(now);
	BeginWork(claiming ? "claiming what is due, recording outcomes" : "recording outcomes");
	EnterStep(STEP_RECORD);
	RecordSettled();
	EnterStep(STEP_ADOPT);
	if (looking)
		LookAtDatabase(now, &state);
	claiming = claiming && !IsInCopy();
	if (claiming && SafetyCheckIsDue(now))
		SafetyCheck();
	EnterStep(STEP_CLAIM);
	if (claiming)
		Claim(now, &state);
	if (NeedsDueTime() && !StandsStill() && !HasBatchToPrepare())
		FindNextDueTime(now);
	EnterStep(STEP_COMMIT);
	CommitWork();
	EnterStep(STEP_OTHER);
	CloseSettled();
}

/*
 * worker_queue.c - the worker's side of the queue: when to claim and record, and what becomes of a claim.
 *
 * Record and claim share a transaction, the look-up and rendering of what was claimed have one of their own. None is open while
 * a mail server is waited for.
 */
#include "postgres.h"

#include "worker/worker_queue.h"

#include "base/time_limit.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "queue/queue.h"
#include "queue/queue_aside.h"
#include "queue/queue_rules.h"
#include "server/claim_journal.h"
#include "settings/settings.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_orphans.h"
#include "worker/worker_session.h"
#include "worker/worker_state.h"

#define SAFETY_CHECK_MS 60000
#define RECORD_AGE_MS 20
#define LOCKED_ROWS_MS 1000
#define UNKNOWN_DUE_MS 1000 /* look again after this while the next due time is not known */
#define LOOK_BACK_MS 1000
#define FROM_START_SHARE 100
#define SUSPECT_MS 5000	 /* between two looks for rows that claims leave behind */
#define LONG_DUE_MS 1000 /* what came in meanwhile has not been due for so long */
#define FIRST_REFUSAL_MS \
	1000 /* until a record that was refused is tried again; doubled each time */
#define LONGEST_REFUSAL_MS 60000
#define PATIENT_TROUBLES \
	5 /* so often, a trouble that may be the server's is not taken for a row's */

/* The log says once why. The message may have another row's values each time. */
static void
WaitForRecipients(const RecipientsProblem *problem)
{
	bool is_known =
		worker.recipients_failures > 0 && worker.recipients_sqlstate == problem->sqlstate;
	int64 delay = BackoffDelayMs(++worker.recipients_failures, 0);

	worker.recipients_at = After(delay);
	worker.claim_at = worker.recipients_at;
	worker.recipients_sqlstate = problem->sqlstate;
	if (is_known)
		ShowError(problem->message);
	else if (ShouldLogError(problem->message))
		ereport(WARNING,
				(errcode(problem->sqlstate),
				 errmsg("notifications wait: recipients cannot be read: %s", problem->message),
				 problem->detail ? errdetail("%s", problem->detail) : 0,
				 problem->hint ? errhint("%s", problem->hint) : 0));
}

/*
 * A look-up that takes too long may be one row's trouble or the relation's. So the rows of its batch are looked up one by one, and
 * the one that takes too long again counts an attempt. But only one, until a look-up succeeds: if the next takes too long as well,
 * it is the relation. True: the batch was one row, and it has failed.
 */
static bool
FailSlowRow(DeliveryBatch *batch, const RecipientsProblem *problem)
{
	if (problem->sqlstate != ERRCODE_QUERY_CANCELED)
		return false;
	worker.single_row_claims = Max(worker.single_row_claims, batch->count);
	if (batch->count > 1 || worker.slow_row_failed)
		return false;
	worker.slow_row_failed = true;
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

/* One warning per cause, for rows that a trigger, rule or constraint of an app refuses to change. A rule is named in the message. */
static void
ReportRowProblems(const char *what, RowProblems *problems)
{
	QueueProblem *problem = &problems->problem;
	QueueRules rules;
	bool is_rule = MayBeRules(problem->sqlstate) && ReadQueueRules(&rules);

	if (is_rule)
		problem->message = psprintf("%s: %s", rules.names, problem->message);
	if (ShouldLogError(problem->message))
		ereport(WARNING,
				(errcode(problem->sqlstate), errmsg("%s: %s", what, problem->message),
				 problem->source ? errdetail("Notification %lld; %s.", (long long) problems->id,
											 problem->source)
								 : errdetail("Notification %lld.", (long long) problems->id),
				 is_rule ? errhint("%s", rules.advice)
						 : errhint("Look for triggers, rules and constraints that were added "
								   "to rhesis_notify.task_notifications or "
								   "rhesis_notify.delivery_events. The worker tries again "
								   "automatically. Other mail goes on.")));
}

/* When the last of them is not refused any more, the next cause is a new one. */
static void
NoteRefused(RefusalKind kind, int count, int64 id, const char *text)
{
	if (my_slot->refusals[kind].count > 0 && count == 0)
		ResetLoggedError();
	ShowRefusal(kind, count, id, text);
}

/* What nobody woke us for: orphans, and rows that came without a wake-up, which the claim that follows finds. */
static void
SafetyCheck(void)
{
	RowProblems problems = {0};
	int orphans;

	if (worker.adopting_one_by_one)
		SkipUsedEventIds();
	TakeOverUnsent(EpochIsLive, worker.adopting_one_by_one);
	orphans = worker.adopting_one_by_one ? AdoptRowByRow(EpochIsLive, &problems)
										 : AdoptOrphans(EpochIsLive);
	if (problems.count > 0)
		ReportRowProblems("what another worker has left behind cannot be taken over", &problems);
	worker.adopting_one_by_one = problems.count > 0;
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
	worker.safety_check_at = After(SAFETY_CHECK_MS);
	worker.from_start_at = 0;
}

TimestampTz
NextQueueWork(void)
{
	return Min(Min(worker.claim_at, AsideUntil()), Min(worker.safety_check_at, worker.purge_at));
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

/* Rows that are refused are set aside, with a warning. */
static void
ClaimOneByOne(int limit, const CopyBounds *bounds, MemoryContext context, ClaimResult *claim)
{
	RowProblems problems;

	ClaimRowByRow(worker.epoch, limit, worker.consecutive_errors < PATIENT_TROUBLES, bounds,
				  context, claim, &problems);
	if (problems.count > 0)
		ReportRowProblems("a notification cannot be claimed", &problems);
	NoteRefused(REFUSED_CLAIM, AsideCount(), problems.id,
				problems.count > 0 ? problems.problem.message : NULL);
	worker.claiming_one_by_one = claim->full && problems.count > 0;
}

/* The log says once that the database is a copy, and what to do. */
static void
WarnOfCopy(CopySign sign, const CopyFigures *figures)
{
	bool was_logged;

	LockSlots(LW_EXCLUSIVE);
	was_logged = my_slot->copy_logged || my_slot->number > 0;
	my_slot->copy_logged = true;
	UnlockSlots();
	if (!was_logged)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rhesis_notify mails nothing in database \"%s\": it is a copy",
						get_database_name(MyDatabaseId)),
				 errdetail("The sign: %s; %s.", CopySignText(sign), CopyWaitingText(figures)),
				 errhint(ADOPT_HINT)));
}

/* Nothing is decided: neither orphans nor what retention would remove. */
static void
StandStillAsCopy(const DatabaseState *state, CopySign sign)
{
	CopyFigures figures;

	worker.in_copy = true;
	worker.claim_at = DT_NOEND;
	worker.due_time_known = true;
	worker.safety_check_at = worker.purge_at = After(SAFETY_CHECK_MS);
	ReadCopyFigures(state, &figures);
	if (sign == COPY_WITH_OLD_ROWS)
		RememberOldRows(state, &figures);
	WarnOfCopy(sign, &figures);
}

/* Somebody has called adopt_database(), or what came is gone: what waits is looked for from the start of the queue. */
static void
GoOnAsItself(void)
{
	if (worker.in_copy)
		worker.safety_check_at = worker.purge_at = 0;
	worker.in_copy = false;
	if (!my_slot->copy_logged)
		return;
	LockSlots(LW_EXCLUSIVE);
	my_slot->copy_logged = false;
	UnlockSlots();
}

/* Is the database paused, and is it a copy? Its identity is looked at each time, the whole queue once a minute. */
static void
LookAtDatabase(TimestampTz now, DatabaseState *state)
{
	bool thorough = worker.in_copy || now >= worker.safety_check_at;
	CopyFigures figures = {0};

	ReadDatabaseState(state);
	if (state->is_upgraded || state->is_from_empty_template)
		RenewIdentity(state);
	if (state->copy == NO_COPY)
		MoveBirthBack(state);
	worker.paused = state->is_paused;
	worker.knows_itself = true;
	if (state->copy == NO_COPY && thorough && state->bounds.born != DT_NOBEGIN)
		ReadCopyFigures(state, &figures);
	if (state->copy != NO_COPY)
		StandStillAsCopy(state, state->copy);
	else if (figures.has_old_rows)
		StandStillAsCopy(state, COPY_WITH_OLD_ROWS);
	else
		GoOnAsItself();
	if (worker.pool == NULL)
		worker.safety_check_at = After(SAFETY_CHECK_MS);
}

/* So many rows were not too large together; or they were not all that there was room for, and the next may be some more. */
static void
NoteFitting(int count, bool cut)
{
	if (cut)
		worker.fitting = Max(count, 1);
	else if (worker.fitting < MOST_FITTING)
		worker.fitting += worker.fitting / 8 + 1;
}

/* Claim what is due, in the open transaction. */
static void
Claim(TimestampTz now, const DatabaseState *state)
{
	ClaimStart start = NextClaimStart(now);
	int limit = Min(ClaimLimit(), worker.fitting);
	TimestampTz began;
	ClaimResult claim;
	MemoryContext context;

	worker.due_time_known = worker.paused;
	worker.claim_at = worker.paused ? DT_NOEND : TimestampTzPlusMilliseconds(now, UNKNOWN_DUE_MS);
	if (worker.paused)
		return;
	worker.single_row_claims = Max(worker.single_row_claims - 1, 0);

	/* The transaction's until the claim has succeeded: an error leaves nothing behind. */
	context =
		AllocSetContextCreate(TopTransactionContext, "rhesis_notify batch", ALLOCSET_DEFAULT_SIZES);
	began = GetCurrentTimestamp();
	if (worker.claiming_one_by_one || now >= AsideUntil())
		ClaimOneByOne(limit, &state->bounds, context, &claim);
	else
		ClaimDueNotifications(worker.epoch, limit, start, &state->bounds, context, &claim);
	NoteFitting(claim.count, claim.cut);
	if (claim.refused)
		StandStillAsCopy(state, COPY_WITH_OLD_ROWS);
	if (claim.count > 0)
	{
		worker.preparing = MakeBatch(context, &claim);
		for (int i = 0; i < worker.preparing->count; i++)
			worker.preparing->deliveries[i].unsent_place = NoteUnsent(claim.notifications[i]->id);
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
	if (due < TimestampTzPlusMilliseconds(now, -LONG_DUE_MS) && now >= worker.suspects_at)
	{
		/* A trigger or a rule may have suppressed its claim. */
		worker.claiming_one_by_one = true;
		worker.suspects_at = TimestampTzPlusMilliseconds(now, SUSPECT_MS);
	}
	/* Due already: locked by somebody, or it came in just now. Not in a tight loop. */
	worker.claim_at = Max(due, TimestampTzPlusMilliseconds(now, 100));
	worker.look_back_at = worker.claim_at;
	if (worker.woken)
		worker.claim_at = Min(worker.claim_at, worker.from_start_at);
}

/* A record was refused: it is tried again, each time later. */
static void
NoteRefusal(Delivery *delivery)
{
	delivery->is_refused = true;
	delivery->record_at =
		After(Min((int64) FIRST_REFUSAL_MS << Min(delivery->refusals, 20), LONGEST_REFUSAL_MS));
	delivery->refusals++;
}

/* It was the server's trouble, and none of the rows' own. */
static void
ForgetRefusals(void)
{
	for (Delivery *delivery = worker.settled.first; delivery; delivery = delivery->next)
		delivery->refusals -= delivery->is_refused ? 1 : 0;
}

static Delivery *
SettledDelivery(int64 id)
{
	Delivery *delivery = worker.settled.first;

	while (delivery && delivery->record.id != id)
		delivery = delivery->next;
	return delivery;
}

/* Some rows were left as they are: taken away, or an app's trigger has suppressed the update. */
static void
NoteSuppressed(const DeliveryRecord *records, int count)
{
	int64 *ids = palloc(count * sizeof(int64));
	int claimed = StillClaimed(worker.epoch, records, count, ids);

	for (int i = 0; i < claimed; i++)
		NoteRefusal(SettledDelivery(ids[i]));
	/* Said in words when each is tried alone. */
	pfree(ids);
}

/* Record what nobody has locked, and mark the rest. */
static void
RecordAroundLocks(const DeliveryRecord *records, int count)
{
	int64 *locked = palloc(count * sizeof(int64));
	int locked_count = RecordUnlockedOutcomes(worker.epoch, records, count, locked);

	for (int i = 0; i < locked_count; i++)
		SettledDelivery(locked[i])->is_locked = true;
	if (locked_count > 0)
		NoteSuppressed(records, count);
	pfree(locked);
}

/* After an error: those that are refused wait, the others are recorded. */
static void
RecordOneByOne(void)
{
	RowProblems problems = {0};
	int recorded = 0;

	SkipUsedEventIds();
	for (Delivery *delivery = worker.settled.first; delivery; delivery = delivery->next)
	{
		QueueProblem problem;

		if (RecordOutcome(worker.epoch, &delivery->record, &problem))
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
	if (problems.count > 0 && IsServerError(problems.problem.sqlstate) &&
		worker.consecutive_errors < PATIENT_TROUBLES)
	{
		ForgetRefusals();
		RaiseProblem(&problems.problem);
	}
	if (problems.count > 0)
	{
		ReportRowProblems("an outcome cannot be recorded", &problems);
		NoteRefused(REFUSED_RECORD, problems.count, problems.id, problems.problem.message);
	}
	worker.refusals = recorded > 0 ? 0 : worker.refusals + problems.count;
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
			worker.due_time_known = StandsStill();
		delivery->is_locked = delivery->is_refused = false;
		records[count++] = delivery->record;
	}
	if (worker.recording_one_by_one)
		RecordOneByOne();
	else if (worker.around_locks)
		RecordAroundLocks(records, count);
	else if (RecordOutcomes(worker.epoch, records, count) < count)
		NoteSuppressed(records, count);
	else
		worker.refusals = 0;
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
		if (delivery->is_refused)
		{
			AppendDelivery(&worker.refused, KeepForRecord(delivery));
			continue;
		}
		if (delivery->is_locked)
		{
			AppendDelivery(&worker.locked, IsHeavy(delivery) ? KeepForRecord(delivery) : delivery);
			continue;
		}
		sent |= delivery->record.state == DELIVERY_SENT;
		LogDelivery(delivery);
		CloseDelivery(delivery);
	}
	if (sent)
		pg_atomic_write_u64(&my_slot->last_sent_at, (uint64) GetCurrentTimestamp());
	worker.recording_one_by_one = false;
	worker.around_locks = worker.locked.count > 0;
	worker.locked_until = After(LOCKED_ROWS_MS);
	NoteRefused(REFUSED_RECORD, worker.refused.count, 0, NULL);
}

/* Record and claim share a transaction, but for outcomes that are recorded one by one. */
void
WorkOnQueue(bool claiming)
{
	TimestampTz now = GetCurrentTimestamp();
	bool looking;
	DatabaseState state;

	if (now >= worker.locked_until)
		SettleLocked();
	SettleRefused(now);
	claiming &= !(worker.recording_one_by_one && worker.settled.count > 0);
	looking = claiming || LookIsDue(now);
	BeginWork(claiming ? "claiming what is due, recording outcomes" : "recording outcomes");
	worker.step = STEP_RECORD;
	if (worker.settled.count > 0)
		RecordSettled();
	worker.step = STEP_ADOPT;
	if (looking)
		LookAtDatabase(now, &state);
	claiming = claiming && !worker.in_copy;
	if (claiming && now >= worker.safety_check_at)
		SafetyCheck();
	worker.step = STEP_CLAIM;
	if (claiming)
		Claim(now, &state);
	if (!worker.due_time_known && worker.claim_at != 0 && worker.preparing == NULL)
		FindNextDueTime(now);
	worker.step = STEP_COMMIT;
	CommitWork();
	worker.step = STEP_OTHER;
	CloseSettled();
}

/* A row that has ended its worker is prepared when nothing else could be put in doubt. True: that is not now, and all go back. */
static bool
SetCulpritsApart(DeliveryBatch *batch)
{
	bool any = false;

	for (int i = 0; i < batch->count; i++)
		any |= IsCulprit(batch->deliveries[i].record.id);
	if (!any || (batch->count == 1 && Outstanding() == 0))
		return false;

	worker.preparing = NULL;
	worker.single_row_claims = Max(worker.single_row_claims, batch->count);
	worker.claim_at = 0;
	for (int i = 0; i < batch->count; i++)
	{
		Delivery *delivery = &batch->deliveries[i];

		if (IsCulprit(delivery->record.id))
			GiveBackDeferred(delivery, "interrupted");
		else
			GiveBack(delivery, 0);
		AppendSettled(delivery);
	}
	return true;
}

void
PrepareClaimed(void)
{
	DeliveryBatch *batch = worker.preparing;
	RecipientsProblem problem = {0};
	int fitting;
	bool readable;
	bool row_failed;

	if (SetCulpritsApart(batch))
		return;
	NotePreparing(batch->count, batch->deliveries[0].record.id, worker.single_row_claims);
	BeginWork("looking up recipients, rendering");
	readable = PrepareBatch(batch, &fitting, &problem);
	/* A foreign server that was asked is told of the end, and may not answer. */
	StartTimeLimit(LOOK_UP_LIMIT_MS);
	CommitWork();
	StopTimeLimit();
	EndSlowLookUp();
	/* The look-up was ended for it: nobody is to blame, and all of them go back. */
	if (shutdown_was_requested)
		return;
	NotePreparing(0, 0, 0);
	worker.preparing = NULL;
	worker.cancelled_id = 0;
	my_slot->terminated_id = 0;
	if (batch->count == 1)
		ForgetCulprit(batch->deliveries[0].record.id);
	if (fitting < batch->count)
		NoteFitting(fitting, true);
	row_failed = !readable && FailSlowRow(batch, &problem);
	if (readable)
		worker.slow_row_failed = false;
	if (!readable && !row_failed)
		WaitForRecipients(&problem);
	else if (readable && worker.recipients_failures > 0)
	{
		worker.recipients_failures = 0;
		ResetLoggedError();
	}

	for (int i = 0; i < batch->count; i++)
	{
		Delivery *delivery = &batch->deliveries[i];

		if (!readable && !row_failed)
			GiveBackDeferred(delivery, "recipients_error");
		if (readable && delivery->owes_mail)
			AppendDelivery(&worker.ready, delivery);
		else
			AppendSettled(delivery);
	}
}

bool
LookIsDue(TimestampTz now)
{
	if (worker.draining || now < worker.trouble_until)
		return false;
	return !worker.knows_itself || (worker.pool == NULL && now >= worker.safety_check_at);
}

bool
RecordingIsDue(TimestampTz now)
{
	if (now < worker.trouble_until)
		return false;
	if ((worker.locked.count > 0 && now >= worker.locked_until) || now >= RefusedUntil())
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
	when = Min(when, RefusedUntil());
	return Max(when, worker.trouble_until);
}

/* The same with a state in which nobody sends it again: an outcome that a constraint refuses. */
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
	return RecordOutcome(worker.epoch, &held, &problem);
}

void
RecordWithoutTriggers(void)
{
	int recorded = 0;
	Delivery *delivery;

	if (worker.refused.count == 0)
		return;
	BeginWork("recording outcomes");
	SetConfigOption("session_replication_role", "replica", PGC_SUSET, PGC_S_OVERRIDE);
	for (delivery = worker.refused.first; delivery; delivery = delivery->next)
	{
		QueueProblem problem;

		if (RecordOutcome(worker.epoch, &delivery->record, &problem) || HoldRefused(delivery))
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
	while ((delivery = TakeFirst(&worker.refused)) != NULL)
	{
		LogDelivery(delivery);
		CloseDelivery(delivery);
	}
}

void
RecordBeforeExit(void)
{
	SettleLocked();
	SettleRefused(DT_NOEND);
	if (worker.settled.count == 0)
		return;
	worker.around_locks = true;
	SetConfigOption("lock_timeout", "500", PGC_SUSET, PGC_S_OVERRIDE);
	/* Not for a standby that may be away: the shutdown waits for us. */
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	BeginWork("recording outcomes");
	worker.recording_one_by_one = true;
	RecordSettled();
	CommitWork();
	CloseSettled();
	RecordWithoutTriggers();
}

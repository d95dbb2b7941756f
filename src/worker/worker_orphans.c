/*
 * worker_orphans.c - see worker_orphans.h.
 */
#include "postgres.h"

#include "worker/worker_orphans.h"

#include "delivery/delivery.h"
#include "queue/queue.h"
#include "server/claim_journal.h"
#include "utils/memutils.h"
#include "worker/worker_limit.h"
#include "worker/worker_slot.h"

#define CULPRIT_MESSAGE "the worker ended while it looked up the recipient or rendered the mail"

/*
 * Counts an attempt for the row that a dead worker was preparing alone. Returns false if the row is
 * no longer claimed.
 */
static bool
FailCulprit(const JournalLife *life)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "rhesis_notify culprit", ALLOCSET_SMALL_SIZES);
	Notification *notification = FetchNotification(life->preparing_id, context);
	ClaimResult alone = {.notifications = &notification, .count = 1};
	Delivery *delivery;
	bool failed = false;

	if (notification != NULL)
	{
		delivery = MakeBatch(context, &alone)->deliveries;
		FailPreparation(delivery, "interrupted", CULPRIT_MESSAGE);
		failed = RecordOutcomes(life->epoch, &delivery->record, 1) > 0;
	}
	if (failed)
	{
		NoteCulprit(life->preparing_id);
		ShowCulprit(life->preparing_id);
		ereport(WARNING,
				(errmsg("a worker ended while it prepared a notification"),
				 errdetail("Notification %lld is %s (interrupted).", (long long) life->preparing_id,
						   delivery->record.state == DELIVERY_FAILED ? "failed" : "deferred"),
				 errhint("See the log before this message, and the functions that the "
						 "recipients relation calls for this user. Other mail goes on.")));
	}
	MemoryContextDelete(context);
	return failed;
}

typedef struct ReturnStep
{
	const JournalLife *life;
	int64 ids[JOURNAL_ROWS];
	int count;
	int returned;
} ReturnStep;

static void
ReturnRows(void *argument)
{
	ReturnStep *step = argument;

	step->returned += ReturnClaimedRows(step->life->epoch, step->ids, step->count);
}

static void
FailRow(void *argument)
{
	ReturnStep *step = argument;

	step->returned += FailCulprit(step->life) ? 1 : 0;
}

/*
 * Runs a step; with one_by_one, in a subtransaction. If a trigger or constraint of the application
 * then refuses the change, the row stays in doubt, and AdoptOrphans() decides about it.
 */
static void
Try(void (*run)(void *argument), ReturnStep *step, bool one_by_one)
{
	QueueProblem problem;

	if (one_by_one)
		(void) QueueTry(run, step, &problem);
	else
		run(step);
}

/*
 * Makes the rows due again whose mails no mail server has seen in this life. Returns their number.
 */
static int
ReturnUnsentOf(const JournalLife *life, bool one_by_one)
{
	ReturnStep step = {.life = life};

	for (int place = 0; place < JOURNAL_ROWS; place++)
	{
		if (life->unsent[place] == 0)
			continue;
		step.ids[step.count++] = life->unsent[place];
		if (one_by_one)
		{
			Try(ReturnRows, &step, true);
			step.count = 0;
		}
	}
	if (step.count > 0)
		Try(ReturnRows, &step, false);
	return step.returned;
}

void
TakeOverUnsent(bool (*epoch_is_live)(int64 epoch), bool one_by_one)
{
	JournalLife *life = palloc(sizeof(JournalLife));
	int number = 0;

	while (DeadLife(number, epoch_is_live, life))
	{
		ReturnStep step = {.life = life};
		int changed;

		if (life->preparing > 0)
			BeCareful();
		if (life->preparing == 1)
			Try(FailRow, &step, one_by_one);
		/*
		 * One of several rows may have ended the worker. Each of the others is still to be tried,
		 * and may end this worker, too.
		 */
		if (life->preparing > 1 || step.returned > 0)
			ClaimSingleRows(Max(life->preparing, life->single_row_claims));
		if (life->preparing > 1)
			ForgetPreparing(life->epoch);
		changed = step.returned + ReturnUnsentOf(life, one_by_one);
		/*
		 * Forget the life only when the next check finds nothing left of it: this transaction may
		 * still fail.
		 */
		if (changed > 0)
			number++;
		else
			ForgetLife(life->epoch);
	}
	pfree(life);
}

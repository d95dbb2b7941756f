/*
 * worker_prepare.c - see worker_prepare.h.
 */
#include "postgres.h"

#include "worker/worker_prepare.h"

#include "base/monotonic.h"
#include "base/time_limit.h"
#include "miscadmin.h"
#include "server/claim_journal.h"
#include "worker/foreign_sockets.h"
#include "worker/worker_error.h"
#include "worker/worker_limit.h"
#include "worker/worker_outbox.h"
#include "worker/worker_record.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

static DeliveryBatch *preparing = NULL;
static int64 cancelled_id = 0;		 /* the look-up of this row alone was cancelled last */
static bool slow_row_failed = false; /* one was too slow, and no look-up has succeeded since */

void
KeepForPreparing(DeliveryBatch *batch)
{
	preparing = batch;
}

bool
HasBatchToPrepare(void)
{
	return preparing != NULL;
}

/*
 * A look-up that takes too long may be the fault of one row, or of the relation. So the rows of its
 * batch are looked up one by one, and a row that takes too long again counts an attempt. But only
 * one row does, until a look-up succeeds: if the next row takes too long as well, it is the
 * relation. True: the batch was one row, and it has failed.
 */
static bool
FailSlowRow(DeliveryBatch *batch, const RecipientsProblem *problem)
{
	if (problem->sqlstate != ERRCODE_QUERY_CANCELED)
		return false;
	ClaimSingleRows(batch->count);
	if (batch->count > 1 || slow_row_failed)
		return false;
	slow_row_failed = true;
	ClaimNow();
	FailPreparation(&batch->deliveries[0], "recipients_error", problem->message);
	return true;
}

/*
 * A row that has ended its worker is prepared alone, when no other row could be put in doubt. True:
 * there is such a row, this is not the time, and all rows return to the queue.
 */
static bool
SetCulpritsApart(DeliveryBatch *batch)
{
	bool any = false;

	for (int i = 0; i < batch->count; i++)
		any |= IsCulprit(batch->deliveries[i].record.id);
	if (!any || (batch->count == 1 && Outstanding() == 0))
		return false;

	preparing = NULL;
	ClaimSingleRows(batch->count);
	ClaimNow();
	for (int i = 0; i < batch->count; i++)
	{
		Delivery *delivery = &batch->deliveries[i];

		if (IsCulprit(delivery->record.id))
			ReturnDeferred(delivery, "interrupted");
		else
			ReturnToQueue(delivery, 0);
		AppendSettled(delivery);
	}
	return true;
}

void
PrepareClaimed(void)
{
	DeliveryBatch *batch = preparing;
	RecipientsProblem problem = {0};
	int fitting;
	bool readable;
	bool row_failed;

	if (SetCulpritsApart(batch))
		return;
	NotePreparing(batch->count, batch->deliveries[0].record.id, SingleRowClaims());
	BeginWork("looking up recipients, rendering");
	readable = PrepareBatch(batch, &fitting, &problem);
	/*
	 * The commit tells a foreign server that was asked of the end, and that server may not answer.
	 */
	StartTimeLimit(LOOK_UP_LIMIT_MS);
	CommitWork();
	StopTimeLimit();
	EndSlowLookUp();
	/* SIGTERM has ended the look-up: no row has failed, and all rows return to the queue. */
	if (shutdown_was_requested)
		return;
	NotePreparing(0, 0, 0);
	preparing = NULL;
	cancelled_id = 0;
	my_slot->terminated_id = 0;
	if (batch->count == 1)
		ForgetCulprit(batch->deliveries[0].record.id);
	if (fitting < batch->count)
		NoteFitting(fitting, true);
	row_failed = !readable && FailSlowRow(batch, &problem);
	if (readable)
		slow_row_failed = false;
	if (!readable && !row_failed)
		WaitForRecipients(&problem);
	else if (readable)
		NoteRecipientsAreReadable();

	for (int i = 0; i < batch->count; i++)
	{
		Delivery *delivery = &batch->deliveries[i];

		if (!readable && !row_failed)
			ReturnDeferred(delivery, "recipients_error");
		if (readable && delivery->owes_mail)
			AppendReady(delivery);
		else
			AppendSettled(delivery);
	}
}

/* Something cancels the look-up of this row each time: an operator, or the row itself. */
static bool
WasCancelledTwice(const DeliveryBatch *batch)
{
	int64 id = batch->deliveries[0].record.id;
	bool again = cancelled_id == id;

	cancelled_id = again ? 0 : id;
	return again;
}

/*
 * The row may have terminated the worker itself, through a function of a superuser. The first time,
 * the row has not failed.
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

void
WatchLookUp(bool passed)
{
	if (preparing == NULL)
		return;
	if (my_slot->looking_up_since == 0)
		ShowSlowLookUp(MonotonicNow());
	if (passed)
		CutForeignSockets();
}

void
ReturnPreparing(const char *message)
{
	DeliveryBatch *batch = preparing;

	preparing = NULL;
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->count == 1 && message)
			FailPreparation(&batch->deliveries[i], "render_error", message);
		else if (batch->count == 1 && shutdown_was_requested && WasTerminatedTwice(batch))
			FailPreparation(
				&batch->deliveries[i], "interrupted",
				"the worker was terminated while it prepared this mail, twice in a row");
		else if (batch->count == 1 && !shutdown_was_requested && WasCancelledTwice(batch))
			FailPreparation(&batch->deliveries[i], "recipients_error",
							"reading recipients was cancelled, twice in a row");
		else
			ReturnToQueue(&batch->deliveries[i], 0);
		AppendSettled(&batch->deliveries[i]);
	}
	if (batch->count > 1)
		ClaimSingleRows(batch->count);
}

void
DiscardPreparing(void)
{
	DeliveryBatch *batch = preparing;
	int count = batch->count;

	preparing = NULL;
	for (int i = 0; i < count; i++)
		CloseDelivery(&batch->deliveries[i]);
}

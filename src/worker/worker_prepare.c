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
static int64 cancelled_id = 0;		 /* the row that was alone when its look-up was cancelled */
static bool slow_row_failed = false; /* a row was too slow, and no look-up has succeeded since */

void
KeepForPreparing(DeliveryBatch *batch)
{
	Assert(preparing == NULL && batch->count > 0);
	preparing = batch;
}

bool
HasBatchToPrepare(void)
{
	return preparing != NULL;
}

/*
 * Call this when a look-up has failed. Returns true if it took too long because of its only row,
 * which then counts an attempt.
 *
 * A look-up that takes too long may be the fault of one row, or of the relation. So the rows of its
 * batch are looked up one by one, and a row that takes too long again counts an attempt. But until
 * a look-up succeeds, that is done for one row only: if the next row takes too long as well, the
 * relation is at fault.
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
 * A row that has ended its worker is prepared alone, and only while no other row could be put in
 * doubt. If the batch has such a row, and this condition is not met, returns all rows of the batch
 * to the queue, and returns true.
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
	 * If the look-up has asked a foreign server, the commit also ends the transaction there, and
	 * that server may not answer.
	 */
	StartTimeLimit(LOOK_UP_LIMIT_MS);
	CommitWork();
	StopTimeLimit();
	EndSlowLookUp();
	/*
	 * SIGTERM has ended the look-up: no row has failed, and ShutDown() returns all rows to the
	 * queue.
	 */
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

/*
 * Returns true if the look-up of this row alone was cancelled the last time, too. Then something
 * cancels it each time: an operator, or the row itself.
 */
static bool
WasCancelledTwice(const DeliveryBatch *batch)
{
	int64 id = batch->deliveries[0].record.id;
	bool again = cancelled_id == id;

	cancelled_id = again ? 0 : id;
	return again;
}

/*
 * Returns true if the worker was terminated while it prepared this row alone, and the worker before
 * as well. The row may have done it itself, through a function of a superuser. The first time, the
 * row has not failed.
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

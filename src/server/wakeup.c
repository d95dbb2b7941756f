/*
 * wakeup.c - see wakeup.h.
 *
 * The wake-up is a latch. NOTIFY would take a lock that all commits share. The callback runs when
 * the commit is durable and cannot fail any more: it touches atomics and latches only.
 */
#include "postgres.h"

#include "server/wakeup.h"

#include "access/xact.h"
#include "base/call_check.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "server/shared_state.h"

#define MAX_ANNOUNCED 8

PG_FUNCTION_INFO_V1(rhesis_notify_wake_trigger);
PG_FUNCTION_INFO_V1(rhesis_notify_wake_workers);

static const OwnTrigger wake_trigger = {
	.function = "wake_trigger", .tables = {"task_notifications"}, .insert = true};

static bool callback_registered = false;
static uint32 requests = 0; /* of this transaction, for the workers of its database */
static TimestampTz due_since;
static int announced_count = 0;
static Oid announced[MAX_ANNOUNCED];

static void
AnnounceChange(Oid database)
{
	/*
	 * Tell the launcher first: a worker may exit at once, and the launcher must know of the change
	 * before it starts another one.
	 */
	NoteChangedDatabase(database);
	SendRequests(database, WAKE_RELOAD, DT_NOEND);
}

/* Leave these requests for the workers of this database. If it has none yet, tell the launcher. */
static void
AnnounceRequests(uint32 more_requests, TimestampTz since)
{
	if (!SendRequests(MyDatabaseId, more_requests, since))
		NoteChangedDatabase(MyDatabaseId);
}

void
PassOnCommitMessage(CommitMessage message)
{
	switch (message)
	{
		/*
		 * It is not known since when the rows are due. After this request the worker looks for them
		 * from the start of the queue.
		 */
		case MESSAGE_ROWS_DUE:
			AnnounceRequests(WAKE_ROWS_DUE, DT_NOEND);
			return;
		case MESSAGE_RETRY_NOW:
			AnnounceRequests(WAKE_ROWS_DUE | WAKE_RETRY_NOW, DT_NOEND);
			return;
		case MESSAGE_CHANGED:
			AnnounceChange(MyDatabaseId);
			return;
		case MESSAGE_OTHER_CHANGED:
			AnnounceChange(InvalidOid);
			return;
	}
}

static void
KeepForLater(void)
{
	if (requests & WAKE_ROWS_DUE)
		KeepForCommitPrepared(MESSAGE_ROWS_DUE);
	if (requests & WAKE_RETRY_NOW)
		KeepForCommitPrepared(MESSAGE_RETRY_NOW);
	for (int i = 0; i < announced_count; i++)
		KeepForCommitPrepared(announced[i] == MyDatabaseId ? MESSAGE_CHANGED
														   : MESSAGE_OTHER_CHANGED);
}

static void
AtTransactionEnd(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (requests != 0)
				AnnounceRequests(requests, due_since);
			for (int i = 0; i < announced_count; i++)
				AnnounceChange(announced[i]);
			requests = 0;
			announced_count = 0;
			break;
		case XACT_EVENT_PRE_PREPARE:
			KeepForLater();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			requests = 0;
			announced_count = 0;
			break;
		default:
			break;
	}
}

static void
RegisterCallback(void)
{
	if (!callback_registered)
		RegisterXactCallback(AtTransactionEnd, NULL);
	callback_registered = true;
}

static void
WakeAtCommit(uint32 more_requests)
{
	if (rhesis_shared == NULL)
		return;
	Assert(IsTransactionState());
	RegisterCallback();
	requests |= more_requests;
	/* By default, a row is due since the start of its transaction. */
	due_since = GetCurrentTransactionStartTimestamp();
}

void
AnnounceChangeAtCommit(Oid database)
{
	if (rhesis_shared == NULL)
		return;
	RegisterCallback();
	for (int i = 0; i < announced_count; i++)
	{
		if (announced[i] == database)
			return;
	}
	if (announced_count == MAX_ANNOUNCED)
	{
		announced_count = 0;
		database = InvalidOid;
	}
	Assert(announced_count < MAX_ANNOUNCED);
	announced[announced_count++] = database;
}

/* rhesis_notify.wake_trigger(): AFTER INSERT, for each statement. */
Datum
rhesis_notify_wake_trigger(PG_FUNCTION_ARGS)
{
	(void) RequireTrigger(fcinfo, &wake_trigger);
	WakeAtCommit(WAKE_ROWS_DUE);
	PG_RETURN_POINTER(NULL);
}

/* rhesis_notify.wake_workers(): for all other changes that let mail go out. */
Datum
rhesis_notify_wake_workers(PG_FUNCTION_ARGS)
{
	RequireStrictArguments(fcinfo, 0);
	WakeAtCommit(WAKE_ROWS_DUE | WAKE_RETRY_NOW);
	PG_RETURN_VOID();
}

/*
 * worker_activity.c - see worker_activity.h.
 */
#include "postgres.h"

#include "worker/worker_activity.h"

#include "access/xact.h"
#include "base/compat.h"
#include "pgstat.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "settings/settings.h"
#include "utils/timestamp.h"
#include "worker/worker_error.h"
#include "worker/worker_schedule.h"
#include "worker/worker_slot.h"

#define REFRESH_MS 1000
#define MAX_TEXT 256

static MonotonicTime shown_at;
static bool is_outdated = true; /* another text was shown since */

static void
DescribeIdle(char *text)
{
	TimestampTz due = NextMailDue();

	if (due != DT_NOEND)
		snprintf(text, MAX_TEXT, "waiting until %s, when a mail is due", timestamptz_to_str(due));
	else
		snprintf(text, MAX_TEXT, "waiting for tasks to report");
}

static void
Describe(WorkerActivity activity, int mails, char *text)
{
	uint32 connections;

	switch (activity)
	{
		case WORKER_IDLE:
			DescribeIdle(text);
			return;
		case WORKER_SENDING:
			connections = pg_atomic_read_u32(&my_slot->connections);
			snprintf(text, MAX_TEXT, "sending %d %s on %u %s", mails, mails == 1 ? "mail" : "mails",
					 connections, connections == 1 ? "connection" : "connections");
			return;
		case WORKER_BACKING_OFF:
			snprintf(text, MAX_TEXT, "leaving %s:%d alone until %s", rhesis_smtp_host,
					 rhesis_smtp_port, timestamptz_to_str(my_slot->backing_off_until));
			return;
		case WORKER_WAITING_FOR_RECIPIENTS:
			snprintf(text, MAX_TEXT, "waiting until %s to read recipients again",
					 timestamptz_to_str(WallClockAt(RecipientsWaitUntil())));
			return;
		case WORKER_IN_TROUBLE:
			snprintf(text, MAX_TEXT, "waiting after an error until %s",
					 timestamptz_to_str(WallClockAt(ErrorWaitUntil())));
			return;
		default:
			strlcpy(text, WorkerActivityName(activity), MAX_TEXT);
	}
}

/*
 * Returns true if the text of the activity must be shown again: it contains numbers or times that
 * change while the activity does not, and was shown some time ago.
 */
static bool
IsOutOfDate(WorkerActivity activity)
{
	return (activity == WORKER_SENDING || activity == WORKER_IDLE ||
			activity == WORKER_BACKING_OFF) &&
		   MonotonicNow() >= MonotonicPlusMs(shown_at, REFRESH_MS);
}

void
ShowActivity(WorkerActivity activity, int mails)
{
	char text[MAX_TEXT];

	EndSlowLookUp();
	if (my_slot->activity != activity)
	{
		LockSlots(LW_EXCLUSIVE);
		my_slot->activity = activity;
		UnlockSlots();
	}
	else if (!is_outdated && !IsOutOfDate(activity))
		return;
	Describe(activity, mails, text);
	pgstat_report_activity(STATE_IDLE, text);
	shown_at = MonotonicNow();
	is_outdated = false;
}

void
ShowWork(const char *work)
{
	pgstat_report_activity(STATE_RUNNING, work);
	is_outdated = true;
}

void
ShowWorkDone(void)
{
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Sets standby_since at each commit that may wait for a standby. synchronous_standby_names may have
 * changed since this process read it, so readers test whether the process really waits.
 */
void
ShowCommit(void)
{
	if (!SyncRepRequested() || !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	pg_atomic_write_u64(&my_slot->standby_since, (uint64) GetCurrentTimestamp());
	if (SyncRepStandbyNames != NULL && *SyncRepStandbyNames != '\0')
		ShowWork(WorkerActivityName(WORKER_WAITING_FOR_STANDBY));
}

void
ShowCommitDone(void)
{
	pg_atomic_write_u64(&my_slot->standby_since, 0);
}

uint32
ActivityWaitEvent(WorkerActivity activity)
{
	/* A worker that is starting or has stopped does not wait. */
	static const char *const names[] = {
		[WORKER_IDLE] = "RhesisNotifyIdle",
		[WORKER_SENDING] = "RhesisNotifySending",
		[WORKER_PAUSED] = "RhesisNotifyPaused",
		[WORKER_IN_COPY] = "RhesisNotifyCopy",
		[WORKER_MAIL_OFF] = "RhesisNotifyMailOff",
		[WORKER_BACKING_OFF] = "RhesisNotifyBackingOff",
		[WORKER_WAITING_FOR_RECIPIENTS] = "RhesisNotifyRecipients",
		[WORKER_IN_TROUBLE] = "RhesisNotifyTrouble",
		[WORKER_STOPPING] = "RhesisNotifyStopping",
	};
	static uint32 events[lengthof(names)];

	/* Find the number of a wait event only once: that needs a search in shared memory. */
	if (events[activity] == 0)
		events[activity] = RhesisWaitEvent(names[activity]);
	return events[activity];
}

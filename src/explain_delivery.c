/*
 * explain_delivery.c - the second half of explain(): pause, workers, mail server, pace, attempts, state, and what comes next.
 *
 * What the workers know is read from shared memory; nothing is asked of a mail server.
 */
#include "postgres.h"

#include "explain_internal.h"

#include "miscadmin.h"
#include "pace.h"
#include "settings.h"
#include "shared_state.h"
#include "time_text.h"
#include "utils/timestamp.h"

#define MOST_EVENTS 50

/* What the workers of this database do. */
typedef struct Workers
{
	WorkerSlot *slots;
	int count;
	int running;
	const WorkerSlot *mail_off;
	const WorkerSlot *backing_off;
	const WorkerSlot *hindered; /* by the app's relations, or by a statement that failed */
	const WorkerSlot *holder;	/* who has the notification claimed */
	TimestampTz last_sent_at;	/* 0: never */
} Workers;

static void
ReadWorkers(const NotificationFacts *facts, Workers *workers)
{
	memset(workers, 0, sizeof(*workers));
	workers->slots = CopySlots(MyDatabaseId, &workers->count);
	for (int i = 0; i < workers->count; i++)
	{
		WorkerSlot *slot = &workers->slots[i];
		TimestampTz sent_at = (TimestampTz) pg_atomic_read_u64(&slot->last_sent_at);

		workers->last_sent_at = Max(workers->last_sent_at, sent_at);
		if (slot->state != SLOT_RUNNING)
			continue;
		workers->running++;
		if (slot->activity == WORKER_MAIL_OFF)
			workers->mail_off = slot;
		if (slot->backing_off_until != 0)
			workers->backing_off = slot;
		if (slot->activity == WORKER_WAITING_FOR_RECIPIENTS || slot->activity == WORKER_IN_TROUBLE)
			workers->hindered = slot;
		if (facts->claimed_by != 0 && (int64) pg_atomic_read_u64(&slot->epoch) == facts->claimed_by)
			workers->holder = slot;
	}
}

static void
ExplainPause(const Explanation *explanation)
{
	const NotificationFacts *facts = explanation->facts;

	if (facts->paused_since == 0)
		AppendDecision(explanation, "pause", "not paused", NULL, NULL);
	else
		AppendDecision(explanation, "pause", "paused",
					   psprintf("by %s, %s", facts->paused_by, TimeText(facts->paused_since)),
					   "SELECT rhesis_notify.resume();");
}

static void
ExplainWorkers(const Explanation *explanation, const Workers *workers)
{
	if (workers->running == 0)
		AppendDecision(explanation, "worker", "none is running", NULL,
					   "SELECT * FROM rhesis_notify.health() tells why.");
	else if (workers->hindered)
		AppendDecision(explanation, "worker", WorkerActivityName(workers->hindered->activity),
					   psprintf("%s, %s", workers->hindered->last_error,
								TimeText(workers->hindered->last_error_at)),
					   "It goes on by itself when the cause is gone.");
	else
		AppendDecision(explanation, "worker", psprintf("%d running", workers->running), NULL, NULL);
}

static void
ExplainServer(const Explanation *explanation, const Workers *workers)
{
	const char *server = psprintf("%s:%d", rhesis_smtp_host, rhesis_smtp_port);
	int connections = 0;

	if (workers->mail_off)
	{
		AppendDecision(explanation, "mail server", "mail is off", workers->mail_off->last_error,
					   "Complete the settings, and reload; check_smtp() tries them.");
		return;
	}
	if (workers->backing_off)
	{
		AppendDecision(
			explanation, "mail server",
			psprintf("left alone until %s", TimeText(workers->backing_off->backing_off_until)),
			psprintf("%s said %s: %s", server, TimeText(workers->backing_off->last_error_at),
					 workers->backing_off->last_error),
			"SELECT * FROM rhesis_notify.check_smtp() tries it step by step.");
		return;
	}
	for (int i = 0; i < workers->count; i++)
		connections += pg_atomic_read_u32(&workers->slots[i].connections);
	AppendDecision(
		explanation, "mail server", server,
		psprintf("%d connections; %s", connections,
				 workers->last_sent_at
					 ? psprintf("the last mail was sent %s", TimeText(workers->last_sent_at))
					 : "no mail was sent since the start of the server"),
		NULL);
}

static void
ExplainPace(const Explanation *explanation)
{
	double limit = PaceLimit(MyDatabaseId, rhesis_max_rate, GetCurrentTimestamp());
	const char *ahead = NULL;

	if (explanation->facts->due_before > 0)
		ahead = psprintf("due before it: " INT64_FORMAT "%s", explanation->facts->due_before,
						 explanation->facts->due_before == MOST_DUE_BEFORE ? " or more" : "");

	if (limit == 0)
		AppendDecision(explanation, "pace", "no limit", ahead, NULL);
	else if (limit == rhesis_max_rate)
		AppendDecision(
			explanation, "pace", psprintf("%g mails a second", limit),
			ahead ? psprintf("rhesis_notify.max_rate; %s", ahead) : "rhesis_notify.max_rate", NULL);
	else
		AppendDecision(
			explanation, "pace", psprintf("%.1f mails a second", limit),
			ahead ? psprintf("the mail server asked for a slower pace; %s", ahead)
				  : "the mail server asked for a slower pace",
			"It grows by itself; set rhesis_notify.max_rate to what the provider allows.");
}

static void
ExplainEvent(const Explanation *explanation, const NotificationEvent *event)
{
	StringInfoData detail;
	const char *step = "attempt";

	if (strcmp(event->event, "template_fallback") == 0)
		step = "template";
	else if (event->by)
		step = "operator";

	initStringInfo(&detail);
	appendStringInfoString(&detail, TimeText(event->occurred_at));
	if (event->by)
		appendStringInfo(&detail, ", by %s", event->by);
	if (event->message)
		appendStringInfo(&detail, ", %s", event->message);
	if (event->reply)
		appendStringInfo(&detail, ": %s", event->reply);
	AppendDecision(explanation, step, event->event, detail.data, NULL);
}

static void
ExplainEvents(const Explanation *explanation)
{
	int count;
	int64 total;
	NotificationEvent *events = FetchEvents(explanation->notification->id, MOST_EVENTS,
											CurrentMemoryContext, &count, &total);

	if (total > count)
		AppendDecision(explanation, "attempt",
					   psprintf(INT64_FORMAT " earlier events", total - count),
					   "in rhesis_notify.delivery_events", NULL);
	for (int i = 0; i < count; i++)
		ExplainEvent(explanation, &events[i]);
}

static void
ExplainState(const Explanation *explanation, const Workers *workers)
{
	const NotificationFacts *facts = explanation->facts;
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "attempts: %d", facts->attempts);
	if (facts->finished_at)
		appendStringInfo(&detail, ", since %s", TimeText(facts->finished_at));
	if (workers->holder)
		appendStringInfo(&detail, ", by worker %d, process %d", workers->holder->number + 1,
						 workers->holder->pid);
	else if (facts->claimed_by)
		appendStringInfo(&detail, ", by a worker that is gone (number " INT64_FORMAT ")",
						 facts->claimed_by);
	if (facts->smtp_reply)
		appendStringInfo(&detail, "; %s", facts->smtp_reply);
	AppendDecision(explanation, "state",
				   facts->reason ? psprintf("%s, %s", facts->state, facts->reason) : facts->state,
				   detail.data, NULL);
}

/* ---- What comes next ---- */

/* What the worker will do with a notification that waits. */
static void
ExplainWaiting(const Explanation *explanation, const Workers *workers)
{
	const NotificationFacts *facts = explanation->facts;
	TimestampTz now = GetCurrentTimestamp();
	const char *decision = psprintf("attempt %d of %d", facts->attempts + 1, rhesis_max_attempts);
	const char *when = "in a moment";

	if (explanation->obstacle && explanation->recipients_unreadable)
		decision = "waits until recipients can be read";
	else if (explanation->obstacle && strcmp(explanation->obstacle, "render_error") == 0)
		decision = "fails, render_error";
	else if (explanation->obstacle && strcmp(explanation->obstacle, "recipients_error") != 0)
		decision = psprintf("is skipped, %s", explanation->obstacle);

	if (facts->paused_since)
		when = "after resume()";
	else if (workers->running == 0)
		when = "when a worker runs";
	else if (workers->mail_off)
		when = "when the settings are complete";
	else if (workers->backing_off &&
			 workers->backing_off->backing_off_until > facts->next_attempt_at)
		when = psprintf("at %s", TimeText(workers->backing_off->backing_off_until));
	else if (facts->next_attempt_at > now)
		when = psprintf("at %s", TimeText(facts->next_attempt_at));
	AppendDecision(explanation, "next", decision, when,
				   facts->next_attempt_at > now
					   ? psprintf("At once: SELECT rhesis_notify.retry(" INT64_FORMAT ");",
								  explanation->notification->id)
					   : NULL);
}

static void
ExplainSending(const Explanation *explanation, const Workers *workers)
{
	bool holds = rhesis_in_doubt == IN_DOUBT_HOLD;

	if (workers->holder)
		AppendDecision(explanation, "next", "the mail server's reply",
					   psprintf("waited for up to %s (rhesis_notify.send_timeout)",
								SpanText(rhesis_send_timeout * INT64CONST(1000))),
					   NULL);
	else
		AppendDecision(explanation, "next", holds ? "is held, in_doubt" : "is sent again, in doubt",
					   "within a minute, when a worker looks for what others have left behind",
					   holds ? "Then retry() or cancel() it." : NULL);
}

/* The calls that take it out of a state in which it stands still. */
static char *
AdviceToRetry(const Explanation *explanation)
{
	int64 id = explanation->notification->id;

	if (rhesis_expire_after > 0 && explanation->notification->created_at <
									   GetCurrentTimestamp() - rhesis_expire_after * USECS_PER_SEC)
		return pstrdup(
			"retry() refuses what is older than rhesis_notify.expire_after: raise it first.");
	if (IsInState(explanation, "held"))
		return psprintf("Look for its Message-ID in the mail server's log, then SELECT "
						"rhesis_notify.retry(" INT64_FORMAT
						"); or SELECT rhesis_notify.cancel(" INT64_FORMAT ");",
						id, id);
	if (explanation->obstacle)
		return psprintf("When the cause (%s) is gone: SELECT rhesis_notify.retry(" INT64_FORMAT
						");",
						explanation->obstacle, id);
	return psprintf(
		"Nothing stands against it now. To send it: SELECT rhesis_notify.retry(" INT64_FORMAT ");",
		id);
}

static void
ExplainFinished(const Explanation *explanation)
{
	TimestampTz removed_at =
		explanation->facts->finished_at + rhesis_retention * INT64CONST(1000000);
	const char *detail = rhesis_retention > 0
							 ? psprintf("the row is removed after %s", TimeText(removed_at))
							 : "the row is kept";

	if (IsInState(explanation, "sent"))
		AppendDecision(
			explanation, "next", "nothing", detail,
			psprintf("If it did not arrive, ask the mail server for Message-ID %s, and look "
					 "into the spam folder.",
					 explanation->facts->message_id ? explanation->facts->message_id
													: "(unknown)"));
	else
		AppendDecision(explanation, "next", "nothing", detail, AdviceToRetry(explanation));
}

static void
ExplainNext(const Explanation *explanation, const Workers *workers)
{
	if (IsWaiting(explanation))
		ExplainWaiting(explanation, workers);
	else if (IsInState(explanation, "sending"))
		ExplainSending(explanation, workers);
	else if (IsInState(explanation, "held"))
		AppendDecision(explanation, "next", "nothing", "it stands still until somebody decides",
					   AdviceToRetry(explanation));
	else
		ExplainFinished(explanation);
}

void
ExplainDelivery(const Explanation *explanation)
{
	Workers workers;

	ReadWorkers(explanation->facts, &workers);
	if (IsWaiting(explanation))
	{
		ExplainPause(explanation);
		ExplainWorkers(explanation, &workers);
		ExplainServer(explanation, &workers);
		ExplainPace(explanation);
	}
	ExplainEvents(explanation);
	ExplainState(explanation, &workers);
	ExplainNext(explanation, &workers);
}

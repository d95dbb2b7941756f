/*
 * explain_delivery.c - the second half of explain(): pause, workers, mail server, pace, attempts, state, and what comes next.
 *
 * What the workers know is read from shared memory; nothing is asked of a mail server.
 */
#include "postgres.h"

#include "report/explain_internal.h"

#include "base/count_text.h"
#include "base/time_text.h"
#include "miscadmin.h"
#include "queue/queue_copy.h"
#include "queue/queue_rules.h"
#include "server/pace.h"
#include "server/service.h"
#include "settings/settings.h"
#include "utils/timestamp.h"

#define MOST_EVENTS 50

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

/* Of a notification that was being sent it matters only in a copy. */
static void
ExplainCopy(Explanation *explanation)
{
	CopyFigures figures;
	CopySign sign = FindCopySign(&figures);

	explanation->in_copy = sign != NO_COPY;
	if (sign == NO_COPY && IsWaiting(explanation))
		AppendDecision(explanation, "copy", "not a copy", NULL, NULL);
	else if (sign != NO_COPY)
		AppendDecision(explanation, "copy", "a copy",
					   psprintf("%s; %s", CopySignText(sign), CopyWaitingText(&figures)),
					   ADOPT_HINT);
}

static void
ExplainWorkers(const Explanation *explanation, const Service *service)
{
	const WorkerSlot *hindered =
		service->in_trouble ? service->in_trouble : service->waiting_for_recipients;

	if (service->running == 0)
		AppendDecision(explanation, "worker", "none is running", NULL,
					   "SELECT * FROM rhesis_notify.health() tells why.");
	else if (service->waiting_for_standby)
		AppendDecision(
			explanation, "worker", WorkerActivityName(service->waiting_for_standby->activity),
			psprintf("since %s", TimeText(StandbySince(service->waiting_for_standby))),
			"No standby of synchronous_standby_names answers: start it, or take it off that "
			"setting and reload.");
	else if (hindered)
		AppendDecision(explanation, "worker", WorkerActivityName(hindered->activity),
					   psprintf("%s, %s", hindered->last_error, TimeText(hindered->last_error_at)),
					   "It goes on by itself when the cause is gone; to try it at once: SELECT "
					   "rhesis_notify.wake_workers();");
	else
		AppendDecision(explanation, "worker", psprintf("%d running", service->running), NULL, NULL);
}

static void
ExplainServer(const Explanation *explanation, const Service *service)
{
	const char *server = psprintf("%s:%d", rhesis_smtp_host, rhesis_smtp_port);

	if (service->mail_off)
	{
		AppendDecision(explanation, "mail server", "mail is off", service->mail_off->last_error,
					   "Complete the settings, and reload; check_smtp() tries them.");
		return;
	}
	if (service->backing_off)
	{
		AppendDecision(
			explanation, "mail server",
			psprintf("left alone until %s", TimeText(service->backing_off->backing_off_until)),
			psprintf("%s, %s: %s", server, TimeText(service->backing_off->last_error_at),
					 service->backing_off->last_error),
			psprintf("%s%s%s", service->backing_off->hint, *service->backing_off->hint ? " " : "",
					 "SELECT * FROM rhesis_notify.check_smtp() tries it step by step."));
		return;
	}
	AppendDecision(
		explanation, "mail server", server,
		psprintf("%s; %s", CountText(service->connections, "connection", "connections"),
				 service->last_sent_at
					 ? psprintf("the last mail was sent %s", TimeText(service->last_sent_at))
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
	else if (strcmp(event->event, "result_cut") == 0)
		step = "result";
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
					   CountText(total - count, "earlier event", "earlier events"),
					   "in rhesis_notify.delivery_events", NULL);
	for (int i = 0; i < count; i++)
		ExplainEvent(explanation, &events[i]);
}

static void
ExplainState(const Explanation *explanation, const Service *service)
{
	const NotificationFacts *facts = explanation->facts;
	const WorkerSlot *holder = WorkerOfEpoch(service, facts->claimed_by);
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "attempts: %d", facts->attempts);
	if (facts->finished_at)
		appendStringInfo(&detail, ", since %s", TimeText(facts->finished_at));
	if (holder)
		appendStringInfo(&detail, ", by worker %d, process %d", holder->number + 1, holder->pid);
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
ExplainWaiting(const Explanation *explanation, const Service *service)
{
	const NotificationFacts *facts = explanation->facts;
	TimestampTz now = GetCurrentTimestamp();
	const char *decision = psprintf("attempt %d of %d", facts->attempts + 1, rhesis_max_attempts);
	const char *when = "in a moment";
	const char *advice = NULL;
	const char *retry_now = psprintf("At once: SELECT rhesis_notify.retry(" INT64_FORMAT ");",
									 explanation->notification->id);

	if (explanation->obstacle && explanation->recipients_unreadable)
		decision = "waits until recipients can be read";
	else if (explanation->obstacle && strcmp(explanation->obstacle, "render_error") == 0)
		decision = "fails, render_error";
	else if (explanation->obstacle && strcmp(explanation->obstacle, "recipients_error") != 0)
		decision = psprintf("is skipped, %s", explanation->obstacle);

	if (explanation->in_copy)
		when = "after adopt_database(true)";
	else if (facts->paused_since)
		when = "after resume()";
	else if (service->running == 0)
		when = "when a worker runs";
	else if (service->mail_off)
		when = "when the settings are complete";
	else if (service->waiting_for_standby)
		when = "when a synchronous standby has answered";
	else if (service->backing_off &&
			 service->backing_off->backing_off_until > facts->next_attempt_at)
	{
		when = psprintf("at %s", TimeText(service->backing_off->backing_off_until));
		advice = IsInState(explanation, "deferred")
					 ? retry_now
					 : "At once: SELECT rhesis_notify.wake_workers();";
	}
	else if (facts->next_attempt_at > now)
	{
		when = psprintf("at %s", TimeText(facts->next_attempt_at));
		advice = IsInState(explanation, "deferred") ? retry_now : NULL;
	}
	AppendDecision(explanation, "next", decision, when, advice);
}

/* A trigger or constraint of an app may have refused it, or a rule refuses all. True: that was said. */
static bool
ExplainRefusal(const Explanation *explanation, const Service *service, RefusalKind kind,
			   const char *decision)
{
	const Refusal *refusal = &service->refusals[kind];
	QueueRules rules;
	bool is_rule = refusal->count > 0 && ReadQueueRules(&rules);

	if (refusal->count == 0 || (refusal->id != explanation->notification->id && !is_rule))
		return false;
	AppendDecision(explanation, "next", decision,
				   psprintf("refused since %s: %s", TimeText(refusal->since), refusal->text),
				   is_rule ? rules.advice
						   : "Mend or drop the trigger, rule or constraint that was added to "
							 "rhesis_notify.task_notifications.");
	return true;
}

static void
ExplainSending(const Explanation *explanation, const Service *service)
{
	bool holds = rhesis_in_doubt == IN_DOUBT_HOLD;

	if (explanation->in_copy)
	{
		AppendDecision(explanation, "next", holds ? "is held, in_doubt" : "is sent again, in doubt",
					   "after adopt_database(true): the original may have mailed it", NULL);
		return;
	}
	if (ExplainRefusal(explanation, service, REFUSED_RECORD,
					   "its outcome is recorded when that is allowed"))
		return;
	if (service->waiting_for_standby &&
		WorkerOfEpoch(service, explanation->facts->claimed_by) == service->waiting_for_standby)
		AppendDecision(explanation, "next", "its outcome is recorded",
					   "when a synchronous standby has answered", NULL);
	else if (WorkerOfEpoch(service, explanation->facts->claimed_by))
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
	TimestampTz removed_at = TimePlusSeconds(explanation->facts->finished_at, rhesis_retention);
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
ExplainNext(const Explanation *explanation, const Service *service)
{
	if (IsWaiting(explanation))
	{
		if (!ExplainRefusal(explanation, service, REFUSED_CLAIM,
							"it is claimed when that is allowed"))
			ExplainWaiting(explanation, service);
	}
	else if (IsInState(explanation, "sending"))
		ExplainSending(explanation, service);
	else if (IsInState(explanation, "held"))
		AppendDecision(explanation, "next", "nothing", "it stands still until somebody decides",
					   AdviceToRetry(explanation));
	else
		ExplainFinished(explanation);
}

void
ExplainDelivery(Explanation *explanation)
{
	Service service;

	ReadService(&service);
	if (IsWaiting(explanation) || IsInState(explanation, "sending"))
		ExplainCopy(explanation);
	if (IsWaiting(explanation))
	{
		ExplainPause(explanation);
		ExplainWorkers(explanation, &service);
		ExplainServer(explanation, &service);
		ExplainPace(explanation);
	}
	else if (IsInState(explanation, "sending") && service.waiting_for_standby)
		ExplainWorkers(explanation, &service);
	ExplainEvents(explanation);
	ExplainState(explanation, &service);
	ExplainNext(explanation, &service);
}

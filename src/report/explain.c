/*
 * explain.c - tells why a notification is in its state, and what comes next:
 * rhesis_notify.explain().
 *
 * The function returns one row for each decision, in the order in which the worker decides. The
 * worker's own code decides: the claim's reasons, the look-up of the recipient as the relations'
 * owners, the rendering. The decisions are made again, for the present time, and nothing is
 * changed. The rows about attempts and the state say what was decided earlier. What the workers
 * know is read from shared memory. No mail server is contacted. SECURITY DEFINER, like preview().
 */
#include "postgres.h"

#include "base/call_check.h"
#include "base/count_text.h"
#include "base/time_text.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "queue/notification.h"
#include "queue/queue.h"
#include "queue/queue_copy.h"
#include "queue/queue_facts.h"
#include "queue/queue_rules.h"
#include "recipients/recipients.h"
#include "report/preview.h"
#include "server/pace.h"
#include "server/service.h"
#include "server/shared_state.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "template/rendering.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define COLUMNS 4

/* A task may report names and ids of any length. */
#define MAX_TEXT_BYTES 2000

#define MOST_EVENTS 50

typedef struct Explanation
{
	ReturnSetInfo *result;
	const Notification *notification;
	const NotificationFacts *facts;

	/* Why no mail would be sent now; NULL: no reason is known. */
	const char *obstacle;
	bool recipients_unreadable; /* the obstacle is temporary and not the row's */
	bool in_copy;				/* this database is a copy: nothing is mailed */
} Explanation;

PG_FUNCTION_INFO_V1(rhesis_notify_explain);

/* Appends a row. detail and advice may be NULL. */
static void
AppendDecision(const Explanation *explanation, const char *step, const char *decision,
			   const char *detail, const char *advice)
{
	const char *texts[COLUMNS] = {step, decision, detail, advice};
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];

	for (int i = 0; i < COLUMNS; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (!nulls[i])
			values[i] = PointerGetDatum(cstring_to_text_with_len(
				texts[i], pg_mbcliplen(texts[i], strlen(texts[i]), MAX_TEXT_BYTES)));
	}
	tuplestore_putvalues(explanation->result->setResult, explanation->result->setDesc, values,
						 nulls);
}

/* Returns true if the notification is in this state. */
static bool
IsInState(const Explanation *explanation, const char *state)
{
	return strcmp(explanation->facts->state, state) == 0;
}

/* Returns true for pending and deferred: the worker has yet to decide. */
static bool
IsWaiting(const Explanation *explanation)
{
	return IsInState(explanation, "pending") || IsInState(explanation, "deferred");
}

/*
 * Returns true if the obstacle ended the notification, or will end it. Then no further decisions
 * about the mail are shown.
 */
static bool
IsOver(const Explanation *explanation)
{
	return explanation->obstacle != NULL &&
		   (IsWaiting(explanation) || IsInState(explanation, "skipped"));
}

static void
ExplainTask(const Explanation *explanation)
{
	const Notification *notification = explanation->notification;

	AppendDecision(explanation, "task", notification->is_success ? "success" : "failed",
				   psprintf("%s, task id %s, reported %s", notification->task_name,
							notification->task_id, TimeText(notification->created_at)),
				   NULL);
}

/* Shows how the task is opted in, or that it is not. */
static void
ExplainOptIn(const Explanation *explanation)
{
	const NotificationFacts *facts = explanation->facts;
	const char *task_name = explanation->notification->task_name;
	const char *last_dot = strrchr(task_name, '.');
	const char *last_part = last_dot ? last_dot + 1 : task_name;
	const char *advice = NULL;
	char *detail;

	if (facts->names_template)
		detail = pstrdup("the row names its template");
	else if (facts->registered_name == NULL)
		detail = psprintf("the row names no template, and no registration is of %s or %s",
						  quote_literal_cstr(task_name), quote_literal_cstr(last_part));
	else if (facts->registered_silent)
		detail =
			psprintf("silence() was called for %s", quote_literal_cstr(facts->registered_name));
	else
		detail = psprintf("%s is registered %s", quote_literal_cstr(facts->registered_name),
						  facts->registered_shipped ? "from the start" : "by email_notification()");

	if (explanation->notification->template_name == NULL)
		advice = psprintf(
			"To mail it: SELECT rhesis_notify.email_notification(%s); or let the task name a "
			"template.",
			quote_literal_cstr(last_part));
	AppendDecision(explanation, "opted in", explanation->notification->template_name ? "yes" : "no",
				   detail, advice);
}

static void
ExplainAge(const Explanation *explanation)
{
	TimestampTz created_at = explanation->notification->created_at;
	TimestampTz decided_at =
		explanation->facts->finished_at ? explanation->facts->finished_at : GetCurrentTimestamp();
	TimestampTz expires_at;

	if (rhesis_expire_after == 0)
	{
		AppendDecision(explanation, "age", "in time", "rhesis_notify.expire_after is 0: never",
					   NULL);
		return;
	}
	expires_at = TimePlusSeconds(created_at, rhesis_expire_after);
	AppendDecision(explanation, "age", decided_at <= expires_at ? "in time" : "expired",
				   psprintf("not mailed after %s", TimeText(expires_at)),
				   decided_at <= expires_at
					   ? NULL
					   : "If the mail is still useful, raise rhesis_notify.expire_after "
						 "before retry().");
}

/* Returns what to do about a reason why a user gets no mail; NULL if there is no advice. */
static const char *
AdviceForReason(const char *reason)
{
	static const char *const advices[][2] = {
		{"no_user", "The task must report a user_id."},
		{"unknown_user", "Look the id up in the relation. A user who is deleted gets no mail."},
		{"inactive_user", "Only active users get mail."},
		{"no_email", "Give the user an address."},
		{"invalid_email", "Correct the user's address."},
		{"placeholder_email",
		 "Addresses in rhesis_notify.placeholder_domains get no mail. Give the user another "
		 "address."},
		{"wrong_organization", "The user must belong to the organization that the row names; "
							   "without one, to exactly one organization."},
	};

	for (int i = 0; i < (int) lengthof(advices); i++)
	{
		if (strcmp(advices[i][0], reason) == 0)
			return advices[i][1];
	}
	return NULL;
}

/* Returns "user 7, organization 9, looked up in public.users". */
static char *
WhoWasLookedUp(const Notification *notification, const Recipient *recipient)
{
	char *organization = pstrdup("no organization");

	if (notification->organization_id && *notification->organization_id)
		organization = psprintf("organization %s", notification->organization_id);
	else if (recipient->organization_id)
		organization = psprintf("organization %s", recipient->organization_id);
	if (recipient->organization_name)
		organization = psprintf("%s (%s)", organization, recipient->organization_name);
	return psprintf("user %s, %s, looked up in %s", notification->user_id, organization,
					RecipientsRelationName());
}

/* Shows that the relations cannot be read now. So whether a mail is owed is not known. */
static void
ExplainProblem(Explanation *explanation, const RecipientsProblem *problem)
{
	explanation->obstacle = "recipients_error";
	explanation->recipients_unreadable = true;
	AppendDecision(explanation, "recipient", "cannot be read",
				   problem->detail ? psprintf("%s. %s", problem->message, problem->detail)
								   : problem->message,
				   problem->hint);
}

/* Shows whose mail it is. If the last attempt was to another address, shows that, too. */
static void
ExplainRecipient(Explanation *explanation, Recipient *recipient)
{
	Notification *notification = unconstify(Notification *, explanation->notification);
	const char *used = explanation->facts->recipient_email;
	RecipientsProblem problem = {0};
	const char *found;
	char *who;

	if (!LookUpRecipients(&notification, 1, recipient, &problem))
	{
		ExplainProblem(explanation, &problem);
		return;
	}
	if (recipient->error)
	{
		explanation->obstacle = "recipients_error";
		AppendDecision(explanation, "recipient", "recipients_error", recipient->error,
					   "This user's row makes the relation fail. Correct the row, or the "
					   "view.");
		return;
	}

	found = recipient->skip_reason ? recipient->skip_reason : recipient->email;
	who = WhoWasLookedUp(notification, recipient);
	if (recipient->email_problem)
		who = psprintf("%s; %s", recipient->email_problem, who);
	explanation->obstacle = recipient->skip_reason;
	if (used == NULL || recipient->skip_reason || strcmp(used, found) == 0)
		AppendDecision(explanation, "recipient", found, who,
					   recipient->skip_reason ? AdviceForReason(recipient->skip_reason) : NULL);
	else
		AppendDecision(explanation, "recipient", found,
					   psprintf("%s; the last attempt was to %s", who, used), NULL);
}

static char *
SourceText(const Explanation *explanation, const RenderedMail *mail, TemplatePart part)
{
	const PartSource *source = &mail->sources[part];
	const char *asked = explanation->notification->template_name;
	const char *origin = NULL;

	if (source->is_asked)
		return psprintf("subject from %s",
						explanation->facts->names_subject ? "the row" : "the registration");
	if (source->template_name == NULL)
		return psprintf("%s missing", TemplatePartName(part));
	switch (source->origin)
	{
		case TEMPLATE_OF_ORGANIZATION:
			origin = "the organization's own";
			break;
		case TEMPLATE_OF_EVERYBODY:
			origin = "rhesis_notify.templates";
			break;
		case TEMPLATE_SHIPPED:
			origin = "the extension";
			break;
	}
	if (strcmp(source->template_name, asked) == 0)
		return psprintf("%s from %s", TemplatePartName(part), origin);
	return psprintf("%s from %s, %s", TemplatePartName(part), origin, source->template_name);
}

static void
ExplainTemplate(Explanation *explanation, const Recipient *recipient)
{
	const Notification *notification = explanation->notification;
	Recipient somebody = {.email = "", .name = ""};
	RenderedMail mail = {0};
	const char *sources;

	/* A recipient who no longer exists does not matter to the template. */
	RenderNotification(notification, recipient->email ? recipient : &somebody, &mail);
	if (mail.error)
	{
		explanation->obstacle = explanation->obstacle ? explanation->obstacle : "render_error";
		AppendDecision(explanation, "template", "cannot be rendered", mail.error,
					   "Not even the shipped template can be rendered with these values; see "
					   "preview().");
		return;
	}
	sources = psprintf("%s; %s; %s", SourceText(explanation, &mail, TEMPLATE_SUBJECT),
					   SourceText(explanation, &mail, TEMPLATE_HTML),
					   SourceText(explanation, &mail, TEMPLATE_TEXT));
	if (notification->result_remark)
		AppendDecision(explanation, "result", "too large", notification->result_remark,
					   "Let the task return less: a mail shows only ids, counts and names.");
	AppendDecision(explanation, "template", notification->template_name,
				   mail.fallback ? psprintf("%s. %s", mail.fallback, sources) : sources,
				   mail.fallback ? "The mail falls back to another template: correct this one."
								 : NULL);
}

/* If mails have no links now, shows why. */
static void
ExplainLinks(const Explanation *explanation)
{
	bool was_refused;
	const char *problem = LinksProblem(&was_refused);

	if (problem)
		AppendDecision(explanation, "links", "none", problem, LINKS_ADVICE);
}

static void
ExplainMail(Explanation *explanation)
{
	const Notification *notification = explanation->notification;
	Recipient recipient = {0};

	ExplainTask(explanation);
	explanation->obstacle = ReasonToSkip(notification);
	ExplainOptIn(explanation);
	if (notification->template_name == NULL)
		return;
	ExplainAge(explanation);
	if (IsOver(explanation) && strcmp(explanation->obstacle, "expired") == 0)
		return;
	if (notification->user_id == NULL || *notification->user_id == '\0')
		AppendDecision(explanation, "recipient", "no_user", "the row has no user_id",
					   AdviceForReason("no_user"));
	else
		ExplainRecipient(explanation, &recipient);
	if (IsOver(explanation))
		return;
	ExplainTemplate(explanation, &recipient);
	ExplainLinks(explanation);
}

/* ---- From the queue on ---- */

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

/*
 * Shows whether the database is a copy. For a notification that is being sent, shows it only if it
 * is one.
 */
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
					   "SELECT * FROM rhesis_notify.health() says why.");
	else if (service->waiting_for_standby)
		AppendDecision(
			explanation, "worker", WorkerActivityName(service->waiting_for_standby->activity),
			psprintf("since %s", TimeText(StandbySince(service->waiting_for_standby))),
			"No standby of synchronous_standby_names answers: start it, or remove it from "
			"that setting and reload.");
	else if (hindered)
		AppendDecision(explanation, "worker", WorkerActivityName(hindered->activity),
					   psprintf("%s, %s", hindered->last_error, TimeText(hindered->last_error_at)),
					   "It continues by itself when the cause is gone. To try at once: "
					   "SELECT rhesis_notify.wake_workers();");
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
			psprintf("backing off until %s", TimeText(service->backing_off->backing_off_until)),
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
		AppendDecision(explanation, "pace", psprintf("%.1f mails a second", limit),
					   ahead ? psprintf("the mail server asked for a slower pace; %s", ahead)
							 : "the mail server asked for a slower pace",
					   "It rises again by itself. Set rhesis_notify.max_rate to what the provider "
					   "allows.");
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
		appendStringInfo(&detail, ", by a worker that has ended (number " INT64_FORMAT ")",
						 facts->claimed_by);
	if (facts->smtp_reply)
		appendStringInfo(&detail, "; %s", facts->smtp_reply);
	AppendDecision(explanation, "state",
				   facts->reason ? psprintf("%s, %s", facts->state, facts->reason) : facts->state,
				   detail.data, NULL);
}

/* ---- What comes next ---- */

/* Shows what the worker will do with a waiting notification. */
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

/*
 * Shows that a trigger or constraint of the application refuses this notification, or that a rule
 * refuses all. Returns true if so.
 */
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
						   : "Correct or drop the trigger, rule or constraint that was added "
							 "to rhesis_notify.task_notifications.");
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
					   "within a minute, when a worker looks for rows of workers that have "
					   "ended",
					   holds ? "Then retry() or cancel() it." : NULL);
}

/* Returns the calls that take the notification out of a final or held state. */
static char *
AdviceToRetry(const Explanation *explanation)
{
	int64 id = explanation->notification->id;

	if (rhesis_expire_after > 0 && explanation->notification->created_at <
									   GetCurrentTimestamp() - rhesis_expire_after * USECS_PER_SEC)
		return pstrdup(
			"retry() refuses notifications older than rhesis_notify.expire_after: raise that "
			"first.");
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
		"Nothing prevents it now. To send it: SELECT rhesis_notify.retry(" INT64_FORMAT ");", id);
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
			psprintf("If it did not arrive, search the mail server's log for Message-ID %s, "
					 "and look into the spam folder.",
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
		AppendDecision(explanation, "next", "nothing", "it waits for retry() or cancel()",
					   AdviceToRetry(explanation));
	else
		ExplainFinished(explanation);
}

/*
 * Adds the second half of the rows: copy, pause, workers, mail server, pace, attempts, state, and
 * what comes next.
 */
static void
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

/* rhesis_notify.explain(id bigint) returns setof (step, decision, detail, advice) */
Datum
rhesis_notify_explain(PG_FUNCTION_ARGS)
{
	Explanation explanation = {0};
	int64 id;

	RequirePreload();
	RequireStrictArguments(fcinfo, 1);
	id = PG_GETARG_INT64(0);
	explanation.result = BeginRows(fcinfo, COLUMNS);
	explanation.facts = FetchFacts(id, CurrentMemoryContext);
	explanation.notification = FetchNotification(id, CurrentMemoryContext);
	if (explanation.facts == NULL || explanation.notification == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("notification " INT64_FORMAT " does not exist", id),
				 errhint("The task has not reported or was rolled back, or the notification was "
						 "removed after rhesis_notify.retention. By the task's id: SELECT id FROM "
						 "rhesis_notify.task_notifications WHERE task_id = '...'.")));
	ExplainMail(&explanation);
	ExplainDelivery(&explanation);
	return (Datum) 0;
}

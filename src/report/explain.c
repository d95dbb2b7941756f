/*
 * explain.c - why a notification is where it is: rhesis_notify.explain().
 *
 * One row for each decision, in the order in which the worker takes them, made by the worker's own code: the claim's reasons, the
 * look-up of the recipient as the relations' owners, the rendering. They are taken anew, as of now, and nothing is changed; what
 * was decided then is in the rows of the attempts and of the state. Here is what concerns the mail; explain_delivery.c has the
 * rest. SECURITY DEFINER, as preview().
 */
#include "postgres.h"

#include "report/explain_internal.h"

#include "base/call_check.h"
#include "base/time_text.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "queue/queue.h"
#include "recipients/recipients.h"
#include "report/preview.h"
#include "server/shared_state.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "template/rendering.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define COLUMNS 4

/* Names and ids may be as long as a task likes. */
#define MAX_TEXT_BYTES 2000

PG_FUNCTION_INFO_V1(rhesis_notify_explain);

void
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

bool
IsInState(const Explanation *explanation, const char *state)
{
	return strcmp(explanation->facts->state, state) == 0;
}

bool
IsWaiting(const Explanation *explanation)
{
	return IsInState(explanation, "pending") || IsInState(explanation, "deferred");
}

/* An obstacle ends the explanation's first half where it ended, or will end, the notification. */
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

/* By what the task is opted in, or that it is not. */
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
			"If it is to be mailed: SELECT rhesis_notify.email_notification(%s); or have the "
			"task name a template.",
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
					   : "Raise rhesis_notify.expire_after before retry(), if it is still of use.");
}

/* What to do about a reason for which somebody gets no mail. */
static const char *
AdviceForReason(const char *reason)
{
	static const char *const advices[][2] = {
		{"no_user", "The task has to report a user_id."},
		{"unknown_user", "Look the id up in the relation; a user who is deleted gets no mail."},
		{"inactive_user", "Active users are mailed only."},
		{"no_email", "Give the user an address."},
		{"invalid_email", "Correct the user's address."},
		{"placeholder_email",
		 "Addresses in rhesis_notify.placeholder_domains get no mail; give the user another."},
		{"wrong_organization", "The user has to belong to the organization that the row names; "
							   "without one, to a single organization."},
	};

	for (int i = 0; i < (int) lengthof(advices); i++)
	{
		if (strcmp(advices[i][0], reason) == 0)
			return advices[i][1];
	}
	return NULL;
}

/* "user 7, organization 9, looked up in public.users" */
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

/* The relations can't be read now: nothing is decided. */
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

/* Whose mail it is; what was decided then comes first where a mail has gone out. */
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
					   "This user's row makes the relation fail: mend the row, or the view.");
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
			origin = "what ships";
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

	/* Who is gone since then does not matter to the template. */
	RenderNotification(notification, recipient->email ? recipient : &somebody, &mail);
	if (mail.error)
	{
		explanation->obstacle = explanation->obstacle ? explanation->obstacle : "render_error";
		AppendDecision(explanation, "template", "cannot be rendered", mail.error,
					   "Not even what ships can be rendered with these values; see preview().");
		return;
	}
	sources = psprintf("%s; %s; %s", SourceText(explanation, &mail, TEMPLATE_SUBJECT),
					   SourceText(explanation, &mail, TEMPLATE_HTML),
					   SourceText(explanation, &mail, TEMPLATE_TEXT));
	if (notification->result_remark)
		AppendDecision(explanation, "result", "too large", notification->result_remark,
					   "Return less from the task: ids, counts and names are what a mail shows.");
	AppendDecision(explanation, "template", notification->template_name,
				   mail.fallback ? psprintf("%s. %s", mail.fallback, sources) : sources,
				   mail.fallback ? "The mail falls back to another template: correct this one."
								 : NULL);
}

/* That the mail has no link, whatever the task reports. */
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

/*
 * functions.c - SQL functions that use SMTP in the caller's session: send_task_completion_email and
 * check_smtp.
 */
#include "postgres.h"

#include "base/call_check.h"
#include "base/compat.h"
#include "base/database_text.h"
#include "delivery/delivery_log.h"
#include "delivery/outgoing.h"
#include "delivery/smtp_session.h"
#include "delivery/smtp_settings.h"
#include "fmgr.h"
#include "mail/message.h"
#include "mail/written_address.h"
#include "miscadmin.h"
#include "policy/smtp_hint.h"
#include "queue/queue_copy.h"
#include "server/shared_state.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rhesis_notify_send_task_completion_email);
PG_FUNCTION_INFO_V1(rhesis_notify_check_smtp);

/* ---- send_task_completion_email ---- */

static char *
TextArgument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static char *
RequiredArgument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	char *value = TextArgument(fcinfo, argument);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" of send_task_completion_email must not be null", name)));
	return value;
}

static void
PushPair(RhesisJsonbState *state, const char *name, const char *value)
{
	JsonbValue item;

	if (value == NULL)
		return;
	item.type = jbvString;
	item.val.string.val = unconstify(char *, name);
	item.val.string.len = strlen(name);
	RhesisPushJsonb(state, WJB_KEY, &item);
	item.val.string.val = unconstify(char *, value);
	item.val.string.len = strlen(value);
	RhesisPushJsonb(state, WJB_VALUE, &item);
}

/* Returns a result with those arguments that templates read from a task's result. */
static Jsonb *
ResultFromArguments(const char *execution_time, const char *test_run_id)
{
	RhesisJsonbState state = {0};

	RhesisPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	PushPair(&state, "execution_time", execution_time);
	PushPair(&state, "test_run_id", test_run_id);
	RhesisPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

static void
ReadArguments(FunctionCallInfo fcinfo, Notification *notification, Recipient *recipient)
{
	char *status;

	RequireArguments(fcinfo, 9);
	status = RequiredArgument(fcinfo, 4, "status");
	if (strcmp(status, "success") != 0 && strcmp(status, "failed") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid status \"%s\"", status),
				 errhint("A task's final status is \"success\" or \"failed\".")));
	memset(notification, 0, sizeof(*notification));
	notification->task_name = RequiredArgument(fcinfo, 2, "task_name");
	notification->task_id = RequiredArgument(fcinfo, 3, "task_id");
	notification->is_success = strcmp(status, "success") == 0;
	notification->template_name = "task_completion";
	notification->error_message = TextArgument(fcinfo, 6);
	notification->result = ResultFromArguments(TextArgument(fcinfo, 5), TextArgument(fcinfo, 7));
	notification->completed_at = GetCurrentTimestamp();
	notification->created_at = notification->completed_at;

	memset(recipient, 0, sizeof(*recipient));
	recipient->email = RequiredArgument(fcinfo, 0, "recipient_email");
	recipient->name = TextArgument(fcinfo, 1);
	if (recipient->name == NULL || *recipient->name == '\0')
		recipient->name = recipient->email;
}

/*
 * Renders the mail with another frontend_url; NULL: with the setting. Returns false if the URL is
 * refused; a WARNING then says why.
 */
static bool
RenderWithFrontend(const Notification *notification, const Recipient *recipient,
				   const char *frontend_url, RenderedMail *rendered)
{
	int nest_level = NewGUCNestLevel();
	bool accepted = frontend_url == NULL ||
					set_config_option("rhesis_notify.frontend_url", frontend_url, PGC_SUSET,
									  PGC_S_SESSION, GUC_ACTION_SAVE, true, WARNING, false) > 0;

	if (accepted)
		RenderNotification(notification, recipient, rendered);
	AtEOXact_GUC(false, nest_level);
	return accepted;
}

/* Sends the mail, and waits for the result. Returns why it was not sent; NULL if it was. */
static const char *
SendNow(const Recipient *recipient, const RenderedMail *rendered)
{
	Outgoing outgoing;
	SmtpMail mail = {0};
	const char *problem;
	const char *reason = NULL;
	const char *written = DatabaseTextToUtf8(recipient->email, strlen(recipient->email));
	char *address = ReadWrittenAddress(written, strlen(written), &problem);
	Recipient envelope = *recipient;
	char *message_id;

	if (rendered->error)
		return rendered->error;
	if (address == NULL)
		return psprintf("address is not valid: %s", problem);
	envelope.email = address;
	ReadOutgoing(&outgoing);
	message_id = RandomMessageId(&outgoing);
	if (message_id == NULL)
		return "no random number for a Message-ID";
	if (!ComposeOutgoing(&outgoing, 0, message_id, &envelope, rendered, &mail, &problem))
		return problem;

	problem = SendInSession(&mail);
	if (problem)
		return problem;
	if (OutcomeForEvent(&mail.event).action != OUTCOME_SENT)
		reason = EventInOneLine(&mail.event);
	SmtpMailClear(&mail);
	return reason;
}

/* rhesis_notify.send_task_completion_email(…) */
Datum
rhesis_notify_send_task_completion_email(PG_FUNCTION_ARGS)
{
	Notification notification;
	Recipient recipient;
	RenderedMail rendered = {0};
	const char *reason;
	CopySign sign;

	ReadArguments(fcinfo, &notification, &recipient);
	/*
	 * Without the preload, rhesis_notify.instance is not known, and so a copied data directory is
	 * not recognised.
	 */
	if (rhesis_shared == NULL)
	{
		LogMailFailed(recipient.email, PRELOAD_PROBLEM, NULL, PRELOAD_HINT);
		PG_RETURN_BOOL(false);
	}
	/*
	 * A copy (staging with production's data, for example) must not mail production's users, not
	 * even without the queue.
	 */
	sign = FindCopySign(NULL);
	if (sign != NO_COPY)
	{
		LogMailFailed(recipient.email, psprintf("this database is a copy: %s", CopySignText(sign)),
					  NULL, ADOPT_HINT);
		PG_RETURN_BOOL(false);
	}
	if (!RenderWithFrontend(&notification, &recipient, TextArgument(fcinfo, 8), &rendered))
		PG_RETURN_BOOL(false);
	reason = SendNow(&recipient, &rendered);
	if (reason)
	{
		LogMailFailed(recipient.email, reason, NULL,
					  "SELECT * FROM rhesis_notify.check_smtp() tells more.");
		PG_RETURN_BOOL(false);
	}
	LogMailSent(recipient.email, notification.task_id);
	PG_RETURN_BOOL(true);
}

/* ---- check_smtp ---- */

#define CHECK_COLUMNS 4

static bool
EndsSentence(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && strchr(".!?", text[length - 1]) != NULL;
}

static void
PutStep(ReturnSetInfo *result, const char *step, bool ok, const char *detail, const char *hint,
		double elapsed_ms)
{
	Datum values[CHECK_COLUMNS];
	bool nulls[CHECK_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(step);
	values[1] = BoolGetDatum(ok);
	/* A mail server's reply may end with a full stop. */
	if (hint != NULL)
		detail = psprintf("%s%s %s", detail, EndsSentence(detail) ? "" : ".", hint);
	values[2] = CStringGetTextDatum(detail);
	values[3] = Float8GetDatum(elapsed_ms);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Returns true if the refusal says nothing about other recipients: the probe's address need not be
 * a mailbox. (If the server refuses to relay mail for us, it refuses every other address, too; then
 * there is a hint.)
 */
static bool
RefusesThisRecipientAlone(const SmtpEvent *event, const Outcome *outcome)
{
	return event->stage == SMTP_STAGE_RCPT && event->kind == SMTP_EVENT_REPLY &&
		   (outcome->scope == OUTCOME_SCOPE_ADDRESS || outcome->scope == OUTCOME_SCOPE_MESSAGE) &&
		   outcome->hint == NULL;
}

/* Returns a warning for a step that succeeded; or NULL. */
static const char *
WarningForStep(SmtpProbeStepName step, const SmtpProbe *probe, bool refused)
{
	if (step == SMTP_PROBE_CONNECT && strpbrk(probe->helo, ".[") == NULL)
		return "Some servers refuse a name without a dot: then set rhesis_notify.smtp_helo_name";
	if (step == SMTP_PROBE_RECIPIENT && refused)
		return "That is about this address alone, which need not be a mailbox";
	return NULL;
}

static void
PutProbe(ReturnSetInfo *result, const SmtpProbe *probe)
{
	static const char *const names[SMTP_PROBE_STEPS] = {"name lookup",	  "connect",   "TLS",
														"authentication", "MAIL FROM", "RCPT TO"};
	Outcome outcome = OutcomeForEvent(&probe->event);
	bool harmless = RefusesThisRecipientAlone(&probe->event, &outcome);

	for (int i = 0; i < SMTP_PROBE_STEPS; i++)
	{
		const SmtpProbeStep *step = &probe->steps[i];
		bool refused = step->reached && !step->ok;
		bool ok = step->ok || (refused && harmless);

		if (step->reached)
			PutStep(result, names[i], ok, step->detail,
					ok ? WarningForStep((SmtpProbeStepName) i, probe, refused)
					   : SmtpHint(&probe->event, &outcome),
					step->elapsed_ms);
	}
}

/*
 * Returns the address that the probe names: that of redirect_all_to, or our own, but never that of
 * another person.
 */
static const char *
ProbeRecipient(const Mailbox *from)
{
	const char *redirect = SettingRedirect();

	return redirect ? redirect : from->address;
}

/* rhesis_notify.check_smtp() */
Datum
rhesis_notify_check_smtp(PG_FUNCTION_ARGS)
{
	const char *problem = SmtpSettingsProblem();
	SmtpProbe probe = {0};
	ReturnSetInfo *result;
	const char *no_links;
	bool refused;
	Mailbox from;

	RequireArguments(fcinfo, 0);
	result = BeginRows(fcinfo, CHECK_COLUMNS);
	if (problem == NULL)
	{
		SettingFrom(&from);
		problem = ProbeInSession(from.address, ProbeRecipient(&from), &probe);
	}
	no_links = LinksProblem(&refused);
	if (problem)
	{
		PutStep(
			result, "settings", false, problem,
			"Settings are read from postgresql.conf, ALTER SYSTEM, ALTER DATABASE … SET and the "
			"server's environment.",
			0);
		return (Datum) 0;
	}
	PutStep(result, "settings", true,
			psprintf("%s:%d, user %s, sender %s", rhesis_smtp_host, rhesis_smtp_port,
					 rhesis_smtp_user && *rhesis_smtp_user ? rhesis_smtp_user : "(none)",
					 from.address),
			no_links ? psprintf("Mails go without links: %s", no_links) : NULL, 0);
	PutProbe(result, &probe);
	return (Datum) 0;
}

/*
 * preview.c - shows mails without sending them: rhesis_notify.preview(), preview_message() and
 * render_template().
 *
 * All are SECURITY DEFINER: they read templates as the extension's owner. The application's
 * relations are read as their owners, as the worker does.
 */
#include "postgres.h"

#include "base/call_check.h"
#include "base/database_text.h"
#include "catalog/pg_type.h"
#include "delivery/outgoing.h"
#include "fmgr.h"
#include "funcapi.h"
#include "queue/queue.h"
#include "report/preview.h"
#include "settings/settings.h"
#include "template/rendering.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(rhesis_notify_preview);
PG_FUNCTION_INFO_V1(rhesis_notify_preview_message);
PG_FUNCTION_INFO_V1(rhesis_notify_render_template);

/* The columns of preview()'s result. The result of render_template() has only the first three. */
enum
{
	COLUMN_SUBJECT,
	COLUMN_HTML,
	COLUMN_TEXT,
	COLUMN_RECIPIENT_EMAIL,
	COLUMN_REASON,
	COLUMN_COUNT
};

typedef struct PreviewRow
{
	const char *columns[COLUMN_COUNT]; /* in the database's encoding; NULL: null */
} PreviewRow;

/* Returns the row as the function's result. */
static Datum
FormRow(FunctionCallInfo fcinfo, const PreviewRow *row)
{
	TupleDesc descriptor;
	Datum values[COLUMN_COUNT] = {0};
	bool nulls[COLUMN_COUNT];

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE ||
		descriptor->natts > COLUMN_COUNT)
		elog(ERROR, "unexpected result type");
	for (int column = 0; column < descriptor->natts; column++)
	{
		nulls[column] = (row->columns[column] == NULL);
		if (!nulls[column])
			values[column] = CStringGetTextDatum(row->columns[column]);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}

/*
 * All characters of a subject come from the database, except the ellipsis of a subject that was
 * cut, which some encodings do not have.
 */
const char *
StorableSubject(const char *subject)
{
	static const char ellipsis[] = "\xE2\x80\xA6";
	int kept = subject != NULL ? (int) (strlen(subject) - strlen(ellipsis)) : -1;

	if (kept >= 0 && GetDatabaseEncoding() != PG_UTF8 && strcmp(subject + kept, ellipsis) == 0)
		subject = psprintf("%.*s...", kept, subject);
	return subject != NULL ? Utf8ToDatabaseText(subject, strlen(subject)) : NULL;
}

static void
FillParts(PreviewRow *row, const RenderedMail *mail)
{
	row->columns[COLUMN_SUBJECT] = StorableSubject(mail->subject);
	if (mail->html != NULL)
		row->columns[COLUMN_HTML] = Utf8ToDatabaseText(mail->html, strlen(mail->html));
	if (mail->text != NULL)
		row->columns[COLUMN_TEXT] = Utf8ToDatabaseText(mail->text, strlen(mail->text));
}

const char *
ReasonToSkip(const Notification *notification)
{
	if (notification->template_name == NULL)
		return "silent_task";
	if (rhesis_expire_after > 0 &&
		notification->created_at < GetCurrentTimestamp() - rhesis_expire_after * USECS_PER_SEC)
		return "expired";
	if (notification->user_id == NULL || *notification->user_id == '\0')
		return "no_user";
	return NULL;
}

void
LookUpForPreview(Notification *const *notifications, int count, Recipient *recipients)
{
	RecipientsProblem problem;

	if (LookUpRecipients(notifications, count, recipients, &problem))
		return;
	ereport(ERROR, (errcode(problem.sqlstate), errmsg("%s", problem.message),
					problem.detail != NULL ? errdetail("%s", problem.detail) : 0,
					problem.hint != NULL ? errhint("%s", problem.hint) : 0));
}

/* Returns why no mail is owed or can be rendered; NULL if the mail was rendered. */
static const char *
RenderForPreview(Notification *notification, Recipient *recipient, RenderedMail *mail)
{
	const char *reason = ReasonToSkip(notification);

	if (reason != NULL)
		return reason;
	LookUpForPreview(&notification, 1, recipient);
	if (recipient->skip_reason != NULL)
		return recipient->skip_reason;
	if (recipient->error != NULL)
		return recipient->error;
	RenderNotification(notification, recipient, mail);
	if (mail->fallback != NULL)
		ereport(NOTICE, (errmsg("the mail falls back to another template"),
						 errdetail("%s.", mail->fallback)));
	if (notification->result_remark != NULL)
		ereport(NOTICE, (errmsg("the task's result is too large to be read whole"),
						 errdetail("%s.", notification->result_remark)));
	return mail->error;
}

/* Returns the notification whose id is the function's only argument. */
static Notification *
RequireNotification(FunctionCallInfo fcinfo)
{
	Notification *notification;
	int64 id;

	RequireStrictArguments(fcinfo, 1);
	id = PG_GETARG_INT64(0);
	notification = FetchNotification(id, CurrentMemoryContext);
	if (notification == NULL)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("there is no notification " INT64_FORMAT, id)));
	return notification;
}

/*
 * rhesis_notify.preview(notification_id bigint) returns (subject, html, text, recipient_email,
 * reason)
 */
Datum
rhesis_notify_preview(PG_FUNCTION_ARGS)
{
	Notification *notification = RequireNotification(fcinfo);
	Recipient recipient = {0};
	RenderedMail mail = {0};
	PreviewRow row = {0};

	row.columns[COLUMN_REASON] = RenderForPreview(notification, &recipient, &mail);
	row.columns[COLUMN_RECIPIENT_EMAIL] = recipient.email;
	FillParts(&row, &mail);
	PG_RETURN_DATUM(FormRow(fcinfo, &row));
}

/* rhesis_notify.preview_message(notification_id bigint) returns text */
Datum
rhesis_notify_preview_message(PG_FUNCTION_ARGS)
{
	Notification *notification = RequireNotification(fcinfo);
	Recipient recipient = {0};
	RenderedMail mail = {0};
	Outgoing outgoing;
	StringInfoData message;
	const char *reason = RenderForPreview(notification, &recipient, &mail);

	initStringInfo(&message);
	if (reason == NULL)
	{
		ReadOutgoing(&outgoing);
		if (ComposeOutgoingMessage(&outgoing, notification->id,
								   NotificationMessageId(&outgoing, notification), &recipient,
								   &mail, &message, &reason))
			PG_RETURN_TEXT_P(cstring_to_text_with_len(message.data, message.len));
	}
	ereport(NOTICE, (errmsg("notification " INT64_FORMAT " sends no mail", notification->id),
					 errdetail("%s.", reason)));
	PG_RETURN_NULL();
}

/*
 * rhesis_notify.render_template(name text, variables jsonb, organization_id text) returns (subject,
 * html, text)
 */
Datum
rhesis_notify_render_template(PG_FUNCTION_ARGS)
{
	const char *name;
	const char *organization_id;
	RenderedMail mail;
	PreviewRow row = {0};

	RequireArguments(fcinfo, 3);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("name and variables must not be null")));
	if (!JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(1)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("variables must be a JSON object")));

	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	organization_id = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!RenderTemplate(name, organization_id, PG_GETARG_JSONB_P(1), &mail))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no template \"%s\"", name)));
	if (mail.error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("template \"%s\" cannot be rendered", name), errdetail("%s.", mail.error)));
	FillParts(&row, &mail);
	PG_RETURN_DATUM(FormRow(fcinfo, &row));
}

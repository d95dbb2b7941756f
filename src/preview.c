/*
 * preview.c - what would be sent, without sending: rhesis_notify.preview() and render_template().
 *
 * Both are SECURITY DEFINER: they read templates as the extension's owner; the app's relations are read as their owners, as
 * the worker does it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "queue.h"
#include "rendering.h"
#include "settings.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(rhesis_notify_preview);
PG_FUNCTION_INFO_V1(rhesis_notify_render_template);

/* The same columns in both functions' results, as far as they go. */
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

/* The row as the function's result. */
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
 * A subject that a database can hold. All its characters come from there but for the ellipsis of one that was cut, which not
 * every encoding has.
 */
static const char *
StorableSubject(const char *subject)
{
	static const char ellipsis[] = "\xE2\x80\xA6";
	int kept = subject != NULL ? (int) (strlen(subject) - strlen(ellipsis)) : -1;

	if (kept < 0 || GetDatabaseEncoding() == PG_UTF8 || strcmp(subject + kept, ellipsis) != 0)
		return subject;
	return psprintf("%.*s...", kept, subject);
}

static void
FillParts(PreviewRow *row, const RenderedMail *mail)
{
	const char *parts[] = {StorableSubject(mail->subject), mail->html, mail->text};

	for (int part = 0; part < (int) lengthof(parts); part++)
	{
		if (parts[part] != NULL)
			row->columns[COLUMN_SUBJECT + part] =
				pg_any_to_server(parts[part], strlen(parts[part]), PG_UTF8);
	}
}

/* The reason for which the claim would settle this notification without a look at its user, or NULL. */
static const char *
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

static void
LookUpRecipient(Notification *notification, Recipient *recipient)
{
	RecipientsProblem problem;

	if (LookUpRecipients(&notification, 1, recipient, &problem))
		return;
	ereport(ERROR, (errcode(problem.sqlstate), errmsg("%s", problem.message),
					problem.detail != NULL ? errdetail("%s", problem.detail) : 0,
					problem.hint != NULL ? errhint("%s", problem.hint) : 0));
}

static void
PreviewMail(const Notification *notification, const Recipient *recipient, PreviewRow *row)
{
	RenderedMail mail;

	RenderNotification(notification, recipient, &mail);
	if (mail.fallback != NULL)
		ereport(NOTICE,
				(errmsg("the mail falls back to what ships"), errdetail("%s.", mail.fallback)));
	FillParts(row, &mail);
	row->columns[COLUMN_REASON] = mail.error;
}

/* rhesis_notify.preview(notification_id bigint) returns (subject, html, text, recipient_email, reason) */
Datum
rhesis_notify_preview(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	Notification *notification = FetchNotification(id, CurrentMemoryContext);
	Recipient recipient = {0};
	PreviewRow row = {0};

	if (notification == NULL)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("there is no notification " INT64_FORMAT, id)));

	row.columns[COLUMN_REASON] = ReasonToSkip(notification);
	if (row.columns[COLUMN_REASON] == NULL)
	{
		LookUpRecipient(notification, &recipient);
		row.columns[COLUMN_RECIPIENT_EMAIL] = recipient.email;
		row.columns[COLUMN_REASON] =
			recipient.skip_reason != NULL ? recipient.skip_reason : recipient.error;
	}
	if (row.columns[COLUMN_REASON] == NULL)
		PreviewMail(notification, &recipient, &row);
	PG_RETURN_DATUM(FormRow(fcinfo, &row));
}

/* rhesis_notify.render_template(name text, variables jsonb, organization_id text) returns (subject, html, text) */
Datum
rhesis_notify_render_template(PG_FUNCTION_ARGS)
{
	const char *name;
	const char *organization_id;
	RenderedMail mail;
	PreviewRow row = {0};

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
				 errmsg("template \"%s\" can't be rendered", name), errdetail("%s.", mail.error)));
	FillParts(&row, &mail);
	PG_RETURN_DATUM(FormRow(fcinfo, &row));
}

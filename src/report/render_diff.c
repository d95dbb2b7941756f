/*
 * render_diff.c - shows what a change of a template would do to the mails that it was used for:
 * rhesis_notify.render_diff().
 *
 * SECURITY DEFINER, like the previews. Notifications are read a few at a time, and each is rendered
 * twice, in memory that is freed after each mail.
 */
#include "postgres.h"

#include "base/call_check.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/queue.h"
#include "report/preview.h"
#include "template/rendering.h"
#include "template/template_check.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rhesis_notify_render_diff);

/* How many results of tasks are in memory at once. */
#define BATCH_SIZE 20

#define MAX_LAST 1000000

#define RESULT_COLUMNS 5

enum
{
	ARGUMENT_NAME,
	ARGUMENT_HTML,
	ARGUMENT_TEXT,
	ARGUMENT_SUBJECT,
	ARGUMENT_LAST,
	ARGUMENT_ORGANIZATION_ID,
	ARGUMENT_COUNT
};

/* A notification's mail, as it is now or as it would be. */
typedef struct Version
{
	RenderedMail mail;
	UsedVariables used;
} Version;

static char *
TextArgument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static bool
HasPart(TemplateSearch *search, const char *name, TemplatePart part)
{
	return FindTemplate(search, name, strlen(name), part) != NULL;
}

/* Raises an error if the organization has no template of this name. */
static void
RequireTemplate(const TemplateProposal *proposal)
{
	TemplateSearch search = {.organization_id = proposal->organization_id};

	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
	{
		if (HasPart(&search, proposal->name, part))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no template \"%s\"", proposal->name),
			 errhint("For a template that only an organization has, name the organization.")));
}

/*
 * Reads the row that the arguments propose. Raises the errors that the trigger check_template would
 * raise if the row was written.
 */
static void
ReadProposal(FunctionCallInfo fcinfo, TemplateProposal *proposal)
{
	static const int arguments[TEMPLATE_PARTS] = {
		[TEMPLATE_SUBJECT] = ARGUMENT_SUBJECT,
		[TEMPLATE_HTML] = ARGUMENT_HTML,
		[TEMPLATE_TEXT] = ARGUMENT_TEXT,
	};

	memset(proposal, 0, sizeof(*proposal));
	proposal->name = TextArgument(fcinfo, ARGUMENT_NAME);
	proposal->organization_id = TextArgument(fcinfo, ARGUMENT_ORGANIZATION_ID);
	if (proposal->name == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("name must not be null")));

	BeginTemplates();
	RequireTemplate(proposal);
	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
	{
		char *source = TextArgument(fcinfo, arguments[part]);

		if (source == NULL)
			continue;
		CheckTemplatePart(proposal->name, proposal->organization_id, part, source);
		ParsePart(&proposal->parts[part], proposal->name, part, source);
	}
}

static int
ReadLast(FunctionCallInfo fcinfo)
{
	int last = PG_ARGISNULL(ARGUMENT_LAST) ? 0 : PG_GETARG_INT32(ARGUMENT_LAST);

	if (last < 1 || last > MAX_LAST)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("last must be between 1 and %d", MAX_LAST)));
	return last;
}

/*
 * Returns true if the template has no subject: then it is a partial (layout, for example), and any
 * mail may use it.
 */
static bool
IsPartial(const TemplateProposal *proposal)
{
	TemplateSearch search = {.organization_id = proposal->organization_id, .proposal = proposal};

	return !HasPart(&search, proposal->name, TEMPLATE_SUBJECT);
}

static const char *
PartOf(const RenderedMail *mail, TemplatePart part)
{
	switch (part)
	{
		case TEMPLATE_SUBJECT:
			return mail->subject;
		case TEMPLATE_HTML:
			return mail->html;
		case TEMPLATE_TEXT:
			break;
	}
	return mail->text;
}

static bool
PartDiffers(const Version *current, const Version *proposed, TemplatePart part)
{
	const char *one = PartOf(&current->mail, part);
	const char *other = PartOf(&proposed->mail, part);

	if (one == NULL || other == NULL)
		return one != other;
	return strcmp(one, other) != 0;
}

/*
 * Returns why the proposed mail cannot be rendered as it should be; NULL if it can, or the current
 * mail fails for the same reason.
 */
static const char *
Failure(const Version *current, const Version *proposed)
{
	const char *before = current->mail.error ? current->mail.error : current->mail.fallback;
	const char *after = proposed->mail.error ? proposed->mail.error : proposed->mail.fallback;

	if (after == NULL || (before != NULL && strcmp(before, after) == 0))
		return NULL;
	return after;
}

/*
 * Returns the variables that only the current mail uses, as "html: task_id, status; text: task_id";
 * NULL if there are none.
 */
static const char *
LostVariables(const Version *current, const Version *proposed)
{
	StringInfoData lost;

	initStringInfo(&lost);
	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
	{
		bool any = false;
		ListCell *cell;

		foreach(cell, current->used.names[part])
		{
			if (IsUsed(&proposed->used, part, lfirst(cell)))
				continue;
			if (any)
				appendStringInfoString(&lost, ", ");
			else
				appendStringInfo(&lost, "%s%s: ", lost.len > 0 ? "; " : "", TemplatePartName(part));
			appendStringInfoString(&lost, lfirst(cell));
			any = true;
		}
	}
	return lost.len > 0 ? lost.data : NULL;
}

/* Returns the parts that differ, as "subject, html"; NULL if none does. */
static const char *
DifferentParts(const Version *current, const Version *proposed)
{
	StringInfoData parts;

	initStringInfo(&parts);
	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
	{
		if (PartDiffers(current, proposed, part))
			appendStringInfo(&parts, "%s%s", parts.len > 0 ? ", " : "", TemplatePartName(part));
	}
	return parts.len > 0 ? parts.data : NULL;
}

static void
PutDifference(ReturnSetInfo *result, int64 id, const char *what, const char *detail,
			  const Version *current, const Version *proposed)
{
	const char *texts[RESULT_COLUMNS] = {NULL, what, detail, StorableSubject(current->mail.subject),
										 StorableSubject(proposed->mail.subject)};
	Datum values[RESULT_COLUMNS] = {Int64GetDatum(id)};
	bool nulls[RESULT_COLUMNS] = {false};

	for (int column = 1; column < RESULT_COLUMNS; column++)
	{
		nulls[column] = texts[column] == NULL;
		if (!nulls[column])
			values[column] = CStringGetTextDatum(texts[column]);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Adds at most one row: the most serious difference of the notification. */
static void
Compare(const Notification *notification, const Recipient *recipient,
		const TemplateProposal *proposal, ReturnSetInfo *result)
{
	Version current = {0};
	Version proposed = {0};
	const char *what = "fails";
	const char *detail;

	RenderNotificationWith(notification, recipient, NULL, &current.used, &current.mail);
	RenderNotificationWith(notification, recipient, proposal, &proposed.used, &proposed.mail);
	detail = Failure(&current, &proposed);
	if (detail == NULL)
	{
		what = "loses variable";
		detail = LostVariables(&current, &proposed);
	}
	if (detail == NULL)
	{
		what = "differs";
		detail = DifferentParts(&current, &proposed);
	}
	if (detail != NULL)
		PutDifference(result, notification->id, what, detail, &current, &proposed);
}

/*
 * Compares the mails of a few notifications. Skips those that are owed no mail because of their
 * recipient, or that no longer exist.
 */
static void
CompareBatch(const int64 *ids, int count, const TemplateProposal *proposal, ReturnSetInfo *result)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext one_mail =
		AllocSetContextCreate(caller, "rhesis_notify mail", ALLOCSET_DEFAULT_SIZES);
	Notification *notifications[BATCH_SIZE];
	Recipient recipients[BATCH_SIZE] = {0};
	int found = 0;

	for (int i = 0; i < count; i++)
	{
		Notification *notification = FetchNotification(ids[i], caller);

		if (notification != NULL && notification->template_name != NULL)
			notifications[found++] = notification;
	}
	LookUpForPreview(notifications, found, recipients);

	MemoryContextSwitchTo(one_mail);
	for (int i = 0; i < found; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (recipients[i].skip_reason == NULL && recipients[i].error == NULL)
			Compare(notifications[i], &recipients[i], proposal, result);
		MemoryContextReset(one_mail);
	}
	MemoryContextSwitchTo(caller);
}

/* rhesis_notify.render_diff(name, html, text, subject, last, organization_id) */
Datum
rhesis_notify_render_diff(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	int last;
	MemoryContext caller;
	MemoryContext batch;
	TemplateProposal proposal;
	int64 *ids;
	int count;

	RequireArguments(fcinfo, ARGUMENT_COUNT);
	last = ReadLast(fcinfo);
	ReadProposal(fcinfo, &proposal);
	result = BeginRows(fcinfo, RESULT_COLUMNS);
	ids = LatestNotifications(IsPartial(&proposal) ? NULL : proposal.name, proposal.organization_id,
							  last, CurrentMemoryContext, &count);

	batch =
		AllocSetContextCreate(CurrentMemoryContext, "rhesis_notify diff", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(batch);
	for (int first = 0; first < count; first += BATCH_SIZE)
	{
		CompareBatch(ids + first, Min(BATCH_SIZE, count - first), &proposal, result);
		MemoryContextReset(batch);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(batch);
	return (Datum) 0;
}

/*
 * template_check.c - checks a template when it is written, before a mail uses it.
 *
 * A template that cannot be parsed, or that names a partial that does not exist, is refused when it
 * is written. Its author also gets notices about what is probably not meant. Errors that depend on
 * data (limits, names that are values) appear only when a mail is rendered. When a template is
 * written, every session drops its cached templates.
 */
#include "postgres.h"

#include "template/template_check.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/call_check.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "template/template_advice.h"
#include "template/templates.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(rhesis_notify_templates_changed);
PG_FUNCTION_INFO_V1(rhesis_notify_check_template);

/* The part that is checked, for the visitor of its names. */
typedef struct CheckedPart
{
	const char *name;
	const char *organization_id; /* NULL: for all organizations */
	TemplatePart part;
	const MustacheTemplate *parsed;
} CheckedPart;

static void
RaiseParseError(const CheckedPart *checked, const MustacheError *error)
{
	ereport(ERROR, (errcode(error->code == MUSTACHE_SYNTAX_ERROR ? ERRCODE_SYNTAX_ERROR
																 : ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("%s of template \"%s\" cannot be parsed",
						   TemplatePartName(checked->part), checked->name),
					error->tag != NULL
						? errdetail("Line %d, %s: %s.", error->line, error->tag, error->message)
						: errdetail("The %s.", error->message),
					error->hint != NULL ? errhint("%s", error->hint) : 0));
}

/*
 * Returns the sign of the tag that names a partial: '>' or '<'. White space may be between the sign
 * and the name.
 */
static char
SigilBefore(const char *name)
{
	do
		name--;
	while (*name != '>' && *name != '<');
	return *name;
}

static void
CheckName(void *arg, MustacheUse use, const char *name, int name_length)
{
	const CheckedPart *checked = arg;
	TemplateSearch search = {.organization_id = checked->organization_id};

	if (use != MUSTACHE_USES_PARTIAL)
		return;
	if (FindTemplate(&search, name, name_length, checked->part) != NULL)
		return;
	if (search.too_many)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%s of template \"%s\" uses too many partials",
							   TemplatePartName(checked->part), checked->name)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s of template \"%s\" uses a partial that does not exist",
					TemplatePartName(checked->part), checked->name),
			 errdetail("Line %d, {{%c%.*s}}: there is no template of that name with a part \"%s\".",
					   MustacheLineOfName(checked->parsed, name), SigilBefore(name), name_length,
					   name, TemplatePartName(checked->part)),
			 errhint("Add the partial first, or both in one statement.")));
}

const MustacheTemplate *
CheckTemplatePart(const char *name, const char *organization_id, TemplatePart part,
				  const char *source)
{
	CheckedPart checked = {.name = name, .organization_id = organization_id, .part = part};
	MustacheError error = {0};

	if (part == TEMPLATE_SUBJECT)
	{
		const SubjectTemplate *subject = ParseSubject(name, source, &error);

		checked.parsed = subject != NULL ? SubjectMustache(subject) : NULL;
	}
	else
		checked.parsed = MustacheParse(name, source, strlen(source), &error);
	if (checked.parsed == NULL)
		RaiseParseError(&checked, &error);
	MustacheVisitNames(checked.parsed, CheckName, &checked);
	return checked.parsed;
}

/* ---- When somebody writes a template ---- */

static const OwnTrigger templates_changed = {.function = "templates_changed",
											 .tables = {"templates", "shipped_templates"},
											 .insert = true,
											 .update = true,
											 .delete_or_truncate = true};
static const OwnTrigger check_template = {.function = "check_template",
										  .tables = {"templates"},
										  .level = TRIGGER_EVENT_ROW,
										  .insert = true,
										  .update = true};

/*
 * The function of a trigger AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ... FOR EACH STATEMENT on
 * both tables. Makes every session drop its cached templates.
 */
Datum
rhesis_notify_templates_changed(PG_FUNCTION_ARGS)
{
	CacheInvalidateRelcache(RequireTrigger(fcinfo, &templates_changed)->tg_relation);
	return PointerGetDatum(NULL);
}

/*
 * Returns a column of the row as text; NULL for null. Raises an error if the column does not exist:
 * the table's owner may have changed the columns.
 */
static char *
ColumnText(const TriggerData *trigger, HeapTuple row, const char *column)
{
	TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
	int number = SPI_fnumber(descriptor, column);

	if (number <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", column,
							   RelationGetRelationName(trigger->tg_relation)),
						errhint("Mails need this column, which CREATE EXTENSION has created. "
								"Add it again.")));
	return SPI_getvalue(row, descriptor, number);
}

/*
 * The function of a trigger AFTER INSERT OR UPDATE ... FOR EACH ROW on templates: it sees all rows
 * of the statement. Refuses a row by an error, and sends notices. A dump may have a template whose
 * partial was deleted, and restoring it must not fail. So does not check if check_function_bodies
 * is off: pg_restore turns it off.
 */
Datum
rhesis_notify_check_template(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = RequireTrigger(fcinfo, &check_template);
	HeapTuple row =
		TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	const char *name = ColumnText(trigger, row, "name");
	const char *organization_id = ColumnText(trigger, row, "organization_id");

	if (!check_function_bodies)
		return PointerGetDatum(NULL);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("the name of a template is null"),
				 errhint("A template is found by its name.")));

	/* Make the new rows visible. If the statement fails, what the cache has of them is dropped. */
	CacheInvalidateRelcache(trigger->tg_relation);
	CommandCounterIncrement();
	BeginTemplates();
	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
	{
		char *source = ColumnText(trigger, row, TemplatePartName(part));

		if (source != NULL)
			AdviseOnTemplatePart(name, organization_id, part, source,
								 CheckTemplatePart(name, organization_id, part, source));
	}
	return PointerGetDatum(NULL);
}

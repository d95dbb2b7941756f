/*
 * template_triggers.c - what happens when somebody writes a template.
 *
 * A template that can't be parsed, or names a partial that does not exist, is refused there and then; every session lets go of
 * the templates that it keeps.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "templates.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(rhesis_notify_templates_changed);
PG_FUNCTION_INFO_V1(rhesis_notify_check_template);

/* A part of the new row, for the visitor of its names. */
typedef struct CheckedPart
{
	const char *name;
	const char *organization_id; /* NULL: for everybody */
	TemplatePart part;
	const MustacheTemplate *parsed;
} CheckedPart;

static TriggerData *
RequireTrigger(FunctionCallInfo fcinfo, bool for_each_row)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		(TRIGGER_FIRED_FOR_ROW(trigger->tg_event) != 0) != for_each_row)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("this function is for a trigger of rhesis_notify's templates")));
	return trigger;
}

/* AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ... FOR EACH STATEMENT on both tables. */
Datum
rhesis_notify_templates_changed(PG_FUNCTION_ARGS)
{
	CacheInvalidateRelcache(RequireTrigger(fcinfo, false)->tg_relation);
	return PointerGetDatum(NULL);
}

static void
RaiseParseError(const CheckedPart *checked, const MustacheError *error)
{
	ereport(ERROR, (errcode(error->code == MUSTACHE_SYNTAX_ERROR ? ERRCODE_SYNTAX_ERROR
																 : ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("%s of template \"%s\" can't be parsed", TemplatePartName(checked->part),
						   checked->name),
					error->tag != NULL
						? errdetail("Line %d, %s: %s.", error->line, error->tag, error->message)
						: errdetail("The %s.", error->message),
					error->hint != NULL ? errhint("%s", error->hint) : 0));
}

/* '>' or '<' of the tag that the name stands in; white space may be between them. */
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
	bool too_many = false;

	if (use != MUSTACHE_USES_PARTIAL)
		return;
	if (FindTemplate(name, name_length, checked->organization_id, checked->part,
					 TEMPLATE_OF_ORGANIZATION, &too_many) != NULL)
		return;
	if (too_many)
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

static void
CheckPart(CheckedPart *checked, const char *source)
{
	MustacheError error = {0};

	if (checked->part == TEMPLATE_SUBJECT)
	{
		const SubjectTemplate *subject = ParseSubject(checked->name, source, &error);

		checked->parsed = subject != NULL ? SubjectMustache(subject) : NULL;
	}
	else
		checked->parsed = MustacheParse(checked->name, source, strlen(source), &error);
	if (checked->parsed == NULL)
		RaiseParseError(checked, &error);
	MustacheVisitNames(checked->parsed, CheckName, checked);
}

static char *
ColumnText(const TriggerData *trigger, HeapTuple row, const char *column)
{
	TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);

	return SPI_getvalue(row, descriptor, SPI_fnumber(descriptor, column));
}

/* AFTER INSERT OR UPDATE ... FOR EACH ROW on templates: when all rows of the statement are there. */
Datum
rhesis_notify_check_template(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = RequireTrigger(fcinfo, true);
	HeapTuple row =
		TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	CheckedPart checked = {.name = ColumnText(trigger, row, "name"),
						   .organization_id = ColumnText(trigger, row, "organization_id")};

	/* See the new rows; what the cache keeps of them goes with them if the statement fails. */
	CacheInvalidateRelcache(trigger->tg_relation);
	CommandCounterIncrement();
	BeginTemplates();
	for (checked.part = 0; checked.part < TEMPLATE_PARTS; checked.part++)
	{
		char *source = ColumnText(trigger, row, TemplatePartName(checked.part));

		if (source != NULL)
			CheckPart(&checked, source);
	}
	return PointerGetDatum(NULL);
}

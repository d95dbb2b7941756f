/*
 * template_variables.c - lists what a template uses and what it could use:
 * rhesis_notify.template_variables().
 *
 * The function follows a template into its partials, part by part, like rendering. SECURITY
 * DEFINER: templates are read as the extension's owner.
 */
#include "postgres.h"

#include "base/call_check.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "template/template_advice.h"
#include "template/templates.h"
#include "template/variable_list.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rhesis_notify_template_variables);

#define RESULT_COLUMNS 7

/* A longer name is cut: a name may be as long as a template. */
#define MAX_SHOWN_NAME 200

/*
 * One use of a name. If a template uses the name several times in the same way, it is listed once.
 */
typedef struct NameUse
{
	const char *name;
	MustacheUse use;
	TemplatePart part;
	const char *template_name;
	int line;
} NameUse;

typedef struct Listing
{
	TemplateSearch search;
	TemplatePart part;
	const char *template_name; /* the template whose names are visited */
	const MustacheTemplate *parsed;
	List *uses;		 /* of NameUse *, in the order of the sources */
	int visited;	 /* index of the first use from this template and part */
	List *templates; /* of char *: templates of this part that were visited, or will be */
} Listing;

static const char *
UseName(MustacheUse use)
{
	static const char *const names[] = {
		[MUSTACHE_USES_VARIABLE] = "variable",
		[MUSTACHE_USES_SECTION] = "section",
		[MUSTACHE_USES_PARTIAL] = "partial",
	};

	return names[use];
}

static bool
IsListed(const List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

static bool
IsNoted(const Listing *listing, MustacheUse use, const char *name)
{
	for (int i = listing->visited; i < list_length(listing->uses); i++)
	{
		const NameUse *noted = list_nth(listing->uses, i);

		if (noted->use == use && strcmp(noted->name, name) == 0)
			return true;
	}
	return false;
}

static void
NoteName(void *arg, MustacheUse use, const char *source, int length)
{
	Listing *listing = arg;
	NameUse *noted;
	char *name;

	CHECK_FOR_INTERRUPTS();
	if (listing->part == TEMPLATE_SUBJECT)
		length = SubjectNameLength(source, length);
	name = pnstrdup(source, length);
	if (use == MUSTACHE_USES_PARTIAL && !IsListed(listing->templates, name))
		listing->templates = lappend(listing->templates, name);

	name = pnstrdup(source, pg_mbcliplen(source, length, MAX_SHOWN_NAME));
	if (IsNoted(listing, use, name))
		return;
	noted = palloc(sizeof(NameUse));
	noted->name = name;
	noted->use = use;
	noted->part = listing->part;
	noted->template_name = listing->template_name;
	noted->line = MustacheLineOfName(listing->parsed, source);
	listing->uses = lappend(listing->uses, noted);
}

/*
 * Visits a part of a template and all its partials. Returns false if the template has no such part.
 */
static bool
VisitPart(Listing *listing, const char *name, TemplatePart part)
{
	bool any = false;

	listing->part = part;
	listing->templates = list_make1(unconstify(char *, name));
	for (int i = 0; i < list_length(listing->templates); i++)
	{
		const char *visited = list_nth(listing->templates, i);
		const StoredPart *found = FindTemplate(&listing->search, visited, strlen(visited), part);

		if (found == NULL)
			continue;
		any = true;
		if (found->problem != NULL)
			continue;
		listing->template_name = visited;
		listing->parsed = part == TEMPLATE_SUBJECT ? SubjectMustache(found->subject) : found->body;
		listing->visited = list_length(listing->uses);
		MustacheVisitNames(listing->parsed, NoteName, listing);
	}
	return any;
}

/* Returns the listed variable that a name begins with; NULL if there is none. */
static const ListedVariable *
VariableOf(const char *name)
{
	return FindListedVariable(pnstrdup(name, strcspn(name, ".")));
}

/*
 * Adds a row to the result. use is NULL if the variable is available but not used. listed is NULL
 * if the name is not a listed variable.
 */
static void
PutRow(ReturnSetInfo *result, const char *name, const NameUse *use, const ListedVariable *listed)
{
	const char *texts[RESULT_COLUMNS] = {name};
	const char *advice =
		use != NULL && use->use != MUSTACHE_USES_PARTIAL ? AdviceOnName(name, strlen(name)) : NULL;
	Datum values[RESULT_COLUMNS] = {0};
	bool nulls[RESULT_COLUMNS];

	if (use != NULL)
	{
		texts[1] = UseName(use->use);
		texts[2] = TemplatePartName(use->part);
		texts[3] = use->template_name;
	}
	if (listed != NULL)
	{
		texts[5] = listed->description;
		texts[6] = listed->example;
	}
	else if (advice != NULL)
		texts[5] = psprintf("Prints nothing: %s", advice);
	for (int column = 0; column < RESULT_COLUMNS; column++)
	{
		nulls[column] = texts[column] == NULL;
		if (!nulls[column])
			values[column] = CStringGetTextDatum(texts[column]);
	}
	if (use != NULL)
	{
		nulls[4] = false;
		values[4] = Int32GetDatum(use->line);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
PutUses(ReturnSetInfo *result, const Listing *listing)
{
	ListCell *cell;

	foreach(cell, listing->uses)
	{
		const NameUse *use = lfirst(cell);

		PutRow(result, use->name, use,
			   use->use == MUSTACHE_USES_PARTIAL ? NULL : VariableOf(use->name));
	}
}

static bool
IsUsedVariable(const Listing *listing, const ListedVariable *variable)
{
	ListCell *cell;

	foreach(cell, listing->uses)
	{
		const NameUse *use = lfirst(cell);

		if (use->use != MUSTACHE_USES_PARTIAL && VariableOf(use->name) == variable)
			return true;
	}
	return false;
}

/* rhesis_notify.template_variables(name text, organization_id text) */
Datum
rhesis_notify_template_variables(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	Listing listing = {.uses = NIL};
	bool any = false;
	char *name;

	RequireArguments(fcinfo, 2);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("name must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		listing.search.organization_id = text_to_cstring(PG_GETARG_TEXT_PP(1));

	result = BeginRows(fcinfo, RESULT_COLUMNS);
	BeginTemplates();
	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
		any |= VisitPart(&listing, name, part);
	if (!any)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no template \"%s\"", name)));

	PutUses(result, &listing);
	for (const ListedVariable *listed = listed_variables; listed->name != NULL; listed++)
	{
		if (!IsUsedVariable(&listing, listed))
			PutRow(result, listed->name, NULL, listed);
	}
	return (Datum) 0;
}

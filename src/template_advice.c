/*
 * template_advice.c - what in a template is legal, and probably not meant.
 *
 * In Mustache a name that does not exist prints nothing. So the words of other template languages, a misspelt block and an
 * invisible character in a tag go unnoticed until somebody reads the mail.
 */
#include "postgres.h"

#include "template_advice.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "variable_list.h"

#define MAX_NOTICES 10 /* of a part: more would hide the first ones */
#define MAX_PARENT_DEPTH 10
#define MAX_SHOWN_NAME 60

/* The block of "layout" that the shipped templates fill. */
#define LAYOUT "layout"
#define CONTENT "content"

/* The part that is looked at. */
typedef struct Advice
{
	const char *template_name;
	const char *organization_id;
	TemplatePart part;
	const MustacheTemplate *parsed;
	int notices;
} Advice;

/* Looking for a block in a template and in those that it inherits from. */
typedef struct BlockSearch
{
	TemplateSearch search;
	TemplatePart part;
	const char *name;
	int name_length;
	bool found;
	const char *next; /* the template's own parent; NULL: none */
	int next_length;
} BlockSearch;

/* Words of Handlebars, Jinja and Liquid that are no names here. */
static const struct
{
	const char *word;
	const char *advice;
} foreign_words[] = {
	{"else", "Mustache has no else: close the section and begin {{^name}}"},
	{"end", "a section ends with its name: {{/name}}"},
	{"endif", "a section ends with its name: {{/name}}"},
	{"endfor", "a section ends with its name: {{/name}}"},
	{"this", "the current element is {{.}} in Mustache"},
	{"@index", "Mustache does not count elements"},
	{"@key", "Mustache does not show keys"},
	{"@first", "Mustache does not count elements"},
	{"@last", "Mustache does not count elements"},
};

static const struct
{
	const char *sign;
	const char *advice;
} foreign_signs[] = {
	{"\xC2\xA0", "it contains a no-break space"},
	{"\xE2\x80\x8B", "it contains a zero-width space"},
	{"\xE2\x80\xAF", "it contains a no-break space"},
	{"\xE2\x81\xA0", "it contains a word joiner"},
	{"\xE3\x80\x80", "it contains an ideographic space"},
	{"\xEF\xBB\xBF", "it contains a byte order mark"},
	{"|", "Mustache has no filters"},
	{"(", "Mustache calls no methods; a subject does, in single braces: {status.title()}"},
	{" ", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\t", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\n", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\r", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\"", "Mustache has no strings"},
	{"'", "Mustache has no strings"},
	{"[", "an element has no name of its own in Mustache: {{#list}}{{.}}{{/list}}"},
};

/* The first occurrence of a sign in the name. */
static bool
Contains(const char *name, int name_length, const char *sign)
{
	int sign_length = strlen(sign);

	for (int i = 0; i + sign_length <= name_length; i++)
	{
		if (memcmp(name + i, sign, sign_length) == 0)
			return true;
	}
	return false;
}

const char *
AdviceOnName(const char *name, int name_length)
{
	int encoding = GetDatabaseEncoding();
	bool is_utf8 = encoding == PG_UTF8 || encoding == PG_SQL_ASCII;

	for (int i = 0; i < (int) lengthof(foreign_words); i++)
	{
		if ((int) strlen(foreign_words[i].word) == name_length &&
			memcmp(foreign_words[i].word, name, name_length) == 0)
			return foreign_words[i].advice;
	}
	if (name_length > 1 && strchr("#^/>!<$&", *name) != NULL)
		return "the sign must follow the braces without a blank";
	for (int i = 0; i < (int) lengthof(foreign_signs); i++)
	{
		if ((is_utf8 || !IS_HIGHBIT_SET(foreign_signs[i].sign[0])) &&
			Contains(name, name_length, foreign_signs[i].sign))
			return foreign_signs[i].advice;
	}
	return NULL;
}

/* A name as a message shows it. */
static char *
ShownName(const char *name, int name_length)
{
	int shown = pg_mbcliplen(name, name_length, MAX_SHOWN_NAME);

	return psprintf("%.*s%s", shown, name, shown < name_length ? "..." : "");
}

static bool
MaySayMore(Advice *advice)
{
	return advice->notices++ < MAX_NOTICES;
}

static void
NoticeName(void *arg, MustacheUse use, const char *name, int name_length)
{
	Advice *advice = arg;
	const char *problem;

	CHECK_FOR_INTERRUPTS();
	if (use == MUSTACHE_USES_PARTIAL)
		return;
	if (advice->part == TEMPLATE_SUBJECT)
		name_length = SubjectNameLength(name, name_length);
	problem = AdviceOnName(name, name_length);
	if (problem == NULL || !MaySayMore(advice))
		return;
	ereport(NOTICE,
			(errmsg("%s of template \"%s\" has a tag that is unlikely to print what was meant",
					TemplatePartName(advice->part), advice->template_name),
			 errdetail("Line %d, {{%s}}: %s.", MustacheLineOfName(advice->parsed, name),
					   ShownName(name, name_length), problem)));
}

static void
SeeBlock(void *arg, const char *parent, int parent_length, const char *name, int name_length)
{
	BlockSearch *search = arg;

	if (parent != NULL)
	{
		search->next = parent;
		search->next_length = parent_length;
	}
	else if (name_length == search->name_length && memcmp(name, search->name, name_length) == 0)
		search->found = true;
}

/* Whether a block of that name can be filled in the template. Where that is not known, it can. */
static bool
HasBlock(Advice *advice, const char *template_name, int template_length, const char *name,
		 int name_length)
{
	BlockSearch search = {
		.search = {.organization_id = advice->organization_id},
		.name = name,
		.name_length = name_length,
		.next = template_name,
		.next_length = template_length,
	};

	for (int depth = 0; depth < MAX_PARENT_DEPTH && search.next != NULL; depth++)
	{
		const StoredPart *stored =
			FindTemplate(&search.search, search.next, search.next_length, advice->part);
		const MustacheTemplate *parsed;

		if (stored == NULL || stored->problem != NULL)
			return true;
		parsed = advice->part == TEMPLATE_SUBJECT ? SubjectMustache(stored->subject) : stored->body;
		search.next = NULL;
		MustacheVisitBlocks(parsed, SeeBlock, &search);
		if (search.found || MustacheUsesPartials(parsed))
			return true;
	}
	return false;
}

static void
NoticeBlock(void *arg, const char *parent, int parent_length, const char *name, int name_length)
{
	Advice *advice = arg;

	CHECK_FOR_INTERRUPTS();
	if (parent == NULL || advice->notices >= MAX_NOTICES ||
		HasBlock(advice, parent, parent_length, name, name_length) || !MaySayMore(advice))
		return;
	ereport(NOTICE, (errmsg("%s of template \"%s\" fills a block that is nowhere",
							TemplatePartName(advice->part), advice->template_name),
					 errdetail("Line %d, {{$%s}}: template \"%s\" has no block of that name, so it "
							   "is not shown.",
							   MustacheLineOfName(advice->parsed, name),
							   ShownName(name, name_length), ShownName(parent, parent_length))));
}

/* {task_name} in HTML or text: printed as it is there. */
static void
NoticeSingleBraces(Advice *advice, const char *source)
{
	for (const char *p = source; (p = strchr(p, '{')) != NULL; p++)
	{
		int length = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
		const char *end = p + 1 + length;

		if (p[1] == '{')
		{
			p += strspn(p, "{") - 1;
			continue;
		}
		if (length == 0 || (*end != '}' && strncmp(end, ".", 1) != 0) ||
			FindListedVariable(pnstrdup(p + 1, length)) == NULL || !MaySayMore(advice))
			continue;
		ereport(NOTICE, (errmsg("%s of template \"%s\" has a variable in single braces",
								TemplatePartName(advice->part), advice->template_name),
						 errdetail("{%.*s} is printed as it stands there; only subjects have "
								   "single braces.",
								   length, p + 1),
						 errhint("Write {{%.*s}}.", length, p + 1)));
	}
}

static void
WarnOfLayout(Advice *advice)
{
	BlockSearch search = {.name = CONTENT, .name_length = strlen(CONTENT)};

	MustacheVisitBlocks(advice->parsed, SeeBlock, &search);
	if (search.found || search.next != NULL || MustacheUsesPartials(advice->parsed))
		return;
	ereport(WARNING, (errmsg("%s of template \"%s\" has no block {{$%s}}",
							 TemplatePartName(advice->part), advice->template_name, CONTENT),
					  errdetail("All mails that use this layout lose their content."),
					  errhint("Put {{$%s}}{{/%s}} where the content belongs.", CONTENT, CONTENT)));
}

void
AdviseOnTemplatePart(const char *name, const char *organization_id, TemplatePart part,
					 const char *source, const MustacheTemplate *parsed)
{
	Advice advice = {
		.template_name = name,
		.organization_id = organization_id,
		.part = part,
		.parsed = parsed,
	};

	MustacheVisitNames(parsed, NoticeName, &advice);
	if (part == TEMPLATE_SUBJECT)
		return;
	MustacheVisitBlocks(parsed, NoticeBlock, &advice);
	NoticeSingleBraces(&advice, source);
	if (strcmp(name, LAYOUT) == 0)
		WarnOfLayout(&advice);
}

/*
 * template_advice.c - finds what is legal in a template but probably not meant.
 *
 * In Mustache, a name that does not exist prints nothing. So nobody notices the keywords of other
 * template languages, a misspelt block or an invisible character in a tag until somebody reads the
 * mail.
 */
#include "postgres.h"

#include "template/template_advice.h"

#include "base/utf8.h"
#include "mail/blank_body.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "template/variable_list.h"

#define MAX_NOTICES 10 /* per part; more notices would hide the first ones */
#define MAX_PARENT_DEPTH 10
#define MAX_SHOWN_NAME 60

/* The block of "layout" that the shipped templates fill. */
#define LAYOUT "layout"
#define CONTENT "content"

/* The part that is checked. */
typedef struct Advice
{
	const char *template_name;
	const char *organization_id;
	TemplatePart part;
	const MustacheTemplate *parsed;
	int notices;
} Advice;

/* A search for a block in a template and in the templates that it inherits from. */
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

/* Keywords of Handlebars, Jinja and Liquid, which are not names here. */
static const struct
{
	const char *word;
	const char *advice;
} foreign_words[] = {
	{"else", "Mustache has no else: close the section and begin {{^name}}"},
	{"elseif", "Mustache has no else: close the section and begin {{^name}}"},
	{"elsif", "Mustache has no else: close the section and begin {{^name}}"},
	{"elif", "Mustache has no else: close the section and begin {{^name}}"},
	{"end", "a section ends with its name: {{/name}}"},
	{"endif", "a section ends with its name: {{/name}}"},
	{"endfor", "a section ends with its name: {{/name}}"},
	{"endunless", "a section ends with its name: {{/name}}"},
	{"endeach", "a section ends with its name: {{/name}}"},
	{"this", "the current element is {{.}} in Mustache"},
	{"loop", "Mustache does not count elements"},
	{"forloop", "Mustache does not count elements"},
	{"@index", "Mustache does not count elements"},
	{"@key", "Mustache does not show keys"},
	{"@first", "Mustache does not count elements"},
	{"@last", "Mustache does not count elements"},
	{"@root", "a name is looked for in all that is around a section, without a word for the root"},
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
	{";", "it contains a semicolon: an entity such as &nbsp; is no blank there"},
	{"|", "Mustache has no filters"},
	{"(", "Mustache calls no methods; a subject does, in single braces: {status.title()}"},
	{" ", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\t", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\n", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"\r", "Mustache has no operators, and a name of several words is not a variable of ours"},
	{"?", "Mustache has no operators"},
	{"=", "Mustache has no operators"},
	{"+", "Mustache has no operators"},
	{"*", "Mustache has no operators"},
	{",", "Mustache has no operators"},
	{"\"", "Mustache has no strings"},
	{"'", "Mustache has no strings"},
	{"[", "an element has no name of its own in Mustache: {{#list}}{{.}}{{/list}}"},
};

/* Returns true if the name contains the sign. */
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

/* Returns the first invisible character of a name; 0 if there is none. The name is UTF-8. */
static pg_wchar
FindInvisible(const char *name, int name_length)
{
	const char *end = name + name_length;

	while (name < end)
	{
		int length = Utf8CharLength(name, end);
		pg_wchar c = length > 0 ? utf8_to_unicode((const unsigned char *) name) : 'x';

		if (IS_HIGHBIT_SET(*name) && IsBlankCharacter(c))
			return c;
		name += Max(length, 1);
	}
	return 0;
}

/*
 * Returns true if both have the same letters and digits, without regard to case and separators:
 * taskName, Task-Name.
 */
static bool
IsSameSpelling(const char *name, int name_length, const char *listed)
{
	const char *end = name + name_length;

	for (;; name++, listed++)
	{
		while (name < end && (*name == '_' || *name == '-'))
			name++;
		while (*listed == '_')
			listed++;
		if (name == end || *listed == '\0')
			return name == end && *listed == '\0';
		if (pg_tolower((unsigned char) *name) != *listed)
			return false;
	}
}

/*
 * Returns true if one letter is missing, added or different, or two adjacent letters have changed
 * places.
 */
static bool
IsOneSlipAway(const char *name, int name_length, const char *listed)
{
	int listed_length = strlen(listed);
	int same = 0;
	const char *rest;
	int rest_length;
	int listed_rest;

	while (same < name_length && same < listed_length && name[same] == listed[same])
		same++;
	rest = name + same;
	rest_length = name_length - same;
	listed += same;
	listed_rest = listed_length - same;
	if (rest_length == listed_rest)
		return (rest_length > 0 && memcmp(rest + 1, listed + 1, rest_length - 1) == 0) ||
			   (rest_length > 1 && rest[0] == listed[1] && rest[1] == listed[0] &&
				memcmp(rest + 2, listed + 2, rest_length - 2) == 0);
	/* One more letter at the end makes another name: a plural, for example. */
	if (rest_length == listed_rest + 1)
		return listed_rest > 0 && memcmp(rest + 1, listed, listed_rest) == 0;
	return rest_length + 1 == listed_rest && memcmp(rest, listed + 1, rest_length) == 0;
}

/*
 * Returns the listed variable that an unknown name probably means; NULL if there is none, or the
 * name itself is listed. The name may be a key of the result.
 */
static const char *
FindMeant(const char *name, int name_length)
{
	for (const ListedVariable *listed = listed_variables; listed->name != NULL; listed++)
	{
		if ((int) strlen(listed->name) == name_length &&
			memcmp(listed->name, name, name_length) == 0)
			return NULL;
	}
	for (const ListedVariable *listed = listed_variables; listed->name != NULL; listed++)
	{
		if (IsSameSpelling(name, name_length, listed->name) ||
			(name_length >= 7 && IsOneSlipAway(name, name_length, listed->name)))
			return listed->name;
	}
	return NULL;
}

/* Returns the length of the part before the first dot. */
static int
HeadLength(const char *name, int name_length)
{
	const char *dot = memchr(name, '.', name_length);

	return dot != NULL ? (int) (dot - name) : name_length;
}

/*
 * Returns the variable that a name means if an author has written it as a member of its source:
 * total_tests for {{result.total_tests}}. Returns NULL for any other name.
 */
static const char *
FindPartOfSource(const char *name, int name_length)
{
	static const char *const sources[] = {"result", "task", "notification", "variables"};
	int head_length = HeadLength(name, name_length);
	const ListedVariable *listed;

	for (int i = 0; i < (int) lengthof(sources) && head_length < name_length; i++)
	{
		if ((int) strlen(sources[i]) != head_length || memcmp(sources[i], name, head_length) != 0)
			continue;
		listed =
			FindListedVariable(pnstrdup(name + head_length + 1, name_length - head_length - 1));
		return listed != NULL ? listed->name : NULL;
	}
	return NULL;
}

const char *
AdviceOnName(const char *name, int name_length)
{
	int head_length = HeadLength(name, name_length);
	const char *meant;
	pg_wchar invisible;
	int encoding = GetDatabaseEncoding();
	bool is_utf8 = encoding == PG_UTF8 || encoding == PG_SQL_ASCII;

	for (int i = 0; i < (int) lengthof(foreign_words); i++)
	{
		if ((int) strlen(foreign_words[i].word) == head_length &&
			pg_strncasecmp(foreign_words[i].word, name, head_length) == 0)
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
	invisible = is_utf8 ? FindInvisible(name, name_length) : 0;
	if (invisible != 0)
		return psprintf("it contains the invisible character U+%04X", invisible);
	if (head_length < name_length && head_length > 0 &&
		FindListedVariable(pnstrdup(name, head_length)) != NULL)
		return psprintf("{{%.*s}} has no parts", head_length, name);
	meant = FindPartOfSource(name, name_length);
	if (meant == NULL)
		meant = FindMeant(name, name_length);
	return meant != NULL ? psprintf("the name of the variable is %s", meant) : NULL;
}

/* Returns a name as a message shows it. */
static char *
ShownName(const char *name, int name_length)
{
	int shown = pg_mbcliplen(name, name_length, MAX_SHOWN_NAME);

	return psprintf("%.*s%s", shown, name, shown < name_length ? "..." : "");
}

/* Counts a notice. Returns false if MAX_NOTICES were sent already. */
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

/*
 * Returns true if the template has a block of that name that can be filled, or if that is not
 * known.
 */
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
	ereport(NOTICE, (errmsg("%s of template \"%s\" fills a block that does not exist",
							TemplatePartName(advice->part), advice->template_name),
					 errdetail("Line %d, {{$%s}}: template \"%s\" has no block of that name, so it "
							   "is not shown.",
							   MustacheLineOfName(advice->parsed, name),
							   ShownName(name, name_length), ShownName(parent, parent_length))));
}

/* Sends notices about {task_name} in HTML or text, which is printed as it is. */
static void
NoticeSingleBraces(Advice *advice, const char *source)
{
	for (const char *p = source; (p = strchr(p, '{')) != NULL; p++)
	{
		const char *start = p + 1 + strspn(p + 1, " ");
		int length = strspn(start, "abcdefghijklmnopqrstuvwxyz_");
		const char *end = start + length + strspn(start + length, " ");

		if (p[1] == '{')
		{
			p += strspn(p, "{") - 1;
			continue;
		}
		if (length == 0 || (*end != '}' && strncmp(end, ".", 1) != 0) ||
			FindListedVariable(pnstrdup(start, length)) == NULL || !MaySayMore(advice))
			continue;
		ereport(NOTICE, (errmsg("%s of template \"%s\" has a variable in single braces",
								TemplatePartName(advice->part), advice->template_name),
						 errdetail("{%.*s} is printed as it is: only subjects have single "
								   "braces.",
								   length, start),
						 errhint("Write {{%.*s}}.", length, start)));
	}
}

/*
 * Sends notices about {status.title} or {status:>10} in a subject: these are neither variables nor
 * method calls.
 */
static void
NoticeSubjectBraces(Advice *advice, const char *source)
{
	static const char *const endings[] = {"}", ".title()}", ".upper()}", ".lower()}",
										  ".capitalize()}"};

	for (const char *p = source; (p = strchr(p, '{')) != NULL; p++)
	{
		int length = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
		const char *end = p + 1 + length;
		bool known = false;

		if (p[1] == '{')
		{
			p += strspn(p, "{") - 1;
			continue;
		}
		for (int i = 0; i < (int) lengthof(endings); i++)
			known = known || strncmp(end, endings[i], strlen(endings[i])) == 0;
		if (known || length == 0 || strchr(end, '}') == NULL ||
			FindListedVariable(pnstrdup(p + 1, length)) == NULL || !MaySayMore(advice))
			continue;
		ereport(NOTICE, (errmsg("subject of template \"%s\" has single braces that are not a "
								"variable",
								advice->template_name),
						 errdetail("They begin with {%.*s.", length, p + 1),
						 errhint("Write {%.*s} or {{%.*s}}, or call title(), upper(), lower() or "
								 "capitalize(), as in {%.*s.title()}.",
								 length, p + 1, length, p + 1, length, p + 1)));
	}
}

/* Sends notices about tags of other template languages, which are plain text here. */
static void
NoticeForeignTags(Advice *advice, const char *source)
{
	static const char *const tags[] = {"{%", "<%=", "<% ", "{#"};

	/* The template may have changed Mustache's delimiters to these. */
	if (strstr(source, "{{=") != NULL)
		return;
	for (int i = 0; i < (int) lengthof(tags); i++)
	{
		const char *p = strstr(source, tags[i]);

		while (p != NULL && p > source && p[-1] == '{')
			p = strstr(p + 1, tags[i]);
		if (p == NULL || !MaySayMore(advice))
			continue;
		ereport(NOTICE, (errmsg("%s of template \"%s\" has a tag of another template language",
								TemplatePartName(advice->part), advice->template_name),
						 errdetail("%s is printed as it is.", tags[i]),
						 errhint("Tags of Mustache are in double braces: {{task_name}}, "
								 "{{#is_failed}}...{{/is_failed}}.")));
	}
}

/*
 * Sends notices about {{! a comment that ends after {{task_name}}, so that the rest is printed }}.
 */
static void
NoticeTagsInComments(Advice *advice, const char *source)
{
	const char *comment = source;

	/* The template may have changed the delimiters. */
	if (strstr(source, "{{=") != NULL)
		return;
	while ((comment = strstr(comment, "{{!")) != NULL)
	{
		const char *end = strstr(comment, "}}");
		const char *tag = strstr(comment + 3, "{{");

		if (end == NULL)
			return;
		if (tag != NULL && tag < end && MaySayMore(advice))
			ereport(NOTICE,
					(errmsg("%s of template \"%s\" has a tag in a comment",
							TemplatePartName(advice->part), advice->template_name),
					 errdetail("The comment ends with that tag, at %s. The rest is printed.",
							   ShownName(tag, (int) (end + 2 - tag)))));
		comment = end;
	}
}

/* Sends a notice about text inside {{<parent}} that is in no block: such text is not shown. */
static void
NoticeUnshown(Advice *advice)
{
	int line = MustacheUnshownLine(advice->parsed);

	if (line == 0 || !MaySayMore(advice))
		return;
	ereport(NOTICE, (errmsg("%s of template \"%s\" has text outside the blocks of its parent",
							TemplatePartName(advice->part), advice->template_name),
					 errdetail("It begins in line %d, and is not shown.", line),
					 errhint("Put it into a block, such as {{$%s}}...{{/%s}}.", CONTENT, CONTENT)));
}

/*
 * Returns true if each {{$content}} of this HTML is in a comment, a tag or an element that is not
 * shown.
 */
static bool
HidesContent(const char *source)
{
	bool hidden = false;

	for (const char *p = source; (p = strstr(p, "{{")) != NULL; p += 2)
	{
		const char *name = p + 2 + strspn(p + 2, " ");

		if (*name++ != '$')
			continue;
		name += strspn(name, " ");
		if (strncmp(name, CONTENT, strlen(CONTENT)) != 0 || strcspn(name, " }") != strlen(CONTENT))
			continue;
		if (!HtmlHidesPlace(source, p))
			return false;
		hidden = true;
	}
	return hidden;
}

/* Sends a WARNING if the layout has no {{$content}}, or does not always show it. */
static void
WarnOfLayout(Advice *advice, const char *source)
{
	BlockSearch search = {.name = CONTENT, .name_length = strlen(CONTENT)};
	int conditional_line = MustacheConditionalLine(advice->parsed, CONTENT, strlen(CONTENT));

	MustacheVisitBlocks(advice->parsed, SeeBlock, &search);
	if (search.found && advice->part == TEMPLATE_HTML && HidesContent(source))
		ereport(WARNING,
				(errmsg("html of template \"%s\" hides its block {{$%s}}", advice->template_name,
						CONTENT),
				 errdetail("It is in a comment, in a tag or in an element that is not shown: "
						   "all mails that use this layout lose their content."),
				 errhint("Put {{$%s}}{{/%s}} where the content belongs.", CONTENT, CONTENT)));
	else if (search.found && conditional_line > 0)
		ereport(WARNING,
				(errmsg("%s of template \"%s\" does not always have its block {{$%s}}",
						TemplatePartName(advice->part), advice->template_name, CONTENT),
				 errdetail("It is in a section or in another block, which begins in line %d. "
						   "A mail that does not show that part loses its content.",
						   conditional_line),
				 errhint("Put {{$%s}}{{/%s}} outside of sections, or into both {{#name}} and "
						 "{{^name}}.",
						 CONTENT, CONTENT)));
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
	NoticeForeignTags(&advice, source);
	NoticeTagsInComments(&advice, source);
	if (part == TEMPLATE_SUBJECT)
	{
		NoticeSubjectBraces(&advice, source);
		return;
	}
	MustacheVisitBlocks(parsed, NoticeBlock, &advice);
	NoticeUnshown(&advice);
	NoticeSingleBraces(&advice, source);
	if (strcmp(name, LAYOUT) == 0)
		WarnOfLayout(&advice, source);
}

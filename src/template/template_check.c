/*
 * template_check.c - what is wrong with a template can be said before it is used.
 *
 * What depends on the data (limits, names that a value makes up) only shows when a mail is rendered.
 */
#include "postgres.h"

#include "template/template_check.h"

/* What is being checked, for the visitor of its names. */
typedef struct CheckedPart
{
	const char *name;
	const char *organization_id; /* NULL: for everybody */
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

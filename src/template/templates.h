/*
 * templates.h - which template a mail gets, part by part, and the cache of parsed ones.
 *
 * A part comes from the organization's override, else from everybody's, else from what ships. Parsed templates are kept until
 * a table changes: an invalidation, not a check per mail.
 */
#ifndef RHESIS_TEMPLATES_H
#define RHESIS_TEMPLATES_H

#include "mustache/mustache.h"
#include "template/subject.h"

typedef enum TemplatePart
{
	TEMPLATE_SUBJECT,
	TEMPLATE_HTML,
	TEMPLATE_TEXT
} TemplatePart;

#define TEMPLATE_PARTS 3

/* In the order in which they are asked. */
typedef enum TemplateOrigin
{
	TEMPLATE_OF_ORGANIZATION,
	TEMPLATE_OF_EVERYBODY,
	TEMPLATE_SHIPPED
} TemplateOrigin;

#define TEMPLATE_ORIGINS 3

/* The template that a mail gets if the one it asks for does not exist or can't be rendered. */
#define DEFAULT_TEMPLATE "task_completion"

/* One part of one row. */
typedef struct StoredPart
{
	bool present;			  /* the row has it */
	SubjectTemplate *subject; /* of TEMPLATE_SUBJECT; NULL: it can't be parsed */
	MustacheTemplate *body;	  /* of the other parts; likewise */
	char *problem;			  /* why it can't be parsed */
} StoredPart;

/* A row of templates that is not there: parts that are not present are those of the row that is. */
typedef struct TemplateProposal
{
	const char *name;
	const char *organization_id; /* NULL: for everybody */
	StoredPart parts[TEMPLATE_PARTS];
} TemplateProposal;

typedef struct TemplateSearch
{
	const char *organization_id; /* NULL: none */
	TemplateOrigin first;
	const TemplateProposal *proposal; /* NULL: none */
	TemplateOrigin found;			  /* where the part came from that was found last */
	bool too_many; /* set when a mail has read more rows than one can reasonably need */
} TemplateSearch;

/*
 * To be called before a mail is rendered: lets go of what has changed, or grown too large. What FindTemplate has returned is
 * valid until then.
 */
extern void BeginTemplates(void);

/*
 * The part, from the first origin that has it, beginning with the search's; NULL: none has it, or too many were read, which is
 * an error that the caller reports. Reads our tables as the current user, which must be the extension's owner, in the open
 * transaction.
 */
extern const StoredPart *
FindTemplate(TemplateSearch *search, const char *name, int name_length, TemplatePart part);

/* Parse one part into the current memory context. */
extern void ParsePart(StoredPart *stored, const char *name, TemplatePart part, const char *source);

extern const char *TemplatePartName(TemplatePart part);

/* "line 3, {{#name}}: section is not closed", palloc'd. */
extern char *DescribeTemplateError(const MustacheError *error);

#endif

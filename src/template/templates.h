/*
 * templates.h - finds the template that a mail gets, part by part, and caches parsed templates.
 *
 * A part comes from the organization's override, else from the override for all organizations, else
 * from the shipped template. Parsed templates are kept until one of the two tables changes. An
 * invalidation reports the change, so nothing is checked per mail.
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

/* In the order of the search. */
typedef enum TemplateOrigin
{
	TEMPLATE_OF_ORGANIZATION,
	TEMPLATE_OF_EVERYBODY,
	TEMPLATE_SHIPPED
} TemplateOrigin;

#define TEMPLATE_ORIGINS 3

/* The template that a mail gets if the requested one does not exist or cannot be rendered. */
#define DEFAULT_TEMPLATE "task_completion"

/* One part of one row. */
typedef struct StoredPart
{
	bool present;			  /* the row has it */
	SubjectTemplate *subject; /* for TEMPLATE_SUBJECT; NULL: it cannot be parsed */
	MustacheTemplate *body;	  /* for the other parts; likewise */
	char *problem;			  /* why it cannot be parsed */
} StoredPart;

/*
 * A row of templates that does not exist yet. Parts that are not present come from the existing
 * row.
 */
typedef struct TemplateProposal
{
	const char *name;
	const char *organization_id; /* NULL: for all organizations */
	StoredPart parts[TEMPLATE_PARTS];
} TemplateProposal;

typedef struct TemplateSearch
{
	const char *organization_id; /* NULL: none */
	TemplateOrigin first;
	const TemplateProposal *proposal; /* NULL: none */
	TemplateOrigin found;			  /* the origin of the part that was found last */
	bool too_many;					  /* set if the mail has read too many rows */
} TemplateSearch;

/*
 * Call this before a mail is rendered. It drops the cache if a template has changed, or if the
 * cache has grown too large. Results of FindTemplate() are valid until the next call.
 */
extern void BeginTemplates(void);

/*
 * Returns the part from the first origin that has it, beginning with search->first, and sets
 * search->found. Returns NULL if no origin has it, or if search->too_many was set, which the caller
 * must report. Reads our tables in the open transaction as the current user, who must be the
 * extension's owner.
 */
extern const StoredPart *
FindTemplate(TemplateSearch *search, const char *name, int name_length, TemplatePart part);

/*
 * Parses one part into the current memory context, and fills in *stored. Raises no error if the
 * source cannot be parsed: stored->problem then says why.
 */
extern void ParsePart(StoredPart *stored, const char *name, TemplatePart part, const char *source);

extern const char *TemplatePartName(TemplatePart part);

/* Returns "line 3, {{#name}}: section is not closed", palloc'd. */
extern char *DescribeTemplateError(const MustacheError *error);

#endif

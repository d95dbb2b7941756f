/*
 * template_check.h - checks a template when it is written, before a mail uses it.
 */
#ifndef RHESIS_TEMPLATE_CHECK_H
#define RHESIS_TEMPLATE_CHECK_H

#include "template/templates.h"

/*
 * Returns the parsed part. Raises an error, with line and tag, if the source cannot be parsed, or
 * names a partial that does not exist for the organization (NULL: for all organizations). Call
 * BeginTemplates() before.
 */
extern const MustacheTemplate *CheckTemplatePart(const char *name, const char *organization_id,
												 TemplatePart part, const char *source);

#endif

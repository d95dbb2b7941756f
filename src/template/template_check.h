/*
 * template_check.h - what is wrong with a template can be said before it is used.
 */
#ifndef RHESIS_TEMPLATE_CHECK_H
#define RHESIS_TEMPLATE_CHECK_H

#include "template/templates.h"

/*
 * Returns the parsed part. Raises an error, with line and tag, if the source cannot be parsed, or
 * names a partial that the organization (NULL: all) does not have. Call BeginTemplates() before.
 */
extern const MustacheTemplate *CheckTemplatePart(const char *name, const char *organization_id,
												 TemplatePart part, const char *source);

#endif

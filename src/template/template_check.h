/*
 * template_check.h - what is wrong with a template can be said before it is used.
 */
#ifndef RHESIS_TEMPLATE_CHECK_H
#define RHESIS_TEMPLATE_CHECK_H

#include "template/templates.h"

/*
 * Raises an error, with line and tag, if the source can't be parsed or names a partial that the organization (NULL: everybody)
 * does not have. Else returns the parsed part. BeginTemplates goes before.
 */
extern const MustacheTemplate *CheckTemplatePart(const char *name, const char *organization_id,
												 TemplatePart part, const char *source);

#endif

/*
 * template_advice.h - finds what is legal in a template but probably not meant.
 */
#ifndef RHESIS_TEMPLATE_ADVICE_H
#define RHESIS_TEMPLATE_ADVICE_H

#include "template/templates.h"

/*
 * Returns why a variable or section of this name prints nothing, or not what its author expects;
 * NULL if no reason is known.
 */
extern const char *AdviceOnName(const char *name, int name_length);

/*
 * Sends NOTICEs about tags that are probably not meant, and a WARNING about a layout without its
 * content. The part must have been parsed without an error. Call BeginTemplates() before.
 */
extern void AdviseOnTemplatePart(const char *name, const char *organization_id, TemplatePart part,
								 const char *source, const MustacheTemplate *parsed);

#endif

/*
 * template_advice.h - what in a template is legal, and probably not meant.
 */
#ifndef RHESIS_TEMPLATE_ADVICE_H
#define RHESIS_TEMPLATE_ADVICE_H

#include "template/templates.h"

/* Why a variable or section of this name prints nothing, or something else than its author expects; NULL: it may well do. */
extern const char *AdviceOnName(const char *name, int name_length);

/*
 * Sends NOTICEs about tags that are probably not meant, and a WARNING about a layout without its content. The part was parsed
 * without an error. BeginTemplates goes before.
 */
extern void AdviseOnTemplatePart(const char *name, const char *organization_id, TemplatePart part,
								 const char *source, const MustacheTemplate *parsed);

#endif

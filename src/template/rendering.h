/*
 * rendering.h - renders subject, HTML and text from a notification, its recipient and its template.
 */
#ifndef RHESIS_RENDERING_H
#define RHESIS_RENDERING_H

#include "nodes/pg_list.h"
#include "queue/notification.h"
#include "recipients/recipients.h"
#include "template/templates.h"

/* Where a part of a mail comes from. */
typedef struct PartSource
{
	bool is_asked;			   /* the subject is that of the row or registration: ignore the rest */
	const char *template_name; /* NULL: there is none */
	TemplateOrigin origin;
} PartSource;

/* All strings except fallback and error are UTF-8, whatever the database's encoding is. */
typedef struct RenderedMail
{
	char *subject; /* as the mail shows it: one line, cut if it is too long */
	char *html;
	char *text;
	char *fallback; /* why another template or subject is used than requested; or NULL */
	char *error;	/* why no mail can be rendered (render_error); the parts are then NULL */
	PartSource sources[TEMPLATE_PARTS];
} RenderedMail;

/*
 * Renders a mail in the caller's transaction; templates that are not cached are read from our
 * tables. A mistake in a template, a row or a value is described in mail->error. Raises only
 * cancellations, a lack of memory, and errors of reading the database. Results are in the current
 * memory context.
 *
 * A part comes from the first origin that has it (see templates.h). If no origin has it, it comes
 * from task_completion. If HTML or text of one origin cannot be rendered or shows nothing, both
 * come from later origins; so does the subject. If a subject of the row or the registration fails,
 * the template's own replaces it. mail->fallback describes these failures, and is recorded as a
 * template_fallback event.
 */
extern void RenderNotification(const Notification *notification, const Recipient *recipient,
							   RenderedMail *mail);

/*
 * The variables that a mail's parts looked up and that had a value. A dotted name counts with its
 * first part.
 */
typedef struct UsedVariables
{
	List *names[TEMPLATE_PARTS]; /* lists of char * */
} UsedVariables;

extern bool IsUsed(const UsedVariables *used, TemplatePart part, const char *name);

/*
 * Renders a mail like RenderNotification(), but as if the proposed row existed, and fills in *used.
 * Both proposal and used may be NULL.
 */
extern void
RenderNotificationWith(const Notification *notification, const Recipient *recipient,
					   const TemplateProposal *proposal, UsedVariables *used, RenderedMail *mail);

/*
 * Renders exactly this template, with the variables that GivenVariables() makes of a jsonb object.
 * If it cannot be rendered, mail->error says why, and nothing replaces it. organization_id may be
 * NULL. Returns false if there is no such template.
 */
extern bool RenderTemplate(const char *name, const char *organization_id, const Jsonb *variables,
						   RenderedMail *mail);

#endif

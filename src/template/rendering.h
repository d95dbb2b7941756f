/*
 * rendering.h - a notification, its recipient and its template become subject, HTML and text.
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
	bool is_asked;			   /* the row or its registration has the subject: ignore the rest */
	const char *template_name; /* NULL: there is none */
	TemplateOrigin origin;
} PartSource;

/* All strings except fallback and error are UTF-8, whatever the database's encoding is. */
typedef struct RenderedMail
{
	char *subject; /* as the mail shows it: one line, cut if it is too long */
	char *html;
	char *text;
	char *fallback; /* why the shipped template or the template's own subject is used; or NULL */
	char *error;	/* why no mail can be rendered (render_error); the parts are then NULL */
	PartSource sources[TEMPLATE_PARTS];
} RenderedMail;

/*
 * Renders a mail in the caller's transaction; templates that are not cached are read from our
 * tables. A mistake in a template, a row or a value is described in mail->error. Raised are only
 * cancellations, a lack of memory, and errors of reading the database. Results are in the current
 * memory context.
 *
 * If a template does not exist or cannot be rendered, the shipped one of its name replaces it, else
 * the shipped task_completion. If a subject of the row or the registration fails, the template's
 * own replaces it. mail->fallback says so, and is recorded as a template_fallback event.
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

/* The same as if the proposed row existed. Fills in used. Both proposal and used may be NULL. */
extern void
RenderNotificationWith(const Notification *notification, const Recipient *recipient,
					   const TemplateProposal *proposal, UsedVariables *used, RenderedMail *mail);

/*
 * Renders exactly this template, with the variables of a jsonb object. If it cannot be rendered,
 * mail->error says why, and nothing replaces it. organization_id may be NULL. Returns false if
 * there is no such template.
 */
extern bool RenderTemplate(const char *name, const char *organization_id, const Jsonb *variables,
						   RenderedMail *mail);

#endif

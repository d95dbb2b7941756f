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
	bool is_asked; /* the row or its registration has this subject; the rest does not count then */
	const char *template_name; /* NULL: there is none */
	TemplateOrigin origin;
} PartSource;

/* All strings but fallback and error are UTF-8, whatever the database's encoding. */
typedef struct RenderedMail
{
	char *subject; /* as the mail shows it: one line, not too long */
	char *html;
	char *text;
	char *
		fallback; /* why the shipped template or the template's own subject was used instead; NULL: it was not.
					 * Recorded as a template_fallback event. */
	char *error; /* the mail can't be rendered (render_error); the parts are then NULL */
	PartSource sources[TEMPLATE_PARTS];
} RenderedMail;

/*
 * Render in the transaction that the caller has open (templates that are not cached are read from our tables). What is
 * wrong with a template, a row or a value ends up in mail->error; only a cancellation, a lack of memory or a database that
 * can't be read is raised. Results live in the current memory context.
 *
 * A template that does not exist or can't be rendered is replaced by the shipped one of its name, else by the shipped
 * task_completion; a subject, by the template's own.
 */
extern void RenderNotification(const Notification *notification, const Recipient *recipient,
							   RenderedMail *mail);

/* The variables that a mail's parts look up and that have a value there, by the first part of a dotted name. */
typedef struct UsedVariables
{
	List *names[TEMPLATE_PARTS]; /* of char * */
} UsedVariables;

extern bool IsUsed(const UsedVariables *used, TemplatePart part, const char *name);

/* The same as if the proposed row were there; used is filled in. Both may be NULL. */
extern void
RenderNotificationWith(const Notification *notification, const Recipient *recipient,
					   const TemplateProposal *proposal, UsedVariables *used, RenderedMail *mail);

/*
 * Render a template with the variables of a jsonb object, as it is: what can't be rendered is an error in mail->error, and
 * nothing takes its place. organization_id may be NULL. False: there is no such template.
 */
extern bool RenderTemplate(const char *name, const char *organization_id, const Jsonb *variables,
						   RenderedMail *mail);

#endif

/*
 * rendering.h - a notification, its recipient and its template become subject, HTML and text.
 */
#ifndef RHESIS_RENDERING_H
#define RHESIS_RENDERING_H

#include "notification.h"
#include "recipients.h"

typedef struct RenderedMail
{
	char *subject;
	char *html;
	char *text;
	char *fallback; /* why the shipped template or the template's own subject was used instead; NULL: it was not.
					 * Recorded as a template_fallback event. */
	char *error;	/* the mail can't be rendered (render_error); the parts are then NULL */
} RenderedMail;

/*
 * Render in the transaction that the caller has open (templates that are not cached are read from our tables). What is
 * wrong with a template, a row or a value ends up in mail->error; only a cancellation or a lack of memory is raised.
 * Results live in the current memory context.
 */
extern void RenderNotification(const Notification *notification, const Recipient *recipient,
							   RenderedMail *mail);

#endif

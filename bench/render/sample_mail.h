/*
 * sample_mail.h - makes a mail from files, with the same modules as the server.
 *
 * It is for programs that measure. An error ends the program with a message.
 */
#ifndef RHESIS_BENCH_SAMPLE_MAIL_H
#define RHESIS_BENCH_SAMPLE_MAIL_H

#include "base/compat.h"
#include "json_scope.h"
#include "lib/stringinfo.h"
#include "mail/message.h"
#include "mustache/mustache.h"

typedef struct SampleMail
{
	const MustacheTemplate *subject;
	const MustacheTemplate *html;
	const MustacheTemplate *text;
	JsonScope html_scope;
	JsonScope text_scope;
} SampleMail;

/* Reused from mail to mail, as the worker reuses its memory. */
typedef struct SampleBuffers
{
	StringInfoData subject;
	StringInfoData html;
	StringInfoData text;
	StringInfoData message;
} SampleBuffers;

/* Prints what is wrong, and exits. */
RHESIS_NORETURN extern void Die(const char *what);

extern void InitSampleBuffers(SampleBuffers *buffers);

/*
 * Reads the templates DIRECTORY/NAME.{subject,html,txt}, the partials DIRECTORY/layout.{html,txt}
 * and the variables DIRECTORY/NAME.json.
 */
extern void ReadSampleMail(SampleMail *mail, const char *directory, const char *name);

/* Renders subject, HTML and text. */
extern void RenderSampleMail(SampleMail *mail, SampleBuffers *buffers);

/* Composes the message of the rendered mail. The id is that of its notification. */
extern void ComposeSampleMail(int64 id, SampleBuffers *buffers);

#endif

/*
 * sample_mail.h - a mail that is made of files by the rooms that make one in the server.
 *
 * For programs that measure: whatever goes wrong ends them with a message.
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

/* Reused from mail to mail, as a worker's memory is. */
typedef struct SampleBuffers
{
	StringInfoData subject;
	StringInfoData html;
	StringInfoData text;
	StringInfoData message;
} SampleBuffers;

/* Says what is wrong and exits. */
RHESIS_NORETURN extern void Die(const char *what);

extern void InitSampleBuffers(SampleBuffers *buffers);

/*
 * Reads the templates DIRECTORY/NAME.{subject,html,txt}, the partials DIRECTORY/layout.{html,txt} and the variables
 * DIRECTORY/NAME.json.
 */
extern void ReadSampleMail(SampleMail *mail, const char *directory, const char *name);

/* Subject, HTML and text. */
extern void RenderSampleMail(SampleMail *mail, SampleBuffers *buffers);

/* The message of what was rendered, as the notification of that id. */
extern void ComposeSampleMail(int64 id, SampleBuffers *buffers);

#endif

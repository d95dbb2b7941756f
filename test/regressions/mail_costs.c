/*
 * mail_costs.c - does one part of the work for a mail, a given number of times, so that a profiler
 * can count instructions.
 *
 *   mail_costs render|compose|reply TIMES DIRECTORY MAIL
 *   mail_costs compiler
 *
 * render makes subject, HTML and text. compose makes a message of them. reply parses the replies of
 * a server to a mail. DIRECTORY and MAIL are those of sample_mail.h. compiler prints the compiler
 * and the target.
 */
#include "postgres_fe.h"

#include "sample_mail.h"
#include "smtp/smtp_reply.h"

#define REPLIES 4

#if defined(__x86_64__)
#define PROCESSOR "x86_64"
#elif defined(__aarch64__)
#define PROCESSOR "aarch64"
#else
#define PROCESSOR "another processor"
#endif

static const char dialogue[] = "250 2.1.0 Ok\r\n"
							   "250 2.1.5 Ok\r\n"
							   "354 End data with <CR><LF>.<CR><LF>\r\n"
							   "250 2.0.0 Ok: queued as 4F2A1B3C5D\r\n";

static void
PrintCompiler(void)
{
#ifdef __clang__
	printf("clang %d, %s\n", __clang_major__, PROCESSOR);
#else
	printf("gcc %d, %s\n", __GNUC__, PROCESSOR);
#endif
}

static void
Compose(int64 id, SampleBuffers *buffers, StringInfo wire)
{
	ComposeSampleMail(id, buffers);
	resetStringInfo(wire);
	AppendDotStuffed(wire, buffers->message.data, buffers->message.len);
}

static void
Parse(SmtpReplyParser *parser)
{
	const char *data = dialogue;
	size_t length = strlen(dialogue);
	int replies = 0;

	while (length > 0)
	{
		size_t used = SmtpReplyFeed(parser, data, length);

		replies += parser->status == SMTP_REPLY_COMPLETE;
		data += used;
		length -= used;
	}
	if (replies != REPLIES)
		Die("the replies were not understood");
}

static void
Work(const char *work, int times, const char *directory, const char *name)
{
	static SmtpReplyParser parser;
	SampleMail mail;
	SampleBuffers buffers;
	StringInfoData wire;

	ReadSampleMail(&mail, directory, name);
	InitSampleBuffers(&buffers);
	initStringInfo(&wire);
	SmtpReplyInit(&parser);

	RenderSampleMail(&mail, &buffers);
	for (; times > 0; times--)
	{
		if (strcmp(work, "render") == 0)
			RenderSampleMail(&mail, &buffers);
		else if (strcmp(work, "compose") == 0)
			Compose(times, &buffers, &wire);
		else if (strcmp(work, "reply") == 0)
			Parse(&parser);
		else
			Die("there is no such work");
	}
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "compiler") == 0)
		PrintCompiler();
	else if (argc == 5)
		Work(argv[1], atoi(argv[2]), argv[3], argv[4]);
	else
		Die("usage: mail_costs render|compose|reply TIMES DIRECTORY MAIL | compiler");
	return 0;
}

/*
 * smtp_reply_fuzz.c - any bytes from an SMTP server, and the decision of the policy about them.
 *
 * The first byte is the length of the pieces in which the other bytes arrive. It checks that the
 * pieces make no difference to the replies, that a reply is printable and within its limits, and
 * that each reply has an outcome that is possible in its stage.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "base/utf8.h"
#include "lib/stringinfo.h"
#include "policy/outcome.h"
#include "smtp/smtp_reply.h"

#define CHECK(condition)                                       \
	do                                                         \
	{                                                          \
		if (!(condition))                                      \
		{                                                      \
			fprintf(stderr, "check failed: %s\n", #condition); \
			abort();                                           \
		}                                                      \
	} while (0)

static void
CheckReply(const SmtpReply *reply)
{
	const char *p = reply->text;
	const char *end = p + reply->text_length;
	int chars = 0;

	CHECK(reply->code == 0 || (reply->code >= 200 && reply->code <= 599));
	CHECK(strlen(reply->text) == (size_t) reply->text_length);
	CHECK(strlen(reply->enhanced) < sizeof(reply->enhanced));
	for (; p < end; chars++)
	{
		int length = Utf8CharLength(p, end);

		CHECK(length > 0 && !IsUnsafeInLine(utf8_to_unicode((const unsigned char *) p)));
		p += length;
	}
	CHECK(chars == reply->text_chars && chars <= SMTP_REPLY_MAX_CHARS);
}

static void
CheckOutcomes(const SmtpReply *reply)
{
	for (int stage = SMTP_STAGE_CONNECT; stage <= SMTP_STAGE_FINAL_DOT; stage++)
	{
		SmtpEvent event = {
			.stage = stage,
			.kind = reply->code ? SMTP_EVENT_REPLY : SMTP_EVENT_GARBAGE,
			.code = reply->code,
			.enhanced = reply->enhanced,
			.text = reply->text,
			.sender = "a@b.c",
			.dot_written = (stage == SMTP_STAGE_FINAL_DOT),
			.reused = (reply->text_length % 2 == 0),
		};
		Outcome outcome = OutcomeForEvent(&event);
		bool accepted = (stage == SMTP_STAGE_FINAL_DOT && reply->code / 100 == 2);

		CHECK((outcome.action == OUTCOME_SENT) == accepted);
		CHECK((outcome.reason == NULL) == accepted);
		CHECK(outcome.delay_seconds >= 0 && outcome.delay_seconds <= 24 * 60 * 60);
		/* After a 4xx reply a mail fails only if a sandbox refuses its recipient. */
		CHECK(outcome.action != OUTCOME_FAIL || reply->code >= 500 ||
			  outcome.scope == OUTCOME_SCOPE_ADDRESS);
	}
}

/*
 * Returns all replies in the bytes as one text. The bytes arrive in pieces of at most this length.
 */
static char *
AllReplies(const char *data, size_t length, size_t piece)
{
	static SmtpReplyParser parser;
	StringInfoData all;

	initStringInfo(&all);
	SmtpReplyInit(&parser);
	while (length > 0)
	{
		size_t used = SmtpReplyFeed(&parser, data, Min(piece, length));

		CHECK(used > 0 && used <= Min(piece, length));
		if (parser.status != SMTP_REPLY_INCOMPLETE)
		{
			CheckReply(&parser.reply);
			appendStringInfo(
				&all, "%s\n",
				FormatSmtpReply(parser.reply.code, parser.reply.enhanced, parser.reply.text));
			if (all.len < 20000)
				CheckOutcomes(&parser.reply);
		}
		if (parser.status == SMTP_REPLY_GARBAGE)
			break;
		data += used;
		length -= used;
	}
	appendStringInfo(&all, "%d", SmtpReplyInProgress(&parser));
	return all.data;
}

/* Notes the lines of the bytes, as libcurl passes them. */
static void
NoteLines(const char *data, size_t length)
{
	SmtpCapabilities capabilities = {0};
	const char *end = data + length;

	while (data < end)
	{
		const char *newline = memchr(data, '\n', end - data);
		const char *next = newline ? newline + 1 : end;

		/* A separate copy, so that a sanitizer notices each read beyond its end. */
		char *line = palloc(next - data);

		memcpy(line, data, next - data);
		NoteEhloLine(&capabilities, line, next - data);
		pfree(line);
		data = next;
	}
	CHECK(capabilities.seen || !capabilities.pipelining);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *) data + 1;

	if (size < 1)
		return 0;
	CHECK(strcmp(AllReplies(bytes, size - 1, size), AllReplies(bytes, size - 1, data[0] + 1)) == 0);
	NoteLines(bytes, size - 1);
	ArenaReset();
	return 0;
}

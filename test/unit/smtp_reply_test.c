/*
 * smtp_reply_test.c - replies in one piece and in many pieces, and servers that do not speak SMTP.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "lib/stringinfo.h"
#include "smtp/smtp_reply.h"
#include "tap.h"

static SmtpReplyParser parser;

/*
 * Feeds the bytes in pieces of at most this size. Returns the resulting replies, separated by " |
 * ".
 */
static char *
Replies(const char *data, size_t length, size_t piece)
{
	StringInfoData list;

	initStringInfo(&list);
	SmtpReplyInit(&parser);
	while (length > 0)
	{
		size_t used = SmtpReplyFeed(&parser, data, Min(piece, length));
		const SmtpReply *reply = &parser.reply;

		if (parser.status != SMTP_REPLY_INCOMPLETE)
			appendStringInfo(&list, "%s%s%s", list.len > 0 ? " | " : "",
							 parser.status == SMTP_REPLY_GARBAGE ? "garbage: " : "",
							 FormatSmtpReply(reply->code, reply->enhanced, reply->text));
		if (parser.status == SMTP_REPLY_GARBAGE)
			break;
		data += used;
		length -= used;
	}
	if (SmtpReplyInProgress(&parser))
		appendStringInfo(&list, "%s...", list.len > 0 ? " | " : "");
	return list.data;
}

/* Checks that the bytes mean the same as a whole, byte by byte, and in odd pieces. */
static void
Check(const char *data, size_t length, const char *expected, const char *name)
{
	is_str(Replies(data, length, length), expected, name);
	is_str(Replies(data, length, 1), expected, "... byte by byte");
	is_str(Replies(data, length, 7), expected, "... in pieces");
}

#define CHECK(data, expected, name) Check(data, sizeof(data) - 1, expected, name)

static void
CheckReplies(void)
{
	CHECK("250 2.0.0 Ok: queued as 4F2A\r\n", "250 2.0.0 Ok: queued as 4F2A", "a reply");
	CHECK("250 Ok\n", "250 Ok", "a bare LF ends a line, too");
	CHECK("250\r\n", "250", "a code alone is a reply");
	CHECK("250 \r\n", "250", "with nothing behind its space");
	CHECK("250 Ok\r", "...", "a CR alone ends nothing");
	CHECK("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n",
		  "250 2.1.0 Ok | 250 2.1.5 Ok | 354 End data with <CR><LF>.<CR><LF>",
		  "replies to pipelined commands");
	CHECK(
		"550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n"
		"550-5.4.5 sending limits go to\r\n"
		"550 5.4.5  https://support.google.com/a/answer/166852 - gsmtp\r\n",
		"550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits "
		"go to https://support.google.com/a/answer/166852 - gsmtp",
		"lines are joined, their enhanced code is said once");
	CHECK("250-first\r\n250-\r\n250 last\r\n", "250 first last", "an empty line of a reply");
	CHECK("451-4.7.1 one\r\n451 4.7.2 two\r\n", "451 4.7.1 one 4.7.2 two",
		  "another enhanced code is text");
	CHECK("250 Ok\r\n250-half", "250 Ok | ...", "half a reply");
}

static void
CheckEnhancedCodes(void)
{
	CHECK("550 5.7.139 no\r\n", "550 5.7.139 no", "three digits");
	CHECK("550 5.1.1\r\n", "550 5.1.1", "an enhanced code alone");
	is_str(parser.reply.enhanced, "5.1.1", "is known for one");
	is_str(parser.reply.text, "", "and is not the text");
	CHECK("553 #5.1.8 Domain does not exist\r\n", "553 5.1.8 Domain does not exist",
		  "one behind a #");
	is_str(parser.reply.enhanced, "5.1.8", "is known for one");
	CHECK("550-See below\r\n550 5.1.8 no\r\n", "550 5.1.8 See below no", "one on a later line");
	CHECK("553 sorry, not you (#5.7.1)\r\n", "553 5.7.1 sorry, not you (#5.7.1)", "one at the end");
	CHECK("511 sorry (#5.1.1 - chkuser)\r\n", "511 5.1.1 sorry (#5.1.1 - chkuser)",
		  "one at the end, with a name");
	CHECK("553 sorry (#4.7.1)\r\n", "553 sorry (#4.7.1)", "one of another class is none");
	CHECK("553 sorry (#5.7.1) not you\r\n", "553 sorry (#5.7.1) not you",
		  "one in the middle is none");
	CHECK("553 (#\r\n", "553 (#", "a part of one is none");
	CHECK("553 #\r\n", "553 #", "a # is none");
	CHECK("553 5.1.2 a (#5.7.1)\r\n", "553 5.1.2 a (#5.7.1)", "the first one counts");
	CHECK("220 5.1.1.1 ESMTP\r\n", "220 5.1.1.1 ESMTP", "an address is none");
	is_str(parser.reply.enhanced, "", "and is text");
	CHECK("220 192.0.2.1 ESMTP\r\n", "220 192.0.2.1 ESMTP", "nor this");
	is_str(parser.reply.enhanced, "", "(it isn't)");
	CHECK("550 5.1234.1 x\r\n", "550 5.1234.1 x", "nor four digits");
	is_str(parser.reply.enhanced, "", "(they aren't)");
	CHECK("550 5..1 x\r\n", "550 5..1 x", "nor two dots");
	is_str(parser.reply.enhanced, "", "(they aren't)");
	CHECK("550 5.1 x\r\n", "550 5.1 x", "nor two parts");
	is_str(parser.reply.enhanced, "", "(they aren't)");
}

static void
CheckGarbage(void)
{
	CHECK("HTTP/1.1 400 Bad Request\r\n", "garbage: HTTP/1.1 400 Bad Request", "not SMTP");
	CHECK("\r\n", "garbage: ", "an empty line");
	CHECK("25\r\n", "garbage: 25", "two digits");
	CHECK("2500 Ok\r\n", "garbage: 2500 Ok", "four digits");
	CHECK("250Ok\r\n", "garbage: 250Ok", "no separator");
	CHECK("199 no\r\n", "garbage: 199 no", "1xx");
	CHECK("600 no\r\n", "garbage: 600 no", "6xx");
	CHECK("2x0 no\r\n", "garbage: 2x0 no", "a code that is no number");
	CHECK("250-one\r\n550 two\r\n", "garbage: 550 two", "the code changes within a reply");
	CHECK("\0\0\0\0\n", "garbage: ????", "binary zeros");
	CHECK("\x16\x03\x01\x02\xFF\n", "garbage: ????\x3F", "a TLS record");
	is_int(parser.status, SMTP_REPLY_GARBAGE, "garbage stays garbage");
	is_int(SmtpReplyFeed(&parser, "250 Ok\r\n", 8), 8, "whatever follows is swallowed");
	is_int(parser.status, SMTP_REPLY_GARBAGE, "and changes nothing");
	SmtpReplyInit(&parser);
	SmtpReplyFeed(&parser, "250 Ok\r\n", 8);
	is_int(parser.status, SMTP_REPLY_COMPLETE, "until the parser is made new");
}

static void
CheckText(void)
{
	CHECK("250 a\0b\r\n", "250 a?b", "NUL");
	CHECK("250 a\tb\x1B[31m\x7F\r\n", "250 a b?[31m?", "tabs, escapes, DEL");
	CHECK("250 a\rb\r\r\n", "250 a?b", "CRs within a line and at its end");
	CHECK("250 gr\xC3\xBC\xC3\x9F dich \xE2\x82\xAC \xF0\x9F\x8E\x89\r\n",
		  "250 gr\xC3\xBC\xC3\x9F dich \xE2\x82\xAC \xF0\x9F\x8E\x89", "UTF-8 is kept");
	CHECK("250 gr\xFC\xDF \xC3\r\n", "250 gr?? ?", "Latin-1 is not");
	CHECK("250 \xC0\xAF\xED\xA0\x80\xF4\x90\x80\x80.\r\n", "250 ?????????.",
		  "nor overlong forms, surrogates, and what is beyond Unicode");
	CHECK("250 \xC2\x85x\xE2\x80\xA8y\xE2\x80\xAEz\r\n", "250 ?x?y?z",
		  "NEL, line separators and overrides are unprintable");
}

/* Returns a reply with this number of lines, each of which repeats a piece. */
static StringInfo
LongReply(const char *piece, int repeat, int lines)
{
	StringInfo reply = makeStringInfo();

	for (int line = 1; line <= lines; line++)
	{
		appendStringInfo(reply, "250%c", line < lines ? '-' : ' ');
		for (int i = 0; i < repeat; i++)
			appendStringInfoString(reply, piece);
		appendStringInfoString(reply, "\r\n");
	}
	return reply;
}

static void
CheckSizes(void)
{
	StringInfo reply = LongReply("x", 65536, 1);
	char *text = Replies(reply->data, reply->len, 1000);

	is_int(strlen(text), SMTP_REPLY_MAX_CHARS, "a line of 64 kB is cut to 1000 characters");
	is_int(parser.status, SMTP_REPLY_COMPLETE, "and is a reply");

	reply = LongReply("\xF0\x9F\x8E\x89", 2000, 1);
	text = Replies(reply->data, reply->len, 1000);
	is_int(parser.reply.text_chars, SMTP_REPLY_MAX_CHARS, "characters are counted, not bytes");
	is_int(parser.reply.text_length, 4 * SMTP_REPLY_MAX_CHARS, "and none is broken");
	is_int(strlen(text), 4 + 4 * (SMTP_REPLY_MAX_CHARS - 4), "nor with the code before them");

	reply = LongReply("more ", 10, SMTP_REPLY_MAX_LINES);
	Replies(reply->data, reply->len, 100);
	is_int(parser.status, SMTP_REPLY_COMPLETE, "256 lines are a reply");
	is_int(parser.reply.text_chars, SMTP_REPLY_MAX_CHARS, "of no more than 1000 characters");
	reply = LongReply("x", 1, SMTP_REPLY_MAX_LINES + 1);
	Replies(reply->data, reply->len, 100);
	is_int(parser.status, SMTP_REPLY_GARBAGE, "257 are not");
	reply = LongReply("x", SMTP_REPLY_MAX_BYTES, 1);
	Replies(reply->data, reply->len, 4096);
	is_int(parser.status, SMTP_REPLY_GARBAGE, "nor is a line of a megabyte");
	Replies(reply->data, reply->len, reply->len);
	is_int(parser.status, SMTP_REPLY_GARBAGE, "... at once");
}

static void
CheckFormat(void)
{
	is_str(FormatSmtpReply(250, "2.0.0", "Ok: queued as 4F2A"), "250 2.0.0 Ok: queued as 4F2A",
		   "as the interface shows it");
	is_str(FormatSmtpReply(0, NULL, "no\nSMTP"), "no?SMTP", "without codes, made printable");
	is_str(FormatSmtpReply(421, "", NULL), "421", "without text");
	is_str(FormatSmtpReply(0, "", ""), "", "without anything");
}

/* Returns the capabilities from an answer to EHLO, line by line as libcurl passes it. */
static SmtpCapabilities
Capabilities(const char *const *lines)
{
	SmtpCapabilities capabilities = {0};

	for (; *lines; lines++)
		NoteEhloLine(&capabilities, *lines, strlen(*lines));
	return capabilities;
}

static void
CheckEhlo(void)
{
	static const char *const postfix[] = {"220 mail.example.com ESMTP Postfix\r\n",
										  "250-mail.example.com\r\n",
										  "250-PIPELINING\r\n",
										  "250-SIZE 10240000\r\n",
										  "250-STARTTLS\r\n",
										  "250-ENHANCEDSTATUSCODES\r\n",
										  "250-8BITMIME\r\n",
										  "250 SMTPUTF8\r\n",
										  NULL};
	static const char *const after_starttls[] = {"250-mail.example.com\r\n",
												 "250-pipelining\r\n",
												 "250 STARTTLS\r\n",
												 "220 2.0.0 Ready to start TLS\r\n",
												 "250-mail.example.com\r\n",
												 "250-auth PLAIN LOGIN\r\n",
												 "250 SIZE\r\n",
												 "334 \r\n",
												 "235 2.7.0 Authentication successful\r\n",
												 NULL};
	static const char *const misleading[] = {
		"250-PIPELINING\r\n",  "250-AUTHENTIC\r\n",
		"250-XPIPELINING\r\n", "250-SIZE 99999999999999999999999999\r\n",
		"250 AUTH=LOGIN\n",	   NULL};
	static const char *const helo[] = {"250-one\r\n", "250-PIPELINING\r\n", "250 AUTH\r\n",
									   "250 PIPELINING\r\n", NULL};
	static const char *const nonsense[] = {"", "2", "250", "garbage\r\n", "550 5.0.0 No\r\n", NULL};
	SmtpCapabilities c = Capabilities(postfix);

	ok(c.seen && c.pipelining && c.starttls && c.enhanced_status_codes && c.eight_bit_mime &&
		   c.smtputf8 && !c.auth,
	   "what Postfix offers before STARTTLS");
	is_int(c.size_limit, 10240000, "and its size limit");
	c = Capabilities(after_starttls);
	ok(c.seen && c.auth && !c.pipelining && !c.starttls, "the last answer counts, in any case");
	is_int(c.size_limit, 0, "SIZE without a number");
	c = Capabilities(misleading);
	ok(c.seen && !c.pipelining, "a server may call itself PIPELINING");
	ok(c.auth, "the old AUTH= is AUTH, AUTHENTIC is not needed for it");
	is_int(c.size_limit == PG_UINT64_MAX, 1, "a size beyond all sizes");
	c = Capabilities(helo);
	ok(c.seen && !c.pipelining && !c.auth, "an answer of one line offers nothing");
	c = Capabilities(nonsense);
	ok(c.seen && !c.inside_reply && !c.pipelining, "nonsense offers nothing");
}

int
main(void)
{
	CheckReplies();
	CheckEnhancedCodes();
	CheckGarbage();
	CheckText();
	CheckSizes();
	CheckFormat();
	CheckEhlo();
	ArenaReset();
	return done_testing();
}

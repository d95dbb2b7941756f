/*
 * message_test.c - a message byte by byte, and hostile parts that must not change its structure.
 *
 * message_roundtrip.py reads composed messages with an independent parser.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "mail/message.h"
#include "mail/mime.h"
#include "tap.h"

#define ID "<rhesis-notify.7.0123456789abcdef@example.com>"

static MessageParts
PlainParts(void)
{
	MessageParts parts = {
		.date = 1705329025,
		.from = {"Rhesis AI", "engineering@rhesis.ai"},
		.to = {"Jane Doe", "jane@example.com"},
		.subject = "Task Completed: Execute Test Configuration - Success",
		.message_id = ID,
		.notification_id = 7,
	};

	return parts;
}

static void
SetBodies(MessageParts *parts, const char *text, const char *html)
{
	parts->text = text;
	parts->text_length = strlen(text);
	parts->html = html;
	parts->html_length = strlen(html);
}

static char *
Compose(const MessageParts *parts)
{
	StringInfoData out;
	const char *problem;

	initStringInfo(&out);
	if (!ComposeMessage(parts, &out, &problem))
		return psprintf("problem: %s", problem);
	return out.data;
}

/* Returns the field with this name, with folded lines and without its CRLF, or NULL. */
static char *
Field(const char *message, const char *name)
{
	const char *end = strstr(message, "\r\n\r\n");

	for (const char *line = message; line < end; line = strstr(line, "\r\n") + 2)
	{
		const char *field_end = strstr(line, "\r\n");

		if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
			continue;
		while (field_end[2] == ' ')
			field_end = strstr(field_end + 2, "\r\n");
		return pnstrdup(line, field_end - line);
	}
	return NULL;
}

static void
CheckWholeMessage(void)
{
	MessageParts parts = PlainParts();
	StringInfoData out;
	const char *problem;
	const char *boundary;

	SetBodies(&parts, "Hello Jane,\n\n100 % done = good \n",
			  "<p class=\"a\">Hello \xE2\x9C\x85</p>");
	parts.reply_to = (Mailbox){"", "support@rhesis.ai"};
	initStringInfo(&out);
	appendStringInfoString(&out, "before|");
	ok(ComposeMessage(&parts, &out, &problem), "an ordinary message is composed");
	boundary = pnstrdup(strstr(out.data, "=_rhesis_"), strlen("=_rhesis_0123456789abcdef"));
	is_str(out.data,
		   psprintf("before|"
					"Date: Mon, 15 Jan 2024 14:30:25 +0000\r\n"
					"From: Rhesis AI <engineering@rhesis.ai>\r\n"
					"To: Jane Doe <jane@example.com>\r\n"
					"Reply-To: support@rhesis.ai\r\n"
					"Subject: Task Completed: Execute Test Configuration - Success\r\n"
					"Message-ID: " ID "\r\n"
					"X-Notification-ID: 7\r\n"
					"Auto-Submitted: auto-generated\r\n"
					"X-Auto-Response-Suppress: All\r\n"
					"MIME-Version: 1.0\r\n"
					"Content-Type: multipart/alternative;\r\n"
					" boundary=\"%s\"\r\n"
					"\r\n"
					"--%s\r\n"
					"Content-Type: text/plain; charset=utf-8\r\n"
					"Content-Transfer-Encoding: quoted-printable\r\n"
					"\r\n"
					"Hello Jane,\r\n"
					"\r\n"
					"100 %% done =3D good=20\r\n"
					"\r\n"
					"--%s\r\n"
					"Content-Type: text/html; charset=utf-8\r\n"
					"Content-Transfer-Encoding: quoted-printable\r\n"
					"\r\n"
					"<p class=3D\"a\">Hello =E2=9C=85</p>\r\n"
					"--%s--\r\n",
					boundary, boundary, boundary, boundary),
		   "and looks like this");
}

static void
CheckOptionalFields(void)
{
	MessageParts parts = PlainParts();
	char *message;

	SetBodies(&parts, "", "");
	parts.notification_id = 0;
	parts.to.name = parts.to.address;
	message = Compose(&parts);
	is_str(Field(message, "X-Notification-ID"), NULL, "no id, no X-Notification-ID");
	is_str(Field(message, "Reply-To"), NULL, "no Reply-To unless set");
	is_str(Field(message, "X-Original-Recipient"), NULL, "no original recipient unless redirected");
	is_str(Field(message, "To"), "To: jane@example.com", "a name that is the address is left out");

	parts.original_recipient = "joe@example.org";
	parts.date = INT64CONST(-5);
	message = Compose(&parts);
	is_str(Field(message, "X-Original-Recipient"), "X-Original-Recipient: joe@example.org",
		   "whom a redirected mail was for");
	is_str(Field(message, "Date"), "Date: Thu, 01 Jan 1970 00:00:00 +0000", "the earliest date");
	parts.date = PG_INT64_MAX;
	is_str(Field(Compose(&parts), "Date"), "Date: Fri, 31 Dec 9999 23:59:59 +0000",
		   "the latest date");
}

static void
CheckProblems(void)
{
	static const char *const bad_ids[] = {"",		   "<>",	 "<a>",		 "a@b",
										  "<a@b",	   "a@b>",	 "<a b@c>",	 "<a@b>\r\nBcc: x@y",
										  "<a\r\n@b>", "<a<@b>", "<a@b\xFF>"};
	MessageParts parts = PlainParts();
	StringInfoData out;
	const char *problem;

	SetBodies(&parts, "text", "html");
	parts.to.address = "jane@example.com\r\nBcc: x@example.org";
	is_str(Compose(&parts), "problem: the recipient's address is not valid", "a recipient");
	parts = PlainParts();
	parts.from.address = "x> RCPT TO:<y@z";
	is_str(Compose(&parts), "problem: the sender's address is not valid", "a sender");
	parts = PlainParts();
	parts.reply_to.address = "";
	is_str(Compose(&parts), "problem: the Reply-To address is not valid", "a Reply-To");
	parts = PlainParts();
	parts.original_recipient = "a b@c";
	is_str(Compose(&parts), "problem: the original recipient's address is not valid",
		   "an original recipient");
	for (int i = 0; i < (int) lengthof(bad_ids); i++)
	{
		parts = PlainParts();
		parts.message_id = bad_ids[i];
		is_str(Compose(&parts), "problem: the Message-ID is not valid", "a Message-ID");
	}

	parts = PlainParts();
	parts.html = "";
	parts.html_length = MESSAGE_MAX_PART_BYTES + 1;
	initStringInfo(&out);
	ok(!ComposeMessage(&parts, &out, &problem), "a part that is too large");
	is_str(problem, "the message is too large", "says so");
	is_int(out.len, 0, "nothing is written where there is a problem");
}

static char *
Subject(const char *subject)
{
	MessageParts parts = PlainParts();

	SetBodies(&parts, "", "");
	parts.subject = subject;
	return Field(Compose(&parts), "Subject");
}

static char *
To(const char *name)
{
	MessageParts parts = PlainParts();

	SetBodies(&parts, "", "");
	parts.to.name = name;
	return Field(Compose(&parts), "To");
}

static void
CheckSubjects(void)
{
	is_str(Subject("Hi\r\nBcc: x@example.org\r\n\r\nBody"), "Subject: Hi Bcc: x@example.org Body",
		   "line breaks become spaces");
	is_str(Subject(" \t a \x01\x7F b\t"), "Subject: a b", "controls and runs of spaces, too");
	is_str(Subject("a\xC2\x85"
				   "b\xE2\x80\xA8"
				   "c\xE2\x80\xAE"
				   "d"),
		   "Subject: a b c d", "NEL, line separators and overrides, too");
	is_str(Subject(""), "Subject: ", "an empty subject");
	is_str(Subject("\r\n \r\n"), "Subject: ", "a subject of nothing but line breaks");
	is_str(Subject("Aufgabe fertig \xE2\x9C\x85"),
		   "Subject: =?UTF-8?Q?Aufgabe_fertig_=E2=9C=85?=", "mostly ASCII: Q");
	is_str(Subject("\xE5\xAE\x8C\xE4\xBA\x86"),
		   "Subject: =?UTF-8?B?5a6M5LqG?=", "mostly not ASCII: B");
	is_str(Subject("=?utf-8?q?x?="), "Subject: =?UTF-8?B?PT91dGYtOD9xP3g/PQ==?=",
		   "what looks like an encoded word is encoded");
	is_str(Subject("a =? b"), "Subject: =?UTF-8?B?YSA9PyBi?=", "even the beginning of one");
	is_str(Subject("\xFF\xC3"), "Subject: =?UTF-8?B?77+977+9?=", "broken UTF-8 is replaced");
	is_str(
		Subject("one two three four five six seven eight nine ten eleven twelve thirteen fourteen"),
		"Subject: one two three four five six seven eight nine ten eleven twelve\r\n"
		" thirteen fourteen",
		"a long subject is folded between words");
}

/* Returns a text of letters and spaces with this length. */
static char *
Letters(int count)
{
	char *letters = palloc(count + 1);

	for (int i = 0; i < count; i++)
		letters[i] = (i % 8 == 7) ? ' ' : 'x';
	letters[count] = '\0';
	return letters;
}

static void
CheckCuts(void)
{
	StringInfoData text;
	char *subject;

	initStringInfo(&text);
	for (int i = 0; i < 300000; i++)
		appendStringInfoString(&text, "word ");
	subject = Subject(text.data);
	ok(strlen(subject) < 600 && strstr(subject, "_word=E2=80=A6?=") != NULL,
	   "a subject of more than a megabyte ends with an ellipsis");
	is_str(Subject(psprintf("%s e\xCC\x81 more", Letters(252))),
		   psprintf("%s", Subject(psprintf("%s\xE2\x80\xA6", Letters(252)))),
		   "a letter is not cut from its accent");

	resetStringInfo(&text);
	for (int i = 0; i < 255; i++)
		appendStringInfoChar(&text, 'x');
	ok(strstr(Subject(text.data), "=E2=80=A6") == NULL, "255 characters are not cut");
	appendStringInfoChar(&text, 'x');
	ok(strstr(Subject(text.data), "=E2=80=A6?=") != NULL, "256 end with an ellipsis");
}

static void
CheckNames(void)
{
	char quotes[40];

	is_str(To("Doe, Jane"), "To: \"Doe, Jane\" <jane@example.com>", "specials are quoted");
	is_str(To("Jane \"JD\" D\\oe"), "To: \"Jane \\\"JD\\\" D\\\\oe\" <jane@example.com>",
		   "and escaped");
	is_str(To("Jane\r\nBcc: x@example.org"), "To: \"Jane Bcc: x@example.org\" <jane@example.com>",
		   "no header in a name");
	is_str(To("x@example.org>, <y@example.org"),
		   "To: \"x@example.org>, <y@example.org\" <jane@example.com>", "no address in a name");
	is_str(To("J\xC3\xBCrgen"), "To: =?UTF-8?Q?J=C3=BCrgen?= <jane@example.com>",
		   "beyond ASCII: encoded");
	is_str(To("\xE2\x80\xAEmoc.live\xE2\x80\xAC"), "To: \"moc.live\" <jane@example.com>",
		   "no text runs backwards");
	is_str(To("\xE2\x80\x8F\xD7\xA9"), "To: =?UTF-8?B?4oCP16k=?= <jane@example.com>",
		   "but right-to-left names stay what they are");
	memset(quotes, '"', sizeof(quotes));
	quotes[30] = '\0';
	ok(strstr(To(quotes), "\"\\\"\\\"") != NULL, "30 quotes are escaped");
	memset(quotes, '"', sizeof(quotes));
	quotes[31] = '\0';
	ok(strstr(To(quotes), "To: =?UTF-8?B?") != NULL,
	   "31 are encoded: with their escapes they are a word that no line should be as long as");
	is_str(To("\n"), "To: jane@example.com", "a name of nothing");
}

/* Returns the next CRLF, or NULL. (A sanitizer's strstr would read the whole rest at each call.) */
static const char *
NextLineEnd(const char *p)
{
	for (; *p; p++)
	{
		if (p[0] == '\r' && p[1] == '\n')
			return p;
	}
	return NULL;
}

/*
 * Does every line of the message end with CRLF, with at most this length, and contain only
 * printable ASCII?
 */
static bool
LinesAreProper(const char *message, int max_length)
{
	const char *line = message;

	while (*line)
	{
		const char *end = NextLineEnd(line);

		if (end == NULL || end - line > max_length)
			return false;
		for (const char *p = line; p < end; p++)
		{
			if ((*p < ' ' && *p != '\t') || *p > '~')
				return false;
		}
		line = end + 2;
	}
	return true;
}

static void
CheckHostileParts(void)
{
	MessageParts parts = PlainParts();
	StringInfoData all;
	char *message;

	/* Each possible byte at the beginning and at the end of a line, then a megabyte of quotes. */
	initStringInfo(&all);
	for (int byte = 1; byte < 256; byte++)
	{
		appendStringInfo(&all, "%cx ", byte);
		appendStringInfo(&all, "%c\r%c\n%c\r\n", byte, byte, byte);
	}
	for (int i = 0; i < 1000000; i++)
		appendStringInfoChar(&all, '"');
	SetBodies(&parts, all.data, all.data);
	parts.subject = parts.to.name = parts.from.name = parts.reply_to.name = all.data;
	parts.reply_to.address = "x@y";
	message = Compose(&parts);
	ok(LinesAreProper(message, 78), "hostile parts: lines of at most 78 printable characters");
	ok(strstr(message, "\r\n.") == NULL, "none of them begins with a dot");

	for (int lead = 60; lead < 90; lead++)
	{
		char *name = psprintf("%*s\xC3\xA4 %*s\"", lead, "x", lead, "\\");

		for (char *p = name; *p; p++)
		{
			if (*p == ' ')
				*p = "abc\"\\"[(p - name) % 5];
		}
		parts.to.name = parts.subject = name;
		if (!LinesAreProper(Compose(&parts), 78))
			break;
		if (lead == 89)
			ok(true, "whatever the lengths of words and characters");
	}

	parts.to.address = psprintf("%064d@%063d.%063d.example", 1, 2, 3);
	ok(LinesAreProper(Compose(&parts), 255), "only an address can make a line longer");
}

static char *
DotStuffed(const char *data)
{
	StringInfoData out;

	initStringInfo(&out);
	AppendDotStuffed(&out, data, strlen(data));
	return out.data;
}

static void
CheckDotStuffing(void)
{
	static const char *const cases[][2] = {
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{"a\r\nb\r\n\r\n", "a\r\nb\r\n\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".a\r\n..b\r\nc.\r\n", "..a\r\n...b\r\nc.\r\n.\r\n"},
		{"\r\n.\r\n", "\r\n..\r\n.\r\n"},
		{"a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r\n.\rb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r\r\n.\r\r\n", "a\r\n\r\n..\r\n\r\n.\r\n"},
		{"\n\n", "\r\n\r\n.\r\n"},
		{"\r", "\r\n.\r\n"},
		{"a\r\nb\r", "a\r\nb\r\n.\r\n"},
		{"\n\r", "\r\n\r\n.\r\n"},
	};
	char *long_text;

	for (int i = 0; i < (int) lengthof(cases); i++)
		is_str(DotStuffed(cases[i][0]), cases[i][1], psprintf("dot-stuffing, case %d", i));

	long_text = palloc(4 * 1024 * 1024);
	memset(long_text, '\r', 4 * 1024 * 1024 - 1);
	long_text[4 * 1024 * 1024 - 1] = '\0';
	is_int(strlen(DotStuffed(long_text)), 2 * (4 * 1024 * 1024 - 1) + 3,
		   "four million bare CRs take no more time than other bytes");
}

static void
CheckMessageIds(void)
{
	static const char *const bad[] = {
		"",		   "<>",   "<@>",  "<a@>",	 "<@b>",		  "<ab>",	   "<a@b@c>",
		"<a b@c>", "<a@b", "a@b>", "<a@b>>", "<a@b>\r\nX: y", "<a\xC3@b>", "<a@b\x7F>",
	};
	char *id = MessageIdFor(42, 0xabc, "rhesis.ai");
	MessageParts parts = PlainParts();

	is_str(id, "<rhesis-notify.42.0000000000000abc@rhesis.ai>",
		   "a Message-ID has the row's id, what tells it apart, and the domain");
	ok(IsMessageId(id), "it is one");
	for (int i = 0; i < (int) lengthof(bad); i++)
		ok(!IsMessageId(bad[i]), "\"%s\" is none", bad[i]);
	id = MessageIdFor(PG_INT64_MAX, PG_UINT64_MAX, "x>\r\nBcc: a@b");
	ok(strcmp(id + strlen(id) - 11, "@localhost>") == 0, "a domain that is none");
	ok(IsMessageId(MessageIdFor(PG_INT64_MIN, PG_UINT64_MAX, "rhesis.ai")), "a negative id");
	parts.message_id =
		MessageIdFor(PG_INT64_MIN, PG_UINT64_MAX, psprintf("%063d.%063d.%063d.example", 1, 2, 3));
	SetBodies(&parts, "", "");
	ok(LinesAreProper(Compose(&parts), 300), "the longest one can be sent");
}

int
main(void)
{
	CheckWholeMessage();
	CheckOptionalFields();
	CheckProblems();
	CheckSubjects();
	CheckCuts();
	CheckNames();
	CheckHostileParts();
	CheckDotStuffing();
	CheckMessageIds();
	ArenaReset();
	return done_testing();
}

/*
 * message_fuzz.c - any bytes as the parts of a message.
 *
 * An input has up to ten fields, with a byte 0x1E between them: names and addresses of sender,
 * recipient and Reply-To, the original recipient, subject, Message-ID and text. The whole input is
 * also the HTML part. It checks that a composed message has only proper lines and exactly our
 * header fields, and that the sent data end where the message ends.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "mail/message.h"

#define FIELDS 10
#define SEPARATOR 0x1E

#define CHECK(condition)                                       \
	do                                                         \
	{                                                          \
		if (!(condition))                                      \
		{                                                      \
			fprintf(stderr, "check failed: %s\n", #condition); \
			abort();                                           \
		}                                                      \
	} while (0)

/* The names of the header fields in their order. A "?" precedes those that may be missing. */
static const char *const field_names[] = {"Date",
										  "From",
										  "To",
										  "?Reply-To",
										  "?X-Original-Recipient",
										  "Subject",
										  "Message-ID",
										  "X-Notification-ID",
										  "Auto-Submitted",
										  "X-Auto-Response-Suppress",
										  "MIME-Version",
										  "Content-Type"};

static void
Split(const uint8_t *data, size_t size, char *fields[FIELDS])
{
	const char *p = (const char *) data;
	const char *end = p + size;

	for (int i = 0; i < FIELDS; i++)
	{
		const char *separator = memchr(p, SEPARATOR, end - p);
		const char *field_end = separator ? separator : end;

		fields[i] = pnstrdup(p, field_end - p);
		p = separator ? separator + 1 : end;
	}
}

/* Checks the header and returns the body. */
static const char *
CheckHeader(const char *message)
{
	const char *line = message;
	int next = 0;

	while (strncmp(line, "\r\n", 2) != 0)
	{
		const char *colon = strchr(line, ':');
		bool found = false;

		while (!found)
		{
			const char *name;
			bool optional;

			CHECK(next < (int) lengthof(field_names));
			name = field_names[next];
			optional = (*name == '?');
			name += optional;
			found = (colon == line + strlen(name) && strncmp(line, name, colon - line) == 0);
			CHECK(found || optional);
			next++;
		}
		do
			line = strstr(line, "\r\n") + 2;
		while (*line == ' ');
	}
	CHECK(next == (int) lengthof(field_names));
	return line + 2;
}

static void
CheckLines(const char *message, int length)
{
	const char *end = message + length;
	const char *line = message;

	for (const char *p = message; p < end; p++)
	{
		if (*p != '\r')
		{
			CHECK(*p == '\t' || (*p >= ' ' && *p <= '~'));
			continue;
		}
		CHECK(p + 1 < end && p[1] == '\n');
		CHECK(p - line <= 500);
		CHECK(*line != '.');
		line = p + 2;
		p++;
	}
	CHECK(line == end);
}

/* Reads the data as a server does, and compares them with the message. */
static void
CheckDotStuffed(const char *data, size_t length)
{
	StringInfoData wire;
	const char *end;
	int endings = 0;

	initStringInfo(&wire);
	AppendDotStuffed(&wire, data, length);
	end = wire.data + wire.len;
	for (const char *p = wire.data; p < end; p++)
	{
		/* A bare CR or LF, or a line with a lone dot, could end the data for some server. */
		if (*p == '\n')
			CHECK(p > wire.data && p[-1] == '\r');
		if (*p == '\r')
			CHECK(p + 1 < end && p[1] == '\n');
		if (*p == '.' && (p == wire.data || p[-1] == '\n') && p[1] == '\r')
		{
			endings++;
			CHECK(p + 3 == end);
		}
	}
	CHECK(endings == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *fields[FIELDS];
	MessageParts parts = {0};
	StringInfoData out;
	const char *problem;
	Mailbox mailbox;

	Split(data, size, fields);
	parts.date = (int64) size * 40000000;
	parts.from = (Mailbox){fields[0], fields[1]};
	parts.to = (Mailbox){fields[2], fields[3]};
	parts.reply_to = (Mailbox){fields[4], fields[5][0] ? fields[5] : NULL};
	parts.original_recipient = fields[6][0] ? fields[6] : NULL;
	parts.subject = fields[7];
	parts.message_id = fields[8];
	parts.notification_id = 1;
	parts.text = fields[9];
	parts.text_length = strlen(fields[9]);
	parts.html = (const char *) data;
	parts.html_length = size;

	/* Most inputs have bad addresses. Try those again with good ones. */
	initStringInfo(&out);
	if (!ComposeMessage(&parts, &out, &problem))
	{
		CHECK(problem != NULL && out.len == 0);
		parts.from.address = "noreply@example.com";
		parts.to.address = "jane@example.com";
		parts.reply_to.address = parts.original_recipient = NULL;
		parts.message_id = MessageIdFor(3, size, fields[8]);
		CHECK(ComposeMessage(&parts, &out, &problem));
	}
	CHECK(problem == NULL);
	CheckLines(out.data, out.len);
	CHECK(*CheckHeader(out.data) == '-');
	CheckDotStuffed(out.data, out.len);
	CheckDotStuffed((const char *) data, size);

	if (ParseMailbox(fields[0], &mailbox, &problem))
		CHECK(IsValidAddress(mailbox.address));
	else
		CHECK(problem != NULL);
	ArenaReset();
	return 0;
}

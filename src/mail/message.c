/*
 * message.c - a complete mail: RFC 5322 headers and a multipart/alternative body.
 *
 * ComposeMessage() alone writes the header fields, in their order. A value from outside either goes
 * through mime.c, which makes it safe, or is an address that mailbox.c has found valid.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <inttypes.h>
#include <time.h>

#include "common/hashfn.h"

#include "mail/message.h"
#include "mail/mime.h"
#include "mail/quoted_printable.h"

#define LAST_DATE \
	INT64CONST(253402300799) /* the end of the year 9999: RFC 5322 years have four digits */
#define MAX_MESSAGE_ID 400
#define SHORTEST_MESSAGE_ID 5 /* <a@b> */

/* No line of quoted-printable contains "=_", so no body can contain a boundary. */
#define BOUNDARY_FORMAT "=_rhesis_%016" PRIx64

/*
 * Appends the Date header, an RFC 5322 date-time in UTC. The names are in the code, because those
 * of strftime() follow the locale.
 */
static void
AppendDate(StringInfo out, int64 date)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
										 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t seconds = Max(0, Min(date, LAST_DATE));
	struct tm tm;

	gmtime_r(&seconds, &tm);
	appendStringInfo(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday],
					 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
					 tm.tm_sec);
}

bool
IsMessageId(const char *text)
{
	int length = strnlen(text, MAX_MESSAGE_ID + 1);
	const char *at = strchr(text, '@');

	if (length < SHORTEST_MESSAGE_ID || length > MAX_MESSAGE_ID || text[0] != '<' ||
		text[length - 1] != '>')
		return false;
	for (int i = 1; i < length - 1; i++)
	{
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '<' || text[i] == '>')
			return false;
	}
	return at != NULL && at > text + 1 && at < text + length - 2 && strchr(at + 1, '@') == NULL;
}

/* Returns why these parts cannot become a message; NULL if they can. */
static const char *
PartsProblem(const MessageParts *parts)
{
	if (!IsValidAddress(parts->from.address))
		return "the sender's address is not valid";
	if (!IsValidAddress(parts->to.address))
		return "the recipient's address is not valid";
	if (parts->reply_to.address != NULL && !IsValidAddress(parts->reply_to.address))
		return "the Reply-To address is not valid";
	if (parts->original_recipient != NULL && !IsValidAddress(parts->original_recipient))
		return "the original recipient's address is not valid";
	if (!IsMessageId(parts->message_id))
		return "the Message-ID is not valid";
	if (parts->text_length > MESSAGE_MAX_PART_BYTES || parts->html_length > MESSAGE_MAX_PART_BYTES)
		return "the message is too large";
	return NULL;
}

static void
AppendPart(StringInfo out, uint64 boundary, const char *subtype, const char *text, size_t length)
{
	appendStringInfo(out,
					 "\r\n--" BOUNDARY_FORMAT "\r\n"
					 "Content-Type: text/%s; charset=utf-8\r\n"
					 "Content-Transfer-Encoding: quoted-printable\r\n"
					 "\r\n",
					 boundary, subtype);
	AppendQuotedPrintable(out, text, length);
}

bool
ComposeMessage(const MessageParts *parts, StringInfo out, const char **problem)
{
	uint64 boundary;

	*problem = PartsProblem(parts);
	if (*problem != NULL)
		return false;

	AppendDate(out, parts->date);
	AppendMailboxHeader(out, "From", parts->from.name, parts->from.address, MESSAGE_MAX_NAME_CHARS);
	AppendMailboxHeader(out, "To", parts->to.name, parts->to.address, MESSAGE_MAX_NAME_CHARS);
	if (parts->reply_to.address != NULL)
		AppendMailboxHeader(out, "Reply-To", parts->reply_to.name, parts->reply_to.address,
							MESSAGE_MAX_NAME_CHARS);
	if (parts->original_recipient != NULL)
		AppendMailboxHeader(out, "X-Original-Recipient", "", parts->original_recipient,
							MESSAGE_MAX_NAME_CHARS);
	AppendTextHeader(out, "Subject", parts->subject, MESSAGE_MAX_SUBJECT_CHARS);
	appendStringInfo(out, "Message-ID: %s\r\n", parts->message_id);
	if (parts->notification_id > 0)
		appendStringInfo(out, "X-Notification-ID: " INT64_FORMAT "\r\n", parts->notification_id);

	boundary = hash_bytes_extended((const unsigned char *) parts->message_id,
								   strlen(parts->message_id), 0);
	appendStringInfo(out,
					 "Auto-Submitted: auto-generated\r\n"
					 "X-Auto-Response-Suppress: All\r\n"
					 "MIME-Version: 1.0\r\n"
					 "Content-Type: multipart/alternative;\r\n"
					 " boundary=\"" BOUNDARY_FORMAT "\"\r\n",
					 boundary);
	AppendPart(out, boundary, "plain", parts->text, parts->text_length);
	AppendPart(out, boundary, "html", parts->html, parts->html_length);
	appendStringInfo(out, "\r\n--" BOUNDARY_FORMAT "--\r\n", boundary);
	return true;
}

char *
MessageIdFor(int64 notification_id, uint64 mac, const char *domain)
{
	char *id = psprintf("<rhesis-notify." INT64_FORMAT ".%016" PRIx64 "@%s>", notification_id, mac,
						IsValidDomain(domain) ? domain : "localhost");

	Assert(IsMessageId(id));
	return id;
}

/*
 * Returns the end of the line that begins at p: its CR or LF, or end. *newline caches where the
 * next LF is.
 */
static const char *
LineEnd(const char *p, const char *end, const char **newline)
{
	const char *cr;

	/*
	 * Search again only after the cached LF. So a text of bare CRs takes no more time than any
	 * other.
	 */
	if (*newline < p)
	{
		*newline = memchr(p, '\n', end - p);
		if (*newline == NULL)
			*newline = end;
	}
	cr = memchr(p, '\r', *newline - p);
	return cr != NULL ? cr : *newline;
}

void
AppendDotStuffed(StringInfo out, const char *data, size_t length)
{
	const char *p = data;
	const char *end = data + length;
	const char *newline = data - 1; /* the next LF; before the data until the first search */
	const char *pending = data;		/* the first byte that is not copied yet */
	bool line_begins = true;

	enlargeStringInfo(out, length + length / 64 + 16);
	while (p < end)
	{
		const char *line_end = LineEnd(p, end, &newline);
		bool proper = (end - line_end >= 2 && line_end[0] == '\r' && line_end[1] == '\n');

		if (*p == '.')
		{
			appendBinaryStringInfo(out, pending, p - pending);
			appendBinaryStringInfo(out, ".", 1);
			pending = p;
		}
		line_begins = (line_end < end);
		if (proper)
			p = line_end + 2;
		else if (line_begins)
		{
			appendBinaryStringInfo(out, pending, line_end - pending);
			appendBinaryStringInfo(out, "\r\n", 2);
			p = pending = line_end + 1;
		}
		else
			p = end;
	}
	appendBinaryStringInfo(out, pending, end - pending);
	appendStringInfoString(out, line_begins ? ".\r\n" : "\r\n.\r\n");
}

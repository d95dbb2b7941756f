/*
 * smtp_reply.c - parsing the replies of an SMTP server.
 *
 * The server is not trusted: it may send lines of any length, replies without end, or no SMTP at
 * all. A reply is kept in a fixed size, and its text is made safe to log, to store and to show.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "lib/stringinfo.h"

#include "base/ascii.h"
#include "base/utf8.h"
#include "smtp/smtp_reply.h"

#define CODE_LENGTH 3

static inline bool
IsDigit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Append text to the reply's text until that is full, and make it printable. Tabs become spaces,
 * because servers indent with them. All else that is not printable becomes '?'.
 */
static void
AppendPrintable(SmtpReply *reply, const char *text, const char *end)
{
	while (text < end && reply->text_chars < SMTP_REPLY_MAX_CHARS)
	{
		int length = Utf8CharLength(text, end);
		const char *shown = text;
		int shown_length = length;

		if (length == 0 || IsUnsafeInLine(utf8_to_unicode((const unsigned char *) text)))
		{
			shown = (*text == '\t') ? " " : "?";
			shown_length = 1;
		}
		Assert(reply->text_length + shown_length < (int) sizeof(reply->text));
		memcpy(reply->text + reply->text_length, shown, shown_length);
		reply->text_length += shown_length;
		reply->text_chars++;
		text += Max(length, 1);
	}
	reply->text[reply->text_length] = '\0';
}

/*
 * Returns the length of the enhanced status code (RFC 3463: class.subject.detail) at the beginning
 * of a text; 0 if there is none.
 */
static int
EnhancedCodeLength(const char *text, const char *end)
{
	const char *p = text;

	if (end - p < 5 || (*p != '2' && *p != '4' && *p != '5'))
		return 0;
	p++;
	for (int part = 0; part < 2; part++)
	{
		int digits = 0;

		if (p == end || *p++ != '.')
			return 0;
		while (p < end && IsDigit(*p) && digits < 3)
			p++, digits++;
		if (digits == 0)
			return 0;
	}
	if (p < end && *p != ' ')
		return 0;
	return p - text;
}

/*
 * Returns the code of a reply line; 0 if it is no reply line. Sets *more to true if another line of
 * the reply follows.
 */
static int
LineCode(const char *line, const char *end, bool *more)
{
	if (end - line < CODE_LENGTH || line[0] < '2' || line[0] > '5' || !IsDigit(line[1]) ||
		!IsDigit(line[2]))
		return 0;
	if (end - line > CODE_LENGTH && line[CODE_LENGTH] != ' ' && line[CODE_LENGTH] != '-')
		return 0;
	*more = (end - line > CODE_LENGTH && line[CODE_LENGTH] == '-');
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

static void
ClearReply(SmtpReplyParser *parser)
{
	parser->reply.code = 0;
	parser->reply.enhanced[0] = '\0';
	parser->reply.text_length = 0;
	parser->reply.text_chars = 0;
	parser->reply.text[0] = '\0';
	parser->status = SMTP_REPLY_INCOMPLETE;
	parser->byte_count = 0;
	parser->line_count = 0;
	parser->line_length = 0;
}

/* Note that the current line is garbage. Keep the line as the reply's text, for the log. */
static void
SetGarbage(SmtpReplyParser *parser)
{
	int line_length = parser->line_length;

	ClearReply(parser);
	AppendPrintable(&parser->reply, parser->line, parser->line + line_length);
	parser->status = SMTP_REPLY_GARBAGE;
}

static void
KeepEnhancedCode(SmtpReply *reply, const char *code, int length)
{
	Assert(length < (int) sizeof(reply->enhanced));
	memcpy(reply->enhanced, code, length);
	reply->enhanced[length] = '\0';
}

/*
 * Take the enhanced code from the end of the text, where qmail and its successors write it:
 * "(#5.7.1)", "(#5.1.1 - chkuser)". The code counts only if its class is the reply's, because a
 * text may end like that by chance.
 */
static void
TakeCodeAtEnd(SmtpReply *reply)
{
	const char *end = reply->text + reply->text_length - 1;
	const char *from = strrchr(reply->text, '#');
	const char *code_end;

	if (reply->enhanced[0] != '\0' || from == NULL || from - reply->text < 2 ||
		memcmp(from - 2, " (", 2) != 0 || *end != ')')
		return;
	from++;
	code_end = from + strcspn(from, " )");
	if (EnhancedCodeLength(from, code_end) == code_end - from && *from == '0' + reply->code / 100)
		KeepEnhancedCode(reply, from, code_end - from);
}

/*
 * Append a line's text to the reply, without the enhanced code, which is the same on each line.
 * Some servers write "#5.1.8", and some write it on a later line only.
 */
static void
TakeLineText(SmtpReply *reply, const char *text, const char *end)
{
	const char *code = text < end && *text == '#' ? text + 1 : text;
	int length = EnhancedCodeLength(code, end);

	if (length > 0 && reply->enhanced[0] == '\0')
		KeepEnhancedCode(reply, code, length);
	if (length > 0 && (int) strlen(reply->enhanced) == length &&
		memcmp(reply->enhanced, code, length) == 0)
		text = code + length;
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	if (text == end)
		return;
	if (reply->text_length > 0)
	{
		static const char separator[] = " ";

		AppendPrintable(reply, separator, separator + 1);
	}
	AppendPrintable(reply, text, end);
}

/* Add the line in parser->line, which is complete, to the reply. */
static void
FinishLine(SmtpReplyParser *parser)
{
	const char *line = parser->line;
	const char *end;
	bool more;
	int code;

	while (parser->line_length > 0 && line[parser->line_length - 1] == '\r')
		parser->line_length--;
	end = line + parser->line_length;
	code = LineCode(line, end, &more);
	parser->line_count++;

	if (code == 0 || (parser->line_count > 1 && code != parser->reply.code) ||
		parser->line_count > SMTP_REPLY_MAX_LINES)
	{
		SetGarbage(parser);
		return;
	}
	parser->reply.code = code;
	if (end - line > CODE_LENGTH + 1)
		TakeLineText(&parser->reply, line + CODE_LENGTH + 1, end);
	parser->line_length = 0;
	if (!more)
	{
		TakeCodeAtEnd(&parser->reply);
		parser->status = SMTP_REPLY_COMPLETE;
	}
}

void
SmtpReplyInit(SmtpReplyParser *parser)
{
	ClearReply(parser);
}

size_t
SmtpReplyFeed(SmtpReplyParser *parser, const char *data, size_t length)
{
	const char *p = data;
	const char *end = data + length;

	if (parser->status == SMTP_REPLY_COMPLETE)
		ClearReply(parser);
	while (p < end && parser->status == SMTP_REPLY_INCOMPLETE)
	{
		const char *newline = memchr(p, '\n', end - p);
		const char *line_end = newline != NULL ? newline : end;
		int kept = Min(line_end - p, SMTP_REPLY_MAX_LINE - parser->line_length);

		memcpy(parser->line + parser->line_length, p, kept);
		parser->line_length += kept;
		parser->byte_count += Min(line_end - p, SMTP_REPLY_MAX_BYTES);
		p = newline != NULL ? newline + 1 : end;

		if (parser->byte_count >= SMTP_REPLY_MAX_BYTES)
			SetGarbage(parser);
		else if (newline != NULL)
			FinishLine(parser);
	}
	return parser->status == SMTP_REPLY_GARBAGE ? length : (size_t) (p - data);
}

bool
SmtpReplyInProgress(const SmtpReplyParser *parser)
{
	return parser->status == SMTP_REPLY_INCOMPLETE && parser->byte_count > 0;
}

char *
FormatSmtpReply(int code, const char *enhanced, const char *text)
{
	SmtpReply printable = {0};
	StringInfoData whole;

	initStringInfo(&whole);
	if (code > 0)
		appendStringInfo(&whole, "%03d", code);
	if (enhanced != NULL && enhanced[0] != '\0')
		appendStringInfo(&whole, "%s%s", whole.len > 0 ? " " : "", enhanced);
	if (text != NULL && text[0] != '\0')
		appendStringInfo(&whole, "%s%s", whole.len > 0 ? " " : "", text);
	AppendPrintable(&printable, whole.data, whole.data + whole.len);
	pfree(whole.data);
	return pnstrdup(printable.text, printable.text_length);
}

/* Returns true if this line offers the given EHLO keyword. Sets *parameter to the text after it. */
static bool
IsKeyword(const char *text, const char *end, const char *keyword, const char **parameter)
{
	int length = strlen(keyword);

	if (end - text < length || !BeginsAlike(text, keyword, length))
		return false;
	if (end - text > length && text[length] != ' ' && text[length] != '=')
		return false;
	*parameter = text + Min(length + 1, end - text);
	return true;
}

static uint64
ReadSize(const char *text, const char *end)
{
	uint64 size = 0;

	for (; text < end && IsDigit(*text); text++)
	{
		if (size > (PG_UINT64_MAX - 9) / 10)
			return PG_UINT64_MAX;
		size = size * 10 + (*text - '0');
	}
	return size;
}

static void
NoteKeyword(SmtpCapabilities *capabilities, const char *text, const char *end)
{
	const char *parameter;

	if (IsKeyword(text, end, "PIPELINING", &parameter))
		capabilities->pipelining = true;
	else if (IsKeyword(text, end, "STARTTLS", &parameter))
		capabilities->starttls = true;
	else if (IsKeyword(text, end, "AUTH", &parameter))
	{
		/* The old form "AUTH=LOGIN" counts, too, although libcurl ignores it. */
		capabilities->auth = true;
		if (parameter < end && parameter[-1] == ' ')
		{
			size_t length =
				Min((size_t) (end - parameter), sizeof(capabilities->auth_mechanisms) - 1);

			memcpy(capabilities->auth_mechanisms, parameter, length);
			capabilities->auth_mechanisms[length] = '\0';
		}
	}
	else if (IsKeyword(text, end, "SIZE", &parameter))
		capabilities->size_limit = ReadSize(parameter, end);
	else if (IsKeyword(text, end, "8BITMIME", &parameter))
		capabilities->eight_bit_mime = true;
	else if (IsKeyword(text, end, "SMTPUTF8", &parameter))
		capabilities->smtputf8 = true;
	else if (IsKeyword(text, end, "ENHANCEDSTATUSCODES", &parameter))
		capabilities->enhanced_status_codes = true;
}

void
NoteEhloLine(SmtpCapabilities *capabilities, const char *line, size_t length)
{
	const char *end = line + length;
	bool more;

	while (end > line && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' '))
		end--;
	if (LineCode(line, end, &more) != 250)
	{
		capabilities->inside_reply = false;
		return;
	}

	/* The first line names the server, and the others its capabilities. */
	if (!capabilities->inside_reply)
	{
		memset(capabilities, 0, sizeof(*capabilities));
		capabilities->seen = true;
	}
	else if (end - line > CODE_LENGTH + 1)
		NoteKeyword(capabilities, line + CODE_LENGTH + 1, end);
	capabilities->inside_reply = more;
}

/*
 * smtp_trace.c - the dialogue with the server as text, for the log.
 *
 * The lines are kept in a buffer, because these functions may run in a callback of libcurl, which
 * must not raise an error. The data of a login is never kept: a command is cut after the name of the
 * mechanism, and a reply after its code. The content of a mail is never kept either. Without
 * SmtpPoolTrace() there is no buffer, and nothing is noted.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "smtp/smtp_internal.h"

#define TRACE_SIZE 32768
#define LONGEST_LINE 600
#define LOST "(more was said)\n"

struct SmtpTrace
{
	size_t length;
	bool taken; /* the text was handed out: the next line begins a new text */
	char text[TRACE_SIZE];
};

void
SmtpPoolTrace(SmtpPool *pool, bool wanted)
{
	if (wanted == (pool->trace != NULL))
		return;
	free(pool->trace);
	/* Without memory there is no trace. */
	pool->trace = wanted ? calloc(1, sizeof(SmtpTrace)) : NULL;
}

const char *
SmtpTakeTrace(SmtpPool *pool)
{
	SmtpTrace *trace = pool->trace;

	if (trace == NULL || trace->length == 0 || trace->taken)
		return NULL;
	trace->taken = true;
	return trace->text;
}

static bool
StartsWith(const char *line, size_t length, const char *word)
{
	return length >= strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

/* Adds a line with its kind (">", "<" or "-"). Other bytes than printable ASCII become '?'. */
static void
AddLine(const SmtpConnection *connection, const char *kind, const char *text, size_t length)
{
	SmtpTrace *trace = connection->pool->trace;
	char *line;

	if (trace->taken)
		trace->length = 0;
	trace->taken = false;
	if (trace->length + LONGEST_LINE + sizeof(LOST) > TRACE_SIZE)
	{
		strlcpy(trace->text + trace->length, LOST, sizeof(LOST));
		return;
	}
	length = Min(length, LONGEST_LINE - 64);
	line = trace->text + trace->length;
	trace->length += snprintf(line, LONGEST_LINE, "connection %u %s %.*s", connection->number, kind,
							  (int) length, text);
	for (char *c = line; c < trace->text + trace->length; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	strlcpy(trace->text + trace->length, "\n", 2);
	trace->length++;
	Assert(trace->length < TRACE_SIZE);
}

/* Returns the length of a line without its end. */
static size_t
LengthOfLine(const char *text, size_t length)
{
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		length--;
	return length;
}

static bool
IsWord(const char *line, size_t length, const char *word)
{
	return length == strlen(word) && memcmp(line, word, length) == 0;
}

/*
 * Notes a line that was sent. While libcurl opens a connection, a line is shown only if it is known
 * to have no secret. Nothing that the server says changes that. If libcurl shows a line in pieces,
 * each piece is judged alone: the data of a login is base64, which has no blanks.
 */
void
SmtpTraceSent(const SmtpConnection *connection, const char *line, size_t length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	static const char hidden[] = "(a line that is not shown)";

	if (connection->pool->trace == NULL)
		return;
	length = LengthOfLine(line, length);
	if (connection->state != SMTP_CONNECTION_OPENING || StartsWith(line, length, "EHLO ") ||
		StartsWith(line, length, "HELO ") || IsWord(line, length, "STARTTLS"))
		AddLine(connection, ">", line, length);
	else if (StartsWith(line, length, "AUTH "))
	{
		size_t end = strlen("AUTH ");

		while (end < length && line[end] != '\0' && strchr(letters, line[end]) != NULL)
			end++;
		AddLine(connection, ">", line, end);
	}
	else
		AddLine(connection, ">", hidden, strlen(hidden));
}

void
SmtpTraceReceived(const SmtpConnection *connection, const char *line, size_t length)
{
	if (connection->pool->trace == NULL)
		return;
	length = LengthOfLine(line, length);
	if (connection->opening_stage == SMTP_STAGE_AUTH || StartsWith(line, length, "334"))
		length = Min(length, strlen("334"));
	AddLine(connection, "<", line, length);
}

void
SmtpTraceReply(const SmtpConnection *connection, const SmtpReply *reply)
{
	char line[LONGEST_LINE];

	if (connection->pool->trace == NULL)
		return;
	snprintf(line, sizeof(line), "%d %s %s", reply->code, reply->enhanced, reply->text);
	AddLine(connection, "<", line, strlen(line));
}

void
SmtpTraceNote(const SmtpConnection *connection, const char *note)
{
	if (connection->pool->trace != NULL)
		AddLine(connection, "-", note, strlen(note));
}

/* A callback of libcurl, for what it sends while it opens a connection. */
int
SmtpTraceOpening(CURL *easy, curl_infotype type, char *data, size_t size, void *connection_data)
{
	const SmtpConnection *connection = connection_data;

	if (type == CURLINFO_HEADER_OUT && connection->state == SMTP_CONNECTION_OPENING)
		SmtpTraceSent(connection, data, size);
	return 0;
}

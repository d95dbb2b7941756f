/*
 * smtp_reply.h - parsing the replies of an SMTP server.
 *
 * No input or output, and no allocation except in FormatSmtpReply(). Each byte may be hostile.
 */
#ifndef RHESIS_SMTP_REPLY_H
#define RHESIS_SMTP_REPLY_H

/* How much of a reply is kept. The limit of RFC 5321 is far lower: 512 bytes for a line. */
#define SMTP_REPLY_MAX_CHARS 1000		   /* characters of text; the rest is dropped */
#define SMTP_REPLY_MAX_LINE 4096		   /* bytes of one line; the rest is dropped */
#define SMTP_REPLY_MAX_LINES 256		   /* lines of one reply; more is garbage */
#define SMTP_REPLY_MAX_BYTES (1024 * 1024) /* bytes of one reply; more is garbage */

/*
 * One reply. The text is safe for logs: it is valid UTF-8, with '?' in place of control characters.
 * Its lines are joined by spaces, and the codes are removed.
 */
typedef struct SmtpReply
{
	int code;		   /* 200 to 599 */
	char enhanced[12]; /* "5.1.1" (RFC 3463), or "" */
	int text_length;   /* in bytes */
	int text_chars;	   /* in characters */
	char text[SMTP_REPLY_MAX_CHARS * 4 + 1];
} SmtpReply;

typedef enum SmtpReplyStatus
{
	SMTP_REPLY_INCOMPLETE, /* more bytes are needed */
	SMTP_REPLY_COMPLETE,   /* parser->reply is a whole reply */
	SMTP_REPLY_GARBAGE,	   /* not SMTP; no reply can follow on this connection */
} SmtpReplyStatus;

typedef struct SmtpReplyParser
{
	SmtpReply reply;
	SmtpReplyStatus status;
	int byte_count;	 /* bytes of the reply that is being read */
	int line_count;	 /* complete lines of it */
	int line_length; /* bytes in line[] */
	char line[SMTP_REPLY_MAX_LINE];
} SmtpReplyParser;

extern void SmtpReplyInit(SmtpReplyParser *parser);

/*
 * Parse bytes. A reply may be split anywhere. This stops after the first complete reply, and
 * returns how many bytes were used. Feed the rest again for the next reply:
 *
 *		while (length > 0)
 *		{
 *			size_t used = SmtpReplyFeed(parser, data, length);
 *
 *			if (parser->status == SMTP_REPLY_GARBAGE)
 *				...
 *			else if (parser->status == SMTP_REPLY_COMPLETE)
 *				... parser->reply, valid until the next call ...
 *			data += used, length -= used;
 *		}
 *
 * After garbage, all bytes are ignored until SmtpReplyInit(). parser->reply.text is then the line
 * that is not part of a reply.
 */
extern size_t SmtpReplyFeed(SmtpReplyParser *parser, const char *data, size_t length);

/* Returns true if a reply has begun and is not complete. */
extern bool SmtpReplyInProgress(const SmtpReplyParser *parser);

/*
 * Returns the reply as one text, as in "250 2.0.0 Ok: queued as 4F2A", palloc'd, with at most
 * SMTP_REPLY_MAX_CHARS characters. A code of 0 and texts that are NULL or empty are left out.
 */
extern char *FormatSmtpReply(int code, const char *enhanced, const char *text);

/* The server's capabilities, from its last answer to EHLO. */
typedef struct SmtpCapabilities
{
	bool seen; /* an answer to EHLO (or HELO) has come */
	bool pipelining;
	bool starttls;
	bool auth;
	char auth_mechanisms[256]; /* such as "PLAIN LOGIN"; the rest of a longer list is dropped */
	bool eight_bit_mime;
	bool smtputf8;
	bool enhanced_status_codes;
	uint64 size_limit; /* SIZE n; 0: none */

	bool inside_reply; /* between the first and the last line of an answer */
} SmtpCapabilities;

/*
 * Read a reply line of the server into the capabilities. Call this for each line that libcurl's
 * HEADERFUNCTION gets while it opens a connection, and begin with a zeroed struct. A reply with the
 * code 250 replaces the capabilities, so the answer to EHLO after STARTTLS counts.
 */
extern void NoteEhloLine(SmtpCapabilities *capabilities, const char *line, size_t length);

#endif /* RHESIS_SMTP_REPLY_H */

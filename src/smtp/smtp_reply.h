/*
 * smtp_reply.h - bytes from an SMTP server become replies.
 *
 * Pure and bounded: no allocation but in FormatSmtpReply, no I/O. Every byte is hostile.
 */
#ifndef RHESIS_SMTP_REPLY_H
#define RHESIS_SMTP_REPLY_H

/* How much of a reply is kept. The limits of RFC 5321 are far lower: 512 bytes a line. */
#define SMTP_REPLY_MAX_CHARS 1000 /* of text, in characters; the rest is dropped */
#define SMTP_REPLY_MAX_LINE 4096  /* bytes of one line that are looked at; the rest is dropped */
#define SMTP_REPLY_MAX_LINES 256  /* lines of one reply; more is garbage */
#define SMTP_REPLY_MAX_BYTES (1024 * 1024) /* of one reply; more is garbage */

/*
 * One reply. The text is safe for logs: valid UTF-8, no control characters ('?' instead), lines joined
 * with a space, without the codes.
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
	SMTP_REPLY_INCOMPLETE, /* feed more */
	SMTP_REPLY_COMPLETE,   /* parser->reply is one reply */
	SMTP_REPLY_GARBAGE,	   /* not SMTP; nothing more can be read from this connection */
} SmtpReplyStatus;

typedef struct SmtpReplyParser
{
	SmtpReply reply;
	SmtpReplyStatus status;
	int byte_count;	 /* bytes of the reply being read */
	int line_count;	 /* finished lines of it */
	int line_length; /* bytes in line[] */
	char line[SMTP_REPLY_MAX_LINE];
} SmtpReplyParser;

extern void SmtpReplyInit(SmtpReplyParser *parser);

/*
 * Feeds bytes, split anywhere. Stops behind the first reply that becomes complete; returns how many bytes
 * were used. Feed the rest again for the next reply:
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
 * Garbage is for ever: all bytes are swallowed until SmtpReplyInit. parser->reply.text then shows the line
 * that was none of a reply.
 */
extern size_t SmtpReplyFeed(SmtpReplyParser *parser, const char *data, size_t length);

/* A reply has begun and is not complete (so silence now is a time-out in the middle of one). */
extern bool SmtpReplyInProgress(const SmtpReplyParser *parser);

/* "250 2.0.0 Ok: queued as 4F2A", palloc'd, at most SMTP_REPLY_MAX_CHARS characters. */
extern char *FormatSmtpReply(int code, const char *enhanced, const char *text);

/* What the server's last EHLO answer offers. */
typedef struct SmtpCapabilities
{
	bool seen; /* an EHLO (or HELO) answer has come */
	bool pipelining;
	bool starttls;
	bool auth;
	char auth_mechanisms[256]; /* "PLAIN LOGIN"; what does not fit is dropped */
	bool eight_bit_mime;
	bool smtputf8;
	bool enhanced_status_codes;
	uint64 size_limit; /* SIZE n; 0: none named */

	bool inside_reply; /* between the first and the last line of an answer */
} SmtpCapabilities;

/*
 * Takes every reply line of a connection's set-up as libcurl's HEADERFUNCTION hands them over. Only 250
 * replies matter: each starts anew, so the answer after STARTTLS is the one that counts. Start from a
 * zeroed struct, and stop feeding it when the connection is ready.
 */
extern void NoteEhloLine(SmtpCapabilities *capabilities, const char *line, size_t length);

#endif /* RHESIS_SMTP_REPLY_H */

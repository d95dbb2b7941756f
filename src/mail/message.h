/*
 * message.h - a complete mail: RFC 5322 headers and a multipart/alternative body.
 *
 * Pure: builds inside the server and without it; no SMTP, no SQL, no I/O, no errors raised.
 */
#ifndef RHESIS_MESSAGE_H
#define RHESIS_MESSAGE_H

#include "lib/stringinfo.h"
#include "mail/mailbox.h"

/* Limits. What is longer is cut (subject, names) or refused (parts). Characters are Unicode code points. */
#define MESSAGE_MAX_SUBJECT_CHARS 255
#define MESSAGE_MAX_NAME_CHARS 128
#define MESSAGE_MAX_PART_BYTES (16 * 1024 * 1024)

/*
 * What a mail is made of. All strings are UTF-8 and may be hostile: line breaks and control characters
 * in header values become spaces, invalid UTF-8 becomes U+FFFD.
 */
typedef struct MessageParts
{
	int64 date;						/* seconds since 1970, UTC */
	Mailbox from;					/* address must be valid */
	Mailbox to;						/* address must be valid */
	Mailbox reply_to;				/* address NULL: no Reply-To */
	const char *original_recipient; /* staging's redirect: whom it was for; NULL: no header */
	const char *subject;
	const char *message_id; /* with its angle brackets, from MessageIdFor */
	int64 notification_id;	/* 0 or less: no X-Notification-ID */
	const char *text;
	size_t text_length;
	const char *html;
	size_t html_length;
} MessageParts;

/*
 * Appends the complete message to out, CRLF line ends throughout, not yet dot-stuffed. False, with a
 * constant phrase in *problem and out as it was, if an address or the Message-ID can't be sent or a part is
 * too large.
 */
extern bool ComposeMessage(const MessageParts *parts, StringInfo out, const char **problem);

/* Is it <left@right>, of bytes that need no quotes and can't end the line? */
extern bool IsMessageId(const char *text);

/*
 * A Message-ID, `<rhesis-notify.ID.MAC@domain>`, palloc'd. The mac tells apart what has the same id. An unusable domain is replaced
 * by "localhost".
 */
extern char *MessageIdFor(int64 notification_id, uint64 mac, const char *domain);

/*
 * Appends a message as SMTP's DATA wants it: every line end CRLF (a bare CR or LF becomes one, so that no
 * server can see an end of data that we don't), lines that begin with a dot get a second one, and the final
 * CRLF . CRLF.
 */
extern void AppendDotStuffed(StringInfo out, const char *data, size_t length);

#endif /* RHESIS_MESSAGE_H */

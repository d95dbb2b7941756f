/*
 * message.h - a complete mail: RFC 5322 headers and a multipart/alternative body.
 *
 * Pure: builds inside the server and without it. No SMTP, no SQL, no I/O, and no error is raised.
 */
#ifndef RHESIS_MESSAGE_H
#define RHESIS_MESSAGE_H

#include "lib/stringinfo.h"
#include "mail/mailbox.h"

/*
 * Limits. A longer subject or name is cut, a longer part is refused. Characters are Unicode code
 * points.
 */
#define MESSAGE_MAX_SUBJECT_CHARS 255
#define MESSAGE_MAX_NAME_CHARS 128
#define MESSAGE_MAX_PART_BYTES (16 * 1024 * 1024)

/*
 * The parts of a mail. All strings are UTF-8 and may be hostile. In header values, line breaks and
 * control characters become spaces, and invalid UTF-8 becomes U+FFFD.
 */
typedef struct MessageParts
{
	int64 date;						/* seconds since 1970, UTC */
	Mailbox from;					/* address must be valid */
	Mailbox to;						/* address must be valid */
	Mailbox reply_to;				/* address NULL: no Reply-To */
	const char *original_recipient; /* the recipient before redirect_all_to; or NULL */
	const char *subject;
	const char *message_id; /* with its angle brackets, from MessageIdFor() */
	int64 notification_id;	/* 0 or less: no X-Notification-ID */
	const char *text;
	size_t text_length;
	const char *html;
	size_t html_length;
} MessageParts;

/*
 * Appends the complete message to out. All line ends are CRLF; dots are not stuffed yet. If an
 * address or the Message-ID is not valid, or a part is too large, returns false, with a constant
 * phrase in *problem, and leaves out as it was.
 */
extern bool ComposeMessage(const MessageParts *parts, StringInfo out, const char **problem);

/*
 * Returns true if the text is <left@right>, without bytes that need quotes or could end the line.
 */
extern bool IsMessageId(const char *text);

/*
 * Returns a Message-ID, `<rhesis-notify.ID.MAC@domain>`, palloc'd. The mac distinguishes mails with
 * the same id. A domain that is not valid is replaced by "localhost".
 */
extern char *MessageIdFor(int64 notification_id, uint64 mac, const char *domain);

/*
 * Appends a message in the form that SMTP's DATA needs. Every line end is CRLF: a bare CR or LF
 * becomes one, so no server can see an end of data where we see none. A line that begins with a dot
 * gets a second dot. CRLF . CRLF ends the message.
 */
extern void AppendDotStuffed(StringInfo out, const char *data, size_t length);

#endif /* RHESIS_MESSAGE_H */

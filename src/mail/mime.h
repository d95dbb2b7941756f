/*
 * mime.h - RFC 2047: header values that are not plain ASCII.
 *
 * Pure: builds inside the server and without it. Input is UTF-8 and may be hostile or broken.
 */
#ifndef RHESIS_MIME_H
#define RHESIS_MIME_H

#include "lib/stringinfo.h"

/* The largest max_chars below. */
#define MIME_MAX_HEADER_CHARS 256

/*
 * Returns the text of a header value as it will be shown, palloc'd: at most max_chars characters. A
 * longer text is cut and ends with an ellipsis. Line breaks and other characters that are not safe
 * in a line become spaces, and several spaces become one.
 */
extern char *HeaderText(const char *text, int max_chars);

/*
 * Both append a header field, with its CRLF, in lines of at most 78 bytes; only an address can make
 * a line longer. The text is made safe and cut as by HeaderText(). Text that is not printable
 * ASCII, or looks like an encoded word, becomes encoded words.
 */
extern void AppendTextHeader(StringInfo out, const char *field, const char *text, int max_chars);

/* `field: "name" <address>`; only the address if the name is empty or equals the address. */
extern void AppendMailboxHeader(StringInfo out, const char *field, const char *name,
								const char *address, int max_chars);

#endif /* RHESIS_MIME_H */

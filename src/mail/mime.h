/*
 * mime.h - RFC 2047: header values that are not plain ASCII.
 *
 * Pure: builds inside the server and without it. Input is UTF-8 and may be hostile or broken.
 */
#ifndef RHESIS_MIME_H
#define RHESIS_MIME_H

#include "lib/stringinfo.h"

/* The most that may be asked for as max_chars below. */
#define MIME_MAX_HEADER_CHARS 256

/*
 * The text of a header value as it will be shown, palloc'd: at most max_chars characters, the last of them an
 * ellipsis if there were more; line breaks and other characters that are not safe in a line become spaces,
 * runs of spaces one.
 */
extern char *HeaderText(const char *text, int max_chars);

/*
 * Both append a header field, its CRLF included, in lines of at most 78 bytes (longer only where one address
 * is). At most max_chars characters of the text are shown, the last of them an ellipsis if there were more.
 * Line breaks and other characters that are not safe in a line become spaces, runs of spaces one. What is
 * not printable ASCII, or looks like an encoded word, goes into encoded words.
 */
extern void AppendTextHeader(StringInfo out, const char *field, const char *text, int max_chars);

/* `field: "name" <address>`; the address alone if the name is empty or the address itself. */
extern void AppendMailboxHeader(StringInfo out, const char *field, const char *name,
								const char *address, int max_chars);

#endif /* RHESIS_MIME_H */

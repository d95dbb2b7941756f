/*
 * quoted_printable.h - RFC 2045: text as quoted-printable.
 *
 * Pure: builds inside the server and without it. Input is UTF-8 and may be hostile or broken.
 */
#ifndef RHESIS_QUOTED_PRINTABLE_H
#define RHESIS_QUOTED_PRINTABLE_H

#include "lib/stringinfo.h"

/*
 * Appends a text as quoted-printable: lines of at most 76 bytes, CRLF for every line break (CRLF,
 * CR or LF) of the text, invalid UTF-8 as U+FFFD. No line begins with a dot or "From ", and no line
 * contains "=_". The output ends with a line break only if the text does.
 */
extern void AppendQuotedPrintable(StringInfo out, const char *text, size_t length);

/* Writes "=" and the byte's two hexadecimal digits. Returns where they end. */
static inline char *
PutHex(char *to, unsigned char byte)
{
	static const char digits[] = "0123456789ABCDEF";

	*to++ = '=';
	*to++ = digits[byte >> 4];
	*to++ = digits[byte & 0x0F];
	return to;
}

#endif /* RHESIS_QUOTED_PRINTABLE_H */

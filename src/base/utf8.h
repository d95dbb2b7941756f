/*
 * utf8.h - reading UTF-8 that may be broken, one character at a time.
 */
#ifndef RHESIS_UTF8_H
#define RHESIS_UTF8_H

#include "mb/pg_wchar.h"

#define UTF8_MAX_BYTES 4

/* U+FFFD replaces bytes that are not a character. */
#define UTF8_REPLACEMENT "\xEF\xBF\xBD"

/*
 * Returns the length in bytes of the character at s, which is before end; 0 if the bytes are not
 * valid UTF-8.
 */
static inline int
Utf8CharLength(const char *s, const char *end)
{
	const unsigned char *bytes = (const unsigned char *) s;
	int length;

	if (!IS_HIGHBIT_SET(*bytes))
		return 1;
	length = *bytes >= 0xF0 ? 4 : *bytes >= 0xE0 ? 3 : 2;
	if (length > end - s || !pg_utf8_islegal(bytes, length))
		return 0;
	return length;
}

/*
 * Returns true for a character that moves, hides or reorders the text around it on one line:
 * control characters, line and paragraph separators, and bidirectional embeddings, overrides and
 * isolates. U+200E, U+200F and U+061C are not among them: right-to-left text needs these marks, and
 * they reorder nothing else.
 */
static inline bool
IsUnsafeInLine(pg_wchar c)
{
	return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x2028 && c <= 0x202E) ||
		   (c >= 0x2066 && c <= 0x2069);
}

/*
 * Returns true for a character that shows nothing: white space, soft hyphens, marks and overrides
 * of direction, joiners, fillers, the byte order mark.
 */
static inline bool
IsBlankCharacter(pg_wchar c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xA0 || c == 0xAD ||
		   c == 0x34F || c == 0x61C || c == 0x115F || c == 0x1160 || c == 0x1680 || c == 0x180E ||
		   (c >= 0x2000 && c <= 0x200F) || (c >= 0x2028 && c <= 0x202F) ||
		   (c >= 0x205F && c <= 0x206F) || c == 0x2800 || c == 0x3000 || c == 0x3164 || c == 0xFEFF;
}

#endif /* RHESIS_UTF8_H */

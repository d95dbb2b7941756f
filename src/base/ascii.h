/*
 * ascii.h - letters and digits of protocols and settings: ASCII alone, whatever the locale says.
 *
 * isalpha() and pg_strncasecmp() ask the locale about bytes beyond ASCII. In a Turkish locale, such
 * a byte may equal an i.
 */
#ifndef RHESIS_ASCII_H
#define RHESIS_ASCII_H

static inline bool
IsAsciiLetter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
IsAsciiDigit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char
AsciiLower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/*
 * Returns true if the first length bytes of both texts are equal, without regard to case. A text
 * that ends earlier equals only a text that ends at the same place.
 */
static inline bool
BeginsAlike(const char *text, const char *other, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		if (AsciiLower(text[i]) != AsciiLower(other[i]))
			return false;
		if (text[i] == '\0')
			return true;
	}
	return true;
}

#endif

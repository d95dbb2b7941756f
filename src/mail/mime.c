/*
 * mime.c - RFC 2047: header values that are not plain ASCII.
 *
 * The output has only printable ASCII and the CRLFs that this file writes. So no text can begin a
 * header field or end the header. Lines are built in small buffers of known size, and appended
 * whole.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "base/utf8.h"
#include "mail/mime.h"
#include "mail/quoted_printable.h"

#define HEADER_LINE 78		/* RFC 5322, 2.1.1 */
#define ENCODED_LINE 76		/* RFC 2047, 2: a line that has an encoded word */
#define ENCODED_WORD 75		/* RFC 2047, 2 */
#define ENCODED_OVERHEAD 12 /* =?UTF-8?Q? and ?= */
#define ELLIPSIS "\xE2\x80\xA6"
#define MAX_PLAIN_WORD 60 /* a longer word is encoded: it cannot be folded to 78 bytes */

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static inline bool
IsAlnumAscii(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/*
 * Returns true for a character that a Q-encoded word may contain as it is, even in a display name
 * (RFC 2047, 5, rule 3).
 */
static inline bool
IsQLiteral(unsigned char c)
{
	return IsAlnumAscii(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

/* Returns true for RFC 5322 atext and the space: a display name with only these needs no quotes. */
static inline bool
IsPhraseLiteral(unsigned char c)
{
	return IsAlnumAscii(c) || (c != '\0' && strchr(" !#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/*
 * A header value, made safe: no line breaks or controls, single spaces, valid UTF-8, not longer
 * than allowed.
 */
typedef struct CleanText
{
	int length;
	bool plain; /* can stand in a header as it is */
	char bytes[MIME_MAX_HEADER_CHARS * UTF8_MAX_BYTES + 1];
} CleanText;

/* A header field that is being written, and the length of its current line. */
typedef struct HeaderField
{
	StringInfo out;
	int column;
} HeaderField;

/*
 * Cuts the text, which is too long, at offset, and ends it with an ellipsis. If the cut would
 * separate a letter from its accents, cuts the letter, too.
 */
static void
CutText(CleanText *clean, int offset)
{
	while (offset > 0 && offset < clean->length &&
		   pg_encoding_dsplen(PG_UTF8, clean->bytes + offset) == 0)
	{
		do
			offset--;
		while (offset > 0 && (clean->bytes[offset] & 0xC0) == 0x80);
	}
	while (offset > 0 && clean->bytes[offset - 1] == ' ')
		offset--;
	Assert(offset + strlen(ELLIPSIS) < sizeof(clean->bytes));
	memcpy(clean->bytes + offset, ELLIPSIS, strlen(ELLIPSIS));
	clean->length = offset + strlen(ELLIPSIS);
}

/*
 * Returns true if the text can stand in a header as it is: printable ASCII, no beginning of an
 * encoded word, no word that is too long to fold.
 */
static bool
IsPlain(const CleanText *clean)
{
	int word_length = 0;

	for (int i = 0; i < clean->length; i++)
	{
		unsigned char c = clean->bytes[i];

		if (IS_HIGHBIT_SET(c) || (c == '=' && i + 1 < clean->length && clean->bytes[i + 1] == '?'))
			return false;
		/* A quote or backslash takes two bytes in a quoted string. */
		word_length = (c == ' ') ? 0 : word_length + (c == '"' || c == '\\' ? 2 : 1);
		if (word_length > MAX_PLAIN_WORD)
			return false;
	}
	return true;
}

static void
MakeClean(CleanText *clean, const char *text, int max_chars)
{
	const char *end = text + strlen(text);
	int char_count = 0;
	int last_char = 0;
	bool space_pending = false;

	Assert(max_chars <= MIME_MAX_HEADER_CHARS);
	clean->length = 0;
	for (const char *p = text; p < end;)
	{
		int char_length = Utf8CharLength(p, end);
		const char *bytes = char_length > 0 ? p : UTF8_REPLACEMENT;
		int byte_count = char_length > 0 ? char_length : (int) strlen(UTF8_REPLACEMENT);

		p += Max(char_length, 1);
		if (*bytes == ' ' || IsUnsafeInLine(utf8_to_unicode((const unsigned char *) bytes)))
		{
			space_pending = (clean->length > 0);
			continue;
		}
		if (char_count + (space_pending ? 1 : 0) >= max_chars)
		{
			CutText(clean, char_count == max_chars ? last_char : clean->length);
			break;
		}
		if (space_pending)
		{
			clean->bytes[clean->length++] = ' ';
			char_count++;
			space_pending = false;
		}
		last_char = clean->length;
		Assert(clean->length + byte_count < (int) sizeof(clean->bytes));
		memcpy(clean->bytes + clean->length, bytes, byte_count);
		clean->length += byte_count;
		char_count++;
	}
	clean->bytes[clean->length] = '\0';
	clean->plain = IsPlain(clean);
}

char *
HeaderText(const char *text, int max_chars)
{
	CleanText clean;

	MakeClean(&clean, text, max_chars);
	return pstrdup(clean.bytes);
}

static void
BeginField(HeaderField *field, StringInfo out, const char *name)
{
	field->out = out;
	field->column = strlen(name) + 2;
	appendStringInfoString(out, name);
	appendBinaryStringInfo(out, ": ", 2);
}

static void
Append(HeaderField *field, const char *bytes, int length)
{
	appendBinaryStringInfo(field->out, bytes, length);
	field->column += length;
}

static void
Fold(HeaderField *field)
{
	appendBinaryStringInfo(field->out, "\r\n ", 3);
	field->column = 1;
}

/*
 * Appends plain words, and folds the field between them. If in_quotes is true, they become a quoted
 * string, with its escapes.
 */
static void
AppendPlain(HeaderField *field, const CleanText *clean, bool in_quotes)
{
	const char *p = clean->bytes;
	const char *end = clean->bytes + clean->length;
	char word[MAX_PLAIN_WORD + 2];

	Assert(clean->plain);
	for (bool first = true; first || p < end; first = false)
	{
		int length = 0;

		if (first && in_quotes)
			word[length++] = '"';
		for (; p < end && *p != ' '; p++)
		{
			if (in_quotes && (*p == '"' || *p == '\\'))
				word[length++] = '\\';
			word[length++] = *p;
		}
		if (p == end && in_quotes)
			word[length++] = '"';
		p++;
		Assert(length <= (int) sizeof(word));

		if (!first && field->column + 1 + length > HEADER_LINE)
			Fold(field);
		else if (!first)
			Append(field, " ", 1);
		Append(field, word, length);
	}
}

/* Returns how many bytes one character takes in a Q-encoded word. */
static int
QLength(const char *bytes, int byte_count)
{
	int length = 0;

	for (int i = 0; i < byte_count; i++)
		length += (IsQLiteral(bytes[i]) || bytes[i] == ' ') ? 1 : 3;
	return length;
}

static int
Base64Length(int byte_count)
{
	return (byte_count + 2) / 3 * 4;
}

static int
PutBase64(char *to, const char *bytes, int byte_count)
{
	char *start = to;

	for (int i = 0; i < byte_count; i += 3)
	{
		uint32 group = 0;

		for (int j = i; j < i + 3; j++)
			group = (group << 8) | (j < byte_count ? (unsigned char) bytes[j] : 0);
		*to++ = base64_digits[group >> 18];
		*to++ = base64_digits[(group >> 12) & 0x3F];
		*to++ = i + 1 < byte_count ? base64_digits[(group >> 6) & 0x3F] : '=';
		*to++ = i + 2 < byte_count ? base64_digits[group & 0x3F] : '=';
	}
	return to - start;
}

static int
PutQ(char *to, const char *bytes, int byte_count)
{
	char *start = to;

	for (int i = 0; i < byte_count; i++)
	{
		if (IsQLiteral(bytes[i]))
			*to++ = bytes[i];
		else if (bytes[i] == ' ')
			*to++ = '_';
		else
			to = PutHex(to, bytes[i]);
	}
	return to - start;
}

/*
 * Returns how many bytes of the text, in whole characters, fit into limit bytes of an encoded word.
 */
static int
FittingBytes(const char *p, const char *end, int limit, bool base64)
{
	const char *start = p;
	int used = 0;

	while (p < end)
	{
		int char_length = Utf8CharLength(p, end);

		used = base64 ? Base64Length(p + char_length - start) : used + QLength(p, char_length);
		if (used > limit)
			break;
		p += char_length;
	}
	return p - start;
}

/* Appends the text as encoded words, each on its own line, in Q or B, whichever is shorter. */
static void
AppendEncoded(HeaderField *field, const CleanText *clean)
{
	const char *p = clean->bytes;
	const char *end = clean->bytes + clean->length;
	bool base64 = Base64Length(clean->length) < QLength(clean->bytes, clean->length);

	while (p < end)
	{
		char word[ENCODED_WORD];
		int limit = Min(ENCODED_WORD, ENCODED_LINE - field->column) - ENCODED_OVERHEAD;
		int byte_count = FittingBytes(p, end, limit, base64);

		Assert(byte_count > 0);
		Append(field, base64 ? "=?UTF-8?B?" : "=?UTF-8?Q?", 10);
		Append(field, word, base64 ? PutBase64(word, p, byte_count) : PutQ(word, p, byte_count));
		Append(field, "?=", 2);
		Assert(field->column <= ENCODED_LINE);
		p += byte_count;
		if (p < end)
			Fold(field);
	}
}

void
AppendTextHeader(StringInfo out, const char *field_name, const char *text, int max_chars)
{
	HeaderField field;
	CleanText clean;

	MakeClean(&clean, text, max_chars);
	BeginField(&field, out, field_name);
	if (clean.plain)
		AppendPlain(&field, &clean, false);
	else
		AppendEncoded(&field, &clean);
	appendBinaryStringInfo(out, "\r\n", 2);
}

/* Returns true if a display name needs no quotes. */
static bool
IsPhrase(const CleanText *clean)
{
	for (int i = 0; i < clean->length; i++)
	{
		if (!IsPhraseLiteral(clean->bytes[i]))
			return false;
	}
	return true;
}

void
AppendMailboxHeader(StringInfo out, const char *field_name, const char *name, const char *address,
					int max_chars)
{
	HeaderField field;
	CleanText clean;
	int address_length = strlen(address);

	Assert(strpbrk(address, "\r\n") == NULL);
	MakeClean(&clean, name, max_chars);
	BeginField(&field, out, field_name);
	if (clean.length == 0 || strcmp(clean.bytes, address) == 0)
		Append(&field, address, address_length);
	else
	{
		if (clean.plain)
			AppendPlain(&field, &clean, !IsPhrase(&clean));
		else
			AppendEncoded(&field, &clean);
		if (field.column + address_length + 3 > ENCODED_LINE)
			Fold(&field);
		else
			Append(&field, " ", 1);
		Append(&field, "<", 1);
		Append(&field, address, address_length);
		Append(&field, ">", 1);
	}
	appendBinaryStringInfo(out, "\r\n", 2);
}

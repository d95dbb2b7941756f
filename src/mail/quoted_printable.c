/*
 * quoted_printable.c - RFC 2045: text as quoted-printable.
 *
 * The output has only printable ASCII and the CRLFs that this file writes. So no text can end the
 * data. Encoding is most of the work of composing a mail. Therefore lines are built in place at the
 * end of the output, and text that needs no encoding is checked eight bytes at a time.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "base/utf8.h"
#include "mail/quoted_printable.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#define MAX_CONTENT 75 /* of a line's 76 bytes; the last is for the = of a soft line break */
#define STEP 8		   /* bytes that are checked, and copied, at once */

/*
 * Returns true for a byte that quoted-printable shows as it is. (A blank at the end of a line is
 * encoded.)
 */
static inline bool
IsQpLiteral(unsigned char c)
{
	return (c >= ' ' && c <= '~' && c != '=') || c == '\t';
}

/*
 * Returns how many of the next eight bytes, counted from the first, are printable ASCII without an
 * equals sign.
 */
static inline int
PrintableInStep(const char *p)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	uint64 bytes;
	uint64 others;

	memcpy(&bytes, p, sizeof(bytes));
#ifdef WORDS_BIGENDIAN
	bytes = pg_bswap64(bytes);
#endif

	/*
	 * Set the high bit of each byte that is beyond ASCII, less than a space, an equals sign or a
	 * delete. A borrow or a carry may also set the bit of the byte after such a byte, but that byte
	 * is not the first.
	 */
	others = (bytes | (bytes - ones * ' ') | ((bytes ^ (ones * '=')) - ones) | (bytes + ones)) &
			 (ones * 0x80);
	return others == 0 ? STEP : pg_rightmost_one_pos64(others) / 8;
}

/* The output line that is being written, in place at the end of the output. */
typedef struct QpLine
{
	StringInfo out;
	char *bytes;
	int length;
} QpLine;

/*
 * Begins a line at the end of the output. Reserves memory for its content, for "=" and CRLF at its
 * end, and for the whole steps that CopyLiterals() copies.
 */
static void
BeginLine(QpLine *line)
{
	enlargeStringInfo(line->out, MAX_CONTENT + 8 + STEP);
	line->bytes = line->out->data + line->out->len;
	line->length = 0;
}

/*
 * Ends the line with end, which is empty for the last line, and begins the next. Inline, so that
 * the compiler knows the length of end.
 */
static pg_attribute_always_inline void
EndLine(QpLine *line, const char *end)
{
	int end_length = strlen(end);

	Assert(line->length <= MAX_CONTENT);
	memcpy(line->bytes + line->length, end, end_length);
	line->out->len += line->length + end_length;
	line->out->data[line->out->len] = '\0';
	BeginLine(line);
}

/*
 * Encodes a blank at the end of the line, which would be lost otherwise. If the encoded blank does
 * not fit, it goes to a new line.
 */
static void
EncodeLastBlank(QpLine *line)
{
	char last = line->length > 0 ? line->bytes[line->length - 1] : '\0';

	if (last != ' ' && last != '\t')
		return;
	line->length--;
	if (line->length + 3 > MAX_CONTENT)
		EndLine(line, "=\r\n");
	PutHex(line->bytes + line->length, last);
	line->length += 3;
}

/*
 * Copies bytes that need no encoding to the line, until a byte needs it or the line is full.
 * Returns the first byte that was not copied. Copies whole steps even if only a part of the last
 * one counts: lines have memory for that.
 */
static inline const char *
CopyLiterals(QpLine *line, const char *p, const char *end)
{
	int count = Min(MAX_CONTENT - line->length, end - p);
	char *to = line->bytes + line->length;
	int copied = 0;

	while (copied < count && end - p - copied >= STEP)
	{
		int printable = PrintableInStep(p + copied);

		memcpy(to + copied, p + copied, STEP);
		copied += printable;
		if (printable < STEP)
			break;
	}
	for (; copied < count && IsQpLiteral(p[copied]); copied++)
		to[copied] = p[copied];
	copied = Min(copied, count);
	line->length += copied;
	return p + copied;
}

/*
 * Returns true if no line may begin with the text at p: relays take a dot there for the end of the
 * data, and mailboxes take "From " for the next mail.
 */
static inline bool
IsMistakable(const char *p, const char *end)
{
	return *p == '.' || (*p == 'F' && end - p >= 5 && memcmp(p, "From ", 5) == 0);
}

/*
 * Encodes the character at p, and returns its end. If it does not fit, ends the line instead, and
 * returns p.
 */
static const char *
PutEncoded(QpLine *line, const char *p, const char *end)
{
	int char_length = Utf8CharLength(p, end);
	const char *bytes = char_length > 0 ? p : UTF8_REPLACEMENT;
	int byte_count = char_length > 0 ? char_length : (int) strlen(UTF8_REPLACEMENT);

	Assert(3 * byte_count <= MAX_CONTENT);
	/* The bytes of a character stay on one line, for people who read the source. */
	if (line->length + 3 * byte_count > MAX_CONTENT)
	{
		EndLine(line, "=\r\n");
		return p;
	}
	for (int i = 0; i < byte_count; i++, line->length += 3)
		PutHex(line->bytes + line->length, bytes[i]);
	return p + Max(char_length, 1);
}

void
AppendQuotedPrintable(StringInfo out, const char *text, size_t length)
{
	const char *p = text;
	const char *end = text + length;
	QpLine line = {.out = out};

	enlargeStringInfo(out, length + length / 16 + 256);
	BeginLine(&line);
	while (p < end)
	{
		if (line.length > 0 || !IsMistakable(p, end))
			p = CopyLiterals(&line, p, end);
		if (p == end)
			break;
		if (*p == '\r' || *p == '\n')
		{
			EncodeLastBlank(&line);
			EndLine(&line, "\r\n");
			p += (*p == '\r' && p + 1 < end && p[1] == '\n') ? 2 : 1;
		}
		else
			p = PutEncoded(&line, p, end);
	}
	EncodeLastBlank(&line);
	EndLine(&line, "");
}

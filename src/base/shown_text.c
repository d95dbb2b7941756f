/*
 * shown_text.c - text of tasks and of the application, made fit for a mail.
 */
#include "postgres.h"

#include "base/shown_text.h"

#include "base/utf8.h"
#include "mb/pg_wchar.h"

/*
 * A longer run of blanks on one line becomes one space: it could push the text after it to a new
 * line.
 */
#define MAX_BLANKS 3

/* How much is kept of an error message that is too long: its beginning and its end. */
#define ERROR_HEAD_CHARS 2400
#define ERROR_TAIL_CHARS 1500
#define ERROR_CUT_NOTE "\n\n[... the middle of this message is left out ...]\n\n"

static bool
IsAsciiControl(unsigned char c)
{
	return c < ' ' || c == 0x7F;
}

/*
 * Returns true for C1 controls, the line and paragraph separators, and the characters that change
 * the direction of the text after them.
 */
static bool
IsWideControl(const unsigned char *p, int length)
{
	if (length == 2)
		return p[0] == 0xC2 && p[1] < 0xA0;
	if (length != 3 || p[0] != 0xE2)
		return false;
	return (p[1] == 0x80 && p[2] >= 0xA8 && p[2] <= 0xAE) ||
		   (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9);
}

static bool
DatabaseIsUtf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8;
}

/*
 * Returns the length in bytes of the character at p, which is before end; at most the length up to
 * end, because a text that was cut may end in the middle of a character.
 */
static int
CharLength(const char *p, const char *end)
{
	return Min(pg_mblen(p), (int) (end - p));
}

/*
 * Returns true for a character that a mail does not show as it is: a control character; in text of
 * one line, also a character that ends the line or changes its direction.
 */
static bool
IsUnfit(const char *p, int length, TextShape shape)
{
	bool one_line = shape != TEXT_LINES;

	if (length == 1)
		return IsAsciiControl((unsigned char) *p) &&
			   (one_line || (*p != '\n' && *p != '\t' && *p != '\r'));
	return (one_line || length == 2) && DatabaseIsUtf8() &&
		   IsWideControl((const unsigned char *) p, length);
}

/*
 * Returns true for a character that shows nothing: a space of any kind, or an ASCII control
 * character.
 */
static bool
IsBlank(const char *p, int length)
{
	if (length == 1)
		return *p == ' ' || IsAsciiControl((unsigned char) *p);
	return DatabaseIsUtf8() && IsBlankCharacter(utf8_to_unicode((const unsigned char *) p));
}

bool
ShowsNothing(const char *text, int length)
{
	const char *end = text + length;

	for (int char_length; text < end; text += char_length)
	{
		char_length = CharLength(text, end);
		if (!IsBlank(text, char_length))
			return false;
	}
	return true;
}

/* If more than MAX_BLANKS blanks begin the text, returns their length in bytes; else 0. */
static int
LongGap(const char *text, const char *end)
{
	int blanks = 0;
	int length = 0;

	while (text + length < end)
	{
		int char_length = CharLength(text + length, end);

		if (!IsBlank(text + length, char_length))
			break;
		length += char_length;
		blanks++;
	}
	return blanks > MAX_BLANKS ? length : 0;
}

/* Returns the first place where the text cannot be shown as it is, or its end. */
static const char *
FindUnfit(const char *text, int length, TextShape shape)
{
	const char *end = text + length;
	int blanks = 0;

	for (const char *p = text; p < end;)
	{
		int char_length;

		/* The common case first: most characters are printable ASCII. */
		if (*p > ' ' && *p < 0x7F)
		{
			blanks = 0;
			p++;
			continue;
		}
		char_length = IS_HIGHBIT_SET(*p) ? CharLength(p, end) : 1;
		if (IsUnfit(p, char_length, shape))
			return p;
		if (shape == TEXT_LINE)
		{
			blanks = IsBlank(p, char_length) ? blanks + 1 : 0;
			if (blanks > MAX_BLANKS)
				return p;
		}
		p += char_length;
	}
	return end;
}

static int
MaxChars(TextShape shape)
{
	static const int max_chars[] = {
		[TEXT_LINE] = MAX_LINE_CHARS,
		[TEXT_LINK] = MAX_LINK_CHARS,
		[TEXT_LINES] = MAX_TEXT_CHARS,
	};

	return max_chars[shape];
}

/* The part of a name after its last underscore tells what kind of value it has. */
TextShape
ShapeOfName(const char *name, int name_length)
{
	static const struct
	{
		const char *ending;
		TextShape shape;
	} endings[] = {
		{"name", TEXT_LINE},  {"id", TEXT_LINE},	 {"email", TEXT_LINE},
		{"title", TEXT_LINE}, {"label", TEXT_LINE},	 {"status", TEXT_LINE},
		{"time", TEXT_LINE},  {"at", TEXT_LINE},	 {"date", TEXT_LINE},
		{"url", TEXT_LINK},	  {"link", TEXT_LINK},	 {"generated", TEXT_LINE},
		{"tests", TEXT_LINE}, {"passed", TEXT_LINE}, {"failed", TEXT_LINE},
		{"count", TEXT_LINE}, {"number", TEXT_LINE}, {"total", TEXT_LINE},
	};
	int start = name_length;

	while (start > 0 && name[start - 1] != '_')
		start--;
	for (int i = 0; i < (int) lengthof(endings); i++)
	{
		if ((int) strlen(endings[i].ending) == name_length - start &&
			memcmp(name + start, endings[i].ending, name_length - start) == 0)
			return endings[i].shape;
	}
	return TEXT_LINES;
}

bool
FitsShape(const char *text, int length, TextShape shape)
{
	if (length > MaxChars(shape) && pg_mbstrlen_with_len(text, length) > MaxChars(shape))
		return false;
	return FindUnfit(text, length, shape) == text + length;
}

char *
FitToShape(const char *text, int length, TextShape shape)
{
	const char *ellipsis = DatabaseIsUtf8() ? "\xE2\x80\xA6" : "...";
	const char *end = text + length;
	int max_chars = MaxChars(shape);
	char *copy = palloc(Min(length, max_chars * MAX_MULTIBYTE_CHAR_LEN) + strlen(ellipsis) + 1);
	int chars = 0;
	int fitting = 0;
	int before_last = 0; /* bytes before the last character, which the ellipsis replaces */

	for (const char *p = text; p < end; chars++)
	{
		int char_length = CharLength(p, end);
		int gap = shape == TEXT_LINE ? LongGap(p, end) : 0;

		if (chars == max_chars)
		{
			strcpy(copy + before_last, ellipsis);
			return copy;
		}
		if (chars == max_chars - 1)
			before_last = fitting;
		if (gap > 0 || IsUnfit(p, char_length, shape))
			copy[fitting++] = ' ';
		else
		{
			memcpy(copy + fitting, p, char_length);
			fitting += char_length;
		}
		p += Max(gap, char_length);
	}
	copy[fitting] = '\0';
	return copy;
}

int
FittingLength(const char *text, int length, TextShape shape)
{
	int fitting = pg_mbcharcliplen(text, length, MaxChars(shape));

	return FindUnfit(text, fitting, shape) - text;
}

const char *
ShownLine(const char *text)
{
	int length;

	if (text == NULL)
		return NULL;
	length = strlen(text);
	return FitsShape(text, length, TEXT_LINE) ? text : FitToShape(text, length, TEXT_LINE);
}

char *
ShownError(const char *message)
{
	int length = strlen(message);

	if (length > MAX_TEXT_CHARS)
	{
		int chars = pg_mbstrlen_with_len(message, length);

		if (chars > MAX_TEXT_CHARS)
		{
			int head = pg_mbcharcliplen(message, length, ERROR_HEAD_CHARS);
			int tail = pg_mbcharcliplen(message, length, chars - ERROR_TAIL_CHARS);

			/* Keep the end too: the last lines of a traceback say what happened. */
			message = psprintf("%.*s" ERROR_CUT_NOTE "%s", head, message, message + tail);
		}
	}
	length = strlen(message);
	if (ShowsNothing(message, length))
		return pstrdup("");
	if (FindUnfit(message, length, TEXT_LINES) == message + length)
		return pstrdup(message);
	return FitToShape(message, length, TEXT_LINES);
}

/*
 * shown_text.c - text of tasks and of the application, made fit for a mail.
 */
#include "postgres.h"

#include "shown_text.h"

#include "mb/pg_wchar.h"

/* Of an error message that is too long. */
#define ERROR_HEAD_CHARS 2400
#define ERROR_TAIL_CHARS 1500
#define ERROR_CUT_NOTE "\n\n[... the middle of this message is left out ...]\n\n"

static bool
IsAsciiControl(unsigned char c)
{
	return c < ' ' || c == 0x7F;
}

/* C1 controls, line and paragraph separator, and what changes the direction of the rest of the line. */
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

/* The character at p, which is within the text: its length. Text of SQL_ASCII may end in the middle of one. */
static int
CharLength(const char *p, const char *end)
{
	return Min(pg_mblen(p), (int) (end - p));
}

static bool
BreaksLine(const char *p, int length)
{
	if (length == 1)
		return IsAsciiControl((unsigned char) *p);
	return DatabaseIsUtf8() && IsWideControl((const unsigned char *) p, length);
}

static bool
HasBreak(const char *text, int length)
{
	const char *end = text + length;

	for (const char *p = text; p < end;)
	{
		int char_length = IS_HIGHBIT_SET(*p) ? CharLength(p, end) : 1;

		if (BreaksLine(p, char_length))
			return true;
		p += char_length;
	}
	return false;
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

/* The part of a name behind its last underscore says what the value is. */
TextShape
ShapeOfName(const char *name, int name_length)
{
	static const struct
	{
		const char *ending;
		TextShape shape;
	} endings[] = {
		{"name", TEXT_LINE},  {"id", TEXT_LINE},	 {"email", TEXT_LINE}, {"title", TEXT_LINE},
		{"label", TEXT_LINE}, {"status", TEXT_LINE}, {"time", TEXT_LINE},  {"at", TEXT_LINE},
		{"date", TEXT_LINE},  {"url", TEXT_LINK},	 {"link", TEXT_LINK},
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
	return shape == TEXT_LINES || !HasBreak(text, length);
}

char *
FitToShape(const char *text, int length, TextShape shape)
{
	const char *ellipsis = DatabaseIsUtf8() ? "\xE2\x80\xA6" : "...";
	int fitting = pg_mbcharcliplen(text, length, MaxChars(shape));
	const char *end;
	char *copy;

	if (fitting < length)
		fitting = pg_mbcharcliplen(text, length, MaxChars(shape) - 1);
	end = text + fitting;
	copy = palloc(fitting + strlen(ellipsis) + 1);
	length = fitting < length ? -1 : length;
	fitting = 0;
	for (const char *p = text; p < end;)
	{
		int char_length = CharLength(p, end);

		if (shape != TEXT_LINES && BreaksLine(p, char_length))
			copy[fitting++] = ' ';
		else
		{
			memcpy(copy + fitting, p, char_length);
			fitting += char_length;
		}
		p += char_length;
	}
	strcpy(copy + fitting, length < 0 ? ellipsis : "");
	return copy;
}

int
FittingLength(const char *text, int length, TextShape shape)
{
	int fitting = pg_mbcharcliplen(text, length, MaxChars(shape));
	const char *end = text + fitting;

	if (shape == TEXT_LINES)
		return fitting;
	for (const char *p = text; p < end;)
	{
		int char_length = CharLength(p, end);

		if (BreaksLine(p, char_length))
			return p - text;
		p += char_length;
	}
	return fitting;
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
	char *shown;

	if (length > MAX_TEXT_CHARS)
	{
		int chars = pg_mbstrlen_with_len(message, length);

		if (chars > MAX_TEXT_CHARS)
		{
			int head = pg_mbcharcliplen(message, length, ERROR_HEAD_CHARS);
			int tail = pg_mbcharcliplen(message, length, chars - ERROR_TAIL_CHARS);

			/* The end of a traceback says what happened. */
			message = psprintf("%.*s" ERROR_CUT_NOTE "%s", head, message, message + tail);
		}
	}
	shown = pstrdup(message);
	for (char *p = shown; *p != '\0'; p++)
	{
		if (IsAsciiControl((unsigned char) *p) && *p != '\n' && *p != '\t' && *p != '\r')
			*p = ' ';
	}
	return shown;
}

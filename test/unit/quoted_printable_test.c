/*
 * quoted_printable_test.c - text as quoted-printable, byte by byte: which bytes are encoded, where
 * lines break, and that no text can end a line.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "lib/stringinfo.h"
#include "mail/quoted_printable.h"
#include "tap.h"

static char *
QuotedPrintable(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	AppendQuotedPrintable(&out, text, strlen(text));
	return out.data;
}

#define TEN "0123456789"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

/* Returns the encoding of an ASCII byte that has a letter before and after it. */
static const char *
EncodedByte(int c)
{
	if (c == '\n' || c == '\r')
		return "\r\n";
	if (c == '=' || c == 0x7F || (c < ' ' && c != '\t'))
		return psprintf("=%02X", c);
	return psprintf("%c", c);
}

/* Checks each ASCII byte in each of eight places, because the code may read eight bytes at once. */
static void
CheckEachByte(void)
{
	int wrong = 0;

	for (int c = 1; c <= 0x7F; c++)
		for (int place = 1; place <= 9; place++)
		{
			char *text =
				psprintf("%.*s%c%.*s", place, "abcdefghijkl", c, 12 - place, "mnopqrstuvwx");
			char *expected = psprintf("%.*s%s%.*s", place, "abcdefghijkl", EncodedByte(c),
									  12 - place, "mnopqrstuvwx");

			if (strcmp(QuotedPrintable(text), expected) != 0)
				wrong++;
		}
	is_int(wrong, 0, "each ASCII byte in each place");
}

static void
CheckQuotedPrintable(void)
{
	CheckEachByte();
	is_str(QuotedPrintable(""), "", "nothing");
	is_str(QuotedPrintable("a\nb\rc\r\nd"), "a\r\nb\r\nc\r\nd", "all line breaks are CRLF");
	is_str(QuotedPrintable("a\n\n\r\r"), "a\r\n\r\n\r\n\r\n", "empty lines are kept");
	is_str(QuotedPrintable("a \nb\t\n \n\t"), "a=20\r\nb=09\r\n=20\r\n=09",
		   "blanks at line ends are encoded");
	is_str(QuotedPrintable("a \t b"), "a \t b", "others are not");
	is_str(QuotedPrintable("=\x01\x7F"), "=3D=01=7F", "= and controls are encoded");
	is_str(QuotedPrintable("\xFF\xE2\x82"), "=EF=BF=BD=EF=BF=BD=EF=BF=BD", "broken UTF-8");
	is_str(QuotedPrintable(".\n..\na.\nFrom here\nFromage"),
		   "=2E\r\n=2E.\r\na.\r\n=46rom here\r\nFromage",
		   "no line begins with a dot or with \"From \"");
	is_str(QuotedPrintable(SEVENTY "12345"), SEVENTY "12345", "75 characters are one line");
	is_str(QuotedPrintable(SEVENTY "123456"), SEVENTY "12345=\r\n6", "76 are two");
	is_str(QuotedPrintable(SEVENTY "12345."), SEVENTY "12345=\r\n=2E",
		   "no dot begins a line that we broke");
	is_str(QuotedPrintable(SEVENTY "12345From x"), SEVENTY "12345=\r\n=46rom x", "nor \"From \"");
	is_str(QuotedPrintable(SEVENTY "12=\n"), SEVENTY "12=3D\r\n", "an encoded byte that fits");
	is_str(QuotedPrintable(SEVENTY "123=\n"), SEVENTY "123=\r\n=3D\r\n", "one that does not");
	is_str(QuotedPrintable(SEVENTY "1234 \n"), SEVENTY "1234=\r\n=20\r\n",
		   "a blank at the end of a full line");
	is_str(QuotedPrintable(SEVENTY "12 \n"), SEVENTY "12=20\r\n", "and where it just fits");
	is_str(QuotedPrintable(SEVENTY "\xE2\x82\xAC"), SEVENTY "=\r\n=E2=82=AC",
		   "a character is not split");
}

int
main(void)
{
	CheckQuotedPrintable();
	ArenaReset();
	return done_testing();
}

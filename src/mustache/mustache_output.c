/*
 * mustache_output.c - rendered text, bounded, escaped and indented.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "mustache/mustache_output.h"

bool
OutputEscaped(Output *output, const char *text, int length)
{
	static const struct
	{
		char text[7];
		char length;
	} entities[256] = {['&'] = {"&amp;", 5},
					   ['<'] = {"&lt;", 4},
					   ['>'] = {"&gt;", 4},
					   ['"'] = {"&quot;", 6},
					   ['\''] = {"&#39;", 5}};
	const char *end = text + length;

	while (text < end)
	{
		const char *span = text;

		while (text < end && entities[(unsigned char) *text].length == 0)
			text++;
		if (!OutputAppend(output, span, text - span))
			return false;
		if (text < end)
		{
			unsigned char c = *text++;

			if (!OutputAppend(output, entities[c].text, entities[c].length))
				return false;
		}
	}
	return true;
}

/* Returns true if a line break begins at text. A CR without an LF is not a line break. */
static bool
IsLineBreak(const char *text, const char *end)
{
	return text < end && (*text == '\n' || (*text == '\r' && text + 1 < end && text[1] == '\n'));
}

bool
OutputIndented(Output *output, const Indentation *indentation, const char *text, int length,
			   bool line_start)
{
	const char *end = text + length;

	while (text < end)
	{
		const char *line_break;
		const char *next;

		if (line_start)
		{
			for (int i = 0;
				 i < indentation->dedent && text < end && (*text == ' ' || *text == '\t'); i++)
				text++;
			if (IsLineBreak(text, end))
				output->line_indented = false;
			else if (!OutputStartLine(output, indentation))
				return false;
		}
		line_break = memchr(text, '\n', end - text);
		next = line_break ? line_break + 1 : end;
		if (!OutputAppend(output, text, next - text))
			return false;
		text = next;
		line_start = true;
	}
	return true;
}

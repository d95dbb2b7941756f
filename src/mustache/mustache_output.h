/*
 * mustache_output.h - rendered text, bounded, escaped and indented.
 *
 * Every function returns false, with less than all appended, if the output would
 * be too large.
 */
#ifndef RHESIS_MUSTACHE_OUTPUT_H
#define RHESIS_MUSTACHE_OUTPUT_H

#include "lib/stringinfo.h"

typedef struct Output
{
	StringInfo out;
	int max_length;		/* of out */
	bool line_indented; /* the line that starts next has its indentation already */
} Output;

/* What becomes of the white space at the start of a template's lines. */
typedef struct Indentation
{
	const char *text; /* put before each line */
	int length;
	int dedent; /* characters taken from each line first */
} Indentation;

static inline bool
OutputAppend(Output *output, const char *text, int length)
{
	if (length > output->max_length - output->out->len)
		return false;
	appendBinaryStringInfo(output->out, text, length);
	return true;
}

/*
 * Starts a line with something else than text of the template.
 */
static inline bool
OutputStartLine(Output *output, const Indentation *indentation)
{
	if (output->line_indented)
	{
		output->line_indented = false;
		return true;
	}
	return OutputAppend(output, indentation->text, indentation->length);
}

/*
 * Appends a value with the five characters special to HTML as entities.
 */
extern bool OutputEscaped(Output *output, const char *text, int length);

/*
 * Appends text of the template line by line, each indented.  Empty lines stay
 * empty.  line_start: the text starts a line.
 */
extern bool OutputIndented(Output *output, const Indentation *indentation, const char *text,
						   int length, bool line_start);

#endif /* RHESIS_MUSTACHE_OUTPUT_H */

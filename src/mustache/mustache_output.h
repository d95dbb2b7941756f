/*
 * mustache_output.h - rendered text, bounded, escaped and indented.
 *
 * If the output would become too large, each function returns false. A part may then have been
 * appended already.
 */
#ifndef RHESIS_MUSTACHE_OUTPUT_H
#define RHESIS_MUSTACHE_OUTPUT_H

#include "lib/stringinfo.h"

typedef struct Output
{
	StringInfo out;
	int max_length;		/* of out */
	bool line_indented; /* the next line already has its indentation */
} Output;

/* What happens to the white space at the start of a template's lines. */
typedef struct Indentation
{
	const char *text; /* added before each line */
	int length;
	int dedent; /* characters removed from each line first */
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
 * Appends the indentation that a line begins with, unless line_indented says that the line has it
 * already. Call this before what the line begins with.
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

/* Appends a value, with the five characters special to HTML as entities. */
extern bool OutputEscaped(Output *output, const char *text, int length);

/*
 * Appends text of the template. Removes the dedent from each line, and adds the indentation; empty
 * lines stay empty. line_start is true if the text begins a line.
 */
extern bool OutputIndented(Output *output, const Indentation *indentation, const char *text,
						   int length, bool line_start);

#endif /* RHESIS_MUSTACHE_OUTPUT_H */

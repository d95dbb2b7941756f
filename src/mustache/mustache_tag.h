/*
 * mustache_tag.h - the tags of a template's source, one by one.
 */
#ifndef RHESIS_MUSTACHE_TAG_H
#define RHESIS_MUSTACHE_TAG_H

#include "mustache/mustache_internal.h"

/* The source being read, and the delimiters in force. */
typedef struct TagReader
{
	const char *name; /* the template's */
	const char *source;
	int length;
	const char *open;
	int open_length;
	const char *close;
	int close_length;
	MustacheError *error;
} TagReader;

/* A tag, before it becomes a node. */
typedef struct Tag
{
	char sigil; /* one of "#^/>!=<$&{", or 0 */
	Span whole;
	Span content;	  /* between sigil and delimiter, trimmed */
	Span indentation; /* white space between start of line and tag */
	bool starts_line; /* nothing but that is before it on its line */
	int line_end;	  /* behind the line break, if nothing else is behind it; else -1 */
} Tag;

static inline bool
IsBlank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool
IsSpace(char c)
{
	return IsBlank(c) || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/*
 * Where the next tag starts at or behind "from", or -1.
 */
extern int FindTag(const TagReader *reader, int from);

/*
 * Reads the tag that starts there: its kind and extent, and how it stands on its
 * line.  Returns false and the error if it isn't closed.
 */
extern bool ReadTag(const TagReader *reader, int start, Tag *tag);

/*
 * Puts the delimiters that a {{=<% %>=}} tag names in force.  Returns false and
 * the error if they won't do.
 */
extern bool SetDelimiters(TagReader *reader, const Tag *tag);

/*
 * The stretch from start to before end without the white space around it.
 */
extern Span TrimSpan(const TagReader *reader, int start, int end);

/*
 * Both fill in the error and return false.
 */
extern bool FailSyntax(const TagReader *reader, Span tag, const char *message, const char *hint);
extern bool FailLimit(const TagReader *reader, Span tag, const char *message, const char *hint);

#endif /* RHESIS_MUSTACHE_TAG_H */

/*
 * mustache_tag.h - the tags of a template's source, one by one.
 */
#ifndef RHESIS_MUSTACHE_TAG_H
#define RHESIS_MUSTACHE_TAG_H

#include "mustache/mustache_internal.h"

/* The source that is read, and the delimiters in force. */
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
	bool starts_line; /* only white space is before it on its line */
	int line_end;	  /* offset after the line break, if only white space is before that; else -1 */
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

/* Returns the offset of the first tag at or after the offset from; -1 if there is none. */
extern int FindTag(const TagReader *reader, int from);

/*
 * Reads the tag that begins at the offset `start` into *tag: its kind, its extent, and how it stands
 * on its line. If the tag is not closed, returns false and fills in the reader's error.
 */
extern bool ReadTag(const TagReader *reader, int start, Tag *tag);

/*
 * Makes the reader use the delimiters that a {{=<% %>=}} tag names. Returns false and fills in the
 * reader's error if they are not allowed.
 */
extern bool SetDelimiters(TagReader *reader, const Tag *tag);

/* Returns the span from start to before end, without the white space around it. */
extern Span TrimSpan(const TagReader *reader, int start, int end);

/* Both fill in the reader's error for this tag, and return false. */
extern bool FailSyntax(const TagReader *reader, Span tag, const char *message, const char *hint);
extern bool FailLimit(const TagReader *reader, Span tag, const char *message, const char *hint);

#endif /* RHESIS_MUSTACHE_TAG_H */

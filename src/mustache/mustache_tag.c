/*
 * mustache_tag.c - finds and reads the tags of a template's source.
 *
 * This file takes and returns offsets, and allocates nothing. It does not know how tags belong
 * together.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "mustache/mustache_tag.h"

#define MAX_DELIMITER_LENGTH 16

bool
FailSyntax(const TagReader *reader, Span tag, const char *message, const char *hint)
{
	MustacheSetError(reader->error, MUSTACHE_SYNTAX_ERROR, reader->name, reader->source, tag,
					 message, hint);
	return false;
}

bool
FailLimit(const TagReader *reader, Span tag, const char *message, const char *hint)
{
	MustacheSetError(reader->error, MUSTACHE_LIMIT_EXCEEDED, reader->name, reader->source, tag,
					 message, hint);
	return false;
}

Span
TrimSpan(const TagReader *reader, int start, int end)
{
	Assert(0 <= start && start <= end && end <= reader->length);
	while (start < end && IsSpace(reader->source[start]))
		start++;
	while (end > start && IsSpace(reader->source[end - 1]))
		end--;
	return (Span){start, end - start};
}

/* Returns the offset of the first delimiter at or after the offset from; -1 if there is none. */
static int
Find(const TagReader *reader, int from, const char *delimiter, int delimiter_length)
{
	const char *p = reader->source + from;
	const char *end;

	Assert(from >= 0 && delimiter_length > 0);
	if (reader->length - from < delimiter_length)
		return -1;
	end = reader->source + reader->length - delimiter_length + 1;
	while (p < end && (p = memchr(p, delimiter[0], end - p)) != NULL)
	{
		if (memcmp(p, delimiter, delimiter_length) == 0)
			return p - reader->source;
		p++;
	}
	return -1;
}

int
FindTag(const TagReader *reader, int from)
{
	return Find(reader, from, reader->open, reader->open_length);
}

/*
 * Finds the end of {{=<% %>=}}: the first closing delimiter that follows an equals sign, because
 * the new delimiters may be, or contain, the delimiter in force. *close is the first place where
 * that delimiter was found. Moves *close to the equals sign. Returns false and fills in the error
 * if there is no such end.
 */
static bool
ReadSetDelimiterEnd(const TagReader *reader, int content, int *close, Tag *tag)
{
	int end = *close;

	while (end >= 0 && (end == content || reader->source[end - 1] != '='))
		end = Find(reader, end + 1, reader->close, reader->close_length);
	if (end < 0)
		return FailSyntax(reader, tag->whole, "set-delimiter tag is not closed",
						  "Write {{=<% %>=}}, with an equals sign at both ends.");
	*close = end - 1;
	tag->whole.length = end + reader->close_length - tag->whole.offset;
	return true;
}

/*
 * Finds the end of {{{name}}}, which has a brace before the closing delimiter. The }} that was
 * found at *close may begin with that brace. Moves *close to the brace. Returns false and fills in
 * the error if there is no such brace.
 */
static bool
ReadTripleEnd(const TagReader *reader, int content, int *close, Tag *tag)
{
	const char *source = reader->source;
	int end = *close + reader->close_length;

	if (*close > content && source[*close - 1] == '}')
		(*close)--;
	else if (end < reader->length && source[*close] == '}' &&
			 memcmp(source + *close + 1, reader->close, reader->close_length) == 0)
		tag->whole.length++;
	else
		return FailSyntax(reader, tag->whole, "triple mustache is not closed",
						  "Write {{{name}}}, with three braces on each side.");
	return true;
}

/* Sets the tag's indentation, starts_line and line_end. */
static void
SeeLine(const TagReader *reader, Tag *tag)
{
	const char *source = reader->source;
	int start = tag->whole.offset;
	int i;

	for (i = start; i > 0 && IsBlank(source[i - 1]);)
		i--;
	tag->indentation = (Span){i, start - i};
	tag->starts_line = i == 0 || source[i - 1] == '\n';

	for (i = start + tag->whole.length; i < reader->length && IsBlank(source[i]);)
		i++;
	if (i + 1 < reader->length && source[i] == '\r' && source[i + 1] == '\n')
		i++;
	if (i == reader->length)
		tag->line_end = i;
	else
		tag->line_end = source[i] == '\n' ? i + 1 : -1;
}

bool
ReadTag(const TagReader *reader, int start, Tag *tag)
{
	static const char sigils[] = {'#', '^', '/', '>', '!', '=', '<', '$', '&', '{'};
	const char *source = reader->source;
	int content = start + reader->open_length;
	int close = Find(reader, content, reader->close, reader->close_length);
	int end;

	if (close < 0)
		return FailSyntax(
			reader, (Span){start, reader->length - start}, "tag is not closed",
			"Close it with the delimiter in force, which is }} unless it was changed.");
	end = close + reader->close_length;

	tag->sigil = 0;
	if (content < close && memchr(sigils, source[content], sizeof(sigils)) != NULL)
		tag->sigil = source[content++];
	tag->whole = (Span){start, end - start};
	if ((tag->sigil == '{' && !ReadTripleEnd(reader, content, &close, tag)) ||
		(tag->sigil == '=' && !ReadSetDelimiterEnd(reader, content, &close, tag)))
		return false;
	tag->content = TrimSpan(reader, content, close);
	SeeLine(reader, tag);
	return true;
}

bool
SetDelimiters(TagReader *reader, const Tag *tag)
{
	static const char *hint = "Write {{=<% %>=}}: two delimiters with a space between, without "
							  "equals signs, of at most 16 bytes each.";
	const char *content = reader->source + tag->content.offset;
	int length = tag->content.length;
	int first = 0;
	int second;

	while (first < length && !IsSpace(content[first]))
		first++;
	second = first;
	while (second < length && IsSpace(content[second]))
		second++;
	if (first == 0 || second == length)
		return FailSyntax(reader, tag->whole, "set-delimiter tag does not have two delimiters",
						  hint);
	for (int i = 0; i < length; i++)
		if (content[i] == '=' || (i >= second && IsSpace(content[i])))
			return FailSyntax(reader, tag->whole,
							  "delimiter contains an equals sign or white space", hint);
	if (first > MAX_DELIMITER_LENGTH || length - second > MAX_DELIMITER_LENGTH)
		return FailSyntax(reader, tag->whole, "delimiter is too long", hint);

	reader->open = content;
	reader->open_length = first;
	reader->close = content + second;
	reader->close_length = length - second;
	return true;
}

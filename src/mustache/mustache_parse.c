/*
 * mustache_parse.c - a template's source becomes an array of nodes.
 *
 * The parser makes one pass from front to back. Tags that enclose others wait on a stack of fixed
 * size. The time is linear in the size of the source, except that each level of nested blocks is
 * read once more for its indentation. A function that handles a tag returns false after an error,
 * and has filled in the error.
 *
 * White space: if a tag stands alone on its line, the whole line is removed. For inheritance the
 * spec asks for more. A parent tag shows nothing of its content where it stands. So it stands alone
 * if only white space is before its opening tag and after its closing tag. Where the content of one
 * block replaces that of another, its own indentation is removed, and that of the replaced content
 * is added.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "mustache/mustache_tag.h"

/* A tag with a body, not yet closed. */
typedef struct OpenTag
{
	int node;
	int part_count;		/* number of the parser's parts before the tag */
	int content_start;	/* in the source */
	Span indentation;	/* white space between start of line and tag */
	bool starts_line;	/* only white space is before it on its line */
	int preceding_text; /* parent: the node whose text ends with the indentation, or -1 */
} OpenTag;

typedef struct Parser
{
	TagReader reader;
	int position; /* offset in the source; what is before it is in the nodes already */

	Node *nodes;
	int node_count;
	int node_capacity;
	Span *parts;
	int part_count;
	int part_capacity;

	OpenTag open_tags[MUSTACHE_MAX_NESTING];
	int depth;

	bool line_start; /* nothing of the current line has been rendered yet */
	int unshown;	 /* start of the first text that a parent encloses outside of blocks, or -1 */
} Parser;

static bool
SameText(const Parser *parser, Span a, Span b)
{
	const char *source = parser->reader.source;

	return a.length == b.length && memcmp(source + a.offset, source + b.offset, a.length) == 0;
}

/* Returns true if the innermost open tag is a parent, of whose content only blocks are used. */
static bool
InParent(const Parser *parser)
{
	return parser->depth > 0 &&
		   parser->nodes[parser->open_tags[parser->depth - 1].node].kind == NODE_PARENT;
}

static Node *
AddNode(Parser *parser, NodeKind kind, Span tag)
{
	Node *node;

	if (parser->node_count == parser->node_capacity)
	{
		parser->node_capacity *= 2;
		parser->nodes = repalloc(parser->nodes, parser->node_capacity * sizeof(Node));
	}
	node = &parser->nodes[parser->node_count++];
	memset(node, 0, sizeof(Node));
	node->kind = kind;
	node->tag = tag;
	node->end = parser->node_count;
	return node;
}

/* Sets parser->unshown if this is the first text in a parent that is never shown. */
static void
NoteUnshown(Parser *parser, int start, int end)
{
	while (start < end && strchr(" \t\r\n", parser->reader.source[start]) != NULL)
		start++;
	if (start < end && parser->unshown < 0)
		parser->unshown = start;
}

static void
AddText(Parser *parser, int start, int end)
{
	Node *node;

	if (InParent(parser))
	{
		NoteUnshown(parser, start, end);
		return;
	}
	if (start >= end)
		return;
	node = AddNode(parser, NODE_TEXT, (Span){start, end - start});
	node->line_start = parser->line_start;
	parser->line_start = parser->reader.source[end - 1] == '\n';
}

/* Splits a variable's name at its dots, and gives the parts to the node. */
static bool
AddNameParts(Parser *parser, Node *node)
{
	int start = node->name.offset;
	int end = start + node->name.length;

	node->first_part = parser->part_count;
	if (node->name.length == 1 && parser->reader.source[start] == '.')
		return true;

	for (int i = start; i <= end; i++)
	{
		if (i < end && parser->reader.source[i] != '.')
			continue;
		if (i == start)
			return FailSyntax(&parser->reader, node->tag, "name has an empty part",
							  "A dot joins two names, as in person.name; a dot alone is the "
							  "current value.");
		if (node->part_count == MUSTACHE_MAX_NAME_PARTS)
			return FailLimit(&parser->reader, node->tag, "name has too many parts", NULL);
		if (parser->part_count == parser->part_capacity)
		{
			parser->part_capacity *= 2;
			parser->parts = repalloc(parser->parts, parser->part_capacity * sizeof(Span));
		}
		parser->parts[parser->part_count++] = (Span){start, i - start};
		node->part_count++;
		start = i + 1;
	}
	return true;
}

/* Checks that the tag's content is a name, and gives the name to the node. */
static bool
SetName(Parser *parser, Node *node, const Tag *tag)
{
	node->name = tag->content;
	if ((node->kind == NODE_PARTIAL || node->kind == NODE_PARENT) && node->name.length > 0 &&
		parser->reader.source[node->name.offset] == '*')
	{
		node->dynamic = true;
		node->name =
			TrimSpan(&parser->reader, node->name.offset + 1, node->name.offset + node->name.length);
	}
	if (node->name.length == 0)
		return FailSyntax(&parser->reader, tag->whole, "tag has no name",
						  "Put the name of a variable into it.");
	for (int i = 0; i < node->name.length; i++)
		if (IsSpace(parser->reader.source[node->name.offset + i]))
			return FailSyntax(&parser->reader, tag->whole, "name contains white space",
							  "A tag names one variable; there are no expressions in Mustache.");

	if (node->kind == NODE_BLOCK ||
		((node->kind == NODE_PARTIAL || node->kind == NODE_PARENT) && !node->dynamic))
		return true;
	return AddNameParts(parser, node);
}

/*
 * Sets *common to the white space that all lines from start to end begin with. Returns false if all
 * lines are blank.
 */
static bool
CommonIndentation(const Parser *parser, int start, int end, Span *common)
{
	const char *source = parser->reader.source;
	bool found = false;

	while (start < end)
	{
		int i = start;
		int matching = 0;

		while (i < end && IsBlank(source[i]))
			i++;
		if (i < end && source[i] != '\n' && source[i] != '\r')
		{
			if (!found)
				*common = (Span){start, i - start};
			found = true;
			while (matching < common->length && matching < i - start &&
				   source[common->offset + matching] == source[start + matching])
				matching++;
			common->length = matching;
		}
		while (i < end && source[i] != '\n')
			i++;
		start = i + 1;
	}
	return found;
}

/*
 * {{#name}}, {{^name}}, {{<name}}, {{$name}}: puts the tag on the stack.
 */
static bool
OpenBody(Parser *parser, NodeKind kind, const Tag *tag)
{
	OpenTag *open;
	Node *node;
	bool own_line = tag->starts_line && tag->line_end >= 0;
	bool argument = kind == NODE_BLOCK && InParent(parser);
	int part_count = parser->part_count;
	int text_end = tag->whole.offset;

	if (parser->depth == MUSTACHE_MAX_NESTING)
		return FailLimit(&parser->reader, tag->whole, "tags are nested too deeply",
						 "Move a part of the template into a partial.");

	/* A parent stands alone or not, depending on its closing tag. */
	if (own_line && kind != NODE_PARENT)
		text_end = tag->indentation.offset;
	AddText(parser, parser->position, text_end);

	parser->position = tag->whole.offset + tag->whole.length;
	if ((own_line && kind != NODE_PARENT) || (argument && tag->line_end >= 0))
		parser->position = tag->line_end;

	node = AddNode(parser, kind, tag->whole);
	node->line_start = parser->line_start && !(own_line && kind != NODE_PARENT);
	node->own_lines = kind == NODE_BLOCK && (own_line || (argument && tag->line_end >= 0));
	if (!SetName(parser, node, tag))
		return false;

	open = &parser->open_tags[parser->depth];
	open->node = parser->node_count - 1;
	open->part_count = part_count;
	open->content_start = parser->position;
	open->indentation = tag->indentation;
	open->starts_line = tag->starts_line;
	open->preceding_text = -1;
	if (kind == NODE_PARENT && tag->starts_line && tag->indentation.length > 0 && !InParent(parser))
		open->preceding_text = open->node - 1;
	parser->depth++;

	parser->line_start = own_line || node->own_lines;
	return true;
}

/*
 * {{/name}} of a block: determines the indentation of its content, for a place where it replaces
 * other content, and for a place where other content replaces it.
 */
static void
CloseBlock(Parser *parser, const OpenTag *open, const Tag *tag, int content_end)
{
	Node *node = &parser->nodes[open->node];

	node->indentation = open->indentation;
	if (node->own_lines)
	{
		Span common;

		node->indents = true;
		if (CommonIndentation(parser, open->content_start, content_end, &common))
		{
			node->indentation = common;
			node->dedent = common.length;
		}
	}
	else
		node->indents = open->starts_line && tag->line_end >= 0;
}

/* {{/name}} of a parent: determines whether it stands alone. */
static void
CloseParent(Parser *parser, const OpenTag *open, const Tag *tag)
{
	Node *node = &parser->nodes[open->node];

	node->indents = open->starts_line && tag->line_end >= 0;
	if (node->indents)
	{
		node->indentation = open->indentation;
		node->line_start = false;
		if (open->preceding_text >= 0)
		{
			Node *text = &parser->nodes[open->preceding_text];

			Assert(text->kind == NODE_TEXT && text->tag.length >= open->indentation.length);
			text->tag.length -= open->indentation.length;
		}
		parser->position = tag->line_end;
	}
	parser->line_start = node->indents;
}

/*
 * {{/name}}: takes the innermost open tag from the stack.
 */
static bool
CloseBody(Parser *parser, const Tag *tag)
{
	OpenTag *open;
	Node *node;
	Span name = tag->content;
	bool own_line = tag->starts_line && tag->line_end >= 0;
	bool argument;
	int text_end;

	if (parser->depth == 0)
		return FailSyntax(&parser->reader, tag->whole, "closing tag has no opening tag",
						  "Remove it, or open a section of that name before it.");
	open = &parser->open_tags[parser->depth - 1];
	node = &parser->nodes[open->node];
	if (node->dynamic && name.length > 0 && parser->reader.source[name.offset] == '*')
		name = TrimSpan(&parser->reader, name.offset + 1, name.offset + name.length);
	if (!SameText(parser, name, node->name))
		return FailSyntax(&parser->reader, tag->whole,
						  psprintf("closing tag does not match the tag opened in line %d",
								   MustacheLineOf(parser->reader.source, node->tag.offset)),
						  "Close what was opened last first, by the same name.");

	argument = node->kind == NODE_BLOCK && parser->depth > 1 &&
			   parser->nodes[parser->open_tags[parser->depth - 2].node].kind == NODE_PARENT;
	text_end =
		own_line || (argument && tag->starts_line) ? tag->indentation.offset : tag->whole.offset;
	AddText(parser, parser->position, text_end);
	parser->position = tag->whole.offset + tag->whole.length;

	/* AddText() may have moved the array. */
	node = &parser->nodes[open->node];
	node->end = parser->node_count;
	if (node->kind == NODE_PARENT)
		CloseParent(parser, open, tag);
	else if (own_line)
	{
		parser->position = tag->line_end;
		parser->line_start = true;
	}
	if (node->kind == NODE_BLOCK)
		CloseBlock(parser, open, tag, text_end);

	parser->depth--;
	if (InParent(parser) && !argument)
	{
		NoteUnshown(parser, parser->nodes[open->node].tag.offset, tag->whole.offset);
		parser->node_count = open->node;
		parser->part_count = open->part_count;
	}
	return true;
}

/*
 * {{name}}, {{{name}}}, {{&name}}, {{>name}}
 */
static bool
AddLeaf(Parser *parser, NodeKind kind, const Tag *tag)
{
	Node *node;
	bool own_line = kind == NODE_PARTIAL && tag->starts_line && tag->line_end >= 0;
	int part_count = parser->part_count;

	AddText(parser, parser->position, own_line ? tag->indentation.offset : tag->whole.offset);
	parser->position = own_line ? tag->line_end : tag->whole.offset + tag->whole.length;

	node = AddNode(parser, kind, tag->whole);
	node->line_start = parser->line_start && !own_line;
	node->indents = own_line;
	node->indentation = tag->indentation;
	if (!SetName(parser, node, tag))
		return false;
	if (InParent(parser))
	{
		NoteUnshown(parser, tag->whole.offset, parser->reader.length);
		parser->node_count--;
		parser->part_count = part_count;
	}
	else
		parser->line_start = own_line;
	return true;
}

/* {{! comment}} and {{=<% %>=}}: these tags become no node. */
static bool
SkipTag(Parser *parser, const Tag *tag)
{
	bool own_line = tag->starts_line && tag->line_end >= 0;

	AddText(parser, parser->position, own_line ? tag->indentation.offset : tag->whole.offset);
	parser->position = own_line ? tag->line_end : tag->whole.offset + tag->whole.length;
	return tag->sigil == '!' || SetDelimiters(&parser->reader, tag);
}

static bool
AddTag(Parser *parser, const Tag *tag)
{
	switch (tag->sigil)
	{
		case '#':
			return OpenBody(parser, NODE_SECTION, tag);
		case '^':
			return OpenBody(parser, NODE_INVERTED, tag);
		case '<':
			return OpenBody(parser, NODE_PARENT, tag);
		case '$':
			return OpenBody(parser, NODE_BLOCK, tag);
		case '/':
			return CloseBody(parser, tag);
		case '>':
			return AddLeaf(parser, NODE_PARTIAL, tag);
		case '&':
		case '{':
			return AddLeaf(parser, NODE_RAW_VARIABLE, tag);
		case '!':
		case '=':
			return SkipTag(parser, tag);
		default:
			return AddLeaf(parser, NODE_VARIABLE, tag);
	}
}

static bool
ParseSource(Parser *parser)
{
	int start;
	Tag tag;

	while ((start = FindTag(&parser->reader, parser->position)) >= 0)
		if (!ReadTag(&parser->reader, start, &tag) || !AddTag(parser, &tag))
			return false;
	AddText(parser, parser->position, parser->reader.length);

	if (parser->depth > 0)
	{
		const Node *node = &parser->nodes[parser->open_tags[parser->depth - 1].node];

		return FailSyntax(&parser->reader, node->tag, "tag is not closed by a closing tag",
						  "Add {{/name}} with the same name after what it encloses.");
	}
	return true;
}

#ifdef USE_ASSERT_CHECKING
static bool
IsInSource(const Parser *parser, Span span)
{
	return span.offset >= 0 && span.length >= 0 &&
		   span.offset + span.length <= parser->reader.length;
}

/* Rendering trusts this: a node ends after it begins, and all that it points to is there. */
static bool
NodesAreSound(const Parser *parser)
{
	for (int i = 0; i < parser->node_count; i++)
	{
		const Node *node = &parser->nodes[i];

		if (node->end <= i || node->end > parser->node_count || !IsInSource(parser, node->tag) ||
			!IsInSource(parser, node->name) || !IsInSource(parser, node->indentation) ||
			node->first_part < 0 || node->first_part + node->part_count > parser->part_count)
			return false;
	}
	return true;
}
#endif

/* Copies the template into one allocation. */
static MustacheTemplate *
BuildTemplate(const Parser *parser)
{
	Size nodes_size = parser->node_count * sizeof(Node);
	Size parts_size = parser->part_count * sizeof(Span);
	Size name_size = strlen(parser->reader.name) + 1;
	MustacheTemplate *template;
	char *p;

	Assert(NodesAreSound(parser));
	p = palloc(MAXALIGN(sizeof(MustacheTemplate)) + nodes_size + parts_size +
			   parser->reader.length + name_size);
	template = (MustacheTemplate *) p;
	p += MAXALIGN(sizeof(MustacheTemplate));
	template->node_count = parser->node_count;
	template->unshown = parser->unshown;
	template->source_length = parser->reader.length;
	template->nodes = memcpy(p, parser->nodes, nodes_size);
	p += nodes_size;
	template->parts = memcpy(p, parser->parts, parts_size);
	p += parts_size;
	template->source = memcpy(p, parser->reader.source, parser->reader.length);
	p += parser->reader.length;
	template->name = memcpy(p, parser->reader.name, name_size);
	return template;
}

MustacheTemplate *
MustacheParse(const char *name, const char *source, size_t length, MustacheError *error)
{
	Parser parser = {.unshown = -1,
					 .reader = {.name = name,
								.source = source,
								.open = "{{",
								.open_length = 2,
								.close = "}}",
								.close_length = 2,
								.error = error},
					 .line_start = true};
	MustacheTemplate *template = NULL;

	memset(error, 0, sizeof(MustacheError));
	if (length > MUSTACHE_MAX_TEMPLATE_SIZE)
	{
		MustacheSetError(error, MUSTACHE_LIMIT_EXCEEDED, name, source, (Span){0, 0},
						 "template is larger than 1 MB", "Split it into partials.");
		return NULL;
	}
	parser.reader.length = (int) length;
	parser.node_capacity = 64;
	parser.nodes = palloc(parser.node_capacity * sizeof(Node));
	parser.part_capacity = 64;
	parser.parts = palloc(parser.part_capacity * sizeof(Span));
	if (ParseSource(&parser))
		template = BuildTemplate(&parser);
	pfree(parser.nodes);
	pfree(parser.parts);
	return template;
}

/*
 * mustache.c - tells about a template without rendering it: the names that it uses, and the line of
 * an error.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "mb/pg_wchar.h"
#include "mustache/mustache_internal.h"

#define MAX_TAG_SHOWN 60

/*
 * Returns the length of the longest prefix of at most limit bytes that does not end within a
 * character.
 */
static int
ClipLength(const char *text, int length, int limit)
{
	if (length <= limit)
		return length;
#ifdef FRONTEND
	while (limit > 0 && (text[limit] & 0xC0) == 0x80)
		limit--;
	return limit;
#else
	return pg_mbcliplen(text, length, limit);
#endif
}

/* Returns the tag for an error message, palloc'd: its first line, cut if it is long. */
static char *
ShownTag(const char *tag, int length)
{
	StringInfoData shown;
	int shown_length = ClipLength(tag, length, MAX_TAG_SHOWN);

	for (int i = 0; i < shown_length; i++)
		if (tag[i] == '\n' || tag[i] == '\r')
			shown_length = i;

	initStringInfo(&shown);
	appendBinaryStringInfo(&shown, tag, shown_length);
	if (shown_length < length)
		appendStringInfoString(&shown, "...");
	return shown.data;
}

int
MustacheLineOf(const char *source, int offset)
{
	int line = 1;

	for (int i = 0; i < offset; i++)
		if (source[i] == '\n')
			line++;
	return line;
}

void
MustacheSetError(MustacheError *error, MustacheErrorCode code, const char *template_name,
				 const char *source, Span tag, const char *message, const char *hint)
{
	error->code = code;
	error->template_name = pstrdup(template_name);
	error->line = tag.length > 0 ? MustacheLineOf(source, tag.offset) : 0;
	error->tag = tag.length > 0 ? ShownTag(source + tag.offset, tag.length) : NULL;
	error->message = message;
	error->hint = hint;
}

void
MustacheVisitNames(const MustacheTemplate *template, MustacheNameVisitor visit, void *arg)
{
	for (int i = 0; i < template->node_count; i++)
	{
		const Node *node = &template->nodes[i];
		const char *name = template->source + node->name.offset;
		MustacheUse use;

		switch ((NodeKind) node->kind)
		{
			case NODE_TEXT:
			case NODE_BLOCK:
				continue;
			case NODE_VARIABLE:
			case NODE_RAW_VARIABLE:
				use = MUSTACHE_USES_VARIABLE;
				break;
			case NODE_SECTION:
			case NODE_INVERTED:
				use = MUSTACHE_USES_SECTION;
				break;
			case NODE_PARTIAL:
			case NODE_PARENT:
				use = node->dynamic ? MUSTACHE_USES_VARIABLE : MUSTACHE_USES_PARTIAL;
				break;
			default:
				continue;
		}
		visit(arg, use, name, node->name.length);
	}
}

bool
MustacheUsesPartials(const MustacheTemplate *template)
{
	for (int i = 0; i < template->node_count; i++)
	{
		const Node *node = &template->nodes[i];

		if (node->kind == NODE_PARTIAL || (node->kind == NODE_PARENT && node->dynamic))
			return true;
	}
	return false;
}

static void
VisitBlock(const MustacheTemplate *template, const Node *block, const Node *around,
		   MustacheBlockVisitor visit, void *arg)
{
	const char *source = template->source;

	if (around == NULL || around->kind != NODE_PARENT)
		visit(arg, NULL, 0, source + block->name.offset, block->name.length);
	else if (!around->dynamic)
		visit(arg, source + around->name.offset, around->name.length, source + block->name.offset,
			  block->name.length);
}

void
MustacheVisitBlocks(const MustacheTemplate *template, MustacheBlockVisitor visit, void *arg)
{
	const Node *open[MUSTACHE_MAX_NESTING + 1];
	int depth = 0;

	for (int i = 0; i < template->node_count; i++)
	{
		const Node *node = &template->nodes[i];

		while (depth > 0 && open[depth - 1]->end <= i)
			depth--;
		if (node->kind == NODE_BLOCK)
			VisitBlock(template, node, depth > 0 ? open[depth - 1] : NULL, visit, arg);
		if (node->end > i + 1 && node->kind != NODE_TEXT && depth < MUSTACHE_MAX_NESTING + 1)
			open[depth++] = node;
	}
}

static bool
IsNamed(const MustacheTemplate *template, const Node *node, const char *name, int name_length)
{
	return node->name.length == name_length &&
		   memcmp(template->source + node->name.offset, name, name_length) == 0;
}

static bool
IsSection(const Node *node)
{
	return node->kind == NODE_SECTION || node->kind == NODE_INVERTED;
}

/*
 * Returns the outermost node around nodes[index] whose content may be left out; NULL if
 * nodes[index] is always shown. A block inside a parent tag is shown by the parent.
 */
static const Node *
ConditionOf(const MustacheTemplate *template, int index)
{
	bool in_parent = false;

	for (int i = 0; i < index;)
	{
		const Node *node = &template->nodes[i];

		if (node->end <= index)
		{
			i = Max(node->end, i + 1);
			continue;
		}
		if (IsSection(node) || (node->kind == NODE_BLOCK && !in_parent))
			return node;
		in_parent = node->kind == NODE_PARENT;
		i++;
	}
	return NULL;
}

/* Returns true if one of the two sections is shown exactly when the other one is not. */
static bool
AreOpposite(const MustacheTemplate *template, const Node *one, const Node *other)
{
	static const char failed[] = "is_failed";
	static const char success[] = "is_success";

	if (!IsSection(one) || !IsSection(other))
		return false;
	if (one->kind != other->kind)
		return IsNamed(template, one, template->source + other->name.offset, other->name.length);
	return (IsNamed(template, one, failed, strlen(failed)) &&
			IsNamed(template, other, success, strlen(success))) ||
		   (IsNamed(template, one, success, strlen(success)) &&
			IsNamed(template, other, failed, strlen(failed)));
}

int
MustacheConditionalLine(const MustacheTemplate *template, const char *name, int name_length)
{
	const Node *first = NULL;

	for (int i = 0; i < template->node_count; i++)
	{
		const Node *node = &template->nodes[i];
		const Node *condition;

		if (node->kind != NODE_BLOCK || !IsNamed(template, node, name, name_length))
			continue;
		condition = ConditionOf(template, i);
		if (condition == NULL || (first != NULL && AreOpposite(template, first, condition)))
			return 0;
		if (first == NULL)
			first = condition;
	}
	return first != NULL ? MustacheLineOf(template->source, first->tag.offset) : 0;
}

int
MustacheUnshownLine(const MustacheTemplate *template)
{
	return template->unshown < 0 ? 0 : MustacheLineOf(template->source, template->unshown);
}

int
MustacheLineOfName(const MustacheTemplate *template, const char *name)
{
	return MustacheLineOf(template->source, name - template->source);
}

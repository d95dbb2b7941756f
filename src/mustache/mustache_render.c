/*
 * mustache_render.c - a parsed template and a scope become text.
 *
 * Rendering walks the node array. A section, partial or block recurses, to a bounded depth. Each
 * node and each look-up is a step. Steps are bounded too, since nested lists and partials can ask
 * for endless work without any output. Long names, and text that is removed, count as more than one
 * step.
 *
 * Indentation: a frame has the text to add before each line of the template that is being rendered.
 * The values of variables are never indented.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "mustache/mustache_internal.h"
#include "mustache/mustache_output.h"

/* Steps between two calls of check_for_interrupts; a power of 2. */
#define INTERRUPT_INTERVAL 128

/* This many bytes that cost time but produce no output count as one step. */
#define BYTES_PER_STEP 64

/* How much of a partial is prefetched from memory before it is rendered. */
#define MAX_PREFETCH (16 * 1024)
#define CACHE_LINE 64

/* The values that names are looked up in, innermost first. */
typedef struct Context
{
	MustacheValue value;
	const struct Context *outer;
} Context;

/* The blocks that a parent tag passes to its parent, innermost parent first. */
typedef struct Arguments
{
	const MustacheTemplate *template;
	const Node *parent;
	const struct Arguments *outer;
} Arguments;

/* The template that is being rendered, and the indentation of its lines. */
typedef struct Frame
{
	const MustacheTemplate *template;
	Indentation indentation;
	const Arguments *arguments;
	int partial_depth;
} Frame;

typedef struct Renderer
{
	const MustacheScope *scope;
	bool escape_html;
	int max_steps;
	int steps;
	int depth;
	Output output;
	StringInfoData scratch; /* the text of a number, list or object */
	const char *failure;	/* the limit that was exceeded; NULL: the limit of the output */
	const char *hint;
	MustacheError *error;
} Renderer;

static bool
RenderNodes(Renderer *renderer, const Frame *frame, const Context *context, int first, int end);

static bool
FailLimit(Renderer *renderer, const char *failure, const char *hint)
{
	renderer->failure = failure;
	renderer->hint = hint;
	return false;
}

static bool
CountSteps(Renderer *renderer, int steps)
{
	int before = renderer->steps;

	renderer->steps += steps;
	if (renderer->steps > renderer->max_steps)
		return FailLimit(renderer, "rendering takes too many steps",
						 "Look for partials or lists that repeat each other many times.");
	if (before / INTERRUPT_INTERVAL != renderer->steps / INTERRUPT_INTERVAL &&
		renderer->scope->check_for_interrupts)
		renderer->scope->check_for_interrupts(renderer->scope->arg);
	return true;
}

static bool
RenderText(Renderer *renderer, const Frame *frame, const Node *node)
{
	const char *text = frame->template->source + node->tag.offset;

	if (frame->indentation.dedent > 0 && !CountSteps(renderer, node->tag.length / BYTES_PER_STEP))
		return false;
	if (frame->indentation.length > 0 || frame->indentation.dedent > 0)
		return OutputIndented(&renderer->output, &frame->indentation, text, node->tag.length,
							  node->line_start);
	if (node->line_start)
		renderer->output.line_indented = false;
	return OutputAppend(&renderer->output, text, node->tag.length);
}

/*
 * Sets *value to the value of the node's name. The first part of the name is looked up in the
 * nearest object that has it, each further part in the value found before. A missing value is null.
 * Returns false only if the steps are used up.
 */
static bool
LookUp(Renderer *renderer, const Frame *frame, const Context *context, const Node *node,
	   MustacheValue *value)
{
	const MustacheScope *scope = renderer->scope;
	const MustacheTemplate *template = frame->template;
	const Span *part = &template->parts[node->first_part];
	int steps = node->part_count + node->name.length / BYTES_PER_STEP;

	if (node->part_count == 0)
	{
		*value = context->value;
		return true;
	}

	for (; context != NULL; context = context->outer, steps += 1 + part->length / BYTES_PER_STEP)
		if (context->value.kind == MUSTACHE_OBJECT &&
			scope->member(scope->arg, &context->value, template->source + part->offset,
						  part->length, value))
			break;
	for (int i = 1; i < node->part_count && context != NULL; i++)
	{
		MustacheValue object = *value;

		part++;
		if (object.kind != MUSTACHE_OBJECT ||
			!scope->member(scope->arg, &object, template->source + part->offset, part->length,
						   value))
			context = NULL;
	}
	if (context == NULL)
		value->kind = MUSTACHE_NULL;
	return CountSteps(renderer, steps);
}

static bool
IsTrue(const Renderer *renderer, const MustacheValue *value)
{
	switch (value->kind)
	{
		case MUSTACHE_NULL:
		case MUSTACHE_FALSE:
			return false;
		case MUSTACHE_NUMBER:
			return !renderer->scope->is_zero(renderer->scope->arg, value);
		case MUSTACHE_STRING:
		case MUSTACHE_LIST:
			return value->length > 0;
		case MUSTACHE_TRUE:
		case MUSTACHE_OBJECT:
			break;
	}
	return true;
}

/*
 * Points *text at the value's text, which is in the value itself, or in scratch until the next
 * call. Returns false if the text is too long for the output.
 */
static bool
ValueText(Renderer *renderer, const MustacheValue *value, const char **text, int *length)
{
	switch (value->kind)
	{
		case MUSTACHE_NULL:
			*text = "";
			*length = 0;
			return true;
		case MUSTACHE_FALSE:
			*text = "false";
			*length = 5;
			return true;
		case MUSTACHE_TRUE:
			*text = "true";
			*length = 4;
			return true;
		case MUSTACHE_STRING:
			*text = value->data;
			*length = value->length;
			return true;
		case MUSTACHE_NUMBER:
		case MUSTACHE_LIST:
		case MUSTACHE_OBJECT:
			break;
	}
	if (renderer->scratch.data == NULL)
		initStringInfo(&renderer->scratch);
	else
		resetStringInfo(&renderer->scratch);
	if (!renderer->scope->append_text(renderer->scope->arg, value,
									  renderer->output.max_length - renderer->output.out->len,
									  &renderer->scratch))
		return false;
	*text = renderer->scratch.data;
	*length = renderer->scratch.len;
	return true;
}

static bool
RenderVariable(Renderer *renderer, const Frame *frame, const Context *context, const Node *node)
{
	MustacheValue value;
	const char *text;
	int length;

	if (!LookUp(renderer, frame, context, node, &value) ||
		!ValueText(renderer, &value, &text, &length))
		return false;
	if (renderer->escape_html && node->kind == NODE_VARIABLE)
		return OutputEscaped(&renderer->output, text, length);
	return OutputAppend(&renderer->output, text, length);
}

static bool
RenderSection(Renderer *renderer, const Frame *frame, const Context *context, const Node *node)
{
	int first = node - frame->template->nodes + 1;
	Context inner = {.outer = context};
	MustacheValue value;

	if (!LookUp(renderer, frame, context, node, &value))
		return false;
	if (node->kind == NODE_INVERTED)
		return IsTrue(renderer, &value) || RenderNodes(renderer, frame, context, first, node->end);
	if (value.kind != MUSTACHE_LIST)
	{
		inner.value = value;
		return !IsTrue(renderer, &value) || RenderNodes(renderer, frame, &inner, first, node->end);
	}

	for (int i = 0; i < value.length; i++)
	{
		renderer->scope->element(renderer->scope->arg, &value, i, &inner.value);
		if (!CountSteps(renderer, 1) || !RenderNodes(renderer, frame, &inner, first, node->end))
			return false;
	}
	return true;
}

/*
 * Renders the nodes of inner's template from first to before end in place of node, with the
 * indentation of node. Sets the text and the length of inner's indentation. The caller has filled
 * in the rest of inner.
 */
static bool
RenderElsewhere(Renderer *renderer, const Frame *frame, const Context *context, const Node *node,
				Frame *inner, int first, int end)
{
	const Indentation *outer = &frame->indentation;
	int skipped = Min(outer->dedent, node->indentation.length);
	const char *own = frame->template->source + node->indentation.offset + skipped;
	int own_length = node->indentation.length - skipped;
	char *joined = NULL;
	bool done;

	inner->indentation.text = "";
	inner->indentation.length = 0;
	if (node->indents && own_length == 0)
	{
		inner->indentation.text = outer->text;
		inner->indentation.length = outer->length;
	}
	else if (node->indents)
	{
		if (outer->length + own_length > MUSTACHE_MAX_INDENTATION)
			return FailLimit(renderer, "indentation is too deep",
							 "Remove the white space before the tag.");
		joined = palloc(outer->length + own_length);
		memcpy(joined, outer->text, outer->length);
		memcpy(joined + outer->length, own, own_length);
		inner->indentation.text = joined;
		inner->indentation.length = outer->length + own_length;
	}

	done = RenderNodes(renderer, inner, context, first, end);
	if (joined)
		pfree(joined);
	return done;
}

/*
 * A partial that was not rendered lately (one of many layouts, for example) is in no cache of the
 * processor. Prefetch all of it, up to a limit: then its cache lines come together instead of one
 * by one.
 */
static void
Prefetch(const MustacheTemplate *template)
{
	const char *begin = (const char *) template;
	const char *end = template->source + template->source_length;

	end = Min(end, begin + MAX_PREFETCH);
	for (const char *line = begin; line < end; line += CACHE_LINE)
		__builtin_prefetch(line);
}

/* {{>name}} and {{<name}}. A partial that does not exist is empty. */
static bool
RenderPartial(Renderer *renderer, const Frame *frame, const Context *context, const Node *node)
{
	const char *name = frame->template->source + node->name.offset;
	int name_length = node->name.length;
	Arguments arguments = {frame->template, node, frame->arguments};
	Frame inner = {.partial_depth = frame->partial_depth + 1};

	if (node->dynamic)
	{
		MustacheValue value;

		if (!LookUp(renderer, frame, context, node, &value) ||
			!ValueText(renderer, &value, &name, &name_length))
			return false;
	}
	if (inner.partial_depth > MUSTACHE_MAX_PARTIAL_DEPTH)
		return FailLimit(renderer, "partials are nested too deeply",
						 "A partial that includes itself needs data that comes to an end.");
	if (!CountSteps(renderer, name_length / BYTES_PER_STEP))
		return false;
	inner.template =
		renderer->scope->partial(renderer->scope->arg, name, name_length, renderer->error);
	if (inner.template == NULL)
		return renderer->error->code == MUSTACHE_OK;

	Prefetch(inner.template);
	inner.arguments = node->kind == NODE_PARENT ? &arguments : frame->arguments;
	return RenderElsewhere(renderer, frame, context, node, &inner, 0, inner.template->node_count);
}

/*
 * Sets *argument to the content that replaces a block, and *arguments to where it is from. If
 * several parent tags have an argument of that name, the outermost wins. If there is none,
 * *argument is NULL. Returns false only if the steps are used up.
 */
static bool
FindArgument(Renderer *renderer, const Frame *frame, const Node *block, const Arguments **arguments,
			 const Node **argument)
{
	const char *name = frame->template->source + block->name.offset;
	int steps = 0;

	*argument = NULL;
	for (const Arguments *a = frame->arguments; a != NULL; a = a->outer)
	{
		const Node *nodes = a->template->nodes;

		for (int i = a->parent - nodes + 1; i < a->parent->end;
			 i = nodes[i].end, steps += 1 + block->name.length / BYTES_PER_STEP)
		{
			Assert(nodes[i].kind == NODE_BLOCK);
			if (nodes[i].name.length == block->name.length &&
				memcmp(a->template->source + nodes[i].name.offset, name, block->name.length) == 0)
			{
				*arguments = a;
				*argument = &nodes[i];
				break;
			}
		}
	}
	return CountSteps(renderer, steps);
}

/* {{$name}}: renders the argument of that name, or else the block's own content. */
static bool
RenderBlock(Renderer *renderer, const Frame *frame, const Context *context, const Node *node)
{
	int first = node - frame->template->nodes + 1;
	const Arguments *arguments;
	const Node *argument;
	Frame inner;
	bool in_line;
	bool done;

	if (!FindArgument(renderer, frame, node, &arguments, &argument))
		return false;
	if (argument == NULL)
		return RenderNodes(renderer, frame, context, first, node->end);

	/* Only parent tags further out can replace blocks inside an argument. */
	inner.template = arguments->template;
	inner.arguments = arguments->outer;
	inner.indentation.dedent = argument->dedent;
	inner.partial_depth = frame->partial_depth;

	in_line = argument->own_lines && !node->own_lines;
	if (in_line)
		renderer->output.line_indented = true;
	done = RenderElsewhere(renderer, frame, context, node, &inner,
						   argument - arguments->template->nodes + 1, argument->end);
	if (in_line)
		renderer->output.line_indented = false;
	return done;
}

static bool
RenderNode(Renderer *renderer, const Frame *frame, const Context *context, const Node *node)
{
	if (node->kind == NODE_TEXT)
		return RenderText(renderer, frame, node);

	if (!CountSteps(renderer, 1) ||
		(node->line_start && !OutputStartLine(&renderer->output, &frame->indentation)))
		return false;
	switch ((NodeKind) node->kind)
	{
		case NODE_TEXT:
			break;
		case NODE_VARIABLE:
		case NODE_RAW_VARIABLE:
			return RenderVariable(renderer, frame, context, node);
		case NODE_SECTION:
		case NODE_INVERTED:
			return RenderSection(renderer, frame, context, node);
		case NODE_PARTIAL:
		case NODE_PARENT:
			return RenderPartial(renderer, frame, context, node);
		case NODE_BLOCK:
			return RenderBlock(renderer, frame, context, node);
	}
	return true;
}

/* Fills in the error for the node that failed, unless a node further in has done so. */
static void
NameFailure(Renderer *renderer, const Frame *frame, const Node *node)
{
	const MustacheTemplate *template = frame->template;
	Span tag = node->tag;

	if (renderer->error->code != MUSTACHE_OK)
		return;
	if (node->kind == NODE_TEXT)
		tag.length = 0;
	if (renderer->failure == NULL)
		FailLimit(renderer, "output is too large", "Leave out or shorten the largest values.");
	MustacheSetError(renderer->error, MUSTACHE_LIMIT_EXCEEDED, template->name, template->source,
					 tag, renderer->failure, renderer->hint);
}

/*
 * Renders the nodes from first to before end. On failure, the error names the innermost tag that
 * failed.
 */
static bool
RenderNodes(Renderer *renderer, const Frame *frame, const Context *context, int first, int end)
{
	const Node *nodes = frame->template->nodes;

	Assert(0 <= first && first <= end && end <= frame->template->node_count);
	if (++renderer->depth > MUSTACHE_MAX_RENDER_DEPTH)
		return FailLimit(renderer, "sections and partials are nested too deeply", NULL);
	for (int i = first; i < end; i = nodes[i].end)
		if (!RenderNode(renderer, frame, context, &nodes[i]))
		{
			NameFailure(renderer, frame, &nodes[i]);
			return false;
		}
	renderer->depth--;
	return true;
}

bool
MustacheRender(const MustacheTemplate *template, const MustacheScope *scope,
			   const MustacheOptions *options, StringInfo out, MustacheError *error)
{
	int max_output = options->max_output > 0 ? options->max_output : MUSTACHE_DEFAULT_MAX_OUTPUT;
	Renderer renderer = {
		.scope = scope,
		.escape_html = options->escape_html,
		.max_steps = options->max_steps > 0 ? options->max_steps : MUSTACHE_DEFAULT_MAX_STEPS,
		.output = {.out = out,
				   .max_length = out->len + Min(max_output, MUSTACHE_LARGEST_MAX_OUTPUT)},
		.error = error};
	Frame frame = {.template = template, .indentation = {.text = ""}};
	Context root = {.outer = NULL};
	int length_before = out->len;
	bool done;

	memset(error, 0, sizeof(MustacheError));
	scope->root(scope->arg, &root.value);
	done = RenderNodes(&renderer, &frame, &root, 0, template->node_count);
	Assert(!done || renderer.depth == 0);
	Assert(out->len <= renderer.output.max_length);
	if (renderer.scratch.data)
		pfree(renderer.scratch.data);
	if (!done)
	{
		out->len = length_before;
		out->data[length_before] = '\0';
	}
	return done;
}

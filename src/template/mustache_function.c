/*
 * mustache_function.c - the SQL function rhesis_notify.mustache().
 *
 * The function uses no template or variable of this extension: variables and partials come from the
 * caller.
 */
#include "postgres.h"

#include "base/call_check.h"
#include "fmgr.h"
#include "template/jsonb_scope.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

PG_FUNCTION_INFO_V1(rhesis_notify_mustache);

/* Where a partial's source is, in the caller's jsonb, which outlives the table. */
typedef struct PartialKey
{
	const void *source;
	Size length;
} PartialKey;

typedef struct ParsedPartial
{
	PartialKey key;
	MustacheTemplate *template;
} ParsedPartial;

typedef struct JsonbPartials
{
	Jsonb *sources;
	HTAB *parsed; /* created for the first partial */
} JsonbPartials;

/* Raises the error. Only a partial has a name, not the template that is the function's argument. */
static void
RaiseMustacheError(const MustacheError *error)
{
	const char *failure =
		error->code == MUSTACHE_SYNTAX_ERROR ? "cannot be parsed" : "exceeds a limit";

	ereport(ERROR,
			(errcode(error->code == MUSTACHE_SYNTAX_ERROR ? ERRCODE_SYNTAX_ERROR
														  : ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 error->template_name[0] != '\0'
				 ? errmsg("template \"%s\" %s", error->template_name, failure)
				 : errmsg("template %s", failure),
			 error->tag ? errdetail("Line %d, %s: %s.", error->line, error->tag, error->message)
						: errdetail("The %s.", error->message),
			 error->hint ? errhint("%s", error->hint) : 0));
}

static ParsedPartial *
EnterPartial(JsonbPartials *partials, const JsonbValue *source, bool *found)
{
	PartialKey key = {source->val.string.val, source->val.string.len};

	if (partials->parsed == NULL)
	{
		HASHCTL control = {.keysize = sizeof(PartialKey),
						   .entrysize = sizeof(ParsedPartial),
						   .hcxt = CurrentMemoryContext};

		partials->parsed = hash_create("partials of a template", 16, &control,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return hash_search(partials->parsed, &key, HASH_ENTER, found);
}

/* A PartialSource over a jsonb object. Each partial is parsed at its first use. */
static const MustacheTemplate *
FindPartial(void *arg, const char *name, int name_length, MustacheError *error)
{
	JsonbPartials *partials = arg;
	JsonbValue source;
	ParsedPartial *partial;
	char *partial_name;
	bool found;

	if (getKeyJsonValueFromContainer(&partials->sources->root, name, name_length, &source) == NULL)
		return NULL;

	partial_name = pnstrdup(name, name_length);
	if (source.type != jbvString)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("partial \"%s\" is not a string", partial_name),
						errhint("Give each partial's template as a JSON string.")));
	partial = EnterPartial(partials, &source, &found);
	if (!found)
		partial->template =
			MustacheParse(partial_name, source.val.string.val, source.val.string.len, error);
	pfree(partial_name);
	return partial->template;
}

/*
 * rhesis_notify.mustache(template text, variables jsonb, partials jsonb, escape_html boolean)
 * returns text
 */
Datum
rhesis_notify_mustache(PG_FUNCTION_ARGS)
{
	char *source;
	Jsonb *variables;
	JsonbPartials partials = {0};
	MustacheOptions options = {0};
	MustacheTemplate *template;
	MustacheError error;
	JsonbScope scope;
	StringInfoData out;

	RequireStrictArguments(fcinfo, 4);
	source = text_to_cstring(PG_GETARG_TEXT_PP(0));
	variables = PG_GETARG_JSONB_P(1);
	partials.sources = PG_GETARG_JSONB_P(2);
	options.escape_html = PG_GETARG_BOOL(3);
	if (!JB_ROOT_IS_OBJECT(partials.sources))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("partials must be a JSON object"),
				 errhint("Its keys are the partials' names, its values their templates.")));

	template = MustacheParse("", source, strlen(source), &error);
	if (template == NULL)
		RaiseMustacheError(&error);
	InitJsonbScope(&scope, NULL, 0, variables, FindPartial, &partials);
	initStringInfo(&out);
	if (!MustacheRender(template, &scope.scope, &options, &out, &error))
		RaiseMustacheError(&error);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

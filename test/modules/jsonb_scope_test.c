/*
 * jsonb_scope_test.c - the layers of jsonb_scope, for test/pgtap/jsonb_scope.sql.
 */
#include "postgres.h"

#include "fmgr.h"
#include "template/jsonb_scope.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT Datum render_layered(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(render_layered);

static const ScopeVariable variables[] = {
	{.name = "fixed", .kind = MUSTACHE_STRING, .text = "our <text>"},
	{.name = "empty", .kind = MUSTACHE_STRING, .text = ""},
	{.name = "nothing", .kind = MUSTACHE_NULL},
	{.name = "yes", .kind = MUSTACHE_TRUE},
	{.name = "no", .kind = MUSTACHE_FALSE},
	{.name = "replaceable", .kind = MUSTACHE_STRING, .text = "ours", .replaceable = true},
};

/*
 * render_layered(template text, values jsonb) returns text: renders the template. The variables
 * above take precedence over the values, which may be null.
 */
Datum
render_layered(PG_FUNCTION_ARGS)
{
	char *source = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const Jsonb *values = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	MustacheOptions options = {.escape_html = true};
	MustacheTemplate *template;
	MustacheError error;
	JsonbScope scope;
	StringInfoData out;

	template = MustacheParse("test", source, strlen(source), &error);
	InitJsonbScope(&scope, variables, lengthof(variables), values, NULL, NULL);
	initStringInfo(&out);
	if (template == NULL || !MustacheRender(template, &scope.scope, &options, &out, &error))
		elog(ERROR, "%s", error.message);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

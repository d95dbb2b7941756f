/*
 * mustache_test.c - the template engine: the Mustache spec's own suite, and what
 * the spec leaves open: limits, errors, indentation of empty lines, names used.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "json_scope.h"
#include "tap.h"

#define SPEC_DIRECTORY "test/mustache-spec/"

static const char *const spec_modules[] = {
	"comments", "delimiters", "interpolation",	"inverted",
	"partials", "sections",	  "~dynamic-names", "~inheritance",
};

static MustacheError last_error;

static JsonValue *
Json(const char *text)
{
	JsonValue *value = JsonParse(text, strlen(text));

	if (value == NULL)
	{
		fprintf(stderr, "not JSON: %s\n", text);
		exit(2);
	}
	return value;
}

/*
 * The rendered template, or NULL and last_error is filled in.
 */
static char *
RenderWith(const char *source, size_t length, JsonValue *variables, JsonValue *partials,
		   MustacheOptions options)
{
	MustacheTemplate *template = MustacheParse("main", source, length, &last_error);
	JsonScope scope;
	StringInfoData out;

	if (template == NULL)
		return NULL;
	JsonScopeInit(&scope, variables, partials);
	initStringInfo(&out);
	if (!MustacheRender(template, &scope.scope, &options, &out, &last_error))
		return NULL;
	return out.data;
}

static char *
Render(const char *source, const char *variables, const char *partials)
{
	MustacheOptions options = {.escape_html = true};

	return RenderWith(source, strlen(source), Json(variables), Json(partials), options);
}

static char *
ReadFile(const char *path)
{
	FILE *file = fopen(path, "rb");
	StringInfoData content;
	char buffer[8192];
	size_t length;

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	initStringInfo(&content);
	while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0)
		appendBinaryStringInfo(&content, buffer, length);
	fclose(file);
	return content.data;
}

static void
TestSpecModule(const char *module)
{
	JsonValue *suite = Json(ReadFile(psprintf(SPEC_DIRECTORY "%s.json", module)));
	JsonValue *tests = JsonGet(suite, "tests");

	for (int i = 0; i < tests->count; i++)
	{
		JsonValue *test = &tests->members[i].value;
		JsonValue *source = JsonGet(test, "template");
		MustacheOptions options = {.escape_html = true};

		is_str(RenderWith(source->text, source->text_length, JsonGet(test, "data"),
						  JsonGet(test, "partials"), options),
			   JsonString(JsonGet(test, "expected")),
			   psprintf("spec, %s: %s", module, JsonString(JsonGet(test, "name"))));
	}
	ok(tests->count > 0, "spec, %s: has tests", module);
	ArenaReset();
}

int
main(void)
{
	for (size_t i = 0; i < lengthof(spec_modules); i++)
		TestSpecModule(spec_modules[i]);
	is_str(Render("{{a}}", "{\"a\": 0}", "{}"), "0", "zero prints");
	ArenaReset();
	return done_testing();
}

/*
 * mustache_fuzz.c - any bytes as template, partials and variables.
 *
 * An input has up to five fields, with a byte 0x1E between them: options, template, the partials
 * "a" and "b", and the variables as JSON. If they are not JSON, fixed variables take their place.
 * It checks that nothing is overrun or leaked, that limits hold, that an error has a message and
 * leaves the output unchanged, and that a second rendering gives the same output.
 */
#include "postgres_fe.h"

#include "arena.h"
#include "json_scope.h"

#define FIELDS 5
#define SEPARATOR 0x1E
#define MAX_OUTPUT 20000
#define MAX_STEPS 20000

static const char default_variables[] =
	"{\"a\": {\"b\": {\"a\": \"<&>\"}, \"l\": []}, \"b\": [1, 0, \"x\\ny\", [2, 3], {\"c\": 4}], "
	"\"c\": true, \"d\": false, \"e\": null, \"f\": \"a\", \"g\": 1.50, \"h\": \"\"}";

#define CHECK(condition)                                       \
	do                                                         \
	{                                                          \
		if (!(condition))                                      \
		{                                                      \
			fprintf(stderr, "check failed: %s\n", #condition); \
			abort();                                           \
		}                                                      \
	} while (0)

typedef struct Field
{
	const char *data;
	size_t length;
} Field;

static void
Split(const char *data, size_t size, Field fields[FIELDS])
{
	const char *end = data + size;

	memset(fields, 0, FIELDS * sizeof(Field));
	for (int i = 0; i < FIELDS; i++)
	{
		const char *separator = i < FIELDS - 1 ? memchr(data, SEPARATOR, end - data) : NULL;

		fields[i].data = data;
		fields[i].length = (separator ? separator : end) - data;
		data = separator ? separator + 1 : end;
	}
}

static void
AddPartial(JsonMember *member, const char *name, Field source)
{
	memset(member, 0, sizeof(JsonMember));
	member->name = name;
	member->name_length = strlen(name);
	member->value.kind = MUSTACHE_STRING;
	member->value.text = source.data;
	member->value.text_length = source.length;
}

static void
CheckError(const MustacheError *error)
{
	CHECK(error->code == MUSTACHE_SYNTAX_ERROR || error->code == MUSTACHE_LIMIT_EXCEEDED);
	CHECK(error->template_name != NULL && error->message != NULL);
	CHECK((error->line > 0) == (error->tag != NULL));
	CHECK(error->tag == NULL || strlen(error->tag) < 100);
}

static void
CheckName(void *arg, MustacheUse use, const char *name, int name_length)
{
	CHECK(name_length > 0 && use <= MUSTACHE_USES_PARTIAL);
	CHECK(memchr(name, ' ', name_length) == NULL);
}

static void
Render(const MustacheTemplate *template, JsonScope *scope, MustacheOptions *options)
{
	StringInfoData first;
	StringInfoData second;
	MustacheError error;

	initStringInfo(&first);
	appendStringInfoString(&first, "before");
	if (!MustacheRender(template, &scope->scope, options, &first, &error))
	{
		CheckError(&error);
		CHECK(strcmp(first.data, "before") == 0 && first.len == 6);
		return;
	}
	CHECK(error.code == MUSTACHE_OK);
	CHECK(first.len <= 6 + MAX_OUTPUT && first.data[first.len] == '\0');

	initStringInfo(&second);
	CHECK(MustacheRender(template, &scope->scope, options, &second, &error));
	CHECK(second.len == first.len - 6 && memcmp(second.data, first.data + 6, second.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Field fields[FIELDS];
	JsonMember partials[2];
	JsonValue partial_object = {.kind = MUSTACHE_OBJECT, .count = 2, .members = partials};
	JsonValue *variables;
	JsonScope scope;
	MustacheTemplate *template;
	MustacheError error;
	MustacheOptions options = {.max_output = MAX_OUTPUT, .max_steps = MAX_STEPS};

	Split((const char *) data, size, fields);
	options.escape_html = fields[0].length > 0;
	AddPartial(&partials[0], "a", fields[2]);
	AddPartial(&partials[1], "b", fields[3]);
	variables = JsonParse(fields[4].data, fields[4].length);
	if (variables == NULL)
		variables = JsonParse(default_variables, strlen(default_variables));

	template = MustacheParse("main", fields[1].data, fields[1].length, &error);
	if (template == NULL)
		CheckError(&error);
	else
	{
		MustacheVisitNames(template, CheckName, NULL);
		JsonScopeInit(&scope, variables, &partial_object);
		Render(template, &scope, &options);
	}
	ArenaReset();
	return 0;
}

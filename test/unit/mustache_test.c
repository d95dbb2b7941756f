/*
 * mustache_test.c - the template engine: the suite of the Mustache spec, and what the spec leaves
 * open: limits, errors, indentation of empty lines, and the names that a template uses.
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

/* Returns the rendered template. On an error it returns NULL and sets last_error. */
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

/* Renders and compares. If NULL is expected, rendering must fail. */
static void
Renders(const char *source, const char *variables, const char *partials, const char *expected,
		const char *name)
{
	is_str(Render(source, variables, partials), expected, name);
}

static void
TestValues(void)
{
	static const char *const falsy[] = {"null", "false", "0",  "0.00", "-0",
										"0e5",	"\"\"",	 "[]", NULL};
	static const char *const truthy[] = {"true",  "1",	"0.01", "-1", "\"0\"",
										 "\" \"", "{}", "[0]",	NULL};

	for (int i = 0; falsy[i]; i++)
		Renders("{{#a}}yes{{/a}}{{^a}}no{{/a}}", psprintf("{\"a\": %s}", falsy[i]), "{}", "no",
				psprintf("%s is false in a section", falsy[i]));
	for (int i = 0; truthy[i]; i++)
		Renders("{{#a}}yes{{/a}}{{^a}}no{{/a}}", psprintf("{\"a\": %s}", truthy[i]), "{}", "yes",
				psprintf("%s is true in a section", truthy[i]));

	Renders("{{a}} {{b}} {{c}}", "{\"a\": 0, \"b\": false, \"c\": true}", "{}", "0 false true",
			"zero and booleans print");
	Renders("{{a}}|{{b}}", "{\"a\": 1.10, \"b\": 1e2}", "{}", "1.10|1e2",
			"numbers print as the scope says");
	Renders("{{a}} {{{a}}}", "{\"a\": [1, \"<\"]}", "{}", "[1, &quot;&lt;&quot;] [1, \"<\"]",
			"a list prints as the scope says, escaped");
	Renders("{{a}}", "{\"a\": \"'\\\"<>&\"}", "{}", "&#39;&quot;&lt;&gt;&amp;",
			"all five special characters are escaped");
	Renders("{{a}}", "{\"a\": \"<a<\"}", "{}", "&lt;a&lt;", "special characters at both ends");
	Renders("{{a.b}}", "{\"a\": \"text\"}", "{}", "", "a text has no members");
	Renders("{{#a}}{{b}}{{/a}}", "{\"a\": {\"b\": null}, \"b\": \"outer\"}", "{}", "",
			"a null member hides an outer one");
	ArenaReset();
}

static void
TestEscapingSwitch(void)
{
	MustacheOptions options = {.escape_html = false};
	const char *source = "{{a}} {{{a}}} {{&a}}";

	is_str(RenderWith(source, strlen(source), Json("{\"a\": \"<&>\"}"), NULL, options),
		   "<&> <&> <&>", "nothing is escaped in a text");
	ArenaReset();
}

static void
TestWhiteSpace(void)
{
	Renders("  {{>p}}\n", "{}", "{\"p\": \"a\\n\\nb\\n\"}", "  a\n\n  b\n",
			"empty lines of a partial are not indented");
	Renders("  {{>p}}\n", "{}", "{\"p\": \"a\\r\\n\\r\\nb\\r\\n\"}", "  a\r\n\r\n  b\r\n",
			"nor are those that end in CR LF");
	Renders("  {{>p}}\n", "{}", "{\"p\": \"\\ra\\n\\r{{x}}\\n\"}", "  \ra\n  \r\n",
			"a CR alone is no line break");
	Renders(" {{>p}}\n", "{\"x\": \"1\\n2\"}",
			"{\"p\": \"  {{>q}}\\n\", \"q\": \"{{x}}\\n{{x}}\\n\"}", "   1\n2\n   1\n2\n",
			"indentation of partials adds up and spares values");
	Renders("  {{>p}}\n", "{\"x\": 1}", "{\"p\": \"{{#x}}\\na\\n{{/x}}\\n{{! }}\\nb\\n\"}",
			"  a\n  b\n", "standalone tags in an indented partial leave no line");
	Renders("  {{>p}}\n", "{\"x\": [1, 2]}", "{\"p\": \"{{#x}}{{.}},{{/x}}\\n\"}", "  1,2,\n",
			"a line that starts with a section is indented once");
	Renders("a\n  {{<p}}{{/p}} b\n", "{}", "{\"p\": \"1\\n2\"}", "a\n  1\n2 b\n",
			"a parent with text behind it does not stand alone");
	Renders("  {{<p}}\n  {{$x}}\n    1\n\n      2\n  {{/x}}\n  {{/p}}\nend\n", "{}",
			"{\"p\": \"<\\n {{$x}}{{/x}}\\n>\\n\"}", "  <\n   1\n\n     2\n\n  >\nend\n",
			"a block keeps its inner indentation where it is put");
	Renders("{{<p}}{{$x}}\n{{>q}}\n{{/x}}{{/p}}", "{}",
			"{\"p\": \"  {{$x}}\\n  {{/x}}\\n\", \"q\": \"1\\n2\\n\"}", "  1\n  2\n",
			"a partial within a block is indented with it");
	ArenaReset();
}

static void
TestDelimiters(void)
{
	Renders("{{={{ }}=}}{{a}}", "{\"a\": 1}", "{}", "1", "delimiters set to what they are");
	Renders("{{=| |=}}|={{ }}=|{{={ }=}}{a}", "{\"a\": 1}", "{}", "1",
			"delimiters that contain each other");
	Renders("{{=<% }}%>=}}<%a}}%>}}", "{\"a\": 1}", "{}", "1}}",
			"a closing delimiter that begins with the one before");
	ArenaReset();
}

static void
TestInheritance(void)
{
	Renders("{{<p}}{{$a}}1{{$a}}2{{/a}}{{/a}}{{/p}}", "{}", "{\"p\": \"{{$a}}{{/a}}\"}", "12",
			"a block within an argument of its own name is its default");
	Renders("{{<p}}{{$a}}{{<p}}{{$a}}in{{/a}}{{/p}}out{{/a}}{{/p}}", "{}",
			"{\"p\": \"({{$a}}{{/a}})\"}", "((in)out)", "a parent within its own argument");
	Renders("{{<p}}{{#x}}{{$a}}1{{/a}}{{/x}}{{y}}{{>q}}{{<q}}{{/q}}{{/p}}", "{\"x\": 1, \"y\": 2}",
			"{\"p\": \"{{$a}}0{{/a}}\", \"q\": \"3\"}", "0",
			"only blocks count directly within a parent");
	Renders("{{<*x}}{{$a}}1{{/a}}{{/*x}}", "{\"x\": \"p\"}", "{\"p\": \"{{$a}}{{/a}}\"}", "1",
			"a parent's name may be dynamic");
	Renders("{{<none}}{{$a}}1{{/a}}{{/none}}", "{}", "{}", "", "a missing parent renders nothing");
	ArenaReset();
}

/* The source must be refused with this code, line, tag and message. */
static void
Refused(const char *source, MustacheErrorCode code, int line, const char *tag, const char *message)
{
	MustacheTemplate *template = MustacheParse("main", source, strlen(source), &last_error);

	ok(template == NULL, "refused: %s", message);
	if (template != NULL)
		return;
	is_int(last_error.code, code, "  with the right code");
	is_int(last_error.line, line, "  in the right line");
	is_str(last_error.tag, tag, "  at the right tag");
	is_str(last_error.message, message, "  for the right reason");
	is_str(last_error.template_name, "main", "  with the template's name");
	ArenaReset();
}

static void
TestSyntaxErrors(void)
{
	const MustacheErrorCode syntax = MUSTACHE_SYNTAX_ERROR;

	Refused("a\n{{b", syntax, 2, "{{b", "tag is not closed");
	Refused("{{b\nc", syntax, 1, "{{b...", "tag is not closed");
	Refused("{{", syntax, 1, "{{", "tag is not closed");
	Refused("{{! no end", syntax, 1, "{{! no end", "tag is not closed");
	Refused("{{{b}}", syntax, 1, "{{{b}}", "triple mustache is not closed");
	Refused("{{}}", syntax, 1, "{{}}", "tag has no name");
	Refused("{{# }}{{/ }}", syntax, 1, "{{# }}", "tag has no name");
	Refused("{{>*}}", syntax, 1, "{{>*}}", "tag has no name");
	Refused("{{if x}}", syntax, 1, "{{if x}}", "name contains white space");
	Refused("{{a..b}}", syntax, 1, "{{a..b}}", "name has an empty part");
	Refused("{{#.a}}{{/.a}}", syntax, 1, "{{#.a}}", "name has an empty part");
	Refused("\n\n{{#a}}", syntax, 3, "{{#a}}", "tag is not closed by a closing tag");
	Refused("{{/a}}", syntax, 1, "{{/a}}", "closing tag has no opening tag");
	Refused("{{#a}}\n{{#b}}\n{{/a}}{{/b}}", syntax, 3, "{{/a}}",
			"closing tag does not match the tag opened in line 2");
	Refused("{{=<% %>}}", syntax, 1, "{{=<% %>}}", "set-delimiter tag is not closed");
	Refused("{{=<%=}}", syntax, 1, "{{=<%=}}", "set-delimiter tag does not have two delimiters");
	Refused("{{=a b c=}}", syntax, 1, "{{=a b c=}}",
			"delimiter contains an equals sign or white space");
	Refused("{{=12345678901234567 x=}}", syntax, 1, "{{=12345678901234567 x=}}",
			"delimiter is too long");
	/* 59 bytes, and then a character of two bytes. Only one of these bytes would fit. */
	Refused(psprintf("{{%057d\xC3\xA9", 0), syntax, 1, psprintf("{{%057d...", 0),
			"tag is not closed");
}

static char *
Repeat(const char *text, int times)
{
	StringInfoData out;

	initStringInfo(&out);
	while (times-- > 0)
		appendStringInfoString(&out, text);
	return out.data;
}

/* Rendering must fail with this message, and must not change earlier output. */
static void
HitsLimit(const char *source, const char *variables, const char *partials, MustacheOptions options,
		  const char *template_name, const char *message)
{
	MustacheTemplate *template = MustacheParse("main", source, strlen(source), &last_error);
	JsonScope scope;
	StringInfoData out;

	JsonScopeInit(&scope, Json(variables), Json(partials));
	initStringInfo(&out);
	appendStringInfoString(&out, "before");
	ok(template && !MustacheRender(template, &scope.scope, &options, &out, &last_error),
	   "limit: %s", message);
	is_int(last_error.code, MUSTACHE_LIMIT_EXCEEDED, "  is an exceeded limit");
	is_str(last_error.message, message, "  for the right reason");
	is_str(last_error.template_name, template_name, "  in the right template");
	is_str(out.data, "before", "  and leaves the output alone");
	ArenaReset();
}

static void
TestLimits(void)
{
	MustacheOptions options = {.escape_html = true};
	MustacheOptions small_output = {.escape_html = true, .max_output = 100};
	MustacheOptions few_steps = {.escape_html = true, .max_steps = 10000};
	char *large = Repeat("x", MUSTACHE_MAX_TEMPLATE_SIZE + 1);
	char *deep;

	ok(MustacheParse("main", large, MUSTACHE_MAX_TEMPLATE_SIZE, &last_error) != NULL,
	   "a template of the largest size is parsed");
	Refused(large, MUSTACHE_LIMIT_EXCEEDED, 0, NULL, "template is larger than 1 MB");

	deep = psprintf("%s%s", Repeat("{{#a}}", MUSTACHE_MAX_NESTING),
					Repeat("{{/a}}", MUSTACHE_MAX_NESTING));
	ok(MustacheParse("main", deep, strlen(deep), &last_error) != NULL, "the deepest nesting");
	Refused(Repeat("{{#a}}", MUSTACHE_MAX_NESTING + 1), MUSTACHE_LIMIT_EXCEEDED, 1, "{{#a}}",
			"tags are nested too deeply");

	deep = psprintf("{{a%s}}", Repeat(".a", MUSTACHE_MAX_NAME_PARTS - 1));
	ok(MustacheParse("main", deep, strlen(deep), &last_error) != NULL, "the longest dotted name");
	deep = psprintf("{{a%s}}", Repeat(".a", MUSTACHE_MAX_NAME_PARTS));
	ok(MustacheParse("main", deep, strlen(deep), &last_error) == NULL &&
		   last_error.code == MUSTACHE_LIMIT_EXCEEDED,
	   "a longer dotted name is refused");

	HitsLimit("{{>p}}", "{}", "{\"p\": \"{{>p}}\"}", options, "p",
			  "partials are nested too deeply");
	HitsLimit("{{<p}}{{/p}}", "{}", "{\"p\": \"{{$a}}{{<p}}{{/p}}{{/a}}\"}", options, "p",
			  "partials are nested too deeply");
	HitsLimit("{{>p}}", "{\"a\": 1}",
			  psprintf("{\"p\": \"%s{{>p}}%s\"}", Repeat("{{#a}}", 50), Repeat("{{/a}}", 50)),
			  options, "p", "sections and partials are nested too deeply");
	HitsLimit("{{>p}}", "{}", psprintf("{\"p\": \"%s{{>p}}\\n\"}", Repeat(" ", 100)), options, "p",
			  "indentation is too deep");
	HitsLimit("{{>p}}", "{\"a\": [1, 2, 3]}",
			  "{\"p\": \"{{#a}}{{#a}}{{#a}}{{#a}}{{>q}}{{/a}}{{/a}}{{/a}}{{/a}}\", "
			  "\"q\": \"{{#a}}{{#a}}{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}{{/a}}{{/a}}\"}",
			  few_steps, "q", "rendering takes too many steps");

	/* Work without output: long names, and white space that is removed. */
	HitsLimit(psprintf("{{#a}}{{%s}}{{/a}}", Repeat("n", 200000)), "{\"a\": [1, 2, 3, 4]}", "{}",
			  few_steps, "main", "rendering takes too many steps");
	HitsLimit("{{#a}}{{>*p}}{{/a}}",
			  psprintf("{\"a\": [1, 2, 3, 4], \"p\": \"%s\"}", Repeat("n", 200000)), "{}",
			  few_steps, "main", "rendering takes too many steps");
	HitsLimit(psprintf("{{<p}}{{$b}}\n%sx\n{{/b}}{{/p}}", Repeat(" ", 200000)),
			  "{\"a\": [1, 2, 3, 4]}", "{\"p\": \"{{#a}}\\n{{$b}}{{/b}}\\n{{/a}}\"}", few_steps,
			  "main", "rendering takes too many steps");

	Renders(Repeat("x", 100), "{}", "{}", Repeat("x", 100), "an output of a hundred bytes");
	HitsLimit(Repeat("x", 101), "{}", "{}", small_output, "main", "output is too large");
	HitsLimit(psprintf("%s{{a}}", Repeat("x", 95)), "{\"a\": \"<<\"}", "{}", small_output, "main",
			  "output is too large");
	HitsLimit(psprintf("%s{{{a}}}", Repeat("x", 99)), "{\"a\": [1, 2]}", "{}", small_output, "main",
			  "output is too large");
	HitsLimit("{{#a}}{{>p}}{{/a}}", "{\"a\": [1, 2, 3]}",
			  psprintf("{\"p\": \"%s\"}", Repeat("x", 40)), small_output, "p",
			  "output is too large");
}

static void
TestPartialError(void)
{
	is_str(Render("a{{>p}}", "{}", "{\"p\": \"1\\n{{#b}}\"}"), NULL,
		   "a partial that can't be parsed is an error");
	is_int(last_error.code, MUSTACHE_SYNTAX_ERROR, "  of syntax");
	is_str(last_error.template_name, "p", "  in the partial");
	is_int(last_error.line, 2, "  where it is");
	Renders("a{{#x}}{{>p}}{{/x}}", "{}", "{\"p\": \"{{#b}}\"}", "a",
			"a partial that is not used need not be right");
	ArenaReset();
}

static void
NoteName(void *arg, MustacheUse use, const char *name, int name_length)
{
	static const char kinds[] = {[MUSTACHE_USES_VARIABLE] = 'v',
								 [MUSTACHE_USES_SECTION] = 's',
								 [MUSTACHE_USES_PARTIAL] = 'p'};

	appendStringInfo(arg, "%c:%.*s ", kinds[use], name_length, name);
}

static void
TestNames(void)
{
	const char *source = "{{a}}{{{b.c}}}{{#d}}{{.}}{{^e}}{{>f}}{{/e}}{{/d}}{{=| |=}}|&g| {{no}}"
						 "|<h| |no| |#no||no||/no| |$no||i||>j||/no| |/h||>*k|";
	MustacheTemplate *template = MustacheParse("main", source, strlen(source), &last_error);
	StringInfoData names;

	initStringInfo(&names);
	MustacheVisitNames(template, NoteName, &names);
	is_str(names.data, "v:a v:b.c s:d v:. s:e p:f v:g p:h v:i p:j v:k ",
		   "the names that a template uses");
	ArenaReset();
}

static void
TestMemory(void)
{
	const char *source = "{{#a}}\n  {{>p}}\n{{/a}}{{<p}}{{$x}}\n  {{.}}\n{{/x}}{{/p}}";
	JsonValue *variables = Json("{\"a\": [1, 2, 3]}");
	JsonValue *partials = Json("{\"p\": \"  {{$x}}{{/x}}{{a}}\\n\"}");
	MustacheOptions options = {.escape_html = true};
	MustacheTemplate *template;
	JsonScope scope;
	StringInfoData out;
	long before;

	JsonScopeInit(&scope, variables, partials);
	initStringInfo(&out);
	before = ArenaLiveAllocations();
	template = MustacheParse("main", source, strlen(source), &last_error);
	is_int(ArenaLiveAllocations(), before + 1, "a parsed template is one allocation");
	MustacheRender(template, &scope.scope, &options, &out, &last_error);
	is_int(ArenaLiveAllocations(), before + 2, "rendering leaves none but the partial's");
	ArenaReset();
}

static void
TestInterrupts(void)
{
	StringInfoData list;
	JsonScope scope;
	MustacheTemplate *template;
	MustacheOptions options = {.escape_html = true};
	StringInfoData out;

	initStringInfo(&list);
	for (int i = 0; i < 10000; i++)
		appendStringInfoString(&list, i == 0 ? "[1" : ",1");
	appendStringInfoChar(&list, ']');
	JsonScopeInit(&scope, Json(list.data), NULL);
	template = MustacheParse("main", "{{#.}}{{/.}}", 12, &last_error);
	initStringInfo(&out);
	ok(MustacheRender(template, &scope.scope, &options, &out, &last_error), "a long, empty loop");
	ok(scope.interrupt_checks >= 10, "  checks for interrupts again and again");
	ArenaReset();
}

int
main(void)
{
	for (size_t i = 0; i < lengthof(spec_modules); i++)
		TestSpecModule(spec_modules[i]);
	TestValues();
	TestEscapingSwitch();
	TestWhiteSpace();
	TestDelimiters();
	TestInheritance();
	TestSyntaxErrors();
	TestLimits();
	TestPartialError();
	TestNames();
	TestMemory();
	TestInterrupts();
	return done_testing();
}

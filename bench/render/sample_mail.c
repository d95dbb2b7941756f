/*
 * sample_mail.c - see sample_mail.h.
 *
 * It does the work of a worker between the database and the network, with the same modules. Only
 * the variables come from JSON.
 */
#include "postgres_fe.h"

#include "sample_mail.h"

void
Die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

void
InitSampleBuffers(SampleBuffers *buffers)
{
	initStringInfo(&buffers->subject);
	initStringInfo(&buffers->html);
	initStringInfo(&buffers->text);
	initStringInfo(&buffers->message);
}

static char *
ReadFile(const char *directory, const char *name, const char *suffix, size_t *length)
{
	char *path = psprintf("%s/%s.%s", directory, name, suffix);
	FILE *file = fopen(path, "rb");
	StringInfoData content;
	char buffer[8192];
	size_t count;

	if (file == NULL)
		Die(psprintf("could not open %s", path));
	initStringInfo(&content);
	while ((count = fread(buffer, 1, sizeof(buffer), file)) > 0)
		appendBinaryStringInfo(&content, buffer, count);
	fclose(file);
	*length = content.len;
	return content.data;
}

static const MustacheTemplate *
ReadTemplate(const char *directory, const char *name, const char *suffix)
{
	size_t length;
	char *source = ReadFile(directory, name, suffix, &length);
	MustacheError error;
	MustacheTemplate *template = MustacheParse(name, source, length, &error);

	if (template == NULL)
		Die(psprintf("%s.%s, line %d: %s", name, suffix, error.line, error.message));
	return template;
}

/* Adds the variables and one partial, the layout. */
static void
InitScope(JsonScope *scope, JsonValue *variables, const MustacheTemplate *layout)
{
	JsonValue *partials = palloc0(sizeof(JsonValue));

	partials->kind = MUSTACHE_OBJECT;
	partials->count = 1;
	partials->members = palloc0(sizeof(JsonMember));
	partials->members->name = "layout";
	partials->members->name_length = strlen("layout");
	partials->members->parsed = layout;
	JsonScopeInit(scope, variables, partials);
}

void
ReadSampleMail(SampleMail *mail, const char *directory, const char *name)
{
	size_t length;
	char *json = ReadFile(directory, name, "json", &length);
	JsonValue *variables = JsonParse(json, length);

	if (variables == NULL)
		Die("the variables are no JSON");
	mail->subject = ReadTemplate(directory, name, "subject");
	mail->html = ReadTemplate(directory, name, "html");
	mail->text = ReadTemplate(directory, name, "txt");
	InitScope(&mail->html_scope, variables, ReadTemplate(directory, "layout", "html"));
	InitScope(&mail->text_scope, variables, ReadTemplate(directory, "layout", "txt"));
}

static void
RenderPart(const MustacheTemplate *template, JsonScope *scope, bool escape_html, StringInfo out)
{
	MustacheOptions options = {.escape_html = escape_html};
	MustacheError error;

	resetStringInfo(out);
	if (!MustacheRender(template, &scope->scope, &options, out, &error))
		Die(error.message);
}

void
RenderSampleMail(SampleMail *mail, SampleBuffers *buffers)
{
	RenderPart(mail->subject, &mail->text_scope, false, &buffers->subject);
	RenderPart(mail->html, &mail->html_scope, true, &buffers->html);
	RenderPart(mail->text, &mail->text_scope, false, &buffers->text);
}

void
ComposeSampleMail(int64 id, SampleBuffers *buffers)
{
	const char *problem;
	char *message_id = MessageIdFor(id, 7301234567890123456, "rhesis.example");
	MessageParts parts = {
		.date = 1768487425,
		.from = {"Rhesis AI", "notifications@rhesis.example"},
		.to = {"Ada M\xC3\xBCller", "ada.mueller@customer.example"},
		.reply_to = {NULL, NULL},
		.subject = buffers->subject.data,
		.message_id = message_id,
		.notification_id = id,
		.text = buffers->text.data,
		.text_length = buffers->text.len,
		.html = buffers->html.data,
		.html_length = buffers->html.len,
	};

	resetStringInfo(&buffers->message);
	if (!ComposeMessage(&parts, &buffers->message, &problem))
		Die(problem);
	pfree(message_id);
}

/*
 * render_bench.c - how long it takes to render a mail and to compose its message.
 *
 *   render_bench DIRECTORY MAIL SECONDS [show]
 *
 * Reads the templates DIRECTORY/MAIL.{subject,html,txt}, the partials
 * DIRECTORY/layout.{html,txt} and the variables DIRECTORY/MAIL.json. Prints
 * microseconds per mail: rendering alone, and rendering with composing; or, asked to
 * show, subject, HTML, text and message, a NUL between them.
 *
 * It is what a worker does for a mail between the database and the network, with the
 * rooms that the server has, but for the variables: those are read from JSON.
 */
#include "postgres_fe.h"

#include <time.h>

#include "arena.h"
#include "json_scope.h"
#include "message.h"
#include "mustache.h"

#define MAILS_PER_LOOK 200 /* at the clock */

typedef struct Mail
{
	const MustacheTemplate *subject;
	const MustacheTemplate *html;
	const MustacheTemplate *text;
	JsonScope html_scope;
	JsonScope text_scope;
} Mail;

/* Reused from mail to mail, as a worker's memory is. */
typedef struct Buffers
{
	StringInfoData subject;
	StringInfoData html;
	StringInfoData text;
	StringInfoData message;
} Buffers;

static void
Die(const char *what)
{
	fprintf(stderr, "render_bench: %s\n", what);
	exit(1);
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

/* Variables with one partial, the layout. */
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

static void
ReadMail(Mail *mail, const char *directory, const char *name)
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

static void
RenderMail(Mail *mail, Buffers *buffers)
{
	RenderPart(mail->subject, &mail->text_scope, false, &buffers->subject);
	RenderPart(mail->html, &mail->html_scope, true, &buffers->html);
	RenderPart(mail->text, &mail->text_scope, false, &buffers->text);
}

static void
ComposeMail(int64 id, Buffers *buffers)
{
	const char *problem;
	char *message_id = MessageIdFor(7301234567890123456, 16384, id, "rhesis.example");
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

/* Of the processor's time: others may use the machine as well. */
static double
Now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Microseconds per mail, over that many seconds, both of the processor's time. */
static double
Measure(Mail *mail, Buffers *buffers, bool compose, double seconds)
{
	double start = Now();
	double end;
	int64 mails = 0;

	do
	{
		for (int i = 0; i < MAILS_PER_LOOK; i++)
		{
			RenderMail(mail, buffers);
			if (compose)
				ComposeMail(++mails, buffers);
			else
				mails++;
		}
		end = Now();
	} while (end - start < seconds);
	return (end - start) / mails * 1e6;
}

int
main(int argc, char **argv)
{
	Mail mail;
	Buffers buffers;
	double seconds;

	if (argc < 4)
		Die("usage: render_bench DIRECTORY MAIL SECONDS [show]");
	seconds = atof(argv[3]);
	ReadMail(&mail, argv[1], argv[2]);
	initStringInfo(&buffers.subject);
	initStringInfo(&buffers.html);
	initStringInfo(&buffers.text);
	initStringInfo(&buffers.message);

	RenderMail(&mail, &buffers);
	ComposeMail(1, &buffers);
	if (argc > 4)
	{
		printf("%s%c%s%c%s%c%s", buffers.subject.data, 0, buffers.html.data, 0, buffers.text.data,
			   0, buffers.message.data);
		return 0;
	}
	Measure(&mail, &buffers, true, seconds / 4);
	printf("%.3f\n", Measure(&mail, &buffers, false, seconds));
	printf("%.3f\n", Measure(&mail, &buffers, true, seconds));
	return 0;
}

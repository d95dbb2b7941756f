/*
 * rendering.c - renders subject, HTML and text from a notification, its recipient and its template.
 *
 * Everything is rendered in the database's encoding, and converted at the end. If HTML or text of a
 * template cannot be rendered, both come from the next origin, so that they fit together. The
 * shipped template is the last origin: so a mail is sent whenever one can be rendered.
 */
#include "postgres.h"

#include "template/rendering.h"

#include "base/database_text.h"
#include "mail/blank_body.h"
#include "mail/message.h"
#include "mail/mime.h"
#include "template/templates.h"
#include "template/variables.h"

/* How many bytes of a name or a template's source a message shows. */
#define MAX_SHOWN_BYTES 200

/*
 * How many steps one part may take, and how long a subject may be before it is cut. A hostile
 * template keeps its worker busy for a tenth of a second at most.
 */
#define MAX_STEPS_PER_PART 500000
#define MAX_UNCUT_SUBJECT 100000

/* At most so many used variables are noted, and only names up to this length. */
#define MAX_NOTED_NAMES 500
#define MAX_NOTED_NAME 100

/* A mail that is being rendered. */
typedef struct Rendering
{
	const char *name; /* of the template */
	TemplateSearch search;
	Variables *variables;
	UsedVariables *used; /* NULL: uses are not noted */
	bool with_default;	 /* parts that the template lacks come from the default template */
	TemplatePart part;	 /* the part that is being rendered; its partials are of the same part */
	PartSource sources[TEMPLATE_PARTS];
} Rendering;

/*
 * Returns a name or a template's source as a message shows it, at most a line or two long,
 * palloc'd.
 */
static char *
Shown(const char *text, int length)
{
	int shown = pg_mbcliplen(text, length, MAX_SHOWN_BYTES);

	return psprintf("\"%.*s%s\"", shown, text, shown < length ? "..." : "");
}

static const MustacheTemplate *
FindPartial(void *arg, const char *name, int name_length, MustacheError *error)
{
	Rendering *rendering = arg;
	const StoredPart *found;

	if (name_length == 0) /* a dynamic name without a value */
		return NULL;
	found = FindTemplate(&rendering->search, name, name_length, rendering->part);
	if (found == NULL)
	{
		/*
		 * Mustache would render nothing here. Raise an error instead: a mail from the next template
		 * is better than half a mail.
		 */
		error->code = MUSTACHE_SYNTAX_ERROR;
		error->template_name = pstrdup(rendering->name);
		error->message = rendering->search.too_many
							 ? "the mail uses too many partials"
							 : psprintf("there is no partial %s", Shown(name, name_length));
		return NULL;
	}
	if (found->problem != NULL)
	{
		error->code = MUSTACHE_SYNTAX_ERROR;
		error->template_name = pnstrdup(name, name_length);
		error->message = found->problem;
		return NULL;
	}
	return rendering->part == TEMPLATE_SUBJECT ? SubjectMustache(found->subject) : found->body;
}

/* Looks up a member for a subject. Names that come from single braces are looked up first. */
static bool
SubjectMember(void *arg, const MustacheValue *object, const char *name, int name_length,
			  MustacheValue *value)
{
	Rendering *rendering = ((JsonbScope *) arg)->partial_arg;
	const JsonbScope *scope = &rendering->variables->scope;

	if (object->data == scope->root.data &&
		LookUpSubjectName(rendering->variables, name, name_length, value))
		return true;
	return scope->scope.member(arg, object, name, name_length, value);
}

/* Returns true if a mail would lose something without the value: it is not null, false or empty. */
static bool
HasValue(const MustacheValue *value)
{
	switch (value->kind)
	{
		case MUSTACHE_NULL:
		case MUSTACHE_FALSE:
			return false;
		case MUSTACHE_STRING:
		case MUSTACHE_LIST:
			return value->length > 0;
		default:
			return true;
	}
}

static void
NoteUse(UsedVariables *used, TemplatePart part, const char *source, int length)
{
	char *name;

	if (length > MAX_NOTED_NAME || list_length(used->names[part]) >= MAX_NOTED_NAMES)
		return;
	name = pnstrdup(source, length);
	if (IsUsed(used, part, name))
		pfree(name);
	else
		used->names[part] = lappend(used->names[part], name);
}

bool
IsUsed(const UsedVariables *used, TemplatePart part, const char *name)
{
	ListCell *cell;

	foreach(cell, used->names[part])
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/* Looks up a member like the scope, or SubjectMember(), and notes its use. */
static bool
NotedMember(void *arg, const MustacheValue *object, const char *name, int name_length,
			MustacheValue *value)
{
	Rendering *rendering = ((JsonbScope *) arg)->partial_arg;
	const JsonbScope *scope = &rendering->variables->scope;
	bool found = rendering->part == TEMPLATE_SUBJECT
					 ? SubjectMember(arg, object, name, name_length, value)
					 : scope->scope.member(arg, object, name, name_length, value);

	if (found && object->data == scope->root.data && HasValue(value))
		NoteUse(rendering->used, rendering->part, name, SubjectNameLength(name, name_length));
	return found;
}

/*
 * Renders a part, and returns it in UTF-8, in the current memory context. On a failure, returns
 * NULL and sets *problem.
 */
static char *
RenderMustache(Rendering *rendering, const MustacheTemplate *template, TemplatePart part,
			   char **problem)
{
	JsonbScope *jsonb_scope = &rendering->variables->scope;
	MustacheScope scope = jsonb_scope->scope;
	MustacheOptions options = {
		.escape_html = (part == TEMPLATE_HTML),
		.max_output = part == TEMPLATE_SUBJECT ? MAX_UNCUT_SUBJECT : MUSTACHE_DEFAULT_MAX_OUTPUT,
		.max_steps = MAX_STEPS_PER_PART,
	};
	MustacheError error = {0};
	StringInfoData out;

	rendering->part = part;
	jsonb_scope->partial_source = FindPartial;
	jsonb_scope->partial_arg = rendering;
	if (part == TEMPLATE_SUBJECT)
		scope.member = SubjectMember;
	if (rendering->used != NULL)
	{
		rendering->used->names[part] = NIL;
		scope.member = NotedMember;
	}

	initStringInfo(&out);
	if (MustacheRender(template, &scope, &options, &out, &error))
		return DatabaseTextToUtf8(out.data, out.len);
	*problem = psprintf("%s of template \"%s\": %s", TemplatePartName(part), error.template_name,
						DescribeTemplateError(&error));
	return NULL;
}

/*
 * Returns the template's part, or, if with_default is set and it has none, the default template's;
 * NULL if there is none. Notes the source of the part.
 */
static const StoredPart *
FindPart(Rendering *rendering, TemplatePart part)
{
	PartSource *source = &rendering->sources[part];
	const StoredPart *found;

	source->template_name = rendering->name;
	found = FindTemplate(&rendering->search, source->template_name, strlen(rendering->name), part);
	if (found == NULL && rendering->with_default)
	{
		source->template_name = DEFAULT_TEMPLATE;
		found = FindTemplate(&rendering->search, DEFAULT_TEMPLATE, strlen(DEFAULT_TEMPLATE), part);
	}
	if (found == NULL)
		source->template_name = NULL;
	source->origin = rendering->search.found;
	return found;
}

/* Returns "html of template "x": what is wrong", palloc'd. */
static char *
PartProblem(const Rendering *rendering, TemplatePart part, const char *problem)
{
	return psprintf("%s of template \"%s\": %s", TemplatePartName(part), rendering->name, problem);
}

static bool
IsBlank(const char *body, TemplatePart part)
{
	return part == TEMPLATE_HTML ? HtmlIsBlank(body) : TextIsBlank(body);
}

/*
 * Returns the rendered part. If it cannot be rendered or would show nothing, returns NULL and sets
 * *problem. If the template has no such part, returns NULL, which is a problem only with
 * with_default.
 */
static char *
RenderBody(Rendering *rendering, TemplatePart part, char **problem)
{
	const StoredPart *stored = FindPart(rendering, part);

	if (stored != NULL && stored->problem == NULL)
	{
		char *body = RenderMustache(rendering, stored->body, part, problem);

		if (body == NULL || !rendering->with_default || !IsBlank(body, part))
			return body;
		*problem = PartProblem(rendering, part, "it shows nothing");
	}
	else if (stored != NULL)
		*problem = PartProblem(rendering, part, stored->problem);
	else if (rendering->with_default)
		*problem = PartProblem(rendering, part, "it is missing");
	return NULL;
}

/*
 * Returns the rendered subject in one line. If it cannot be rendered or is blank, returns NULL and
 * sets *problem.
 */
static char *
RenderSubject(Rendering *rendering, const SubjectTemplate *subject, char **problem)
{
	char *text;

	*problem = SubjectProblem(subject, rendering->variables);
	if (*problem != NULL)
		return NULL;
	text = RenderMustache(rendering, SubjectMustache(subject), TEMPLATE_SUBJECT, problem);
	if (text == NULL)
		return NULL;
	text = HeaderText(text, MESSAGE_MAX_SUBJECT_CHARS);
	if (!TextIsBlank(text))
		return text;
	*problem = pstrdup("it is empty");
	return NULL;
}

/*
 * Returns the rendered subject of the template; NULL if it has none or it fails. *problem is then
 * set, except if a template without with_default has no subject.
 */
static char *
RenderStoredSubject(Rendering *rendering, char **problem)
{
	const StoredPart *stored = FindPart(rendering, TEMPLATE_SUBJECT);
	const char *cause = NULL;
	char *subject = NULL;

	*problem = NULL;
	if (stored == NULL)
		cause = rendering->with_default ? "it is missing" : NULL;
	else if (stored->problem != NULL)
		cause = stored->problem;
	else
	{
		subject = RenderSubject(rendering, stored->subject, problem);
		cause = *problem;
	}
	if (cause != NULL)
		*problem = PartProblem(rendering, TEMPLATE_SUBJECT, cause);
	return subject;
}

/*
 * Renders the subject that the row or its registration asks for. On a failure, returns NULL and
 * sets *problem.
 */
static char *
RenderAskedSubject(Rendering *rendering, const char *source, char **problem)
{
	MustacheError error = {0};
	SubjectTemplate *parsed = ParseSubject("subject", source, &error);
	char *subject = NULL;

	if (parsed == NULL)
		*problem = DescribeTemplateError(&error);
	else
		subject = RenderSubject(rendering, parsed, problem);
	if (subject == NULL)
		*problem = psprintf("subject template %s: %s", Shown(source, strlen(source)), *problem);
	return subject;
}

/*
 * Adds a problem to mail->fallback. The same template may fail in the same way at each origin: that
 * is noted once.
 */
static void
NoteFallback(RenderedMail *mail, char *problem)
{
	if (mail->fallback != NULL && strstr(mail->fallback, problem) != NULL)
		return;
	if (mail->fallback == NULL)
		mail->fallback = problem;
	else
		mail->fallback = psprintf("%s; %s", mail->fallback, problem);
}

static void
Fail(RenderedMail *mail, char *problem)
{
	memset(mail, 0, sizeof(*mail));
	mail->error = problem;
}

/* Renders HTML and text. If one of them cannot be rendered, returns false and sets *problem. */
static bool
RenderBodies(Rendering *rendering, RenderedMail *mail, char **problem)
{
	*problem = NULL;
	mail->html = RenderBody(rendering, TEMPLATE_HTML, problem);
	if (*problem == NULL)
		mail->text = RenderBody(rendering, TEMPLATE_TEXT, problem);
	return *problem == NULL;
}

/*
 * Lets the search begin at the next origin, after a template of this origin has failed. Returns
 * false if this origin is the last one.
 */
static bool
GoToNextOrigin(Rendering *rendering)
{
	if (rendering->search.first == TEMPLATE_SHIPPED)
		return false;
	rendering->search.first++;
	return true;
}

/*
 * Renders all three parts, with fallbacks as needed. If HTML or text fails, both are rendered from
 * the next origin, so that they fit together.
 */
static void
RenderMail(Rendering *rendering, const char *asked_subject, RenderedMail *mail)
{
	char *problem = NULL;

	while (!RenderBodies(rendering, mail, &problem))
	{
		if (!GoToNextOrigin(rendering))
		{
			Fail(mail, problem);
			return;
		}
		NoteFallback(mail, problem);
	}

	if (asked_subject != NULL && *asked_subject != '\0')
	{
		mail->subject = RenderAskedSubject(rendering, asked_subject, &problem);
		if (mail->subject == NULL)
			NoteFallback(mail, problem);
		rendering->sources[TEMPLATE_SUBJECT].is_asked = mail->subject != NULL;
	}
	while (mail->subject == NULL)
	{
		mail->subject = RenderStoredSubject(rendering, &problem);
		if (mail->subject != NULL)
			break;
		if (!GoToNextOrigin(rendering))
		{
			Fail(mail, problem);
			return;
		}
		NoteFallback(mail, problem);
	}
}

static bool
HasAnyPart(Rendering *rendering)
{
	for (TemplatePart part = 0; part < TEMPLATE_PARTS; part++)
	{
		if (FindPart(rendering, part) != NULL)
			return true;
	}
	return false;
}

void
RenderNotificationWith(const Notification *notification, const Recipient *recipient,
					   const TemplateProposal *proposal, UsedVariables *used, RenderedMail *mail)
{
	Rendering rendering = {
		.name = notification->template_name,
		.search = {.organization_id = recipient->organization_id, .proposal = proposal},
		.variables = NotificationVariables(notification, recipient),
		.used = used,
	};

	memset(mail, 0, sizeof(*mail));
	BeginTemplates();
	if (rendering.search.organization_id == NULL)
		rendering.search.organization_id = notification->organization_id;
	if (!HasAnyPart(&rendering))
		NoteFallback(mail, psprintf("there is no template %s",
									Shown(rendering.name, strlen(rendering.name))));
	rendering.with_default = true;
	RenderMail(&rendering, notification->subject_template, mail);
	memcpy(mail->sources, rendering.sources, sizeof(mail->sources));
}

void
RenderNotification(const Notification *notification, const Recipient *recipient, RenderedMail *mail)
{
	RenderNotificationWith(notification, recipient, NULL, NULL, mail);
}

bool
RenderTemplate(const char *name, const char *organization_id, const Jsonb *variables,
			   RenderedMail *mail)
{
	Rendering rendering = {
		.name = name,
		.search = {.organization_id = organization_id},
		.variables = GivenVariables(variables),
	};
	char *problem = NULL;

	memset(mail, 0, sizeof(*mail));
	BeginTemplates();
	if (!HasAnyPart(&rendering))
		return false;
	if (RenderBodies(&rendering, mail, &problem))
		mail->subject = RenderStoredSubject(&rendering, &problem);
	if (problem != NULL)
		Fail(mail, problem);
	return true;
}

/*
 * subject.c - subjects in Mustache and in the single-brace form: {task_name}, {status.title()}.
 *
 * The single-brace form is translated into Mustache tags before anything is rendered:
 * {status.title()} becomes {{status:title}}, {status} becomes {{status:}}. (The colon stands for a
 * character that no source contains.) So there is one pass, and the content of a value is never
 * expanded. LookUpSubjectName() looks up the translated names, at the top level, and splits them at
 * the separator.
 */
#include "postgres.h"

#include "template/subject.h"

#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "utils/formatting.h"

/* A subject is cut to far fewer characters, so it is useless to change the case of more. */
#define MAX_CHANGED_CHARS 1000

/*
 * Stands between name and method. Only the translation writes this character. So a method is called
 * only where its result is output, and the output's limit also bounds the work of methods.
 */
#define METHOD_SEPARATOR '\x1F'

typedef char *(*TextMethod)(const char *text, int length);

struct SubjectTemplate
{
	MustacheTemplate *mustache;
	int name_count;
	char **names; /* the translated names */
};

#define ASCII_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ASCII_LOWER "abcdefghijklmnopqrstuvwxyz"

/*
 * Returns true if the database's locale changes the case of ASCII letters as English does. (In
 * Turkish, the upper case of i is another letter.) A database's encoding and locale never change.
 */
static bool
LocaleKeepsAscii(void)
{
	static bool known = false;
	static bool keeps;

	if (!known)
	{
		char *upper = str_toupper(ASCII_LOWER, strlen(ASCII_LOWER), DEFAULT_COLLATION_OID);
		char *lower = str_tolower(ASCII_UPPER, strlen(ASCII_UPPER), DEFAULT_COLLATION_OID);

		keeps = strcmp(upper, ASCII_UPPER) == 0 && strcmp(lower, ASCII_LOWER) == 0;
		known = true;
		pfree(upper);
		pfree(lower);
	}
	return keeps;
}

/*
 * Changes the case of ASCII letters as in English, because names of tasks and words for a status
 * are identifiers. Changes the case of other letters as the database's locale does. In every
 * encoding of a database, all bytes of a non-ASCII character have the high bit.
 */
static char *
ChangeAroundAscii(const char *text, int length, char *(*change)(const char *, size_t, Oid),
				  unsigned char (*change_ascii)(unsigned char))
{
	const char *end = text + length;
	StringInfoData changed;

	initStringInfo(&changed);
	for (const char *p = text; p < end;)
	{
		const char *run;
		char *changed_run;

		while (p < end && !IS_HIGHBIT_SET(*p))
			appendStringInfoChar(&changed, (char) change_ascii((unsigned char) *p++));
		for (run = p; p < end && IS_HIGHBIT_SET(*p);)
			p++;
		if (p == run)
			continue;
		changed_run = change(run, p - run, DEFAULT_COLLATION_OID);
		appendStringInfoString(&changed, changed_run);
		pfree(changed_run);
	}
	return changed.data;
}

static char *
UpperText(const char *text, int length)
{
	if (LocaleKeepsAscii())
		return str_toupper(text, length, DEFAULT_COLLATION_OID);
	return ChangeAroundAscii(text, length, str_toupper, pg_ascii_toupper);
}

static char *
LowerText(const char *text, int length)
{
	if (LocaleKeepsAscii())
		return str_tolower(text, length, DEFAULT_COLLATION_OID);
	return ChangeAroundAscii(text, length, str_tolower, pg_ascii_tolower);
}

/*
 * Returns true if the character has a case. For Python's str.title(), such characters form words.
 */
static bool
IsCased(const char *character, int length)
{
	char *upper;
	char *lower;
	bool cased;

	if (!IS_HIGHBIT_SET(*character))
		return (*character >= 'a' && *character <= 'z') || (*character >= 'A' && *character <= 'Z');

	upper = UpperText(character, length);
	lower = LowerText(character, length);
	cased = strcmp(upper, lower) != 0;
	pfree(upper);
	pfree(lower);
	return cased;
}

/*
 * Returns the text as Python's str.title() does: unlike in initcap(), a letter after a digit or an
 * apostrophe begins a word.
 */
static char *
TitleText(const char *text, int length)
{
	StringInfoData title;
	bool in_word = false;

	initStringInfo(&title);
	for (const char *p = text; p < text + length;)
	{
		int char_length = pg_mblen(p);
		bool cased = IsCased(p, char_length);

		if (cased)
		{
			char *changed = in_word ? LowerText(p, char_length) : UpperText(p, char_length);

			appendStringInfoString(&title, changed);
			pfree(changed);
		}
		else
			appendBinaryStringInfo(&title, p, char_length);
		in_word = cased;
		p += char_length;
	}
	return title.data;
}

static char *
CapitalizeText(const char *text, int length)
{
	int first = length > 0 ? pg_mblen(text) : 0;

	return psprintf("%s%s", UpperText(text, first), LowerText(text + first, length - first));
}

static const struct
{
	const char *name;
	TextMethod method;
} methods[] = {
	{"title", TitleText},
	{"upper", UpperText},
	{"lower", LowerText},
	{"capitalize", CapitalizeText},
};

/* Returns NULL if there is no such method. */
static TextMethod
FindMethod(const char *name, int length)
{
	for (int i = 0; i < (int) lengthof(methods); i++)
	{
		if ((int) strlen(methods[i].name) == length && memcmp(methods[i].name, name, length) == 0)
			return methods[i].method;
	}
	return NULL;
}

static bool
IsNameByte(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
		   (!first && c >= '0' && c <= '9');
}

/* Returns the length of the identifier that begins at p; 0 if none does. */
static int
IdentifierLength(const char *p)
{
	int length = 0;

	while (IsNameByte(p[length], length == 0))
		length++;
	return length;
}

/*
 * Reads {name} or {name.method()} at p. Returns its end, and sets *name to the translated name.
 * Returns NULL if there is no placeholder.
 */
static const char *
ReadPlaceholder(const char *p, char **name)
{
	const char *start = ++p;
	int name_length = IdentifierLength(start);
	const char *method = "";
	int method_length = 0;

	if (name_length == 0)
		return NULL;
	p += name_length;
	if (*p == '.')
	{
		method = p + 1;
		method_length = IdentifierLength(method);
		p = method + method_length;
		if (method_length == 0 || strncmp(p, "()", 2) != 0)
			return NULL;
		p += 2;
	}
	if (*p != '}')
		return NULL;
	*name = psprintf("%.*s%c%.*s", name_length, start, METHOD_SEPARATOR, method_length, method);
	return p + 1;
}

/*
 * Returns the end of the Mustache tag that begins at p. A tag that changes the delimiters, or is
 * not closed, extends to the end of the source.
 */
static const char *
SkipTag(const char *p)
{
	const char *closing = p[2] == '{' ? "}}}" : "}}";
	const char *end = p[2] == '=' ? NULL : strstr(p, closing);

	return end != NULL ? end + strlen(closing) : p + strlen(p);
}

/*
 * Returns a copy in which spaces replace the separator character. (Control characters of a subject
 * become spaces anyway.)
 */
static char *
WithoutSeparators(const char *source)
{
	char *copy = pstrdup(source);

	for (char *p = copy; (p = strchr(p, METHOD_SEPARATOR)) != NULL;)
		*p = ' ';
	return copy;
}

SubjectTemplate *
ParseSubject(const char *name, const char *source, MustacheError *error)
{
	SubjectTemplate *subject = palloc0(sizeof(SubjectTemplate));
	StringInfoData mustache;
	char *plain;
	int capacity = 0;

	if (strlen(source) > MUSTACHE_MAX_TEMPLATE_SIZE)
	{
		MustacheParse(name, source, strlen(source), error);
		return NULL;
	}

	plain = WithoutSeparators(source);
	initStringInfo(&mustache);
	for (const char *p = plain; *p != '\0';)
	{
		const char *end = NULL;
		char *placeholder;

		if (p[0] == '{' && p[1] == '{')
		{
			end = SkipTag(p);
			appendBinaryStringInfo(&mustache, p, end - p);
		}
		else if (p[0] == '{' && (end = ReadPlaceholder(p, &placeholder)) != NULL)
		{
			appendStringInfo(&mustache, "{{%s}}", placeholder);
			if (subject->name_count == capacity)
			{
				capacity = Max(8, 2 * capacity);
				subject->names = subject->names == NULL
									 ? palloc(capacity * sizeof(char *))
									 : repalloc(subject->names, capacity * sizeof(char *));
			}
			subject->names[subject->name_count++] = placeholder;
		}
		else
		{
			appendStringInfoChar(&mustache, *p);
			end = p + 1;
		}
		p = end;
	}
	subject->mustache = MustacheParse(name, mustache.data, mustache.len, error);
	pfree(mustache.data);
	pfree(plain);
	return subject->mustache != NULL ? subject : NULL;
}

const MustacheTemplate *
SubjectMustache(const SubjectTemplate *subject)
{
	return subject->mustache;
}

char *
SubjectProblem(const SubjectTemplate *subject, const Variables *variables)
{
	for (int i = 0; i < subject->name_count; i++)
	{
		const char *name = subject->names[i];
		const char *separator = strchr(name, METHOD_SEPARATOR);
		MustacheValue value;

		if (!LookUpVariable(variables, name, separator - name, &value))
			return psprintf("there is no variable \"%.*s\"", (int) (separator - name), name);
		if (separator[1] != '\0' && FindMethod(separator + 1, strlen(separator + 1)) == NULL)
			return psprintf("there is no method \"%s()\"", separator + 1);
	}
	return NULL;
}

int
SubjectNameLength(const char *name, int name_length)
{
	const char *separator = memchr(name, METHOD_SEPARATOR, name_length);

	return separator != NULL ? (int) (separator - name) : name_length;
}

bool
LookUpSubjectName(const Variables *variables, const char *name, int name_length,
				  MustacheValue *value)
{
	const char *separator = memchr(name, METHOD_SEPARATOR, name_length);
	TextMethod method;
	StringInfoData text;

	if (separator == NULL || !LookUpVariable(variables, name, separator - name, value))
		return false;
	method = FindMethod(separator + 1, name + name_length - (separator + 1));
	if (method == NULL)
		return true;

	initStringInfo(&text);
	if (value->kind == MUSTACHE_STRING)
		appendBinaryStringInfo(&text, value->data,
							   pg_mbcharcliplen(value->data, value->length, MAX_CHANGED_CHARS));
	else if (value->kind == MUSTACHE_NUMBER)
		variables->scope.scope.append_text(variables->scope.scope.arg, value, MAX_CHANGED_CHARS,
										   &text);
	else
		return true;
	value->kind = MUSTACHE_STRING;
	value->data = method(text.data, text.len);
	value->length = strlen(value->data);
	return true;
}

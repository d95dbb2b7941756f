/* json_scope.c - JSON text as the variables and partials of a template, for tests. */
#include "postgres_fe.h"

#include "base/utf8.h"
#include "json_scope.h"

#define MAX_DEPTH 200

typedef struct Reader
{
	const char *p;
	const char *end;
	int depth;
} Reader;

static bool ReadValue(Reader *reader, JsonValue *value);

static void
SkipSpace(Reader *reader)
{
	while (reader->p < reader->end && memchr(" \t\r\n", *reader->p, 4) != NULL)
		reader->p++;
}

static bool
ReadChar(Reader *reader, char c)
{
	SkipSpace(reader);
	if (reader->p == reader->end || *reader->p != c)
		return false;
	reader->p++;
	return true;
}

static bool
ReadHex4(Reader *reader, pg_wchar *code)
{
	*code = 0;
	if (reader->end - reader->p < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		char c = *reader->p++;

		if (!isxdigit((unsigned char) c))
			return false;
		*code = *code * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return true;
}

/* Decodes the text after "\u", including surrogate pairs, to UTF-8. */
static bool
ReadUnicode(Reader *reader, StringInfo out)
{
	pg_wchar code;
	pg_wchar low;
	unsigned char utf8[UTF8_MAX_BYTES] = {0};
	int length;

	if (!ReadHex4(reader, &code))
		return false;
	if (is_utf16_surrogate_first(code))
	{
		if (reader->end - reader->p < 6 || reader->p[0] != '\\' || reader->p[1] != 'u')
			return false;
		reader->p += 2;
		if (!ReadHex4(reader, &low) || !is_utf16_surrogate_second(low))
			return false;
		code = surrogate_pair_to_codepoint(code, low);
	}
	unicode_to_utf8(code, utf8);
	length = Utf8CharLength((char *) utf8, (char *) utf8 + UTF8_MAX_BYTES);
	appendBinaryStringInfo(out, (char *) utf8, length);
	return length > 0;
}

static bool
ReadString(Reader *reader, const char **text, int *length)
{
	StringInfoData out;

	if (!ReadChar(reader, '"'))
		return false;
	initStringInfo(&out);
	while (reader->p < reader->end && *reader->p != '"')
	{
		static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
		char c = *reader->p++;

		if (c != '\\')
		{
			appendStringInfoChar(&out, c);
			continue;
		}
		if (reader->p == reader->end)
			return false;
		c = *reader->p++;
		if (c == 'u')
		{
			if (!ReadUnicode(reader, &out))
				return false;
			continue;
		}
		for (int i = 0; i < 16; i += 2)
			if (escapes[i] == c)
				appendStringInfoChar(&out, escapes[i + 1]);
	}
	*text = out.data;
	*length = out.len;
	return ReadChar(reader, '"');
}

/*
 * Reads the members of an object, or the elements of a list.
 */
static bool
ReadMembers(Reader *reader, JsonValue *value, char close)
{
	int capacity = 8;

	reader->p++;
	if (++reader->depth > MAX_DEPTH)
		return false;
	value->members = palloc(capacity * sizeof(JsonMember));
	while (!ReadChar(reader, close))
	{
		JsonMember *member;

		if (value->count > 0 && !ReadChar(reader, ','))
			return false;
		if (value->count == capacity)
		{
			capacity *= 2;
			value->members = repalloc(value->members, capacity * sizeof(JsonMember));
		}
		member = &value->members[value->count++];
		memset(member, 0, sizeof(JsonMember));
		if (close == '}' &&
			(!ReadString(reader, &member->name, &member->name_length) || !ReadChar(reader, ':')))
			return false;
		if (!ReadValue(reader, &member->value))
			return false;
	}
	reader->depth--;
	return true;
}

static bool
ReadWord(Reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t) (reader->end - reader->p) < length || memcmp(reader->p, word, length) != 0)
		return false;
	reader->p += length;
	return true;
}

static bool
ReadValue(Reader *reader, JsonValue *value)
{
	bool valid = true;

	memset(value, 0, sizeof(JsonValue));
	SkipSpace(reader);
	value->text = reader->p;
	if (reader->p == reader->end)
		return false;
	if (*reader->p == '"')
	{
		value->kind = MUSTACHE_STRING;
		return ReadString(reader, &value->text, &value->text_length);
	}

	if (*reader->p == '{')
	{
		value->kind = MUSTACHE_OBJECT;
		valid = ReadMembers(reader, value, '}');
	}
	else if (*reader->p == '[')
	{
		value->kind = MUSTACHE_LIST;
		valid = ReadMembers(reader, value, ']');
	}
	else if (ReadWord(reader, "null"))
		value->kind = MUSTACHE_NULL;
	else if (ReadWord(reader, "true"))
		value->kind = MUSTACHE_TRUE;
	else if (ReadWord(reader, "false"))
		value->kind = MUSTACHE_FALSE;
	else
	{
		value->kind = MUSTACHE_NUMBER;
		while (reader->p < reader->end && memchr("0123456789+-.eE", *reader->p, 15) != NULL)
			reader->p++;
		valid = reader->p > value->text;
	}
	value->text_length = reader->p - value->text;
	return valid;
}

JsonValue *
JsonParse(const char *text, size_t length)
{
	Reader reader = {text, text + length, 0};
	JsonValue *value = palloc(sizeof(JsonValue));

	if (!ReadValue(&reader, value))
		return NULL;
	SkipSpace(&reader);
	return reader.p == reader.end ? value : NULL;
}

static JsonMember *
FindMember(const JsonValue *object, const char *name, int name_length)
{
	for (int i = 0; i < object->count; i++)
		if (object->members[i].name_length == name_length &&
			memcmp(object->members[i].name, name, name_length) == 0)
			return &object->members[i];
	return NULL;
}

JsonValue *
JsonGet(const JsonValue *object, const char *name)
{
	JsonMember *member = FindMember(object, name, strlen(name));

	return member ? &member->value : NULL;
}

char *
JsonString(const JsonValue *value)
{
	return value ? pnstrdup(value->text, value->text_length) : NULL;
}

static void
SetValue(const JsonValue *json, MustacheValue *value)
{
	value->kind = json->kind;
	value->length = json->kind == MUSTACHE_STRING ? json->text_length : json->count;
	value->data = json->kind == MUSTACHE_STRING ? (const void *) json->text : json;
}

static void
Root(void *arg, MustacheValue *value)
{
	SetValue(((JsonScope *) arg)->variables, value);
}

static bool
Member(void *arg, const MustacheValue *object, const char *name, int name_length,
	   MustacheValue *value)
{
	JsonMember *member = FindMember(object->data, name, name_length);

	if (member == NULL)
		return false;
	SetValue(&member->value, value);
	return true;
}

static void
Element(void *arg, const MustacheValue *list, int index, MustacheValue *value)
{
	SetValue(&((const JsonValue *) list->data)->members[index].value, value);
}

static bool
IsZero(void *arg, const MustacheValue *number)
{
	const JsonValue *json = number->data;

	for (int i = 0; i < json->text_length && (json->text[i] | 32) != 'e'; i++)
		if (json->text[i] >= '1' && json->text[i] <= '9')
			return false;
	return true;
}

static bool
AppendText(void *arg, const MustacheValue *value, int max_length, StringInfo out)
{
	const JsonValue *json = value->data;

	if (json->text_length > max_length)
		return false;
	appendBinaryStringInfo(out, json->text, json->text_length);
	return true;
}

static const MustacheTemplate *
Partial(void *arg, const char *name, int name_length, MustacheError *error)
{
	JsonScope *scope = arg;
	JsonMember *member = scope->partials ? FindMember(scope->partials, name, name_length) : NULL;

	if (member == NULL)
		return NULL;
	if (member->parsed == NULL)
		member->parsed =
			MustacheParse(member->name, member->value.text, member->value.text_length, error);
	return member->parsed;
}

static void
CheckForInterrupts(void *arg)
{
	((JsonScope *) arg)->interrupt_checks++;
}

void
JsonScopeInit(JsonScope *scope, JsonValue *variables, JsonValue *partials)
{
	memset(scope, 0, sizeof(JsonScope));
	scope->scope.arg = scope;
	scope->scope.root = Root;
	scope->scope.member = Member;
	scope->scope.element = Element;
	scope->scope.is_zero = IsZero;
	scope->scope.append_text = AppendText;
	scope->scope.partial = Partial;
	scope->scope.check_for_interrupts = CheckForInterrupts;
	scope->variables = variables;
	scope->partials = partials;
}

/*
 * json_scope.h - JSON text as the variables and partials of a template, for tests of the template
 * engine without a server.
 */
#ifndef RHESIS_NOTIFY_JSON_SCOPE_H
#define RHESIS_NOTIFY_JSON_SCOPE_H

#include "mustache/mustache.h"

typedef struct JsonValue
{
	MustacheKind kind;
	const char *text; /* a string's bytes, any other value's JSON text; not terminated */
	int text_length;
	int count; /* elements or members */
	struct JsonMember *members;
} JsonValue;

typedef struct JsonMember
{
	const char *name; /* terminated; NULL in a list */
	int name_length;
	JsonValue value;
	const MustacheTemplate *parsed; /* as a partial, once it was asked for */
} JsonMember;

typedef struct JsonScope
{
	MustacheScope scope;
	JsonValue *variables;
	JsonValue *partials; /* an object, or NULL */
	int interrupt_checks;
} JsonScope;

/* Returns NULL if it is not JSON, or is nested too deeply. */
extern JsonValue *JsonParse(const char *text, size_t length);

/* Returns the member with that name, or NULL. */
extern JsonValue *JsonGet(const JsonValue *object, const char *name);

/* Returns a terminated copy of a string, or NULL for NULL. */
extern char *JsonString(const JsonValue *value);

extern void JsonScopeInit(JsonScope *scope, JsonValue *variables, JsonValue *partials);

#endif /* RHESIS_NOTIFY_JSON_SCOPE_H */

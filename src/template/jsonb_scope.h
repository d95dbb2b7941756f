/*
 * jsonb_scope.h - a jsonb value as a template's variables, below variables of the caller.
 *
 * The caller's variables win. Only a variable that is marked replaceable gives way to a member of
 * the jsonb value with the same name that has a value.
 */
#ifndef RHESIS_JSONB_SCOPE_H
#define RHESIS_JSONB_SCOPE_H

#include "mustache/mustache.h"
#include "utils/jsonb.h"

/* A variable of the caller: a text, a boolean or null. */
typedef struct ScopeVariable
{
	const char *name;
	MustacheKind kind; /* MUSTACHE_STRING, MUSTACHE_TRUE, MUSTACHE_FALSE or MUSTACHE_NULL */
	const char *text;  /* MUSTACHE_STRING: terminated */
	bool replaceable;
} ScopeVariable;

/* Finds partials; see MustacheScope. NULL: there are no partials. */
typedef const MustacheTemplate *(*PartialSource)(void *arg, const char *name, int name_length,
												 MustacheError *error);

/*
 * Gets each string of the jsonb before a template does, and may replace it by another one, which
 * must live as long as the scope is used. name is NULL for an element of a list.
 */
typedef void (*StringFilter)(void *arg, const char *name, int name_length, MustacheValue *value);

/* Slots of the hash table of variables: more than twice as many as there can be variables. */
#define SCOPE_SLOTS 128
#define SCOPE_MAX_VARIABLES 60

typedef struct JsonbScope
{
	MustacheScope scope; /* for MustacheRender */
	MustacheValue root;
	StringFilter filter; /* NULL: none */
	void *filter_arg;
	int max_text; /* a longer number, list or object is cut to so many bytes; 0: never */
	const ScopeVariable *slots[SCOPE_SLOTS]; /* the variables, see SlotOf() */
	PartialSource partial_source;
	void *partial_arg;
} JsonbScope;

/*
 * Fills in a scope, without a filter and max_text. The values, a detoasted jsonb that may be NULL,
 * and the variables are not copied: they must live as long as the scope is used. At most
 * SCOPE_MAX_VARIABLES are allowed. If there are no variables, values may be any jsonb, which {{.}}
 * prints; else only an object is used.
 */
extern void InitJsonbScope(JsonbScope *scope, const ScopeVariable *variables, int variable_count,
						   const Jsonb *values, PartialSource partial_source, void *partial_arg);

#endif /* RHESIS_JSONB_SCOPE_H */

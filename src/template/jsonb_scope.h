/*
 * jsonb_scope.h - gives a template the members of a jsonb value, and variables of the caller.
 *
 * If both have the same name, the variable of the caller is used. But if it is marked replaceable,
 * a member that is a number, or a string that is not empty, is used instead.
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
 * Called with each string of the jsonb before the template gets it. May replace the string in
 * *value by another one, which must live as long as the scope is used. name is NULL for an element
 * of a list.
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
	int max_text; /* numbers, lists and objects are cut to so many bytes; 0: never */
	const ScopeVariable *slots[SCOPE_SLOTS]; /* the variables, see SlotOf() */
	PartialSource partial_source;
	void *partial_arg;
} JsonbScope;

/*
 * Fills in a scope, without a filter and max_text. The values, a detoasted jsonb that may be NULL,
 * and the variables are not copied: they must live as long as the scope is used. At most
 * SCOPE_MAX_VARIABLES are allowed. If there are no variables, values may be any jsonb, which {{.}}
 * prints. If there are variables, values that are not an object count as an empty one. partial_arg
 * is passed to partial_source.
 */
extern void InitJsonbScope(JsonbScope *scope, const ScopeVariable *variables, int variable_count,
						   const Jsonb *values, PartialSource partial_source, void *partial_arg);

#endif /* RHESIS_JSONB_SCOPE_H */

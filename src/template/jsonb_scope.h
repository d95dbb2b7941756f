/*
 * jsonb_scope.h - a jsonb value as a template's variables, beneath variables of
 * the caller's own.
 *
 * The caller's variables win; one that is marked as replaceable gives way to a
 * member of the jsonb value of the same name that is not null.
 */
#ifndef RHESIS_JSONB_SCOPE_H
#define RHESIS_JSONB_SCOPE_H

#include "mustache/mustache.h"
#include "utils/jsonb.h"

/* A variable of the caller's own: a text, a boolean or null. */
typedef struct ScopeVariable
{
	const char *name;
	MustacheKind kind; /* MUSTACHE_STRING, MUSTACHE_TRUE, MUSTACHE_FALSE or MUSTACHE_NULL */
	const char *text;  /* MUSTACHE_STRING: terminated */
	bool replaceable;
} ScopeVariable;

/*
 * Where partials come from; see MustacheScope.  With no function there are none.
 */
typedef const MustacheTemplate *(*PartialSource)(void *arg, const char *name, int name_length,
												 MustacheError *error);

/*
 * Sees each string of the jsonb before a template does, and may put another in its place, which must live as long as the
 * scope is used. name is NULL for an element of a list.
 */
typedef void (*StringFilter)(void *arg, const char *name, int name_length, MustacheValue *value);

/* Places where a variable is looked for, more than twice as many as there are variables. */
#define SCOPE_SLOTS 128
#define SCOPE_MAX_VARIABLES 60

typedef struct JsonbScope
{
	MustacheScope scope; /* for MustacheRender */
	MustacheValue root;
	StringFilter filter; /* NULL: none */
	void *filter_arg;
	int max_text; /* bytes of a number, list or object that are printed, of a longer one with an ellipsis; 0: all */
	const ScopeVariable *slots[SCOPE_SLOTS]; /* the variables: see SlotOf */
	PartialSource partial_source;
	void *partial_arg;
} JsonbScope;

/*
 * Fills in a scope, without a filter and max_text.  "values", a detoasted jsonb that may be NULL, and variables
 * are not copied: they must live as long as the scope is used.  There can be SCOPE_MAX_VARIABLES.  Without variables
 * "values" may be any jsonb and is what {{.}} prints; with them it counts if it is
 * an object.
 */
extern void InitJsonbScope(JsonbScope *scope, const ScopeVariable *variables, int variable_count,
						   const Jsonb *values, PartialSource partial_source, void *partial_arg);

#endif /* RHESIS_JSONB_SCOPE_H */

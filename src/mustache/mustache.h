/*
 * mustache.h - the template engine: Mustache, spec 1.4 with inheritance and
 * dynamic names, without lambdas.
 *
 * A template is parsed once into an immutable MustacheTemplate and rendered as
 * often as wanted.  The engine knows no JSON and no SQL: variables and partials
 * come from a MustacheScope, a handful of callbacks.
 *
 * It promises: no error is raised, errors are values; nesting, partials, output
 * and work are bounded, whatever the template and the data say; nothing but
 * palloc'd memory is held, so a callback may leave by longjmp.
 */
#ifndef RHESIS_MUSTACHE_H
#define RHESIS_MUSTACHE_H

#include "lib/stringinfo.h"

/* Limits that hold for every template. */
#define MUSTACHE_MAX_TEMPLATE_SIZE 1048576 /* bytes of source */
#define MUSTACHE_MAX_NESTING 100		   /* sections open at once in a template */
#define MUSTACHE_MAX_PARTIAL_DEPTH 100	   /* partials within partials */
#define MUSTACHE_MAX_RENDER_DEPTH 500	   /* both together, while rendering */
#define MUSTACHE_MAX_NAME_PARTS 32		   /* a.b.c has three */
#define MUSTACHE_MAX_INDENTATION 1000	   /* bytes, of nested partials together */
#define MUSTACHE_DEFAULT_MAX_OUTPUT (1024 * 1024)
#define MUSTACHE_LARGEST_MAX_OUTPUT (256 * 1024 * 1024)
#define MUSTACHE_DEFAULT_MAX_STEPS (4 * 1000 * 1000)

typedef struct MustacheTemplate MustacheTemplate;

typedef enum MustacheErrorCode
{
	MUSTACHE_OK = 0,
	MUSTACHE_SYNTAX_ERROR,	/* the template can't be parsed */
	MUSTACHE_LIMIT_EXCEEDED /* one of the limits above */
} MustacheErrorCode;

/*
 * What went wrong, for a person to read.  The strings are palloc'd in the
 * current memory context, but hint, which may be NULL, is static.
 */
typedef struct MustacheError
{
	MustacheErrorCode code;
	char *template_name;
	int line;			 /* from 1; 0 where no place in the template is to blame */
	char *tag;			 /* the tag as it stands there, cut if long; NULL without one */
	const char *message; /* "tag is not closed" */
	const char *hint;	 /* a full sentence */
} MustacheError;

typedef enum MustacheKind
{
	MUSTACHE_NULL,
	MUSTACHE_FALSE,
	MUSTACHE_TRUE,
	MUSTACHE_NUMBER,
	MUSTACHE_STRING,
	MUSTACHE_LIST,
	MUSTACHE_OBJECT
} MustacheKind;

/*
 * A value of the scope, passed about by copy.  What a field means that isn't
 * explained for a kind is up to the scope.
 */
typedef struct MustacheValue
{
	MustacheKind kind;
	int length;		  /* MUSTACHE_STRING: bytes; MUSTACHE_LIST: elements */
	const void *data; /* MUSTACHE_STRING: the bytes, not terminated */
} MustacheValue;

/*
 * Where names are looked up.  Only what is returned by root(), member() and
 * element() is ever passed back; values must stay valid while rendering.
 */
typedef struct MustacheScope
{
	void *arg; /* passed to each callback */

	/* The value at the bottom of the context stack. */
	void (*root)(void *arg, MustacheValue *value);

	/* Member "name" of an object: false if there is none.  (null is one.) */
	bool (*member)(void *arg, const MustacheValue *object, const char *name, int name_length,
				   MustacheValue *value);

	/* Element "index" (from 0, always within length) of a list. */
	void (*element)(void *arg, const MustacheValue *list, int index, MustacheValue *value);

	/* Whether a number equals 0. */
	bool (*is_zero)(void *arg, const MustacheValue *number);

	/*
	 * Appends the text of a number, list or object; false, with nothing appended,
	 * if it is longer than max_length.
	 */
	bool (*append_text)(void *arg, const MustacheValue *value, int max_length, StringInfo out);

	/*
	 * The partial of that name, or NULL.  A partial that can't be had because of
	 * an error fills in the error (the engine has set it to MUSTACHE_OK).
	 */
	const MustacheTemplate *(*partial)(void *arg, const char *name, int name_length,
									   MustacheError *error);

	/* Called often while rendering; may be NULL. */
	void (*check_for_interrupts)(void *arg);
} MustacheScope;

typedef struct MustacheOptions
{
	bool escape_html; /* {{name}} is escaped; {{{name}}} and {{&name}} never are */
	int max_output;	  /* bytes; 0 for the default */
	int max_steps; /* tags and names looked up, long ones counting as several; 0 for the default */
} MustacheOptions;

/* What a template uses a name for. */
typedef enum MustacheUse
{
	MUSTACHE_USES_VARIABLE, /* the name as written: may be dotted, or "." */
	MUSTACHE_USES_SECTION,	/* the same for {{#name}} and {{^name}} */
	MUSTACHE_USES_PARTIAL	/* {{>name}} or {{<name}}; {{>*name}} uses a variable */
} MustacheUse;

typedef void (*MustacheNameVisitor)(void *arg, MustacheUse use, const char *name, int name_length);

/*
 * Parses source, which is copied.  Returns one palloc'd chunk in the current
 * memory context, to be freed by pfree; or NULL, and the error is filled in.
 */
extern MustacheTemplate *
MustacheParse(const char *name, const char *source, size_t length, MustacheError *error);

/*
 * Appends the rendered template to "out".  Returns false if a limit was hit or
 * a partial could not be had: the error is filled in and "out" is as it was.
 */
extern bool MustacheRender(const MustacheTemplate *template, const MustacheScope *scope,
						   const MustacheOptions *options, StringInfo out, MustacheError *error);

/*
 * Calls visit for each name that rendering may use, in the order of the source,
 * repetitions included.  What a {{<parent}} tag ignores is not visited.
 */
extern void
MustacheVisitNames(const MustacheTemplate *template, MustacheNameVisitor visit, void *arg);

/*
 * The line of a section, or of a block that can be filled with something else, that the first block of this name is in, where each
 * one is in such, and no section has its opposite; 0: it is always shown, or there is none.
 */
extern int
MustacheConditionalLine(const MustacheTemplate *template, const char *name, int name_length);

/*
 * The line of the first text or tag that a parent encloses beside its blocks, which is not shown; 0: there is none.
 */
extern int MustacheUnshownLine(const MustacheTemplate *template);

/*
 * Whether it includes {{>partials}}, or parents that a variable names.
 */
extern bool MustacheUsesPartials(const MustacheTemplate *template);

/*
 * Calls visit for each block: for one that the template has (parent NULL), and for one that it puts into the parent of that name,
 * which is terminated by nothing.
 */
typedef void (*MustacheBlockVisitor)(void *arg, const char *parent, int parent_length,
									 const char *name, int name_length);
extern void
MustacheVisitBlocks(const MustacheTemplate *template, MustacheBlockVisitor visit, void *arg);

/*
 * The line, from 1, of a name that was visited.
 */
extern int MustacheLineOfName(const MustacheTemplate *template, const char *name);

#endif /* RHESIS_MUSTACHE_H */

/*
 * mustache.h - the template engine: Mustache, spec 1.4 with inheritance and dynamic names, without
 * lambdas.
 *
 * A template is parsed once into an immutable MustacheTemplate, and can be rendered many times. The
 * engine knows no JSON and no SQL: variables and partials come from the callbacks of a
 * MustacheScope.
 *
 * The engine raises no error: its functions return what is wrong. Nesting, partials, output and
 * work are bounded for every template and all data. The engine holds only palloc'd memory, so a
 * callback may leave by longjmp.
 */
#ifndef RHESIS_MUSTACHE_H
#define RHESIS_MUSTACHE_H

#include "lib/stringinfo.h"

/* These limits hold for every template. */
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
	MUSTACHE_SYNTAX_ERROR,	/* the template cannot be parsed */
	MUSTACHE_LIMIT_EXCEEDED /* one of the limits above */
} MustacheErrorCode;

/*
 * What went wrong, for people. The strings are palloc'd in the current memory context, except hint,
 * which is static and may be NULL.
 */
typedef struct MustacheError
{
	MustacheErrorCode code;
	char *template_name;
	int line;			 /* from 1; 0 if the error has no place in the template */
	char *tag;			 /* the tag as written, cut if it is long; or NULL */
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
 * A value of the scope, passed by copy. The scope may use length and data as it likes, except for
 * the kinds that the comments below name.
 */
typedef struct MustacheValue
{
	MustacheKind kind;
	int length;		  /* MUSTACHE_STRING: bytes; MUSTACHE_LIST: elements */
	const void *data; /* MUSTACHE_STRING: the bytes, not terminated */
} MustacheValue;

/*
 * Where names are looked up. The engine passes back only values that root(), member() and element()
 * returned. Those values must stay valid while rendering.
 */
typedef struct MustacheScope
{
	void *arg; /* passed to each callback */

	/* Sets the value at the bottom of the context stack. */
	void (*root)(void *arg, MustacheValue *value);

	/*
	 * Sets *value to the object's member of that name. Returns false if there is none; a member
	 * that is null exists.
	 */
	bool (*member)(void *arg, const MustacheValue *object, const char *name, int name_length,
				   MustacheValue *value);

	/*
	 * Sets *value to the list's element at index, which counts from 0 and is always within length.
	 */
	void (*element)(void *arg, const MustacheValue *list, int index, MustacheValue *value);

	/* Returns true if the number equals 0. */
	bool (*is_zero)(void *arg, const MustacheValue *number);

	/*
	 * Appends the text of a number, list or object. Returns false, and appends nothing, if the text
	 * is longer than max_length.
	 */
	bool (*append_text)(void *arg, const MustacheValue *value, int max_length, StringInfo out);

	/*
	 * Returns the partial of that name; NULL if there is none. If an error occurs, returns NULL and
	 * fills in the error. The engine has set the error to MUSTACHE_OK before.
	 */
	const MustacheTemplate *(*partial)(void *arg, const char *name, int name_length,
									   MustacheError *error);

	/* Called often while rendering. May be NULL. */
	void (*check_for_interrupts)(void *arg);
} MustacheScope;

typedef struct MustacheOptions
{
	bool escape_html; /* {{name}} is escaped; {{{name}}} and {{&name}} never are */
	int max_output;	  /* bytes; 0 for the default */
	int max_steps;	  /* tags and look-ups, where long names count as several; 0 for the default */
} MustacheOptions;

/* How a template uses a name. */
typedef enum MustacheUse
{
	MUSTACHE_USES_VARIABLE, /* the name as written; it may be dotted, or "." */
	MUSTACHE_USES_SECTION,	/* the same for {{#name}} and {{^name}} */
	MUSTACHE_USES_PARTIAL	/* {{>name}} or {{<name}}; {{>*name}} uses a variable */
} MustacheUse;

typedef void (*MustacheNameVisitor)(void *arg, MustacheUse use, const char *name, int name_length);

/*
 * Parses source, and copies it. Returns one palloc'd chunk in the current memory context, which
 * pfree() frees. On an error, returns NULL and fills in the error; name is the template's name in
 * it.
 */
extern MustacheTemplate *
MustacheParse(const char *name, const char *source, size_t length, MustacheError *error);

/*
 * Appends the rendered template to out. If a limit is exceeded or scope->partial() fails, returns
 * false, fills in the error and leaves out as it was.
 */
extern bool MustacheRender(const MustacheTemplate *template, const MustacheScope *scope,
						   const MustacheOptions *options, StringInfo out, MustacheError *error);

/*
 * Calls visit for each name that rendering may use, in the order of the source, with repetitions.
 * Does not visit names that a {{<parent}} tag ignores.
 */
extern void
MustacheVisitNames(const MustacheTemplate *template, MustacheNameVisitor visit, void *arg);

/*
 * Returns 0 if a block of this name is always shown, or if there is none. Otherwise returns the
 * line of the section, or of the replaceable block, that encloses the first block of this name. Two
 * blocks in opposite sections count as always shown.
 */
extern int
MustacheConditionalLine(const MustacheTemplate *template, const char *name, int name_length);

/*
 * Returns the line of the first text or tag that is inside a parent tag but in no block, and so is
 * never shown; 0: there is none.
 */
extern int MustacheUnshownLine(const MustacheTemplate *template);

/* Returns true if the template includes {{>partials}}, or parents that a variable names. */
extern bool MustacheUsesPartials(const MustacheTemplate *template);

/*
 * Calls visit for each block, except the blocks that are put into a parent that a variable names.
 * parent is NULL for a block of the template itself, and else the name of the parent that the block
 * is put into. The names are not terminated.
 */
typedef void (*MustacheBlockVisitor)(void *arg, const char *parent, int parent_length,
									 const char *name, int name_length);
extern void
MustacheVisitBlocks(const MustacheTemplate *template, MustacheBlockVisitor visit, void *arg);

/* Returns the line, from 1, of a name. name must be the pointer that a visitor got. */
extern int MustacheLineOfName(const MustacheTemplate *template, const char *name);

#endif /* RHESIS_MUSTACHE_H */

/*
 * mustache_internal.h - a parsed template, as mustache*.c see it.
 *
 * A template is a flat array of nodes in the order of the source; a node with a
 * body (section, block, parent) says where it ends.  All text is in the copy of
 * the source, and nodes say where.  Node array, name parts and source share one
 * allocation with the MustacheTemplate.
 */
#ifndef RHESIS_MUSTACHE_INTERNAL_H
#define RHESIS_MUSTACHE_INTERNAL_H

#include "mustache/mustache.h"

/* A stretch of the source. */
typedef struct Span
{
	int offset;
	int length;
} Span;

typedef enum NodeKind
{
	NODE_TEXT,
	NODE_VARIABLE,	   /* {{name}} */
	NODE_RAW_VARIABLE, /* {{{name}}} and {{&name}} */
	NODE_SECTION,	   /* {{#name}} */
	NODE_INVERTED,	   /* {{^name}} */
	NODE_PARTIAL,	   /* {{>name}} */
	NODE_PARENT,	   /* {{<name}}; its body holds nothing but blocks */
	NODE_BLOCK		   /* {{$name}} */
} NodeKind;

typedef struct Node
{
	uint8 kind;
	bool line_start; /* the first thing rendered in its line of the source */
	bool dynamic;	 /* partial or parent: the name is that of a variable */
	bool indents;	 /* partial, parent, block: what is put there is indented */
	bool own_lines;	 /* block: its content starts on a line of its own */
	uint8 part_count;
	int first_part;	  /* of a variable's name; no parts: the name is "." */
	int end;		  /* index of the first node behind this one and its body */
	Span tag;		  /* the tag in the source; for text the text itself */
	Span name;		  /* without the dynamic name's asterisk */
	Span indentation; /* what "indents" adds to each line */
	int dedent;		  /* block: indentation to take from its lines when they are put elsewhere */
} Node;

struct MustacheTemplate
{
	int node_count;
	int source_length;
	const Node *nodes;
	const Span *parts;
	const char *source;
	const char *name; /* terminated */
	int unshown; /* where a parent encloses something beside blocks, which is not shown; or -1 */
};

/* The number of the line that source[offset] is in, from 1. */
extern int MustacheLineOf(const char *source, int offset);

/*
 * Fills in the error for a place in a source text; an empty tag names no tag.
 */
extern void
MustacheSetError(MustacheError *error, MustacheErrorCode code, const char *template_name,
				 const char *source, Span tag, const char *message, const char *hint);

#endif /* RHESIS_MUSTACHE_INTERNAL_H */

/*
 * mustache_internal.h - a parsed template, as mustache*.c see it.
 *
 * A template is a flat array of nodes in the order of the source. A node with a body (section,
 * block, parent) says where the body ends. All text is in the copy of the source, and nodes point
 * into it. The node array, the name parts and the source are in one allocation with the
 * MustacheTemplate.
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
	NODE_PARENT,	   /* {{<name}}; its body contains only blocks */
	NODE_BLOCK		   /* {{$name}} */
} NodeKind;

typedef struct Node
{
	uint8 kind;
	bool line_start; /* nothing is rendered before it on its line of the source */
	bool dynamic;	 /* partial or parent: a variable has its name */
	bool indents;	 /* partial, parent, block: the content that it shows is indented */
	bool own_lines;	 /* block: its content starts on a new line */
	uint8 part_count;
	int first_part;	  /* first part of a variable's name; a name without parts is "." */
	int end;		  /* index of the first node after this one and its body */
	Span tag;		  /* the tag in the source; for text, the text itself */
	Span name;		  /* without the dynamic name's asterisk */
	Span indentation; /* white space that is added to each line if indents is set */
	int dedent;		  /* block: how much indentation its lines lose when they are shown elsewhere */
} Node;

struct MustacheTemplate
{
	int node_count;
	int source_length;
	const Node *nodes;
	const Span *parts;
	const char *source;
	const char *name; /* terminated */
	int unshown;	  /* offset of the first text in a parent outside its blocks; -1: none */
};

/* Returns the number of the line, from 1, that source[offset] is in. */
extern int MustacheLineOf(const char *source, int offset);

/*
 * Fills in the error for a place in a source text. If tag is empty, the error has no tag and no
 * line.
 */
extern void
MustacheSetError(MustacheError *error, MustacheErrorCode code, const char *template_name,
				 const char *source, Span tag, const char *message, const char *hint);

#endif /* RHESIS_MUSTACHE_INTERNAL_H */

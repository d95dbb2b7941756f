/*
 * variable_list.h - the variables that a template's author can count on, for the author to read.
 */
#ifndef RHESIS_VARIABLE_LIST_H
#define RHESIS_VARIABLE_LIST_H

typedef struct ListedVariable
{
	const char *name;
	const char *description;
	const char *example; /* as a mail shows it, in ASCII */
} ListedVariable;

/* Ours, then the keys of a task's result that the shipped templates know; ends with a NULL name. */
extern const ListedVariable listed_variables[];

/* Whether one has the name, which need not end with a zero byte. */
extern bool IsListedVariable(const char *name, size_t length);

/* NULL: there is none of that name. */
extern const ListedVariable *FindListedVariable(const char *name);

#endif

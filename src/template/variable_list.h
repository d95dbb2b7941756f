/*
 * variable_list.h - the variables that a template's author can rely on, as documentation for the
 * author.
 */
#ifndef RHESIS_VARIABLE_LIST_H
#define RHESIS_VARIABLE_LIST_H

typedef struct ListedVariable
{
	const char *name;
	const char *description;
	const char *example; /* as a mail shows it, in ASCII */
} ListedVariable;

/*
 * Our variables, then the keys of a task's result that the shipped templates use. The last entry
 * has a NULL name.
 */
extern const ListedVariable listed_variables[];

/* Returns true if a variable has this name, which need not be terminated. */
extern bool IsListedVariable(const char *name, size_t length);

/* Returns NULL if there is no variable of this name. */
extern const ListedVariable *FindListedVariable(const char *name);

#endif

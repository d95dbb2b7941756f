/*
 * call_check.h - checks how an SQL-callable function was called.
 *
 * PostgreSQL does not check that a call fits a C function. If an argument is missing or
 * unexpectedly null, or a row has another shape, the function reads a bad pointer. That crashes its
 * process, and the server then ends every session. Any role that may execute a trigger function can
 * create a trigger with it on a table of its own. So each SQL-callable function first checks its
 * call, and raises an error if the call is wrong.
 */
#ifndef RHESIS_CALL_CHECK_H
#define RHESIS_CALL_CHECK_H

#include "commands/trigger.h"
#include "fmgr.h"
#include "nodes/execnodes.h"

/* The trigger that a trigger function was written for. The bools say which events it may have. */
typedef struct OwnTrigger
{
	const char *function;
	const char *tables[2]; /* in schema rhesis_notify; the second one may be NULL */
	TriggerEvent level;	   /* TRIGGER_EVENT_ROW, or 0 for a statement; an AFTER trigger */
	bool insert;
	bool update;
	bool delete_or_truncate;
} OwnTrigger;

/*
 * Returns the data of the trigger that called the function. Raises an error if no trigger called
 * it, or a trigger other than the one that own describes.
 */
extern TriggerData *RequireTrigger(FunctionCallInfo fcinfo, const OwnTrigger *own);

/* Raises an error unless the function was called with count arguments, and not by a trigger. */
extern void RequireArguments(FunctionCallInfo fcinfo, int count);

/*
 * As RequireArguments(), for a function that is declared STRICT: also raises an error if an
 * argument is null.
 */
extern void RequireStrictArguments(FunctionCallInfo fcinfo, int count);

/*
 * Begins the result of a function that returns rows. Returns the place for the rows: add them to
 * its setResult. Raises an error if the caller accepts no set of rows, or if the function is not
 * declared with this number of columns.
 */
extern ReturnSetInfo *BeginRows(FunctionCallInfo fcinfo, int columns);

#endif /* RHESIS_CALL_CHECK_H */

/*
 * call_check.h - checks how an SQL-callable function was called.
 *
 * A function in C trusts its caller. An argument too few, an unexpected null or a row of another
 * shape becomes a bad pointer, and a bad pointer ends every session of the server. Any role that
 * may execute a trigger function can create a trigger with it on a table of its own. So each
 * SQL-callable function checks its call first, and raises an error if the call is wrong.
 */
#ifndef RHESIS_CALL_CHECK_H
#define RHESIS_CALL_CHECK_H

#include "commands/trigger.h"
#include "fmgr.h"
#include "nodes/execnodes.h"

/* The trigger that a trigger function was written for. */
typedef struct OwnTrigger
{
	const char *function;
	const char *tables[2]; /* in schema rhesis_notify; the second one may be NULL */
	TriggerEvent level;	   /* TRIGGER_EVENT_ROW, or 0 for a statement trigger; always AFTER */
	bool insert;
	bool update;
	bool delete_or_truncate;
} OwnTrigger;

/* Returns the calling trigger. Raises an error if it is not the trigger that own describes. */
extern TriggerData *RequireTrigger(FunctionCallInfo fcinfo, const OwnTrigger *own);

/* Raises an error unless the function was called with count arguments, and not by a trigger. */
extern void RequireArguments(FunctionCallInfo fcinfo, int count);

/* The same for a function that is declared STRICT: also raises an error if an argument is null. */
extern void RequireStrictArguments(FunctionCallInfo fcinfo, int count);

/*
 * Begins a result of rows with so many columns. Raises an error if the caller accepts no set of
 * rows, or expects another number of columns.
 */
extern ReturnSetInfo *BeginRows(FunctionCallInfo fcinfo, int columns);

#endif /* RHESIS_CALL_CHECK_H */

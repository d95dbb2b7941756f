/*
 * call_check.h - checks how an SQL-callable function was called.
 *
 * A function in C trusts its caller: a wrong number of arguments, a null that it does not expect or a row of another shape is a
 * bad pointer, and a bad pointer ends every session of the server. Any role that may execute a trigger function can make a
 * trigger of it on a table of its own. So each function of ours checks first, and a wrong call is an error.
 */
#ifndef RHESIS_CALL_CHECK_H
#define RHESIS_CALL_CHECK_H

#include "commands/trigger.h"
#include "fmgr.h"
#include "nodes/execnodes.h"

/* The trigger that a trigger function is for. */
typedef struct OwnTrigger
{
	const char *function;
	const char *tables[2]; /* in schema rhesis_notify; the second may be NULL */
	TriggerEvent level; /* TRIGGER_EVENT_ROW or 0: for each statement. It fires AFTER the event. */
	bool insert;
	bool update;
	bool delete_or_truncate;
} OwnTrigger;

/* The trigger that calls; an error where it is another one than the function is for. */
extern TriggerData *RequireTrigger(FunctionCallInfo fcinfo, const OwnTrigger *own);

/* An error unless there are so many arguments. */
extern void RequireArguments(FunctionCallInfo fcinfo, int count);

/* The same for a function that is declared STRICT: an error where an argument is null, too. */
extern void RequireStrictArguments(FunctionCallInfo fcinfo, int count);

/* Begin a result of rows with so many columns; an error where the caller takes no set, or other columns. */
extern ReturnSetInfo *BeginRows(FunctionCallInfo fcinfo, int columns);

#endif /* RHESIS_CALL_CHECK_H */

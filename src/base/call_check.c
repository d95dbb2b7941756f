/*
 * call_check.c - checks how an SQL-callable function was called.
 */
#include "postgres.h"

#include "base/call_check.h"

#include "catalog/namespace.h"
#include "commands/event_trigger.h"
#include "funcapi.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define SCHEMA "rhesis_notify"

/* ---- Triggers ---- */

static bool
IsOnOwnTable(const TriggerData *trigger, const OwnTrigger *own)
{
	const char *table = RelationGetRelationName(trigger->tg_relation);

	if (strcmp(table, own->tables[0]) != 0 &&
		(own->tables[1] == NULL || strcmp(table, own->tables[1]) != 0))
		return false;
	return RelationGetNamespace(trigger->tg_relation) == get_namespace_oid(SCHEMA, true);
}

static bool
HasOwnEvent(TriggerEvent event, const OwnTrigger *own)
{
	if (TRIGGER_FIRED_BY_INSERT(event))
		return own->insert;
	if (TRIGGER_FIRED_BY_UPDATE(event))
		return own->update;
	return own->delete_or_truncate;
}

static bool
IsOwnTrigger(const TriggerData *trigger, const OwnTrigger *own)
{
	return IsOnOwnTable(trigger, own) && TRIGGER_FIRED_AFTER(trigger->tg_event) &&
		   (trigger->tg_event & TRIGGER_EVENT_ROW) == own->level &&
		   HasOwnEvent(trigger->tg_event, own) && trigger->tg_trigger->tgnargs == 0;
}

TriggerData *
RequireTrigger(FunctionCallInfo fcinfo, const OwnTrigger *own)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function \"%s\" was not called by a trigger", own->function)));
	if (!IsOwnTrigger(trigger, own))
		ereport(
			ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("function \"%s\" was called by a wrong trigger", own->function),
			 errdetail("It was called by trigger \"%s\" of relation \"%s\".",
					   trigger->tg_trigger->tgname, RelationGetRelationName(trigger->tg_relation)),
			 errhint("Only the triggers that CREATE EXTENSION has created may call it. Drop "
					 "this one.")));
	return trigger;
}

/* ---- Arguments and results ---- */

static const char *
FunctionName(FunctionCallInfo fcinfo)
{
	const char *name = get_func_name(fcinfo->flinfo->fn_oid);

	return name ? name : "";
}

void
RequireArguments(FunctionCallInfo fcinfo, int count)
{
	if (CALLED_AS_TRIGGER(fcinfo) || CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function \"%s\" was called by a trigger", FunctionName(fcinfo))));
	if (PG_NARGS() != count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function \"%s\" has a wrong number of arguments", FunctionName(fcinfo)),
				 errdetail("The library expects %d, not %d.", count, PG_NARGS())));
}

void
RequireStrictArguments(FunctionCallInfo fcinfo, int count)
{
	RequireArguments(fcinfo, count);
	for (int i = 0; i < count; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("argument %d of function \"%s\" must not be null", i + 1,
								   FunctionName(fcinfo))));
	}
}

ReturnSetInfo *
BeginRows(FunctionCallInfo fcinfo, int columns)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (result->setDesc->natts != columns)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function \"%s\" has a wrong number of columns", FunctionName(fcinfo)),
				 errdetail("The library expects %d, not %d.", columns, result->setDesc->natts)));
	return result;
}

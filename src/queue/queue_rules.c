/*
 * queue_rules.c - see queue_rules.h.
 */
#include "postgres.h"

#include "queue/queue_rules.h"

#include "queue/queue_internal.h"

/*
 * Rules for updates of the queue and inserts of events, except rules that are for replicas only, or
 * disabled.
 */
static QueueStatement stopping_rules = {
	.sql =
		"SELECT pg_catalog.string_agg(pg_catalog.format('rule %I of rhesis_notify.%I', r.rulename, c.relname),"
		"  ', ' ORDER BY r.oid),"
		" pg_catalog.string_agg(pg_catalog.format('DROP RULE %I ON rhesis_notify.%I;', r.rulename, c.relname),"
		"  ' ' ORDER BY r.oid) "
		"FROM pg_catalog.pg_rewrite AS r"
		" JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) r.ev_class "
		"WHERE c.relnamespace OPERATOR(pg_catalog.=) 'rhesis_notify'::pg_catalog.regnamespace"
		" AND r.ev_enabled OPERATOR(pg_catalog.=) ANY ('{O,A}'::pg_catalog.\"char\"[])"
		" AND (c.relname OPERATOR(pg_catalog.=) 'task_notifications'::pg_catalog.name"
		"  AND r.ev_type OPERATOR(pg_catalog.=) '2'::pg_catalog.\"char\""
		"  OR c.relname OPERATOR(pg_catalog.=) 'delivery_events'::pg_catalog.name"
		"  AND r.ev_type OPERATOR(pg_catalog.=) '3'::pg_catalog.\"char\")",
};

bool
ReadQueueRules(QueueRules *rules)
{
	MemoryContext caller = CurrentMemoryContext;
	int nest_level = QueueBegin();
	char *names;

	QueueExecute(&stopping_rules, NULL, NULL);
	names = QueueText(0, 1);
	if (names != NULL)
	{
		const char *drops = QueueText(0, 2);

		MemoryContextSwitchTo(caller);
		rules->names = pstrdup(names);
		rules->advice =
			psprintf("%s No mail goes out while such a rule is there. Afterwards SELECT "
					 "rhesis_notify.wake_workers(); has the worker go on at once.",
					 drops);
	}
	QueueEnd(nest_level);
	return names != NULL;
}

bool
MayBeRules(int sqlstate)
{
	return sqlstate == ERRCODE_FEATURE_NOT_SUPPORTED ||
		   sqlstate == ERRCODE_TRIGGERED_ACTION_EXCEPTION;
}

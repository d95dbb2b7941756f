/*
 * queue_facts.c - what the queue knows about one notification, for explain(): how it was opted in,
 * its state, its events.
 *
 * This file only reads. The claim decides whether a task is opted in; this file tells which
 * registration that decision comes from.
 */
#include "postgres.h"

#include "queue/queue_facts.h"

#include "catalog/pg_type.h"
#include "queue/queue_internal.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

typedef enum FactColumn
{
	FACT_STATE = 1,
	FACT_REASON,
	FACT_ATTEMPTS,
	FACT_NEXT_ATTEMPT_AT,
	FACT_FINISHED_AT,
	FACT_CLAIMED_BY,
	FACT_RECIPIENT_EMAIL,
	FACT_MESSAGE_ID,
	FACT_SMTP_REPLY,
	FACT_NAMES_TEMPLATE,
	FACT_NAMES_SUBJECT,
	FACT_REGISTERED_NAME,
	FACT_REGISTERED_SILENT,
	FACT_REGISTERED_SHIPPED,
	FACT_PAUSED_SINCE,
	FACT_PAUSED_BY,
	FACT_DUE_BEFORE
} FactColumn;

/* $1 id, $2 how many due rows before it are counted at most. Columns in the order of FactColumn. */
static QueueStatement facts_of = {
	.sql =
		"SELECT n.delivery_status::text, n.delivery_reason, n.attempts, n.next_attempt_at, n.finished_at, n.claimed_by,"
		" n.recipient_email, n.message_id, n.smtp_reply,"
		" COALESCE(n.template OPERATOR(pg_catalog.<>) '', false),"
		" COALESCE(n.subject_template OPERATOR(pg_catalog.<>) '', false),"
		" t.task_name, t.silent, t.origin OPERATOR(pg_catalog.=) 'shipped', p.since, p.paused_by,"
		" CASE WHEN n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()"
		"  AND (pg_catalog.enum_eq(n.delivery_status, 'pending'::rhesis_notify.delivery_state)"
		"   OR pg_catalog.enum_eq(n.delivery_status, 'deferred'::rhesis_notify.delivery_state))"
		" THEN (SELECT pg_catalog.count(*) FROM"
		"  (SELECT FROM rhesis_notify.task_notifications AS o"
		"   WHERE o.finished_at IS NULL"
		"    AND (pg_catalog.enum_eq(o.delivery_status, 'pending'::rhesis_notify.delivery_state)"
		"   OR pg_catalog.enum_eq(o.delivery_status, 'deferred'::rhesis_notify.delivery_state))"
		"    AND ROW(o.next_attempt_at, o.id) OPERATOR(pg_catalog.<) ROW(n.next_attempt_at, n.id)"
		"   LIMIT $2) AS earlier) END "
		"FROM rhesis_notify.task_notifications AS n"
		" LEFT JOIN LATERAL"
		"  (SELECT * FROM rhesis_notify.task_types AS type"
		"   WHERE type.task_name OPERATOR(pg_catalog.=) n.task_name"
		"    OR type.task_name OPERATOR(pg_catalog.=) pg_catalog.split_part(n.task_name, '.', -1)"
		"   ORDER BY type.task_name OPERATOR(pg_catalog.=) n.task_name DESC LIMIT 1) AS t ON true"
		" LEFT JOIN rhesis_notify.database_pause AS p ON true "
		"WHERE n.id OPERATOR(pg_catalog.=) $1",
	.parameter_count = 2,
	.parameter_types = {INT8OID, INT4OID},
};

/* $1 id, $2 limit */
static QueueStatement events_of = {
	.sql = "SELECT e.occurred_at, e.event, e.reply, e.detail OPERATOR(pg_catalog.->>) 'message',"
		   " e.detail OPERATOR(pg_catalog.->>) 'by', pg_catalog.count(*) OVER () "
		   "FROM rhesis_notify.delivery_events AS e "
		   "WHERE e.notification_id OPERATOR(pg_catalog.=) $1 ORDER BY e.id DESC LIMIT $2",
	.parameter_count = 2,
	.parameter_types = {INT8OID, INT4OID},
};

/* Returns a value of a type that is passed by value; 0 for null. */
static Datum
ValueAt(uint64 row, int column)
{
	bool is_null;
	Datum value = QueueValue(row, column, &is_null);

	return is_null ? (Datum) 0 : value;
}

static NotificationFacts *
ReadFacts(void)
{
	NotificationFacts *facts = palloc0_object(NotificationFacts);

	facts->state = QueueText(0, FACT_STATE);
	facts->reason = QueueText(0, FACT_REASON);
	facts->attempts = DatumGetInt32(ValueAt(0, FACT_ATTEMPTS));
	facts->next_attempt_at = DatumGetTimestampTz(ValueAt(0, FACT_NEXT_ATTEMPT_AT));
	facts->finished_at = DatumGetTimestampTz(ValueAt(0, FACT_FINISHED_AT));
	facts->claimed_by = DatumGetInt64(ValueAt(0, FACT_CLAIMED_BY));
	facts->recipient_email = QueueText(0, FACT_RECIPIENT_EMAIL);
	facts->message_id = QueueText(0, FACT_MESSAGE_ID);
	facts->smtp_reply = QueueText(0, FACT_SMTP_REPLY);
	facts->due_before = DatumGetInt64(ValueAt(0, FACT_DUE_BEFORE));
	facts->names_template = DatumGetBool(ValueAt(0, FACT_NAMES_TEMPLATE));
	facts->names_subject = DatumGetBool(ValueAt(0, FACT_NAMES_SUBJECT));
	facts->registered_name = QueueText(0, FACT_REGISTERED_NAME);
	facts->registered_silent = DatumGetBool(ValueAt(0, FACT_REGISTERED_SILENT));
	facts->registered_shipped = DatumGetBool(ValueAt(0, FACT_REGISTERED_SHIPPED));
	facts->paused_since = DatumGetTimestampTz(ValueAt(0, FACT_PAUSED_SINCE));
	facts->paused_by = QueueText(0, FACT_PAUSED_BY);
	return facts;
}

NotificationFacts *
FetchFacts(int64 id, MemoryContext context)
{
	int nest_level = QueueBegin();
	Datum values[2] = {Int64GetDatum(id), Int32GetDatum(MOST_DUE_BEFORE)};
	NotificationFacts *facts = NULL;

	if (QueueExecute(&facts_of, values, NULL) > 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		facts = ReadFacts();
		MemoryContextSwitchTo(caller);
	}
	QueueEnd(nest_level);
	return facts;
}

NotificationEvent *
FetchEvents(int64 id, int limit, MemoryContext context, int *count, int64 *total)
{
	int nest_level = QueueBegin();
	Datum values[2] = {Int64GetDatum(id), Int32GetDatum(limit)};
	MemoryContext caller;
	NotificationEvent *events;

	*count = (int) QueueExecute(&events_of, values, NULL);
	*total = *count > 0 ? DatumGetInt64(ValueAt(0, 6)) : 0;

	caller = MemoryContextSwitchTo(context);
	events = palloc_array(NotificationEvent, *count + 1);
	for (int i = 0; i < *count; i++)
	{
		/* The statement returns the latest event first. */
		NotificationEvent *event = &events[*count - 1 - i];

		event->occurred_at = DatumGetTimestampTz(ValueAt(i, 1));
		event->event = QueueText(i, 2);
		event->reply = QueueText(i, 3);
		event->message = QueueText(i, 4);
		event->by = QueueText(i, 5);
	}
	MemoryContextSwitchTo(caller);
	QueueEnd(nest_level);
	return events;
}

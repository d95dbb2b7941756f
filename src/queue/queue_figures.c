/*
 * queue_figures.c - the queue in figures, and what its tables need from the server, for health()
 * and metrics().
 */
#include "postgres.h"

#include "queue/queue_figures.h"

#include "catalog/pg_type.h"
#include "queue/queue_internal.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/*
 * $1 limit
 *
 * The number of due rows is a count in the index, which includes rows that are being sent or held;
 * these are subtracted. A row that is being sent became due before the rows that wait. A held row
 * has an event that says why: those are few rows, with an index of their own.
 */
static QueueStatement queue_figures = {
	.sql =
		"SELECT open.pending, open.deferred, open.sending, held.notifications,"
		" (SELECT pg_catalog.count(*) FROM rhesis_notify.task_notifications AS n"
		"  WHERE n.finished_at IS NULL AND n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now())"
		"  OPERATOR(pg_catalog.-) open.sending_due OPERATOR(pg_catalog.-) held.due,"
		" (SELECT pg_catalog.min(n.next_attempt_at) FROM rhesis_notify.task_notifications AS n"
		"  WHERE" N_IS_WAITING " AND n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()),"
		" (SELECT p.since FROM rhesis_notify.database_pause AS p),"
		" (SELECT p.paused_by FROM rhesis_notify.database_pause AS p) "
		"FROM"
		" (SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.enum_eq(o.delivery_status, 'pending'::rhesis_notify.delivery_state)) AS pending,"
		"  pg_catalog.count(*) FILTER (WHERE pg_catalog.enum_eq(o.delivery_status, 'deferred'::rhesis_notify.delivery_state)) AS deferred,"
		"  pg_catalog.count(*) FILTER (WHERE pg_catalog.enum_eq(o.delivery_status, 'sending'::rhesis_notify.delivery_state)) AS sending,"
		"  pg_catalog.count(*) FILTER (WHERE pg_catalog.enum_eq(o.delivery_status, 'sending'::rhesis_notify.delivery_state)"
		"   AND o.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()) AS sending_due"
		"  FROM (SELECT n.delivery_status, n.next_attempt_at FROM rhesis_notify.task_notifications AS n"
		"   WHERE n.finished_at IS NULL ORDER BY n.next_attempt_at, n.id LIMIT $1) AS o) AS open,"
		" (SELECT pg_catalog.count(*) AS notifications,"
		"  pg_catalog.count(*) FILTER (WHERE n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()) AS due"
		"  FROM rhesis_notify.task_notifications AS n"
		"  WHERE pg_catalog.enum_eq(n.delivery_status, 'held'::rhesis_notify.delivery_state)"
		"   AND n.id OPERATOR(pg_catalog.=) ANY (SELECT e.notification_id FROM rhesis_notify.delivery_events AS e"
		"    WHERE e.event OPERATOR(pg_catalog.=) 'in_doubt')) AS held",
	.parameter_count = 1,
	.parameter_types = {INT4OID},
};

/* $1 limit */
static QueueStatement queue_failures = {
	.sql =
		"SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.enum_eq(finished.delivery_status, 'failed'::rhesis_notify.delivery_state)),"
		" pg_catalog.count(*) FILTER (WHERE pg_catalog.enum_eq(finished.delivery_status, 'sent'::rhesis_notify.delivery_state)"
		"  OR pg_catalog.enum_eq(finished.delivery_status, 'failed'::rhesis_notify.delivery_state)),"
		" CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.<) $1"
		"  THEN pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::interval"
		"  ELSE pg_catalog.min(finished.finished_at) END "
		"FROM"
		" (SELECT n.delivery_status, n.finished_at"
		"  FROM rhesis_notify.task_notifications AS n"
		"  WHERE n.finished_at OPERATOR(pg_catalog.>)"
		"    (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::interval)"
		"  ORDER BY n.finished_at DESC LIMIT $1) AS finished",
	.parameter_count = 1,
	.parameter_types = {INT4OID},
};

/* The ages include those of the TOAST tables. */
static QueueStatement table_figures = {
	.sql =
		"SELECT pg_catalog.current_setting('autovacuum')::boolean AND pg_catalog.current_setting('track_counts')::boolean"
		"  AND pg_catalog.bool_and(COALESCE(o.option_value::boolean, true)),"
		" pg_catalog.sum(pg_catalog.pg_stat_get_live_tuples(c.oid)) FILTER (WHERE grows.is_so)::bigint,"
		" pg_catalog.sum(pg_catalog.pg_stat_get_dead_tuples(c.oid)) FILTER (WHERE grows.is_so)::bigint,"
		" pg_catalog.min(GREATEST(pg_catalog.pg_stat_get_last_autovacuum_time(c.oid),"
		"  pg_catalog.pg_stat_get_last_vacuum_time(c.oid))) FILTER (WHERE grows.is_so),"
		" pg_catalog.max(age.xids)::bigint, pg_catalog.max(age.multixacts)::bigint,"
		" pg_catalog.string_agg(pg_catalog.concat('rhesis_notify.', c.relname), ', ' ORDER BY c.relname) FILTER (WHERE"
		"  age.xids OPERATOR(pg_catalog.>=) pg_catalog.current_setting('autovacuum_freeze_max_age')::integer"
		"  OR age.multixacts OPERATOR(pg_catalog.>=) pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::integer) "
		"FROM pg_catalog.pg_class AS c"
		" CROSS JOIN LATERAL (SELECT c.relname OPERATOR(pg_catalog.=)"
		"  ANY ('{task_notifications,delivery_events}'::name[])) AS grows (is_so)"
		" LEFT JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) c.reltoastrelid"
		" CROSS JOIN LATERAL (SELECT GREATEST(pg_catalog.age(c.relfrozenxid), pg_catalog.age(t.relfrozenxid)),"
		"  GREATEST(pg_catalog.mxid_age(c.relminmxid), pg_catalog.mxid_age(t.relminmxid))) AS age (xids, multixacts)"
		" LEFT JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) AS o"
		"  ON o.option_name OPERATOR(pg_catalog.=) 'autovacuum_enabled' AND grows.is_so "
		"WHERE c.relkind OPERATOR(pg_catalog.=) 'r'"
		" AND c.relnamespace OPERATOR(pg_catalog.=) 'rhesis_notify'::regnamespace",
};

/* For one table: its name, its greatest id, and the last id that its sequence has given. */
#define SEQUENCE_OF(table)                                                                     \
	"SELECT '" table "' AS name,"                                                              \
	" (SELECT n.id FROM rhesis_notify." table " AS n ORDER BY n.id DESC LIMIT 1) AS greatest," \
	" CASE WHEN s.is_called THEN s.last_value ELSE s.last_value OPERATOR(pg_catalog.-) 1 END"  \
	"  AS given FROM rhesis_notify." table "_id_seq AS s"

#define SEQUENCES                     \
	SEQUENCE_OF("task_notifications") \
	" UNION ALL " SEQUENCE_OF("delivery_events") " UNION ALL " SEQUENCE_OF("templates")

static QueueStatement sequence_lags = {
	.sql =
		"SELECT pg_catalog.string_agg(pg_catalog.format('the sequence of %s.id is %s behind the rows',"
		"  s.name, s.greatest OPERATOR(pg_catalog.-) s.given), '; '),"
		" pg_catalog.string_agg(pg_catalog.format("
		"  'SELECT pg_catalog.setval(''rhesis_notify.%s_id_seq'', %s);', s.name, s.greatest), ' ') "
		"FROM (" SEQUENCES ") AS s WHERE s.greatest OPERATOR(pg_catalog.>) s.given",
};

static QueueStatement installed_versions = {
	.sql =
		"SELECT e.extversion, a.default_version FROM pg_catalog.pg_extension AS e"
		" LEFT JOIN pg_catalog.pg_available_extensions AS a ON a.name OPERATOR(pg_catalog.=) e.extname "
		"WHERE e.extname OPERATOR(pg_catalog.=) 'rhesis_notify'",
};

/* Returns a column of the only row, of a type that is passed by value; 0 for null. */
static Datum
Figure(int column)
{
	bool is_null;
	Datum value = QueueValue(0, column, &is_null);

	return is_null ? (Datum) 0 : value;
}

/* Returns a column of the only row as text, copied to context; NULL for null. */
static char *
FigureText(int column, MemoryContext context)
{
	char *text = QueueText(0, column);

	return text ? MemoryContextStrdup(context, text) : NULL;
}

void
ReadQueueFigures(MemoryContext context, QueueFigures *figures)
{
	int nest_level = QueueBegin();
	Datum limit = Int32GetDatum(MOST_COUNTED);

	QueueExecute(&queue_figures, &limit, NULL);
	figures->pending = DatumGetInt64(Figure(1));
	figures->deferred = DatumGetInt64(Figure(2));
	figures->sending = DatumGetInt64(Figure(3));
	figures->held = DatumGetInt64(Figure(4));
	figures->due = DatumGetInt64(Figure(5));
	figures->due_since = DatumGetTimestampTz(Figure(6));
	figures->paused_since = DatumGetTimestampTz(Figure(7));
	figures->paused_by = FigureText(8, context);
	QueueEnd(nest_level);
}

void
ReadQueueFailures(QueueFailures *failures)
{
	int nest_level = QueueBegin();
	Datum limit = Int32GetDatum(MOST_COUNTED);

	QueueExecute(&queue_failures, &limit, NULL);
	failures->failed = DatumGetInt64(Figure(1));
	failures->ended = DatumGetInt64(Figure(2));
	failures->since = DatumGetTimestampTz(Figure(3));
	QueueEnd(nest_level);
}

void
ReadTableFigures(MemoryContext context, TableFigures *figures)
{
	int nest_level = QueueBegin();

	QueueExecute(&table_figures, NULL, NULL);
	figures->is_vacuumed = DatumGetBool(Figure(1));
	figures->live_rows = DatumGetInt64(Figure(2));
	figures->dead_rows = DatumGetInt64(Figure(3));
	figures->vacuumed_at = DatumGetTimestampTz(Figure(4));
	figures->frozen_age = DatumGetInt64(Figure(5));
	figures->multixact_age = DatumGetInt64(Figure(6));
	figures->unfrozen = FigureText(7, context);
	QueueEnd(nest_level);
}

char *
ReadSequenceLags(MemoryContext context, char **advice)
{
	int nest_level = QueueBegin();
	char *lags;

	QueueExecute(&sequence_lags, NULL, NULL);
	lags = FigureText(1, context);
	*advice = FigureText(2, context);
	QueueEnd(nest_level);
	return lags;
}

void
ReadInstalledVersions(MemoryContext context, InstalledVersions *versions)
{
	int nest_level = QueueBegin();

	QueueExecute(&installed_versions, NULL, NULL);
	versions->objects = FigureText(1, context);
	versions->files = FigureText(2, context);
	QueueEnd(nest_level);
}

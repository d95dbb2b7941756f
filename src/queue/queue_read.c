/*
 * queue_read.c - reads rows of the queue as notifications, and changes nothing.
 *
 * A long text is cut while it is read, so it is never in memory as a whole. The claim calls
 * ReadNotification() for the rows that it returns.
 */
#include "postgres.h"

#include "queue/queue_read.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "queue/result_excerpt.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Join the registrations to rows that the statement calls "due", and read from them. */
#define REGISTRATION_JOIN \
	REGISTERED_AS("due.task_name", "pg_catalog.split_part(due.task_name, '.', -1)")

#define REGISTRATION_COLUMNS                                                                             \
	" COALESCE(CASE WHEN due.template OPERATOR(pg_catalog.<>) '' THEN due.template END,"                 \
	"  full_name.template, last_part.template) AS template,"                                             \
	" COALESCE(CASE WHEN due.subject_template OPERATOR(pg_catalog.<>) '' THEN due.subject_template END," \
	"  full_name.subject_template, last_part.subject_template) AS subject_template,"                     \
	" COALESCE(full_name.display_name, last_part.display_name) AS display_name"

/*
 * task_types is small, so a statement reads it once and does not search it for each row. Its
 * columns have no limit of their own, so they are cut here.
 */
#define TASK_TYPE_CTE                                                       \
	"task_type AS MATERIALIZED ("                                           \
	" SELECT t.task_name, pg_catalog.left(t.template, 100000) AS template," \
	"  pg_catalog.left(t.subject_template, 100000) AS subject_template,"    \
	"  pg_catalog.left(t.display_name, 1000) AS display_name"               \
	" FROM rhesis_notify.task_types AS t)"

#define NOTIFICATION_COLUMNS COLUMNS_BEFORE " d.template, d.subject_template" COLUMNS_AFTER

/* $1 id */
static QueueStatement fetch = {
	.sql = "WITH " TASK_TYPE_CTE ", due AS ("
		   " SELECT n.id, n.task_name, n.template, n.subject_template"
		   " FROM rhesis_notify.task_notifications AS n WHERE n.id OPERATOR(pg_catalog.=) $1"
		   "), d AS ("
		   " SELECT due.id," REGISTRATION_COLUMNS " FROM due" REGISTRATION_JOIN ")"
		   "SELECT" NOTIFICATION_COLUMNS
		   " FROM rhesis_notify.task_notifications AS n JOIN d ON n.id OPERATOR(pg_catalog.=) d.id",
	.parameter_count = 1,
	.parameter_types = {INT8OID},
};

/* $1 template (null: any), $2 organization (null: all), $3 limit */
static QueueStatement latest = {
	.sql = "WITH " TASK_TYPE_CTE ", opted AS ("
		   " SELECT due.id, due.organization_id," REGISTRATION_COLUMNS
		   " FROM rhesis_notify.task_notifications AS due" REGISTRATION_JOIN ")"
		   "SELECT o.id FROM opted AS o"
		   " WHERE o.template OPERATOR(pg_catalog.=) COALESCE($1, o.template)"
		   "  AND ($2 IS NULL OR o.organization_id IS NULL"
		   "       OR o.organization_id OPERATOR(pg_catalog.=) ANY (ARRAY['', $2]))"
		   " ORDER BY o.id DESC LIMIT $3",
	.parameter_count = 3,
	.parameter_types = {TEXTOID, TEXTOID, INT4OID},
};

/*
 * Returns a column as text, like QueueText(). A value of type text or varchar is cut to max_chars
 * characters, and the rest is not read.
 */
static char *
CutTextColumn(uint64 row, NotificationColumn column, int max_chars)
{
	bool is_null;
	Datum value = QueueValue(row, column, &is_null);
	Oid type = SPI_gettypeid(SPI_tuptable->tupdesc, column);
	text *slice;
	char *copy;

	if (is_null || (type != TEXTOID && type != VARCHAROID) ||
		toast_raw_datum_size(value) <= (Size) max_chars)
		return QueueText(row, column);
	slice = DatumGetTextPSlice(value, 0, max_chars * pg_database_encoding_max_length());
	copy = pnstrdup(VARDATA_ANY(slice),
					pg_mbcharcliplen(VARDATA_ANY(slice), VARSIZE_ANY_EXHDR(slice), max_chars));
	pfree(slice);
	return copy;
}

/* Returns a column as text, cut to QUEUE_MAX_TEXT: the texts of a registration have no limit. */
static char *
TextColumn(uint64 row, NotificationColumn column)
{
	return CutTextColumn(row, column, QUEUE_MAX_TEXT);
}

Datum
QueueColumn(uint64 row, NotificationColumn column)
{
	bool is_null;

	return QueueValue(row, column, &is_null);
}

static void
ReadResult(uint64 row, Notification *notification)
{
	bool is_null;
	Datum value = QueueValue(row, COLUMN_RESULT, &is_null);

	if (is_null)
		return;
	RequireQueueType(COLUMN_RESULT, JSONBOID);
	if (toast_raw_datum_size(value) > QUEUE_MAX_RESULT)
		notification->result = ExcerptOfResult(value, &notification->result_remark);
	else
		notification->result = DatumGetJsonbPCopy(value);
}

Notification *
ReadNotification(uint64 row)
{
	Notification *notification = palloc0_object(Notification);
	bool is_null;

	notification->id = DatumGetInt64(QueueColumn(row, COLUMN_ID));
	notification->task_id = TextColumn(row, COLUMN_TASK_ID);
	notification->task_name = TextColumn(row, COLUMN_TASK_NAME);
	notification->is_success = DatumGetBool(QueueColumn(row, COLUMN_IS_SUCCESS));
	notification->user_id = TextColumn(row, COLUMN_USER_ID);
	notification->organization_id = TextColumn(row, COLUMN_ORGANIZATION_ID);
	notification->template_name = TextColumn(row, COLUMN_TEMPLATE);
	notification->subject_template = TextColumn(row, COLUMN_SUBJECT_TEMPLATE);
	notification->display_name = TextColumn(row, COLUMN_DISPLAY_NAME);
	ReadResult(row, notification);
	notification->error_message = CutTextColumn(row, COLUMN_ERROR_MESSAGE, QUEUE_MAX_ERROR_MESSAGE);
	notification->started_at = DatumGetTimestampTz(QueueValue(row, COLUMN_STARTED_AT, &is_null));
	notification->has_started_at = !is_null;
	notification->completed_at = DatumGetTimestampTz(QueueColumn(row, COLUMN_COMPLETED_AT));
	notification->created_at = DatumGetTimestampTz(QueueColumn(row, COLUMN_CREATED_AT));
	notification->attempts = DatumGetInt32(QueueColumn(row, COLUMN_ATTEMPTS));
	notification->message_id = TextColumn(row, COLUMN_MESSAGE_ID);
	return notification;
}

Notification *
FetchNotification(int64 id, MemoryContext context)
{
	int nest_level = QueueBegin();
	Datum values[1] = {Int64GetDatum(id)};
	Notification *notification = NULL;

	if (QueueExecute(&fetch, values, NULL) > 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		notification = ReadNotification(0);
		MemoryContextSwitchTo(caller);
	}
	QueueEnd(nest_level);
	return notification;
}

int64 *
LatestNotifications(const char *template_name, const char *organization_id, int limit,
					MemoryContext context, int *count)
{
	int nest_level = QueueBegin();
	Datum values[3] = {0, 0, Int32GetDatum(limit)};
	char nulls[3] = {'n', 'n', ' '};
	int64 *ids;

	if (template_name != NULL)
	{
		values[0] = CStringGetTextDatum(template_name);
		nulls[0] = ' ';
	}
	if (organization_id != NULL)
	{
		values[1] = CStringGetTextDatum(organization_id);
		nulls[1] = ' ';
	}
	*count = (int) QueueExecute(&latest, values, nulls);
	ids = MemoryContextAlloc(context, Max(*count, 1) * sizeof(int64));
	for (int row = 0; row < *count; row++)
		ids[row] = DatumGetInt64(QueueColumn(row, COLUMN_ID));
	QueueEnd(nest_level);
	return ids;
}

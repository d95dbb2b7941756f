/*
 * queue_claim.c - takes due notifications out of the queue: claimed for a worker, or settled
 * because no mail is owed.
 *
 * The claim reads one partial index, beginning at the first waiting row. It skips rows that other
 * sessions have locked, and reads only our own tables. Here it is decided whether a task is opted
 * in, so a silent task costs one update and nothing else.
 */
#include "postgres.h"

#include "queue/queue.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "queue/queue_aside.h"
#include "queue/queue_internal.h"
#include "queue/result_excerpt.h"
#include "settings/settings.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* If so many rows wait for a lock and no row can be claimed, the rows are not at fault. */
#define MOST_LOCKED_TRIES 3

/*
 * A task's registration: under its full name, or else under the part of the name after the last
 * dot.
 */
#define REGISTERED_AS(name, last_part_of_name)                                              \
	" LEFT JOIN task_type AS full_name ON full_name.task_name OPERATOR(pg_catalog.=) " name \
	" LEFT JOIN task_type AS last_part ON full_name.task_name IS NULL AND"                  \
	"  last_part.task_name OPERATOR(pg_catalog.=) " last_part_of_name

/* For rows that are called "due". */
#define REGISTRATION_JOIN \
	REGISTERED_AS("due.task_name", "pg_catalog.split_part(due.task_name, '.', -1)")

#define REGISTRATION_COLUMNS                                                                             \
	" COALESCE(CASE WHEN due.template OPERATOR(pg_catalog.<>) '' THEN due.template END,"                 \
	"  full_name.template, last_part.template) AS template,"                                             \
	" COALESCE(CASE WHEN due.subject_template OPERATOR(pg_catalog.<>) '' THEN due.subject_template END," \
	"  full_name.subject_template, last_part.subject_template) AS subject_template,"                     \
	" COALESCE(full_name.display_name, last_part.display_name) AS display_name"

/*
 * The table is small, so it is read once per batch, not searched for each row. Its columns have no
 * limit of their own, so they are cut here.
 */
#define TASK_TYPE_CTE                                                       \
	"task_type AS MATERIALIZED ("                                           \
	" SELECT t.task_name, pg_catalog.left(t.template, 100000) AS template," \
	"  pg_catalog.left(t.subject_template, 100000) AS subject_template,"    \
	"  pg_catalog.left(t.display_name, 1000) AS display_name"               \
	" FROM rhesis_notify.task_types AS t)"

/*
 * A name of more than 1000 bytes, shortened. It then is longer than any name that was not
 * shortened, so it equals none of those.
 */
#define SHORT_NAME(name)                                                          \
	"CASE WHEN pg_catalog.octet_length(" name ") OPERATOR(pg_catalog.<=) 1000"    \
	" THEN " name " ELSE pg_catalog.left(" name ", 1000) OPERATOR(pg_catalog.||)" \
	" pg_catalog.encode(pg_catalog.sha256(pg_catalog.textsend(" name ")), 'hex') END"

#define IS_LONG(text) "pg_catalog.octet_length(" text ") OPERATOR(pg_catalog.>) 1000"
#define SHORT_TEXT(text) "CASE WHEN " IS_LONG(text) " THEN '' ELSE " text " END"

#define TYPE_NAME SHORT_NAME("t.task_name")
#define TYPE_TEMPLATE SHORT_TEXT("t.template")
#define TYPE_SUBJECT SHORT_TEXT("t.subject_template")
#define TYPE_DISPLAY_NAME SHORT_TEXT("t.display_name")
#define TYPE_IS_LONG \
	IS_LONG("t.template") " OR " IS_LONG("t.subject_template") " OR " IS_LONG("t.display_name")

/* The same without long texts. */
#define SHORT_TASK_TYPE_CTE                                                          \
	"task_type AS MATERIALIZED ("                                                    \
	" SELECT " TYPE_NAME " AS task_name, " TYPE_TEMPLATE " AS template,"             \
	"  " TYPE_SUBJECT " AS subject_template, " TYPE_DISPLAY_NAME " AS display_name," \
	"  " TYPE_IS_LONG " AS is_long"                                                  \
	" FROM rhesis_notify.task_types AS t)"

/* In the order of NotificationColumn. "n" is the row, "d" has its registration. */
#define COLUMNS_BEFORE                                                          \
	" n.id, n.task_id, n.task_name, n.status OPERATOR(pg_catalog.=) 'success'," \
	" n.user_id, n.organization_id,"

#define COLUMNS_AFTER                                            \
	", d.display_name, n.result, n.error_message, n.started_at," \
	" COALESCE(n.completed_at, n.created_at), n.created_at, n.attempts, n.message_id, n.next_attempt_at"

#define NOTIFICATION_COLUMNS COLUMNS_BEFORE " d.template, d.subject_template" COLUMNS_AFTER

#define CLAIMED_COLUMNS                                                                              \
	COLUMNS_BEFORE                                                                                   \
	" COALESCE(CASE WHEN n.template OPERATOR(pg_catalog.<>) '' THEN n.template END, d.template),"    \
	" COALESCE(CASE WHEN n.subject_template OPERATOR(pg_catalog.<>) '' THEN n.subject_template END," \
	"  d.subject_template)" COLUMNS_AFTER

typedef enum NotificationColumn
{
	COLUMN_ID = 1,
	COLUMN_TASK_ID,
	COLUMN_TASK_NAME,
	COLUMN_IS_SUCCESS,
	COLUMN_USER_ID,
	COLUMN_ORGANIZATION_ID,
	COLUMN_TEMPLATE,
	COLUMN_SUBJECT_TEMPLATE,
	COLUMN_DISPLAY_NAME,
	COLUMN_RESULT,
	COLUMN_ERROR_MESSAGE,
	COLUMN_STARTED_AT,
	COLUMN_COMPLETED_AT,
	COLUMN_CREATED_AT,
	COLUMN_ATTEMPTS,
	COLUMN_MESSAGE_ID,
	COLUMN_NEXT_ATTEMPT_AT,
	COLUMN_IS_CLAIMED, /* the last three only in a claim */
	COLUMN_IS_FINISHED,
	COLUMN_HAS_LONG_TEXTS
} NotificationColumn;

/*
 * $1 epoch, $2 limit, $3 and $4 the position after which to go on, $5 rows created before have
 * expired (null: none has), $6 ids to include or exclude, $7 to $9 which rows came with a copy: if
 * one did, nothing is changed
 *
 * The UPDATE finds the locked rows by their ctid, which cannot change while we hold the lock, and
 * needs no index for it. Triggers of the application may change what the claim writes, so the last
 * columns say what became of the row.
 *
 * If another session changes a row, PostgreSQL needs a copy of it. Therefore the joins keep copies
 * of whole rows of "due" and "task_type" in memory, and these rows must be short. Long names are
 * shortened on both sides. The worker reads a registration with long texts again.
 */
#define DUE_FULL_NAME SHORT_NAME("n.task_name")
#define DUE_LAST_PART SHORT_NAME("pg_catalog.split_part(n.task_name, '.', -1)")
#define DUE_IS_COPIED ROW_IS_COPIED("due", "$7", "$8", "$9")
#define DUE_REGISTRATION_JOIN REGISTERED_AS("due.full_name", "due.last_part")

#define CLAIM(condition)                                                                      \
	"WITH due AS MATERIALIZED ("                                                              \
	" SELECT n.ctid AS row, n.id, n.created_at,"                                              \
	"  " DUE_FULL_NAME " AS full_name, " DUE_LAST_PART " AS last_part,"                       \
	"  n.template OPERATOR(pg_catalog.<>) '' IS TRUE AS has_template,"                        \
	"  n.user_id OPERATOR(pg_catalog.<>) '' IS TRUE AS has_user"                              \
	" FROM rhesis_notify.task_notifications AS n"                                             \
	" WHERE" N_IS_WAITING condition " FOR NO KEY UPDATE SKIP LOCKED"                          \
	"), " SHORT_TASK_TYPE_CTE ", d AS ("                                                      \
	" SELECT due.row, COALESCE(full_name.template, last_part.template) AS template,"          \
	"  COALESCE(full_name.subject_template, last_part.subject_template) AS subject_template," \
	"  COALESCE(full_name.display_name, last_part.display_name) AS display_name,"             \
	"  COALESCE(full_name.is_long, last_part.is_long) IS TRUE AS is_long,"                    \
	"  CASE WHEN NOT due.has_template"                                                        \
	"    AND COALESCE(full_name.template, last_part.template) IS NULL THEN 'silent_task'"     \
	"   WHEN due.created_at OPERATOR(pg_catalog.<) $5 THEN 'expired'"                         \
	"   WHEN NOT due.has_user THEN 'no_user' END AS reason"                                   \
	" FROM due" DUE_REGISTRATION_JOIN ")"                                                     \
	"UPDATE rhesis_notify.task_notifications AS n"                                            \
	" SET delivery_status = CASE WHEN d.reason IS NULL THEN 'sending' ELSE 'skipped' END"     \
	"   ::rhesis_notify.delivery_state,"                                                      \
	"  delivery_reason = d.reason,"                                                           \
	"  claimed_by = CASE WHEN d.reason IS NULL THEN $1 END,"                                  \
	"  finished_at = CASE WHEN d.reason IS NOT NULL THEN pg_catalog.clock_timestamp() END"    \
	" FROM d WHERE n.ctid OPERATOR(pg_catalog.=) d.row"                                       \
	"  AND NOT EXISTS (SELECT FROM due WHERE " DUE_IS_COPIED ")"                              \
	" RETURNING" CLAIMED_COLUMNS ", n.claimed_by OPERATOR(pg_catalog.=) $1 IS TRUE,"          \
	" n.finished_at IS NOT NULL, d.is_long"

#define DUE_IN_ORDER(condition)                                                      \
	" AND n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()"                \
	" AND ROW(n.next_attempt_at, n.id) OPERATOR(pg_catalog.>) ROW($3, $4)" condition \
	" ORDER BY n.next_attempt_at, n.id LIMIT $2"

#define CLAIM_PARAMETERS                                                                      \
	.parameter_count = 9, .parameter_types = {INT8OID,		  INT4OID,		  TIMESTAMPTZOID, \
											  INT8OID,		  TIMESTAMPTZOID, INT8ARRAYOID,   \
											  TIMESTAMPTZOID, INT8OID,		  TIMESTAMPTZOID}

static QueueStatement claim = {
	.sql = CLAIM(DUE_IN_ORDER("")),
	CLAIM_PARAMETERS,
};

static QueueStatement claim_others = {
	.sql = CLAIM(DUE_IN_ORDER(" AND n.id OPERATOR(pg_catalog.<>) ALL ($6)")),
	CLAIM_PARAMETERS,
};

static QueueStatement claim_these = {
	.sql = CLAIM(" AND n.id OPERATOR(pg_catalog.=) ANY ($6)"),
	CLAIM_PARAMETERS,
};

/* $1 epoch, $2 ids of a claim that is not committed yet. Each row keeps its place in the queue. */
static QueueStatement unclaim = {
	.sql = "UPDATE rhesis_notify.task_notifications AS n"
		   " SET delivery_status = 'pending'::rhesis_notify.delivery_state, claimed_by = NULL"
		   " WHERE n.id OPERATOR(pg_catalog.=) ANY ($2) AND n.claimed_by OPERATOR(pg_catalog.=) $1",
	.parameter_count = 2,
	.parameter_types = {INT8OID, INT8ARRAYOID},
};

/* $1 ids to exclude, $2 limit */
static QueueStatement due_rows = {
	.sql = "SELECT n.id FROM rhesis_notify.task_notifications AS n "
		   "WHERE" N_IS_WAITING " AND n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()"
		   " AND n.id OPERATOR(pg_catalog.<>) ALL ($1) "
		   "ORDER BY n.next_attempt_at, n.id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
	.parameter_count = 2,
	.parameter_types = {INT8ARRAYOID, INT4OID},
};

/*
 * $1 limit, $2 and $3 the position, $4 to $6 which rows came with a copy. For a claim that took no
 * row: was it refused?
 */
static QueueStatement claim_is_refused = {
	.sql = "SELECT FROM"
		   " (SELECT n.id, n.created_at FROM rhesis_notify.task_notifications AS n"
		   "  WHERE" N_IS_WAITING " AND n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()"
		   "   AND ROW(n.next_attempt_at, n.id) OPERATOR(pg_catalog.>) ROW($2, $3)"
		   "  ORDER BY n.next_attempt_at, n.id LIMIT $1) AS due "
		   "WHERE " ROW_IS_COPIED("due", "$4", "$5", "$6") " LIMIT 1",
	.parameter_count = 6,
	.parameter_types = {INT4OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID},
};

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
		   "  AND ($2 IS NULL OR COALESCE(o.organization_id, $2) OPERATOR(pg_catalog.=) $2)"
		   " ORDER BY o.id DESC LIMIT $3",
	.parameter_count = 3,
	.parameter_types = {TEXTOID, TEXTOID, INT4OID},
};

/*
 * $1 and $2 the position after which to look, $3 ids to exclude. Finds the first waiting row even
 * if another session has locked it.
 */
#define FIRST_WAITING(condition)                                                     \
	"SELECT n.next_attempt_at, n.id FROM rhesis_notify.task_notifications AS n "     \
	"WHERE" N_IS_WAITING                                                             \
	" AND ROW(n.next_attempt_at, n.id) OPERATOR(pg_catalog.>) ROW($1, $2)" condition \
	" ORDER BY n.next_attempt_at, n.id LIMIT 1"

static QueueStatement first_waiting = {
	.sql = FIRST_WAITING(""),
	.parameter_count = 2,
	.parameter_types = {TIMESTAMPTZOID, INT8OID},
};

static QueueStatement first_other_waiting = {
	.sql = FIRST_WAITING(" AND n.id OPERATOR(pg_catalog.<>) ALL ($3)"),
	.parameter_count = 3,
	.parameter_types = {TIMESTAMPTZOID, INT8OID, INT8ARRAYOID},
};

/* A place in the queue: just after this row. */
typedef struct QueuePlace
{
	TimestampTz time;
	int64 id;
} QueuePlace;

/* The smallest id is possible: OVERRIDING SYSTEM VALUE allows any number. */
static const QueuePlace queue_start = {DT_NOBEGIN, PG_INT64_MIN};

static QueuePlace claim_position = {DT_NOBEGIN, PG_INT64_MIN}; /* where the next claim goes on */

/*
 * At the last look no row waited before this place. It is never in the future: rows that are
 * deferred may get a place there.
 */
static QueuePlace first_waiting_position = {DT_NOBEGIN, PG_INT64_MIN};

/* QueueText(), cut to max_chars. The rest is not read. */
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

/* The same with the limit for a column of a registration, which has none of its own. */
static char *
TextColumn(uint64 row, NotificationColumn column)
{
	return CutTextColumn(row, column, QUEUE_MAX_TEXT);
}

/* Returns the value of a column that is never null. */
static Datum
Column(uint64 row, NotificationColumn column)
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

/* Returns the row as a notification in the current context. */
static Notification *
ReadNotification(uint64 row)
{
	Notification *notification = palloc0_object(Notification);
	bool is_null;

	notification->id = DatumGetInt64(Column(row, COLUMN_ID));
	notification->task_id = TextColumn(row, COLUMN_TASK_ID);
	notification->task_name = TextColumn(row, COLUMN_TASK_NAME);
	notification->is_success = DatumGetBool(Column(row, COLUMN_IS_SUCCESS));
	notification->user_id = TextColumn(row, COLUMN_USER_ID);
	notification->organization_id = TextColumn(row, COLUMN_ORGANIZATION_ID);
	notification->template_name = TextColumn(row, COLUMN_TEMPLATE);
	notification->subject_template = TextColumn(row, COLUMN_SUBJECT_TEMPLATE);
	notification->display_name = TextColumn(row, COLUMN_DISPLAY_NAME);
	ReadResult(row, notification);
	notification->error_message = CutTextColumn(row, COLUMN_ERROR_MESSAGE, QUEUE_MAX_ERROR_MESSAGE);
	notification->started_at = DatumGetTimestampTz(QueueValue(row, COLUMN_STARTED_AT, &is_null));
	notification->has_started_at = !is_null;
	notification->completed_at = DatumGetTimestampTz(Column(row, COLUMN_COMPLETED_AT));
	notification->created_at = DatumGetTimestampTz(Column(row, COLUMN_CREATED_AT));
	notification->attempts = DatumGetInt32(Column(row, COLUMN_ATTEMPTS));
	notification->message_id = TextColumn(row, COLUMN_MESSAGE_ID);
	return notification;
}

/* The claim leaves out the long texts of a registration, so such a row is read again. */
static Notification *
ReadClaimed(uint64 row)
{
	Notification *whole = NULL;

	if (DatumGetBool(Column(row, COLUMN_HAS_LONG_TEXTS)))
		whole = FetchNotification(DatumGetInt64(Column(row, COLUMN_ID)), CurrentMemoryContext);
	return whole ? whole : ReadNotification(row);
}

/* RETURNING promises no order, so the position is that of the greatest row. */
static void
AdvanceClaimPosition(uint64 row)
{
	TimestampTz time = DatumGetTimestampTz(Column(row, COLUMN_NEXT_ATTEMPT_AT));
	int64 id = DatumGetInt64(Column(row, COLUMN_ID));

	if (time > claim_position.time || (time == claim_position.time && id > claim_position.id))
		claim_position = (QueuePlace){time, id};
}

/* Runs a claim. Returns the number of rows that were claimed or settled. */
static uint64
ExecuteClaim(QueueStatement *statement, int64 epoch, int limit, QueuePlace after, Datum ids,
			 const CopyBounds *bounds)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Datum values[9];
	char nulls[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	values[0] = Int64GetDatum(epoch);
	values[1] = Int32GetDatum(limit);
	values[2] = TimestampTzGetDatum(after.time);
	values[3] = Int64GetDatum(after.id);
	values[4] = TimestampTzGetDatum(now - (TimestampTz) rhesis_expire_after * USECS_PER_SEC);
	values[5] = ids;
	if (rhesis_expire_after == 0)
		nulls[4] = 'n';
	if (ids == (Datum) 0)
		nulls[5] = 'n';
	FillCopyBounds(bounds, &values[6]);
	return QueueExecute(statement, values, nulls);
}

/* ClaimRowByRow() has checked all rows before, so none of them counts as copied. */
static const CopyBounds own_rows = {.born = DT_NOBEGIN, .unnumbered_until = DT_NOBEGIN};

/*
 * After a claim that took no row: returns true if a row came with a copy, false if no row is due or
 * other sessions have locked them all.
 */
static bool
ClaimIsRefused(int limit, QueuePlace after, const CopyBounds *bounds)
{
	Datum values[6] = {Int32GetDatum(limit), TimestampTzGetDatum(after.time),
					   Int64GetDatum(after.id)};

	if (bounds->born == DT_NOBEGIN)
		return false;
	FillCopyBounds(bounds, &values[3]);
	return QueueExecute(&claim_is_refused, values, NULL) > 0;
}

static QueuePlace
PlaceBefore(TimestampTz time, int64 id)
{
	if (id > PG_INT64_MIN)
		return (QueuePlace){time, id - 1};
	return time > DT_NOBEGIN ? (QueuePlace){time - 1, PG_INT64_MAX} : queue_start;
}

/*
 * Finds the first waiting row, beginning where it was found last time. No row is missed: a session
 * that makes an earlier row due wakes the worker with the time of that row (see
 * RewindClaimPosition()), or a later search from the start of the queue finds it.
 */
static bool
FindFirstWaiting(TimestampTz *due)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Datum values[3];
	bool is_null;
	bool found;

	/* The clock was set back. */
	if (first_waiting_position.time > now)
		first_waiting_position = queue_start;
	values[0] = TimestampTzGetDatum(first_waiting_position.time);
	values[1] = Int64GetDatum(first_waiting_position.id);
	if (AsideCount() > 0)
		values[2] = AllAside();
	found =
		QueueExecute(AsideCount() > 0 ? &first_other_waiting : &first_waiting, values, NULL) > 0;

	*due = found ? DatumGetTimestampTz(QueueValue(0, 1, &is_null)) : DT_NOEND;
	if (*due <= now)
		first_waiting_position = PlaceBefore(*due, DatumGetInt64(QueueValue(0, 2, &is_null)));
	else
		first_waiting_position = (QueuePlace){now, PG_INT64_MIN};
	return found;
}

/*
 * Sets the next claim's position to the first waiting row. Returns false if it is not due, or there
 * is none.
 */
static bool
GoToFirstWaiting(void)
{
	TimestampTz due;
	bool found = FindFirstWaiting(&due);

	claim_position = first_waiting_position;
	return found && due <= GetCurrentTransactionStartTimestamp();
}

bool
NextDueTime(TimestampTz *due)
{
	int nest_level = QueueBegin();
	bool found = FindFirstWaiting(due);

	QueueEnd(nest_level);
	return found;
}

void
RewindClaimPosition(TimestampTz since)
{
	QueuePlace place = {since, PG_INT64_MIN};

	if (since <= claim_position.time)
		claim_position = place;
	if (since <= first_waiting_position.time)
		first_waiting_position = place;
}

/* Returns true if one claim has read enough into the context. */
static bool
IsEnough(const ClaimResult *result, MemoryContext context)
{
	return result->count > 0 && MemoryContextMemAllocated(context, false) > QUEUE_MAX_CLAIM;
}

/* The rows of a claim that are not read, because it has enough. */
typedef struct LeftOut
{
	Datum *ids;
	int count;
	TimestampTz since; /* when the first of them is due */
} LeftOut;

static void
LeaveOut(uint64 row, LeftOut *left_out)
{
	TimestampTz due = DatumGetTimestampTz(Column(row, COLUMN_NEXT_ATTEMPT_AT));

	left_out->since = left_out->count == 0 ? due : Min(left_out->since, due);
	left_out->ids[left_out->count++] = Column(row, COLUMN_ID);
}

/* Returns the rows to their places in the queue, where the next claim begins. */
static void
Unclaim(int64 epoch, const LeftOut *left_out)
{
	Datum values[2] = {Int64GetDatum(epoch)};

	if (left_out->count == 0)
		return;
	values[1] = PointerGetDatum(construct_array(left_out->ids, left_out->count, INT8OID,
												sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	if (QueueExecute(&unclaim, values, NULL) < (uint64) left_out->count)
		RaiseRowIsKept("update");
	RewindClaimPosition(left_out->since);
}

/* Adds the rows that the claim returned to the result, in the current memory context. */
static void
ReadClaim(uint64 row_count, ClaimResult *result, LeftOut *left_out)
{
	for (uint64 row = 0; row < row_count; row++)
	{
		if (DatumGetBool(Column(row, COLUMN_IS_CLAIMED)))
		{
			result->cut |= IsEnough(result, CurrentMemoryContext);
			if (result->cut)
				LeaveOut(row, left_out);
			else
				result->notifications[result->count++] = ReadClaimed(row);
		}
		else if (DatumGetBool(Column(row, COLUMN_IS_FINISHED)))
			result->settled++;
		else
			RaiseRowIsKept("claim");
	}
}

void
ClaimDueNotifications(int64 epoch, int limit, ClaimStart start, const CopyBounds *bounds,
					  MemoryContext context, ClaimResult *result)
{
	int nest_level = QueueBegin();
	LeftOut left_out = {0};
	MemoryContext caller;
	uint64 row_count = 0;

	if (start == CLAIM_FROM_START)
		first_waiting_position = queue_start;
	memset(result, 0, sizeof(*result));
	if (start == CLAIM_ONWARDS || GoToFirstWaiting())
	{
		row_count =
			AsideCount() > 0
				? ExecuteClaim(&claim_others, epoch, limit, claim_position, AllAside(), bounds)
				: ExecuteClaim(&claim, epoch, limit, claim_position, (Datum) 0, bounds);
		if (row_count == 0)
			result->refused = ClaimIsRefused(limit, claim_position, bounds);
	}

	left_out.ids = palloc_array(Datum, row_count + 1);
	caller = MemoryContextSwitchTo(context);
	result->notifications = palloc_array(Notification *, row_count + 1);
	ReadClaim(row_count, result, &left_out);
	for (uint64 row = 0; row < row_count; row++)
		AdvanceClaimPosition(row);
	result->full = row_count == (uint64) limit || result->cut;
	MemoryContextSwitchTo(caller);
	Unclaim(epoch, &left_out);
	QueueEnd(nest_level);
}

/* ---- Row by row ---- */

typedef struct ClaimStep
{
	int64 epoch;
	Datum id; /* in an array */
	MemoryContext context;
	ClaimResult *result;
} ClaimStep;

static void
ClaimOne(void *argument)
{
	ClaimStep *step = argument;
	int nest_level = QueueBegin();
	uint64 row_count = ExecuteClaim(&claim_these, step->epoch, 1, queue_start, step->id, &own_rows);
	MemoryContext caller = MemoryContextSwitchTo(step->context);

	if (row_count == 0)
		RaiseRowIsKept("claim");
	ReadClaim(row_count, step->result, NULL);
	MemoryContextSwitchTo(caller);
	QueueEnd(nest_level);
}

/* Locks the rows that are due and may be tried. Returns their ids in the order of the queue. */
static int64 *
LockDueRows(int limit, MonotonicTime now, int *count)
{
	MemoryContext caller = CurrentMemoryContext;
	int nest_level = QueueBegin();
	Datum values[2] = {StillAside(now), Int32GetDatum(limit)};
	int64 *ids;

	*count = (int) QueueExecute(&due_rows, values, NULL);
	ids = MemoryContextAlloc(caller, (*count + 1) * sizeof(int64));
	for (int row = 0; row < *count; row++)
	{
		bool is_null;

		ids[row] = DatumGetInt64(QueueValue(row, 1, &is_null));
	}
	QueueEnd(nest_level);
	return ids;
}

static bool
DueRowsAreCopied(int limit, const CopyBounds *bounds)
{
	int nest_level = QueueBegin();
	bool copied = ClaimIsRefused(limit, queue_start, bounds);

	QueueEnd(nest_level);
	return copied;
}

/*
 * Rows whose claim waited too long for a lock, while no other row could be claimed: the whole queue
 * may be locked.
 */
typedef struct LockedRows
{
	int64 ids[MOST_LOCKED_TRIES];
	int count;
	QueueProblem problem; /* the last one's */
} LockedRows;

/*
 * Another session holds the lock, perhaps on the whole table, and each further row would wait as
 * long. So treat it as an error of the whole queue, unless other rows can be claimed.
 */
static void
NoteLocked(LockedRows *locked, int64 id, const QueueProblem *problem)
{
	if (locked->count == MOST_LOCKED_TRIES)
		RaiseProblem(problem);
	locked->ids[locked->count++] = id;
	locked->problem = *problem;
}

static void
SettleLockedRows(const LockedRows *locked, bool others_claimed, MonotonicTime now,
				 RowProblems *problems)
{
	if (locked->count > 0 && !others_claimed)
		RaiseProblem(&locked->problem);
	for (int i = 0; i < locked->count; i++)
	{
		if (!SetAside(locked->ids[i], now, true))
			RaiseProblem(&locked->problem);
		NoteRowProblem(problems, locked->ids[i], &locked->problem);
	}
}

/* Returns the id as the array that a claim takes. */
static Datum
SingleId(int64 id)
{
	Datum value = Int64GetDatum(id);

	return PointerGetDatum(
		construct_array(&value, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

void
ClaimRowByRow(int64 epoch, int limit, bool patient, const CopyBounds *bounds, MemoryContext context,
			  ClaimResult *result, RowProblems *problems)
{
	MonotonicTime now = MonotonicNow();
	ClaimStep step = {epoch, (Datum) 0, context, result};
	LockedRows locked = {0};
	bool any = false;
	int count;
	int64 *ids;

	memset(problems, 0, sizeof(*problems));
	memset(result, 0, sizeof(*result));
	result->refused = DueRowsAreCopied(limit, bounds);
	if (result->refused)
		return;
	ids = LockDueRows(limit, now, &count);
	result->notifications = MemoryContextAlloc(context, (count + 1) * sizeof(Notification *));
	result->full = count == limit;
	for (int i = 0; i < count; i++)
	{
		ClaimResult before = *result;
		QueueProblem problem;
		bool servers;

		result->cut = IsEnough(result, context);
		if (result->cut)
		{
			result->full = true;
			break;
		}
		step.id = SingleId(ids[i]);
		if (QueueTry(ClaimOne, &step, &problem))
		{
			TakeFromAside(ids[i]);
			any = true;
			continue;
		}
		*result = before;
		if (problem.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE && !any)
		{
			NoteLocked(&locked, ids[i], &problem);
			continue;
		}
		servers = IsServerError(problem.sqlstate);
		if ((servers && patient && problem.sqlstate != ERRCODE_LOCK_NOT_AVAILABLE) ||
			!SetAside(ids[i], now, servers))
			RaiseProblem(&problem);
		NoteRowProblem(problems, ids[i], &problem);
	}
	SettleLockedRows(&locked, any, now, problems);
	if (!result->full)
		ForgetUntried(now);
	first_waiting_position = claim_position = queue_start;
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
		ids[row] = DatumGetInt64(Column(row, COLUMN_ID));
	QueueEnd(nest_level);
	return ids;
}

/*
 * queue_claim.c - takes due notifications out of the queue: claimed for a worker, or settled
 * because no mail is owed.
 *
 * The claim reads one partial index, beginning at the first waiting row. It skips rows that other
 * sessions have locked, and reads only our own tables. The claim also decides whether a task is
 * opted in, so a silent task costs one update and nothing else.
 */
#include "postgres.h"

#include "queue/queue.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "queue/queue_aside.h"
#include "queue/queue_read.h"
#include "settings/settings.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * If the claims of more rows than this wait too long for a lock before one row could be claimed,
 * the rows are not at fault.
 */
#define MOST_LOCKED_TRIES 3

/*
 * The name, or, if it has more than 1000 bytes, its beginning and a hash. A shortened name still
 * has more than 1000 bytes, so it never equals a name that was not shortened.
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

/*
 * The registrations, with '' instead of each text of more than 1000 bytes. is_long tells that there
 * is such a text.
 */
#define SHORT_TASK_TYPE_CTE                                                          \
	"task_type AS MATERIALIZED ("                                                    \
	" SELECT " TYPE_NAME " AS task_name, " TYPE_TEMPLATE " AS template,"             \
	"  " TYPE_SUBJECT " AS subject_template, " TYPE_DISPLAY_NAME " AS display_name," \
	"  " TYPE_IS_LONG " AS is_long"                                                  \
	" FROM rhesis_notify.task_types AS t)"

#define CLAIMED_COLUMNS                                                                              \
	COLUMNS_BEFORE                                                                                   \
	" COALESCE(CASE WHEN n.template OPERATOR(pg_catalog.<>) '' THEN n.template END, d.template),"    \
	" COALESCE(CASE WHEN n.subject_template OPERATOR(pg_catalog.<>) '' THEN n.subject_template END," \
	"  d.subject_template)" COLUMNS_AFTER

/*
 * $1 epoch, $2 limit, $3 and $4 the position after which to continue, $5 rows created before have
 * expired (null: none has), $6 ids to include or exclude, $7 to $9 which rows came with a copy: if
 * one did, nothing is changed
 *
 * The UPDATE finds the locked rows by their ctid, which cannot change while we hold the lock, and
 * needs no index for it. Triggers of the application may change what the claim writes, so the last
 * columns say what became of the row.
 *
 * The joins keep copies of whole rows of "due" and "task_type" in memory, in case another session
 * changes a row and PostgreSQL has to evaluate the joins again. So these rows must be short. Long
 * names are shortened on both sides. The worker reads a row again if its registration has long
 * texts.
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
 * $1 limit, $2 and $3 the position, $4 to $6 which rows came with a copy. For use after a claim
 * that took no row: returns a row if the claim was refused.
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

/*
 * $1 and $2 the position after which to search, $3 ids to exclude. Finds the first waiting row even
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

/* Ids may be negative: OVERRIDING SYSTEM VALUE allows any number. */
static const QueuePlace queue_start = {DT_NOBEGIN, PG_INT64_MIN};

static QueuePlace claim_position = {DT_NOBEGIN, PG_INT64_MIN}; /* where the next claim continues */

/*
 * When the queue was last searched, no row waited before this place. The place is never in the
 * future: a row that is deferred later could get a place before it, and would be missed.
 */
static QueuePlace first_waiting_position = {DT_NOBEGIN, PG_INT64_MIN};

/*
 * Returns a row of the claim as a notification. The claim leaves out the long texts of a
 * registration, so a row with such a registration is read again.
 */
static Notification *
ReadClaimed(uint64 row)
{
	Notification *whole = NULL;

	if (DatumGetBool(QueueColumn(row, COLUMN_HAS_LONG_TEXTS)))
		whole = FetchNotification(DatumGetInt64(QueueColumn(row, COLUMN_ID)), CurrentMemoryContext);
	return whole ? whole : ReadNotification(row);
}

/*
 * Moves the claim position to this row, unless it is further on already: RETURNING promises no
 * order.
 */
static void
AdvanceClaimPosition(uint64 row)
{
	TimestampTz time = DatumGetTimestampTz(QueueColumn(row, COLUMN_NEXT_ATTEMPT_AT));
	int64 id = DatumGetInt64(QueueColumn(row, COLUMN_ID));

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

/* Returns the place just before the row with this time and id. */
static QueuePlace
PlaceBefore(TimestampTz time, int64 id)
{
	if (id > PG_INT64_MIN)
		return (QueuePlace){time, id - 1};
	return time > DT_NOBEGIN ? (QueuePlace){time - 1, PG_INT64_MAX} : queue_start;
}

/*
 * Sets *due to the time when the first waiting row is due, and moves first_waiting_position to just
 * before that row, or to the present if it is due later. Returns false, with *due DT_NOEND, if no
 * row waits.
 *
 * The search begins where the last one has ended. No row is missed: a session that makes an earlier
 * row due wakes the worker with the time of that row (see RewindClaimPosition()), or a later search
 * from the start of the queue finds the row.
 */
static bool
FindFirstWaiting(TimestampTz *due)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Datum values[3];
	bool is_null;
	bool found;

	/* If the clock was set back, begin at the start. */
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

/* Sets the position of the next claim to the first waiting row. Returns false if no row is due. */
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

/* Returns true if the claim has read at least one row, and its context is larger than allowed. */
static bool
IsEnough(const ClaimResult *result, MemoryContext context)
{
	return result->count > 0 && MemoryContextMemAllocated(context, false) > QUEUE_MAX_CLAIM;
}

/* Rows that the statement has claimed, but that are not read, because IsEnough(). */
typedef struct LeftOut
{
	Datum *ids;
	int count;
	TimestampTz since; /* when the first of them is due */
} LeftOut;

static void
LeaveOut(uint64 row, LeftOut *left_out)
{
	TimestampTz due = DatumGetTimestampTz(QueueColumn(row, COLUMN_NEXT_ATTEMPT_AT));

	left_out->since = left_out->count == 0 ? due : Min(left_out->since, due);
	left_out->ids[left_out->count++] = QueueColumn(row, COLUMN_ID);
}

/*
 * Undoes the claim of the rows that were left out. They keep their places in the queue, and the
 * next claim begins there. Raises an error if a trigger or a rule suppresses that.
 */
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

/*
 * Adds the rows that the claim returned to the result, in the current memory context, or to
 * left_out. Raises an error if a trigger has changed what the claim writes.
 */
static void
ReadClaim(uint64 row_count, ClaimResult *result, LeftOut *left_out)
{
	for (uint64 row = 0; row < row_count; row++)
	{
		if (DatumGetBool(QueueColumn(row, COLUMN_IS_CLAIMED)))
		{
			result->cut |= IsEnough(result, CurrentMemoryContext);
			if (result->cut)
				LeaveOut(row, left_out);
			else
				result->notifications[result->count++] = ReadClaimed(row);
		}
		else if (DatumGetBool(QueueColumn(row, COLUMN_IS_FINISHED)))
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

/*
 * Locks up to limit rows that are due and, by queue_aside.h, may be tried at now. Returns their ids
 * in the order of the queue, palloc'd. *count is their number.
 */
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
 * Notes a row whose claim waited too long for a lock. Another session may have locked the whole
 * table, and each further row would wait as long. So raises the error if too many rows were noted.
 */
static void
NoteLocked(LockedRows *locked, int64 id, const QueueProblem *problem)
{
	if (locked->count == MOST_LOCKED_TRIES)
		RaiseProblem(problem);
	locked->ids[locked->count++] = id;
	locked->problem = *problem;
}

/*
 * Sets the noted rows aside if other rows were claimed. Otherwise raises the error, because the
 * whole queue may be locked.
 */
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

/* Returns the id as a bigint[], the parameter of a claim. */
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

/*
 * queue_purge.c - see queue_purge.h.
 *
 * Rows are picked and locked first. A subtransaction then deletes them, because a trigger or a
 * foreign key of the application may refuse that.
 */
#include "postgres.h"

#include "queue/queue_purge.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "queue/queue.h"
#include "queue/queue_internal.h"
#include "settings/settings.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/* $1 finished before, $2 limit, $3 and $4 the row (time finished, id) after which to go on */
static QueueStatement pick_finished = {
	.sql =
		"SELECT o.ctid, o.finished_at, o.id FROM rhesis_notify.task_notifications AS o"
		" WHERE o.finished_at OPERATOR(pg_catalog.<) $1 AND o.finished_at OPERATOR(pg_catalog.>=) $3"
		"  AND (o.finished_at OPERATOR(pg_catalog.>) $3 OR o.id OPERATOR(pg_catalog.>) $4)"
		" ORDER BY o.finished_at, o.id LIMIT $2 FOR UPDATE SKIP LOCKED",
	.parameter_count = 4,
	.parameter_types = {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, INT8OID},
};

/* $1 the picked rows */
static QueueStatement remove_picked = {
	.sql = "DELETE FROM rhesis_notify.task_notifications AS n"
		   " WHERE n.ctid OPERATOR(pg_catalog.=) ANY ($1) RETURNING n.id",
	.parameter_count = 1,
	.parameter_types = {TIDARRAYOID},
};

typedef struct PurgePlace
{
	TimestampTz finished_at;
	int64 id;
} PurgePlace;

static const PurgePlace oldest = {DT_NOBEGIN, PG_INT64_MIN};

static PurgePlace place = {DT_NOBEGIN, PG_INT64_MIN};
static PurgePlace picked_until; /* the last row that PickFinished() has found */

static int removed_count;

static void
RemovePicked(void *argument)
{
	int nest_level = QueueBegin();
	Datum *picked = argument;

	removed_count = (int) QueueExecute(&remove_picked, picked, NULL);
	QueueEnd(nest_level);
}

/*
 * Locks up to limit rows after place. Returns their ctids as a tid[], in the current memory
 * context. Sets picked and id of the result, and picked_until.
 */
static Datum
PickFinished(int limit, PurgeResult *result)
{
	MemoryContext caller = CurrentMemoryContext;
	int nest_level = QueueBegin();
	Datum values[4];
	Datum *ctids;
	Datum picked;
	bool is_null;

	values[0] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp() -
									(TimestampTz) rhesis_retention * USECS_PER_SEC);
	values[1] = Int32GetDatum(limit);
	values[2] = TimestampTzGetDatum(place.finished_at);
	values[3] = Int64GetDatum(place.id);
	result->picked = (int) QueueExecute(&pick_finished, values, NULL);
	ctids = palloc_array(Datum, result->picked + 1);
	for (int row = 0; row < result->picked; row++)
	{
		ctids[row] = QueueValue(row, 1, &is_null);
		picked_until.finished_at = DatumGetTimestampTz(QueueValue(row, 2, &is_null));
		picked_until.id = DatumGetInt64(QueueValue(row, 3, &is_null));
		if (row == 0)
			result->id = picked_until.id;
	}
	MemoryContextSwitchTo(caller);
	picked = PointerGetDatum(construct_array(ctids, result->picked, TIDOID, sizeof(ItemPointerData),
											 false, TYPALIGN_SHORT));
	QueueEnd(nest_level);
	return picked;
}

void
PurgeBatch(int limit, PurgeResult *result)
{
	Datum picked;

	memset(result, 0, sizeof(*result));
	if (rhesis_retention == 0)
		return;
	picked = PickFinished(limit, result);
	if (result->picked == 0)
		return;
	removed_count = 0;
	result->failed = !QueueTry(RemovePicked, &picked, &result->problem);
	result->removed = result->failed ? 0 : removed_count;
	if (!result->failed)
		place = picked_until;
}

void
PassOverPurged(void)
{
	place = picked_until;
}

void
RestartPurge(void)
{
	place = oldest;
}

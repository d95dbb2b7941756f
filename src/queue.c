/*
 * queue.c - the queue apart from the claim and the record: epochs, orphans, retention, the pause.
 *
 * It also runs the statements of the whole room: each is planned once per session, names every object and operator with its
 * schema, and is one round through the executor.
 */
#include "postgres.h"

#include "queue.h"

#include "catalog/pg_type.h"
#include "queue_internal.h"
#include "settings.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

static QueueStatement next_epoch = {
	.sql = "SELECT pg_catalog.nextval('rhesis_notify.worker_epoch')",
};

static QueueStatement sending_epochs = {
	.sql =
		"SELECT DISTINCT n.claimed_by FROM rhesis_notify.task_notifications AS n "
		"WHERE n.finished_at IS NULL AND n.delivery_status OPERATOR(pg_catalog.=) 'sending'::rhesis_notify.delivery_state",
};

/* $1 dead epochs, $2 hold them, $3 max_attempts */
static QueueStatement adopt_orphans = {
	.sql =
		"WITH orphan AS ("
		" SELECT n.id, n.claimed_by,"
		"  CASE WHEN $2 THEN 'held'"
		"   WHEN (n.attempts OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.>=) $3 THEN 'failed'"
		"   ELSE 'pending' END::rhesis_notify.delivery_state AS state"
		" FROM rhesis_notify.task_notifications AS n"
		" WHERE n.finished_at IS NULL AND n.delivery_status OPERATOR(pg_catalog.=) 'sending'::rhesis_notify.delivery_state"
		"  AND n.claimed_by OPERATOR(pg_catalog.=) ANY ($1)"
		" FOR NO KEY UPDATE SKIP LOCKED"
		"), adopted AS ("
		" UPDATE rhesis_notify.task_notifications AS n"
		" SET delivery_status = o.state, claimed_by = NULL, next_attempt_at = pg_catalog.clock_timestamp(),"
		"  attempts = n.attempts OPERATOR(pg_catalog.+) 1,"
		"  delivery_reason = CASE o.state::text WHEN 'held' THEN 'in_doubt' WHEN 'failed' THEN 'interrupted' END,"
		"  finished_at = CASE o.state::text WHEN 'failed' THEN pg_catalog.clock_timestamp() END"
		" FROM orphan AS o WHERE n.id OPERATOR(pg_catalog.=) o.id"
		" RETURNING n.id, o.claimed_by, o.state"
		")"
		"INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail) "
		"SELECT a.id, 'in_doubt', pg_catalog.jsonb_build_object('message', pg_catalog.format("
		" 'the worker that was sending it is gone, the server may have accepted it; now %s', a.state),"
		" 'epoch', a.claimed_by) "
		"FROM adopted AS a",
	.parameter_count = 3,
	.parameter_types = {INT8ARRAYOID, BOOLOID, INT4OID},
};

/* $1 finished before, $2 limit, $3 not finished before: where the last batch ended */
static QueueStatement purge_finished = {
	.sql =
		"WITH removed AS ("
		" DELETE FROM rhesis_notify.task_notifications AS n WHERE n.ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"  SELECT o.ctid FROM rhesis_notify.task_notifications AS o"
		"  WHERE o.finished_at OPERATOR(pg_catalog.<) $1 AND o.finished_at OPERATOR(pg_catalog.>=) $3"
		"  ORDER BY o.finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
		" RETURNING n.finished_at"
		")"
		"SELECT pg_catalog.count(*), pg_catalog.max(r.finished_at) FROM removed AS r",
	.parameter_count = 3,
	.parameter_types = {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID},
};

static QueueStatement queue_is_paused = {
	.sql = "SELECT 1 FROM rhesis_notify.database_pause",
};

static void
SwitchOff(const char *setting)
{
	(void) set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

int
QueueBegin(void)
{
	int nest_level = NewGUCNestLevel();

	SwitchOff("enable_seqscan");
	SwitchOff("enable_bitmapscan");
	/* What is left of sequential scans looks dear enough to compile. */
	SwitchOff("jit");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	return nest_level;
}

void
QueueEnd(int nest_level)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(false, nest_level);
}

static void
Prepare(QueueStatement *statement)
{
	SPIPlanPtr plan;

	/* One plan for all parameters: they are batches of the same kind every time. */
	plan = SPI_prepare_cursor(statement->sql, statement->parameter_count,
							  statement->parameter_types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
}

uint64
QueueExecute(QueueStatement *statement, Datum *values, const char *nulls)
{
	int result;

	if (statement->plan == NULL)
		Prepare(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

Datum
QueueValue(uint64 row, int column, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

int64
QueueNextEpoch(void)
{
	int nest_level = QueueBegin();
	bool is_null;
	int64 epoch;

	QueueExecute(&next_epoch, NULL, NULL);
	epoch = DatumGetInt64(QueueValue(0, 1, &is_null));
	QueueEnd(nest_level);
	return epoch;
}

/* The epochs in `sending` rows that no live worker has, as a bigint[]; false when there is none. */
static bool
DeadEpochs(bool (*epoch_is_live)(int64 epoch), Datum *dead)
{
	uint64 row_count = QueueExecute(&sending_epochs, NULL, NULL);
	Datum *epochs = palloc_array(Datum, row_count + 1);
	int count = 0;

	for (uint64 row = 0; row < row_count; row++)
	{
		bool is_null;
		Datum epoch = QueueValue(row, 1, &is_null);

		if (!epoch_is_live(DatumGetInt64(epoch)))
			epochs[count++] = epoch;
	}
	*dead = PointerGetDatum(
		construct_array(epochs, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	return count > 0;
}

int
AdoptOrphans(bool (*epoch_is_live)(int64 epoch))
{
	int nest_level = QueueBegin();
	uint64 adopted = 0;
	Datum values[3];

	if (DeadEpochs(epoch_is_live, &values[0]))
	{
		values[1] = BoolGetDatum(rhesis_in_doubt == IN_DOUBT_HOLD);
		values[2] = Int32GetDatum(rhesis_max_attempts);
		adopted = QueueExecute(&adopt_orphans, values, NULL);
	}
	QueueEnd(nest_level);
	return (int) adopted;
}

int
PurgeFinished(int limit)
{
	/* While full batches leave, each begins where the last one ended: what an old snapshot keeps of them is not read again. */
	static TimestampTz purged_until = DT_NOBEGIN;
	Datum values[3];
	int64 removed;
	bool is_null;
	int nest_level;

	if (rhesis_retention == 0)
		return 0;
	values[0] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp() -
									(TimestampTz) rhesis_retention * USECS_PER_SEC);
	values[1] = Int32GetDatum(limit);
	values[2] = TimestampTzGetDatum(purged_until);
	nest_level = QueueBegin();
	QueueExecute(&purge_finished, values, NULL);
	removed = DatumGetInt64(QueueValue(0, 1, &is_null));
	purged_until = removed == limit ? DatumGetTimestampTz(QueueValue(0, 2, &is_null)) : DT_NOBEGIN;
	QueueEnd(nest_level);
	return (int) removed;
}

bool
QueueIsPaused(void)
{
	int nest_level = QueueBegin();
	bool paused = QueueExecute(&queue_is_paused, NULL, NULL) > 0;

	QueueEnd(nest_level);
	return paused;
}

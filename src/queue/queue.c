/*
 * queue.c - the queue apart from claim, record and retention: epochs and orphans.
 *
 * This file also runs the statements of all files of this folder. Each statement is planned once
 * per session, and names every object and operator with its schema.
 */
#include "postgres.h"

#include "queue/queue.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "queue/queue_internal.h"
#include "settings/settings.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

static QueueStatement next_epoch = {
	.sql = "SELECT pg_catalog.nextval('rhesis_notify.worker_epoch')",
};

/* The greatest epoch that a row in `sending` has; 0: there is no such row. */
static QueueStatement greatest_epoch = {
	.sql =
		"SELECT COALESCE(pg_catalog.max(n.claimed_by), 0) FROM rhesis_notify.task_notifications AS n "
		"WHERE n.finished_at IS NULL AND pg_catalog.enum_eq(n.delivery_status, 'sending'::rhesis_notify.delivery_state)",
};

/*
 * After logical replication the sequence may be behind the greatest epoch of a row. Only one worker
 * at a time moves the sequence forward: it holds this lock.
 */
static QueueStatement lock_epochs = {
	.sql =
		"SELECT pg_catalog.pg_advisory_xact_lock('rhesis_notify.worker_epoch'::regclass::oid::bigint)",
};

static QueueStatement move_epochs = {
	.sql = "SELECT pg_catalog.setval('rhesis_notify.worker_epoch', $1)",
	.parameter_count = 1,
	.parameter_types = {INT8OID},
};

static QueueStatement sending_epochs = {
	.sql =
		"SELECT DISTINCT n.claimed_by FROM rhesis_notify.task_notifications AS n "
		"WHERE n.finished_at IS NULL AND pg_catalog.enum_eq(n.delivery_status, 'sending'::rhesis_notify.delivery_state)",
};

/* $1 dead epochs, $2 true: hold the rows, $3 max_attempts, $4 one row's id */
#define ADOPT(condition)                                                                                              \
	"WITH orphan AS ("                                                                                                \
	" SELECT n.id, n.claimed_by,"                                                                                     \
	"  CASE WHEN $2 THEN 'held'"                                                                                      \
	"   WHEN (n.attempts OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.>=) $3 THEN 'failed'"                          \
	"   ELSE 'pending' END::rhesis_notify.delivery_state AS state"                                                    \
	" FROM rhesis_notify.task_notifications AS n"                                                                     \
	" WHERE n.finished_at IS NULL AND pg_catalog.enum_eq(n.delivery_status, 'sending'::rhesis_notify.delivery_state)" \
	"  AND n.claimed_by OPERATOR(pg_catalog.=) ANY ($1)" condition                                                    \
	" FOR NO KEY UPDATE SKIP LOCKED"                                                                                  \
	"), adopted AS ("                                                                                                 \
	" UPDATE rhesis_notify.task_notifications AS n"                                                                   \
	" SET delivery_status = o.state, claimed_by = NULL, next_attempt_at = pg_catalog.clock_timestamp(),"              \
	"  attempts = n.attempts OPERATOR(pg_catalog.+) 1,"                                                               \
	"  delivery_reason = CASE o.state::text WHEN 'held' THEN 'in_doubt' WHEN 'failed' THEN 'interrupted' END,"        \
	"  finished_at = CASE o.state::text WHEN 'failed' THEN pg_catalog.clock_timestamp() END"                          \
	" FROM orphan AS o WHERE n.id OPERATOR(pg_catalog.=) o.id"                                                        \
	" RETURNING n.id, o.claimed_by, o.state"                                                                          \
	")"                                                                                                               \
	"INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail) "                                     \
	"SELECT a.id, 'in_doubt', pg_catalog.jsonb_build_object('message', pg_catalog.format("                            \
	" 'the worker that was sending it is gone, the server may have accepted it; now %s', a.state),"                   \
	" 'epoch', a.claimed_by) "                                                                                        \
	"FROM adopted AS a"

static QueueStatement adopt_orphans = {
	.sql = ADOPT(""),
	.parameter_count = 3,
	.parameter_types = {INT8ARRAYOID, BOOLOID, INT4OID},
};

static QueueStatement adopt_orphan = {
	.sql = ADOPT(" AND n.id OPERATOR(pg_catalog.=) $4"),
	.parameter_count = 4,
	.parameter_types = {INT8ARRAYOID, BOOLOID, INT4OID, INT8OID},
};

/* $1 a dead epoch, $2 ids. The rows keep their place in the queue. */
static QueueStatement return_unsent = {
	.sql =
		"WITH unsent AS ("
		" SELECT n.id FROM rhesis_notify.task_notifications AS n"
		" WHERE n.id OPERATOR(pg_catalog.=) ANY ($2) AND n.claimed_by OPERATOR(pg_catalog.=) $1"
		"  AND n.finished_at IS NULL AND pg_catalog.enum_eq(n.delivery_status, 'sending'::rhesis_notify.delivery_state)"
		" FOR NO KEY UPDATE SKIP LOCKED)"
		"UPDATE rhesis_notify.task_notifications AS n"
		" SET delivery_status = 'pending', delivery_reason = NULL, claimed_by = NULL "
		"FROM unsent AS u WHERE n.id OPERATOR(pg_catalog.=) u.id",
	.parameter_count = 2,
	.parameter_types = {INT8OID, INT8ARRAYOID},
};

/* Locks the rows to adopt. $1 dead epochs */
static QueueStatement orphans = {
	.sql =
		"SELECT n.id FROM rhesis_notify.task_notifications AS n "
		"WHERE n.finished_at IS NULL AND pg_catalog.enum_eq(n.delivery_status, 'sending'::rhesis_notify.delivery_state)"
		" AND n.claimed_by OPERATOR(pg_catalog.=) ANY ($1) FOR NO KEY UPDATE SKIP LOCKED",
	.parameter_count = 1,
	.parameter_types = {INT8ARRAYOID},
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
	int nest_level;

	Assert(IsTransactionState());
	nest_level = NewGUCNestLevel();
	SwitchOff("enable_seqscan");
	SwitchOff("enable_bitmapscan");
	/* The remaining sequential scans look so costly that PostgreSQL would compile the plan. */
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

	/* One plan for all parameters: every batch is of the same kind. */
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

	Assert(statement->parameter_count == 0 || values != NULL);
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
	Assert(SPI_tuptable != NULL && row < SPI_tuptable->numvals);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

char *
QueueText(uint64 row, int column)
{
	bool is_null;
	Datum value;

	if (SPI_gettypeid(SPI_tuptable->tupdesc, column) != TEXTOID)
		return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
	value = QueueValue(row, column, &is_null);
	return is_null ? NULL : TextDatumGetCString(value);
}

void
RequireQueueType(int column, Oid type)
{
	if (SPI_gettypeid(SPI_tuptable->tupdesc, column) != type)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" is of type %s, not %s", SPI_fname(SPI_tuptable->tupdesc, column),
					format_type_be(SPI_gettypeid(SPI_tuptable->tupdesc, column)),
					format_type_be(type)),
			 errhint("The worker needs the type that CREATE EXTENSION has created. Change it "
					 "back.")));
}

static int64
QueryNumber(QueueStatement *statement)
{
	bool is_null;

	QueueExecute(statement, NULL, NULL);
	return DatumGetInt64(QueueValue(0, 1, &is_null));
}

int64
QueueNextEpoch(void)
{
	int nest_level = QueueBegin();
	int64 epoch = QueryNumber(&next_epoch);
	int64 greatest = QueryNumber(&greatest_epoch);

	if (epoch <= greatest)
	{
		Datum value = Int64GetDatum(greatest);

		QueueExecute(&lock_epochs, NULL, NULL);
		epoch = QueryNumber(&next_epoch);
		if (epoch <= greatest)
		{
			QueueExecute(&move_epochs, &value, NULL);
			epoch = QueryNumber(&next_epoch);
		}
	}
	QueueEnd(nest_level);
	return epoch;
}

/*
 * Sets *dead to the epochs of rows in `sending` that belong to no live worker, as a bigint[].
 * Returns false if there are no such epochs.
 */
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
ReturnClaimedRows(int64 epoch, const int64 *ids, int count)
{
	int nest_level = QueueBegin();
	Datum *elements = palloc_array(Datum, count + 1);
	Datum values[2] = {Int64GetDatum(epoch)};
	int returned;

	for (int i = 0; i < count; i++)
		elements[i] = Int64GetDatum(ids[i]);
	values[1] = PointerGetDatum(
		construct_array(elements, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	returned = (int) QueueExecute(&return_unsent, values, NULL);
	QueueEnd(nest_level);
	return returned;
}

typedef struct AdoptStep
{
	Datum values[4];
	uint64 adopted;
} AdoptStep;

static void
AdoptOne(void *argument)
{
	AdoptStep *step = argument;
	int nest_level = QueueBegin();

	step->adopted = QueueExecute(&adopt_orphan, step->values, NULL);
	QueueEnd(nest_level);
	if (step->adopted == 0)
		RaiseRowIsKept("update");
}

void
NoteRowProblem(RowProblems *problems, int64 id, const QueueProblem *problem)
{
	if (problems->count++ > 0)
		return;
	problems->id = id;
	problems->problem = *problem;
}

int
AdoptRowByRow(bool (*epoch_is_live)(int64 epoch), RowProblems *problems)
{
	MemoryContext caller = CurrentMemoryContext;
	int nest_level = QueueBegin();
	AdoptStep step;
	int64 *ids = NULL;
	int count = 0;
	int adopted = 0;

	memset(problems, 0, sizeof(*problems));
	if (DeadEpochs(epoch_is_live, &step.values[0]))
	{
		MemoryContextSwitchTo(caller);
		step.values[0] = datumCopy(step.values[0], false, -1);
		count = (int) QueueExecute(&orphans, step.values, NULL);
		ids = palloc_array(int64, count + 1);
		for (int row = 0; row < count; row++)
		{
			bool is_null;

			ids[row] = DatumGetInt64(QueueValue(row, 1, &is_null));
		}
	}
	MemoryContextSwitchTo(caller);
	QueueEnd(nest_level);

	step.values[1] = BoolGetDatum(rhesis_in_doubt == IN_DOUBT_HOLD);
	step.values[2] = Int32GetDatum(rhesis_max_attempts);
	for (int i = 0; i < count; i++)
	{
		QueueProblem problem;

		step.values[3] = Int64GetDatum(ids[i]);
		if (QueueTry(AdoptOne, &step, &problem))
			adopted++;
		else
			NoteRowProblem(problems, ids[i], &problem);
	}
	return adopted;
}

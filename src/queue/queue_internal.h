/*
 * queue_internal.h - what the files of the queue share: statements that are planned once per
 * session.
 */
#ifndef RHESIS_QUEUE_INTERNAL_H
#define RHESIS_QUEUE_INTERNAL_H

#include "executor/spi.h"
#include "queue/queue.h"
#include "queue/queue_copy.h"

#define QUEUE_MAX_PARAMETERS 16

/*
 * True if row "n" waits to be claimed. The first condition is that of the index
 * task_notifications_due, which finds such rows.
 *
 * States are compared by functions, not operators: if a superuser has created an implicit cast of
 * delivery_state, PostgreSQL cannot choose the operator.
 */
#define N_IS_WAITING                                                                   \
	" n.finished_at IS NULL AND"                                                       \
	" (pg_catalog.enum_eq(n.delivery_status, 'pending'::rhesis_notify.delivery_state)" \
	" OR pg_catalog.enum_eq(n.delivery_status, 'deferred'::rhesis_notify.delivery_state))"

/*
 * True if a row came with a copy of another database: it was created before born, or it was created
 * before unnumbered_until and has an id that the queue's sequence has not given (greater than
 * last_id). The parameters are those of CopyBounds.
 */
#define ROW_IS_COPIED(row, born, last_id, unnumbered_until)        \
	"(" row ".created_at OPERATOR(pg_catalog.<) " born " OR (" row \
	".id OPERATOR(pg_catalog.>) " last_id " AND " row              \
	".created_at OPERATOR(pg_catalog.<) " unnumbered_until "))"

/* database_birth has the time of CREATE EXTENSION minus this. */
#define BIRTH_ALLOWANCE (INT64CONST(60) * USECS_PER_SEC)

/*
 * If a worker finds that the clock was set back to before the birth, it moves the birth to this
 * long before the present time, in case the clock is set back once more.
 */
#define CLOCK_ALLOWANCE (INT64CONST(600) * USECS_PER_SEC)

/* A statement and, after its first run in this session, its plan. For static variables. */
typedef struct QueueStatement
{
	const char *sql;
	int parameter_count;
	Oid parameter_types[QUEUE_MAX_PARAMETERS];
	SPIPlanPtr plan;
} QueueStatement;

/*
 * Statements can be run between these two calls. QueueEnd() takes the result of QueueBegin(), and
 * frees what was palloc'd in between. Meanwhile the planner prefers indexes, because a plan that
 * was made for an empty queue is kept when the queue has a million rows. After an error, QueueEnd()
 * is not needed.
 */
extern int QueueBegin(void);
extern void QueueEnd(int nest_level);

/*
 * Runs a statement between QueueBegin() and QueueEnd(). Returns the number of rows that it returned
 * (they are in SPI_tuptable) or changed. nulls may be NULL.
 */
extern uint64 QueueExecute(QueueStatement *statement, Datum *values, const char *nulls);

/* Counts a row that could not be changed, and keeps the problem of the first such row. */
extern void NoteRowProblem(RowProblems *problems, int64 id, const QueueProblem *problem);

/*
 * Returns a column of one of the rows. Use this only if the type is known to be passed by value, or
 * was checked.
 */
extern Datum QueueValue(uint64 row, int column, bool *is_null);

/*
 * Returns a column as text, in the current context; NULL for null. The table's owner may have
 * changed the column to any type.
 */
extern char *QueueText(uint64 row, int column);

/* Raises an error unless the column has this type. */
extern void RequireQueueType(int column, Oid type);

/* Fills in the bounds as three parameters of ROW_IS_COPIED. */
extern void FillCopyBounds(const CopyBounds *bounds, Datum *values);

#endif

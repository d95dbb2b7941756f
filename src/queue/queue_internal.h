/*
 * queue_internal.h - what the files of the queue share: statements that are planned once per session.
 */
#ifndef RHESIS_QUEUE_INTERNAL_H
#define RHESIS_QUEUE_INTERNAL_H

#include "executor/spi.h"
#include "queue/queue.h"
#include "queue/queue_copy.h"

#define QUEUE_MAX_PARAMETERS 16

/*
 * States are compared by functions: if a superuser creates an implicit cast of delivery_state, PostgreSQL does not know which operator
 * is meant.
 *
 * Whether row "n" waits to be claimed. The first condition is that of the index task_notifications_due, which finds such rows.
 */
#define N_IS_WAITING                                                                   \
	" n.finished_at IS NULL AND"                                                       \
	" (pg_catalog.enum_eq(n.delivery_status, 'pending'::rhesis_notify.delivery_state)" \
	" OR pg_catalog.enum_eq(n.delivery_status, 'deferred'::rhesis_notify.delivery_state))"

/*
 * Whether a row came with a copy of another database: it was created before this one was, or has an id that the queue's sequence has
 * not given. Rows of a task that began shortly before CREATE EXTENSION are the sequence's. The parameters are those of CopyBounds.
 */
#define ROW_IS_COPIED(row, born, last_id, unnumbered_until)        \
	"(" row ".created_at OPERATOR(pg_catalog.<) " born " OR (" row \
	".id OPERATOR(pg_catalog.>) " last_id " AND " row              \
	".created_at OPERATOR(pg_catalog.<) " unnumbered_until "))"

/* database_birth says so much less than when the extension was created. */
#define BIRTH_ALLOWANCE (INT64CONST(60) * USECS_PER_SEC)

/* A worker that finds the clock set back to before that takes it for set back for so long. */
#define CLOCK_ALLOWANCE (INT64CONST(600) * USECS_PER_SEC)

/* A statement and, once it was run in this session, its plan. For static variables. */
typedef struct QueueStatement
{
	const char *sql;
	int parameter_count;
	Oid parameter_types[QUEUE_MAX_PARAMETERS];
	SPIPlanPtr plan;
} QueueStatement;

/*
 * Between these two, statements can be run; what they palloc is gone after QueueEnd. The planner prefers indexes meanwhile:
 * a plan that was made when the queue was empty is kept when it holds a million rows. An error needs no QueueEnd.
 */
extern int QueueBegin(void);
extern void QueueEnd(int nest_level);

/* Run a statement; its rows are in SPI_tuptable, their number is returned. nulls may be NULL. */
extern uint64 QueueExecute(QueueStatement *statement, Datum *values, const char *nulls);

/* Count a row that could not be changed; what the first of them raised is kept. */
extern void NoteRowProblem(RowProblems *problems, int64 id, const QueueProblem *problem);

/* A column of one of the rows; to be used only where it is passed by value, or its type has been looked at. */
extern Datum QueueValue(uint64 row, int column, bool *is_null);

/* A column as text, in the current context; NULL for null. The table's owner may have given the column any type. */
extern char *QueueText(uint64 row, int column);

/* An error unless the column is of that type. */
extern void RequireQueueType(int column, Oid type);

/* The bounds as three parameters of ROW_IS_COPIED. */
extern void FillCopyBounds(const CopyBounds *bounds, Datum *values);

#endif

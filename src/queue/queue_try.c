/*
 * queue_try.c - see queue_try.h.
 */
#include "postgres.h"

#include "queue/queue_try.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/*
 * Runs deferred triggers now: at the commit, an error that they raise would abort the whole
 * transaction.
 */
static void
CheckDeferred(void)
{
	ConstraintsSetStmt *all_immediate = makeNode(ConstraintsSetStmt);

	all_immediate->constraints = NIL;
	all_immediate->deferred = false;
	AfterTriggerSetState(all_immediate);
}

/*
 * Returns where the error was raised: the constraint, or the first line of the context, which names
 * a function in PL/pgSQL and the line in it. NULL: not known.
 */
static char *
SourceOf(const ErrorData *error)
{
	if (error->constraint_name)
		return psprintf("constraint \"%s\" of table \"%s\"", error->constraint_name,
						error->table_name ? error->table_name : "task_notifications");
	if (error->context)
		return pnstrdup(error->context, strcspn(error->context, "\n"));
	return NULL;
}

static void
ReadProblem(QueueProblem *problem)
{
	ErrorData *error = CopyErrorData();

	problem->sqlstate = error->sqlerrcode;
	problem->message = pstrdup(error->message ? error->message : "unknown error");
	problem->source = SourceOf(error);
	FreeErrorData(error);
}

bool
QueueTry(void (*step)(void *argument), void *argument, QueueProblem *problem)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		step(argument);
		CheckDeferred();
		MemoryContextSwitchTo(caller);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		ReadProblem(problem);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return done;
}

void
RaiseRowIsKept(const char *statement)
{
	ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					errmsg("a trigger or a rule of table \"task_notifications\" suppresses the %s",
						   statement)));
}

bool
IsServerError(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
		case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
		case ERRCODE_TO_CATEGORY(ERRCODE_INVALID_TRANSACTION_STATE):
			return true;
		default:
			/* Another session holds the lock, so the row is not at fault. */
			return sqlstate == ERRCODE_ADMIN_SHUTDOWN || sqlstate == ERRCODE_CRASH_SHUTDOWN ||
				   sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
	}
}

void
RaiseProblem(const QueueProblem *problem)
{
	ereport(ERROR, (errcode(problem->sqlstate), errmsg_internal("%s", problem->message),
					problem->source ? errcontext("%s", problem->source) : 0));
}

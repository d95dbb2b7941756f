/*
 * queue_try.h - runs a statement that may fail for one row in a subtransaction, so that other rows
 * go on.
 *
 * The application may put triggers, rules and constraints on our tables. An error that they raise
 * for one row must not keep other rows from being mailed.
 */
#ifndef RHESIS_QUEUE_TRY_H
#define RHESIS_QUEUE_TRY_H

/* The error that was raised; strings are palloc'd. */
typedef struct QueueProblem
{
	int sqlstate;
	char *message;
	char *source; /* the constraint or the code that raised it; NULL: not known */
} QueueProblem;

/*
 * Calls step(argument) in a subtransaction, and then runs the constraints and triggers that are
 * deferred to the commit. Returns true if no error was raised. Otherwise undoes the step, fills in
 * *problem in the current memory context and returns false. A FATAL error ends the process as
 * usual.
 */
extern bool QueueTry(void (*step)(void *argument), void *argument, QueueProblem *problem);

/*
 * Raises the error that a trigger or a rule has suppressed a statement ("claim", "update") without
 * an error.
 */
extern void RaiseRowIsKept(const char *statement);

/*
 * Returns true if the error is about the server, not about a row: a full disk, too little memory, a
 * shutdown, a lock of another session.
 */
extern bool IsServerError(int sqlstate);

/* Raises an error that QueueTry() has caught once more. */
extern void RaiseProblem(const QueueProblem *problem);

#endif

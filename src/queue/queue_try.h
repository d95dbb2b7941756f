/*
 * queue_try.h - a statement on the queue that may fail for one row: in a subtransaction, so that the others go on.
 *
 * An app may put triggers, rules and constraints on our tables. What they raise for one row must not keep others from being mailed.
 */
#ifndef RHESIS_QUEUE_TRY_H
#define RHESIS_QUEUE_TRY_H

/* What was raised; strings are palloc'd. */
typedef struct QueueProblem
{
	int sqlstate;
	char *message;
	char *source; /* the constraint or the code that raised it; NULL: not known */
} QueueProblem;

/*
 * Run a step, with the constraints and triggers that are deferred to the commit, in a subtransaction. False: it raised, nothing of
 * it is left, and *problem says what, in the current memory context. FATAL ends the process as ever.
 */
extern bool QueueTry(void (*step)(void *argument), void *argument, QueueProblem *problem);

/* Raised by a step whose statement left the row as it was, without an error. */
extern void RaiseRowIsKept(const char *statement);

/* Is this about the server and not about a row: a full disk, too little memory, a shutdown? */
extern bool IsServersTrouble(int sqlstate);

/* Raise it again, for who deals with the server's troubles. */
extern void RaiseProblem(const QueueProblem *problem);

#endif

/*
 * time_limit.h - ends SQL that other people wrote if it takes too long, in any process.
 *
 * The limit has a timer of its own: a background worker never arms statement_timeout, and a user's
 * session may have armed it already. When the limit runs out, the running statement is cancelled.
 * If the statement catches the cancellation and goes on, it is cancelled again. If a statement
 * still runs after twice the limit, the process ends; a worker is then started anew. A wait for a
 * pipe or a program in which PostgreSQL does not check for interrupts is ended, too.
 */
#ifndef RHESIS_TIME_LIMIT_H
#define RHESIS_TIME_LIMIT_H

/*
 * The limit of one look-up of recipients. A batch normally needs milliseconds, and the worker does
 * nothing else in that time.
 */
#ifndef LOOK_UP_LIMIT_MS
#define LOOK_UP_LIMIT_MS 10000
#endif

/*
 * A watcher is called ten times until the limit runs out, and at the same interval after that,
 * until the limit is stopped. Each call is in a signal handler. passed is true if the limit has run
 * out.
 */
typedef void (*TimeLimitWatcher)(bool passed);

/*
 * Starts a limit for the SQL that follows. Limits cannot be nested: stop one before you start the
 * next.
 */
extern void StartTimeLimit(int milliseconds);

/*
 * Returns true if the limit that was started last has run out, or if ExpireTimeLimit() has ended
 * it. A cancellation that was caught then is the limit's, not an operator's.
 */
extern bool TimeLimitHasPassed(void);

/*
 * A callback for the error context of limited SQL. Once the limit has passed, each error that is
 * raised requests the next cancellation. So a function that catches a cancellation gets the next
 * one when it leaves the block that caught it.
 */
extern void CancelAgain(void *argument);

/* Stops the limit. Call this after the limited SQL, also after an error. It may be called twice. */
extern void StopTimeLimit(void);

/* Sets this process's watcher for all limits that follow. */
extern void WatchTimeLimit(TimeLimitWatcher watcher);

/* For signal handlers: if a limit is running, ends it as if it had run out. */
extern void ExpireTimeLimit(void);

#endif

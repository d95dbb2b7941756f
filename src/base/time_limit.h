/*
 * time_limit.h - ends somebody else's SQL after a while, in any process, beside the session's own statement_timeout.
 *
 * Background workers never arm statement_timeout, and a user's session may have armed its own; so this is a timer apart. When
 * it runs out the running statement is cancelled, and so is each statement that goes on after it has caught that. A statement
 * that is still running after the same time again ends the process (a worker is started anew).
 * Where PostgreSQL waits for a pipe or a program without looking for interrupts, that wait is ended, too.
 */
#ifndef RHESIS_TIME_LIMIT_H
#define RHESIS_TIME_LIMIT_H

/* Of one look-up of recipients, whatever it takes; a batch needs milliseconds, and the worker does nothing else meanwhile. */
#ifndef LOOK_UP_LIMIT_MS
#define LOOK_UP_LIMIT_MS 10000
#endif

/*
 * Called a tenth of the limit after its start and again in such intervals until it is stopped, each time in a signal handler; passed:
 * the limit has run out.
 */
typedef void (*TimeLimitWatcher)(bool passed);

/* Limits are not nested: stop one before the next is started. */
extern void StartTimeLimit(int milliseconds);

/* It has run out, or was ended: a cancellation that was caught is ours, not an operator's. */
extern bool TimeLimitHasPassed(void);

/*
 * For the error context of what is limited: once the limit has passed, each error that is raised asks for the next cancellation. A
 * function that catches one is hit by the next as soon as it has left the block that caught it.
 */
extern void CancelAgain(void *argument);

/* Call it on every way out. It may be called twice. */
extern void StopTimeLimit(void);

/* Of this process, from now on. */
extern void WatchTimeLimit(TimeLimitWatcher watcher);

/* In a signal handler: end a limit that is running, if one is, as if it had run out. */
extern void ExpireTimeLimit(void);

#endif

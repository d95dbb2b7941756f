/*
 * time_limit.h - ends somebody else's SQL after a while, in any process, beside the session's own statement_timeout.
 *
 * Background workers never arm statement_timeout, and a user's session may have armed its own; so this is a timer apart. When
 * it runs out the running statement is cancelled. A statement that swallows the cancellation and is still running after the
 * same time again ends the process (a worker is started anew).
 */
#ifndef RHESIS_TIME_LIMIT_H
#define RHESIS_TIME_LIMIT_H

/* Limits are not nested: stop one before the next is started. */
extern void StartTimeLimit(int milliseconds);

/* It has run out: a cancellation that was caught is ours, not an operator's. */
extern bool TimeLimitHasPassed(void);

/* Call it on every way out. */
extern void StopTimeLimit(void);

#endif

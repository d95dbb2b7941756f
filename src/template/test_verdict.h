/*
 * test_verdict.h - what the counts in a task's result say about a test run.
 *
 * A task that collects results succeeds even if every test failed. Then the mail must say that
 * tests failed. Pure: no SQL.
 */
#ifndef RHESIS_TEST_VERDICT_H
#define RHESIS_TEST_VERDICT_H

#define COUNT_UNKNOWN (-1)

/* The result's key execution_status. */
typedef enum ExecutionStatus
{
	EXECUTION_UNKNOWN, /* absent, or a word without meaning here: Complete */
	EXECUTION_PARTIAL, /* it ended early, or has not ended: Partial, Cancelled, In Progress */
	EXECUTION_FAILED
} ExecutionStatus;

typedef struct TestCounts
{
	int64 total;
	int64 passed;
	int64 failed;
	int64 errors; /* tests that could not be run */
	ExecutionStatus execution;
} TestCounts;

typedef enum VerdictTone
{
	VERDICT_GOOD,
	VERDICT_MIXED, /* no known failure, but something is missing */
	VERDICT_BAD
} VerdictTone;

/*
 * Returns the count that a number or string of the result has: digits, perhaps with a fraction of
 * zeros. Returns COUNT_UNKNOWN if the text is not a count, or too large.
 */
extern int64 ParseCount(const char *text, int length);

/* Returns what the text of the result's execution_status means. */
extern ExecutionStatus ParseExecutionStatus(const char *text, int length);

/*
 * Returns the tone of a verdict on the counts, and sets *words to it, palloc'd: for example, "3 of
 * 39 tests failed". *words is NULL if the counts are good or say nothing.
 */
extern VerdictTone JudgeTests(const TestCounts *counts, char **words);

/* Returns the known counts as "36 passed, 3 failed, 1 error", palloc'd; empty if none is known. */
extern char *CountsInWords(const TestCounts *counts);

#endif

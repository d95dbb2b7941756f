/*
 * test_verdict.h - what the counts in a task's result say about a test run.
 *
 * A task that collects results succeeds also where every test failed: the mail has to say the latter. Pure: no SQL.
 */
#ifndef RHESIS_TEST_VERDICT_H
#define RHESIS_TEST_VERDICT_H

#define COUNT_UNKNOWN (-1)

/* The result's key execution_status. */
typedef enum ExecutionStatus
{
	EXECUTION_UNKNOWN, /* absent, or a word that says nothing here: Complete */
	EXECUTION_PARTIAL, /* it ended early, or had not ended: Partial, Cancelled, In Progress */
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
	VERDICT_MIXED, /* nothing is known to have failed, but something is missing */
	VERDICT_BAD
} VerdictTone;

/* A count as JSON or a string has it: digits, perhaps with a fraction of zeros; COUNT_UNKNOWN: it is none, or too large. */
extern int64 ParseCount(const char *text, int length);

extern ExecutionStatus ParseExecutionStatus(const char *text, int length);

/* Puts "3 of 39 tests failed" into *words, palloc'd; NULL where the counts are good or say nothing. */
extern VerdictTone JudgeTests(const TestCounts *counts, char **words);

/* "36 passed, 3 failed, 1 error", of what is known; palloc'd, empty where nothing is. */
extern char *CountsInWords(const TestCounts *counts);

#endif

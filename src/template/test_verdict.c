/*
 * test_verdict.c - what the counts in a task's result say about a test run.
 *
 * An unknown count is not mentioned, and never taken for 0.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <ctype.h>

#include "lib/stringinfo.h"
#include "template/test_verdict.h"

#define MAX_COUNT_DIGITS 15

int64
ParseCount(const char *text, int length)
{
	int64 count = 0;
	int i = 0;

	while (i < length && i <= MAX_COUNT_DIGITS && text[i] >= '0' && text[i] <= '9')
		count = count * 10 + (text[i++] - '0');
	if (i == 0 || i > MAX_COUNT_DIGITS)
		return COUNT_UNKNOWN;
	if (i < length && text[i] == '.')
	{
		for (i++; i < length && text[i] == '0';)
			i++;
	}
	return i == length ? count : COUNT_UNKNOWN;
}

/* Returns true if the text is this word, in any case. */
static bool
IsWord(const char *text, int length, const char *word)
{
	return (int) strlen(word) == length && pg_strncasecmp(text, word, length) == 0;
}

static bool
IsOneOf(const char *text, int length, const char *const *words)
{
	while (*words != NULL && !IsWord(text, length, *words))
		words++;
	return *words != NULL;
}

static ExecutionStatus
StatusOfWord(const char *text, int length)
{
	static const char *const failed[] = {"failed",	"fail",			"failure", "failures",
										 "error",	"errors",		"errored", "crashed",
										 "timeout", "unsuccessful", "timed",   NULL};
	static const char *const partial[] = {"partial",	"partially", "incomplete", "cancelled",
										  "canceled",	"aborted",	 "stopped",	   "interrupted",
										  "terminated", "revoked",	 "progress",   "running",
										  "pending",	"queued",	 NULL};

	if (IsOneOf(text, length, failed))
		return EXECUTION_FAILED;
	return IsOneOf(text, length, partial) ? EXECUTION_PARTIAL : EXECUTION_UNKNOWN;
}

/* Returns what "not" followed by this word says: "not successful", "not failed", "not started". */
static ExecutionStatus
StatusOfOpposite(const char *text, int length)
{
	static const char *const good[] = {"successful", "succeeded", "passed", NULL};

	if (IsOneOf(text, length, good))
		return EXECUTION_FAILED;
	return StatusOfWord(text, length) == EXECUTION_UNKNOWN ? EXECUTION_PARTIAL : EXECUTION_UNKNOWN;
}

/* Returns the length of a word: letters of any language, and digits. */
static int
WordLength(const char *text, const char *end)
{
	int length = 0;

	while (text + length < end &&
		   (isalnum((unsigned char) text[length]) || IS_HIGHBIT_SET(text[length])))
		length++;
	return length;
}

ExecutionStatus
ParseExecutionStatus(const char *text, int length)
{
	static const char *const none[] = {"no", "without", "zero", "0", NULL};
	const char *end = text + length;
	bool is_opposite = false;

	/* The first meaningful word decides: "Completed with errors", "ResultStatus.FAILED". */
	while (text < end)
	{
		int word_length = WordLength(text, end);
		ExecutionStatus status;

		if (IsOneOf(text, word_length, none))
			return EXECUTION_UNKNOWN;
		if (is_opposite && word_length > 0)
			return StatusOfOpposite(text, word_length);
		is_opposite = IsWord(text, word_length, "not") || (is_opposite && word_length == 0);
		status = StatusOfWord(text, word_length);
		if (status != EXECUTION_UNKNOWN)
			return status;
		text += Max(word_length, 1);
	}
	return EXECUTION_UNKNOWN;
}

static const char *
Tests(int64 count)
{
	return count == 1 ? "test" : "tests";
}

/* Appends "3 of 39 tests" if the total is at least the count, else "3 tests". */
static void
AppendShare(StringInfo words, int64 count, int64 total)
{
	if (total >= count)
		appendStringInfo(words, INT64_FORMAT " of " INT64_FORMAT " %s", count, total, Tests(total));
	else
		appendStringInfo(words, INT64_FORMAT " %s", count, Tests(count));
}

static VerdictTone
JudgeFailures(const TestCounts *counts, StringInfo words)
{
	if (counts->failed > 0)
	{
		AppendShare(words, counts->failed, counts->total);
		appendStringInfoString(words, " failed");
		if (counts->errors > 0)
			appendStringInfo(words, ", " INT64_FORMAT " could not be run", counts->errors);
		return VERDICT_BAD;
	}
	AppendShare(words, counts->errors, counts->total);
	appendStringInfoString(words, " could not be run");
	return VERDICT_BAD;
}

/* Judges by the other counts and the status if no failure and no error was counted. */
static VerdictTone
JudgeRest(const TestCounts *counts, StringInfo words)
{
	if (counts->passed >= 0 && counts->passed < counts->total)
	{
		AppendShare(words, counts->passed, counts->total);
		appendStringInfoString(words, " passed");
		return counts->failed == 0 && counts->passed > 0 && counts->execution != EXECUTION_FAILED
				   ? VERDICT_MIXED
				   : VERDICT_BAD;
	}
	if (counts->execution == EXECUTION_FAILED)
	{
		appendStringInfoString(words, "Test run failed");
		return VERDICT_BAD;
	}
	if ((counts->total == 0 && counts->passed <= 0) || (counts->passed == 0 && counts->failed == 0))
	{
		appendStringInfoString(words, "No tests were run");
		return VERDICT_MIXED;
	}
	if (counts->passed == 0)
	{
		appendStringInfoString(words, "No tests passed");
		return VERDICT_BAD;
	}
	if (counts->execution == EXECUTION_PARTIAL)
	{
		appendStringInfoString(words, "Test run is incomplete");
		return VERDICT_MIXED;
	}
	return VERDICT_GOOD;
}

VerdictTone
JudgeTests(const TestCounts *counts, char **words)
{
	StringInfoData text;
	VerdictTone tone;

	initStringInfo(&text);
	if (counts->failed > 0 || counts->errors > 0)
		tone = JudgeFailures(counts, &text);
	else
		tone = JudgeRest(counts, &text);
	*words = tone == VERDICT_GOOD ? NULL : text.data;
	return tone;
}

char *
CountsInWords(const TestCounts *counts)
{
	const struct
	{
		int64 count;
		const char *one;
		const char *more;
	} parts[] = {
		{counts->passed, "passed", "passed"},
		{counts->failed, "failed", "failed"},
		{counts->errors, "error", "errors"},
	};
	StringInfoData words;

	initStringInfo(&words);
	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (parts[i].count == COUNT_UNKNOWN)
			continue;
		appendStringInfo(&words, "%s" INT64_FORMAT " %s", words.len > 0 ? ", " : "", parts[i].count,
						 parts[i].count == 1 ? parts[i].one : parts[i].more);
	}
	return words.data;
}

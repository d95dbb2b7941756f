/*
 * test_verdict.c - what the counts in a task's result say about a test run.
 *
 * What is not known is not mentioned, and never taken for 0.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <ctype.h>

#include "lib/stringinfo.h"
#include "test_verdict.h"

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

/* True when both have the same words. The text may have capital letters, and '_' or '-' for a blank. */
static bool
IsWord(const char *text, int length, const char *word)
{
	if ((int) strlen(word) != length)
		return false;
	for (int i = 0; i < length; i++)
	{
		bool is_gap = text[i] == '_' || text[i] == '-';

		if (pg_tolower((unsigned char) (is_gap ? ' ' : text[i])) != word[i])
			return false;
	}
	return true;
}

ExecutionStatus
ParseExecutionStatus(const char *text, int length)
{
	static const struct
	{
		const char *word;
		ExecutionStatus status;
	} words[] = {
		{"failed", EXECUTION_FAILED},		{"fail", EXECUTION_FAILED},
		{"failure", EXECUTION_FAILED},		{"error", EXECUTION_FAILED},
		{"errors", EXECUTION_FAILED},		{"errored", EXECUTION_FAILED},
		{"crashed", EXECUTION_FAILED},		{"timeout", EXECUTION_FAILED},
		{"timed out", EXECUTION_FAILED},	{"partial", EXECUTION_PARTIAL},
		{"partially", EXECUTION_PARTIAL},	{"partially completed", EXECUTION_PARTIAL},
		{"incomplete", EXECUTION_PARTIAL},	{"cancelled", EXECUTION_PARTIAL},
		{"canceled", EXECUTION_PARTIAL},	{"aborted", EXECUTION_PARTIAL},
		{"stopped", EXECUTION_PARTIAL},		{"interrupted", EXECUTION_PARTIAL},
		{"terminated", EXECUTION_PARTIAL},	{"revoked", EXECUTION_PARTIAL},
		{"in progress", EXECUTION_PARTIAL}, {"progress", EXECUTION_PARTIAL},
		{"running", EXECUTION_PARTIAL},		{"pending", EXECUTION_PARTIAL},
		{"queued", EXECUTION_PARTIAL},
	};

	while (length > 0 && isspace((unsigned char) text[0]))
		text++, length--;
	while (length > 0 && isspace((unsigned char) text[length - 1]))
		length--;
	for (int i = 0; i < (int) lengthof(words); i++)
	{
		if (IsWord(text, length, words[i].word))
			return words[i].status;
	}
	return EXECUTION_UNKNOWN;
}

static const char *
Tests(int64 count)
{
	return count == 1 ? "test" : "tests";
}

/* "3 of 39 tests", where the total can be one of these. */
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

/* Without a count of failures: what the others say. */
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

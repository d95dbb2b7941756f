/* test_verdict_test.c - the verdict that the counts of a test run lead to. */
#include "postgres_fe.h"

#include "arena.h"
#include "tap.h"
#include "template/test_verdict.h"

#define NO COUNT_UNKNOWN

static void
CheckVerdicts(void)
{
	static const struct
	{
		TestCounts counts;
		VerdictTone tone;
		const char *words;
		const char *in_words;
	} cases[] = {
		{{NO, NO, NO, NO, EXECUTION_UNKNOWN}, VERDICT_GOOD, NULL, ""},
		{{39, 39, 0, 0, EXECUTION_UNKNOWN}, VERDICT_GOOD, NULL, "39 passed, 0 failed, 0 errors"},
		{{39, 0, 39, 0, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "39 of 39 tests failed",
		 "0 passed, 39 failed, 0 errors"},
		{{39, 36, 3, NO, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "3 of 39 tests failed",
		 "36 passed, 3 failed"},
		{{1, 0, 1, 0, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "1 of 1 test failed",
		 "0 passed, 1 failed, 0 errors"},
		{{NO, NO, 1, NO, EXECUTION_UNKNOWN}, VERDICT_BAD, "1 test failed", "1 failed"},
		{{NO, NO, 2, 3, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "2 tests failed, 3 could not be run",
		 "2 failed, 3 errors"},
		{{10, 8, 0, 2, EXECUTION_PARTIAL},
		 VERDICT_BAD,
		 "2 of 10 tests could not be run",
		 "8 passed, 0 failed, 2 errors"},
		{{2, NO, 5, NO, EXECUTION_UNKNOWN}, VERDICT_BAD, "5 tests failed", "5 failed"},
		{{72, 8, NO, NO, EXECUTION_UNKNOWN}, VERDICT_BAD, "8 of 72 tests passed", "8 passed"},
		{{39, 0, NO, NO, EXECUTION_UNKNOWN}, VERDICT_BAD, "0 of 39 tests passed", "0 passed"},

		/* Some tests were not run, for example skipped. No failure is known. */
		{{10, 8, 0, 0, EXECUTION_UNKNOWN},
		 VERDICT_MIXED,
		 "8 of 10 tests passed",
		 "8 passed, 0 failed, 0 errors"},
		{{10, 8, 0, NO, EXECUTION_PARTIAL},
		 VERDICT_MIXED,
		 "8 of 10 tests passed",
		 "8 passed, 0 failed"},
		{{10, 8, 0, 0, EXECUTION_FAILED},
		 VERDICT_BAD,
		 "8 of 10 tests passed",
		 "8 passed, 0 failed, 0 errors"},
		{{39, 0, 0, 0, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "0 of 39 tests passed",
		 "0 passed, 0 failed, 0 errors"},

		/* Counts that contradict each other */
		{{39, 50, 0, 0, EXECUTION_UNKNOWN}, VERDICT_GOOD, NULL, "50 passed, 0 failed, 0 errors"},
		{{0, 5, NO, NO, EXECUTION_UNKNOWN}, VERDICT_GOOD, NULL, "5 passed"},
		{{39, 39, 3, NO, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "3 of 39 tests failed",
		 "39 passed, 3 failed"},
		{{39, 39, 0, 0, EXECUTION_FAILED},
		 VERDICT_BAD,
		 "Test run failed",
		 "39 passed, 0 failed, 0 errors"},
		{{NO, NO, NO, NO, EXECUTION_FAILED}, VERDICT_BAD, "Test run failed", ""},
		{{NO, 39, NO, 1, EXECUTION_UNKNOWN},
		 VERDICT_BAD,
		 "1 test could not be run",
		 "39 passed, 1 error"},
		{{0, 0, 0, 0, EXECUTION_UNKNOWN},
		 VERDICT_MIXED,
		 "No tests were run",
		 "0 passed, 0 failed, 0 errors"},
		{{NO, 0, NO, NO, EXECUTION_UNKNOWN}, VERDICT_BAD, "No tests passed", "0 passed"},
		{{39, 39, 0, 0, EXECUTION_PARTIAL},
		 VERDICT_MIXED,
		 "Test run is incomplete",
		 "39 passed, 0 failed, 0 errors"},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		char *words = NULL;
		VerdictTone tone = JudgeTests(&cases[i].counts, &words);

		ok(tone == cases[i].tone, "verdict %d: its tone", i);
		ok((words == NULL) == (cases[i].words == NULL) &&
			   (words == NULL || strcmp(words, cases[i].words) == 0),
		   "verdict %d: %s", i, cases[i].words ? cases[i].words : "good");
		ok(strcmp(CountsInWords(&cases[i].counts), cases[i].in_words) == 0, "verdict %d: %s", i,
		   cases[i].in_words);
	}
}

static void
CheckCounts(void)
{
	static const struct
	{
		const char *text;
		int64 count;
	} cases[] = {
		{"0", 0},
		{"39", 39},
		{"39.0", 39},
		{"39.00", 39},
		{"007", 7},
		{"999999999999999", INT64CONST(999999999999999)},
		{"1000000000000000", NO},
		{"", NO},
		{"-1", NO},
		{"3.5", NO},
		{"1e3", NO},
		{"x", NO},
		{" 3", NO},
		{"3 ", NO},
		{"NaN", NO},
		{".0", NO},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
		ok(ParseCount(cases[i].text, strlen(cases[i].text)) == cases[i].count, "count \"%s\"",
		   cases[i].text);
}

static void
CheckStatuses(void)
{
	static const struct
	{
		const char *text;
		ExecutionStatus status;
	} cases[] = {
		{"Failed", EXECUTION_FAILED},
		{"FAILED", EXECUTION_FAILED},
		{" Failed\n", EXECUTION_FAILED},
		{"Timed_Out", EXECUTION_FAILED},
		{"timeout", EXECUTION_FAILED},
		{"Partial", EXECUTION_PARTIAL},
		{"IN-PROGRESS", EXECUTION_PARTIAL},
		{"Failed!", EXECUTION_FAILED},
		{"Failed (timeout)", EXECUTION_FAILED},

		/* As Python prints a member of an Enum */
		{"ResultStatus.FAILED", EXECUTION_FAILED},
		{"<ResultStatus.PARTIAL: 2>", EXECUTION_PARTIAL},

		{"Completed with errors", EXECUTION_FAILED},
		{"completed_with_failures", EXECUTION_FAILED},
		{"Partially failed", EXECUTION_PARTIAL},
		{"Unsuccessful", EXECUTION_FAILED},
		{"not successful", EXECUTION_FAILED},
		{"Not started", EXECUTION_PARTIAL},
		{"not - complete", EXECUTION_PARTIAL},

		{"Complete", EXECUTION_UNKNOWN},
		{"Completed without errors", EXECUTION_UNKNOWN},
		{"complete, 0 failed", EXECUTION_UNKNOWN},
		{"No failures", EXECUTION_UNKNOWN},
		{"not failed", EXECUTION_UNKNOWN},
		{"not", EXECUTION_UNKNOWN},
		{"faile", EXECUTION_UNKNOWN},
		{"failed\xC3\xA9", EXECUTION_UNKNOWN},
		{"Fehlgeschlagen", EXECUTION_UNKNOWN},
		{" ", EXECUTION_UNKNOWN},
		{"", EXECUTION_UNKNOWN},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
		ok(ParseExecutionStatus(cases[i].text, strlen(cases[i].text)) == cases[i].status,
		   "status \"%s\"", cases[i].text);
}

int
main(void)
{
	CheckVerdicts();
	CheckCounts();
	CheckStatuses();
	ArenaReset();
	return done_testing();
}

/*
 * variable_list.c - the variables that a template's author can rely on, as documentation for the
 * author.
 *
 * variables.c sets their values. A test checks that both files name the same variables.
 */
#include "postgres.h"

#include "template/variable_list.h"

#define OF_RESULT "From the task's result: "

const ListedVariable listed_variables[] = {
	{"recipient_name", "The recipient's name, else the address", "John Doe"},
	{"recipient_email", "The recipient's address", "john@acme.example"},
	{"task_name", "The task's registered display name, else its name", "Test Execution Summary"},
	{"task_id", "The task's id", "12345678-1234-5678-9012-123456789012"},
	{"status", "success or failed", "success"},
	{"status_title", "Success or Failed", "Success"},
	{"status_upper", "SUCCESS or FAILED", "SUCCESS"},
	{"status_symbol", "A check mark or a cross; in a database whose encoding has no emoji, * or !",
	 "*"},
	{"is_success", "Whether the task succeeded, for sections", "true"},
	{"is_failed", "Whether the task failed, for sections", "false"},
	{"execution_time", "How long the task took; empty without started_at", "2m 45s"},
	{"completed_at",
	 "When the task ended, in the recipient's time zone if it is known, else in UTC",
	 "2024-01-15 14:30:25 UTC"},
	{"error_message",
	 "Why the task failed; of more than 4,000 characters, the beginning and the end",
	 "connection refused"},
	{"frontend_url", "The setting rhesis_notify.frontend_url", "https://app.rhesis.ai"},
	{"result_url", "The page of test_run_id, else of test_set_id; empty without an id",
	 "https://app.rhesis.ai/test-runs/abcd1234"},
	{"organization_name", "The name of the recipient's organization", "Acme Corporation"},
	{"organization_id", "The id of the recipient's organization", "acme"},
	{"from_name", "The sender's name", "Rhesis AI"},
	{"test_run_id", OF_RESULT "the test run that result_url leads to", "abcd1234"},
	{"test_set_id", OF_RESULT "the test set that result_url leads to", "7"},
	{"test_set_name", OF_RESULT "the name of the test set", "API Tests"},
	{"num_tests_generated", OF_RESULT "how many tests were generated", "25"},
	{"total_tests", OF_RESULT "how many tests there are", "10"},
	{"tests_passed", OF_RESULT "how many of them passed", "8"},
	{"tests_failed", OF_RESULT "how many of them failed", "1"},
	{"execution_errors", OF_RESULT "how many of them could not be run", "1"},
	{"execution_status", OF_RESULT "Complete, Partial or Failed", "Partial"},
	{"status_details", OF_RESULT "details about the status", "One test could not be run."},
	{"test_verdict",
	 "What the result's counts and execution_status say about a test run whose task "
	 "succeeded, if that is not good; else empty",
	 "3 of 39 tests failed"},
	{"test_outcome", "test_verdict, else Success or Failed: for subjects", "3 of 39 tests failed"},
	{"test_verdict_symbol",
	 "A check mark, a warning sign or a cross; in a database whose encoding has no emoji, * or !",
	 "!"},
	{"test_verdict_is_bad", "Whether the task, a test or the test run failed, for sections",
	 "true"},
	{"test_verdict_is_mixed",
	 "Whether no test is known to have failed, and the run is incomplete or not all tests were run, for sections",
	 "false"},
	{"test_counts", "The counts that are known, in words", "35 passed, 3 failed, 1 error"},
	{"has_test_counts", "Whether a count is known, for sections", "true"},
	{"total_tests_shown", "total_tests as a text: 0 is shown, and an unknown count is empty", "39"},
	{"tests_passed_shown", "The same for tests_passed", "35"},
	{"tests_failed_shown", "The same for tests_failed", "3"},
	{"execution_errors_shown", "The same for execution_errors", "1"},
	{"has_any_tests", "Whether total_tests is known and more than 0, for sections", "true"},
	{"has_passed_tests", "The same for tests_passed", "true"},
	{"has_failed_tests", "The same for tests_failed", "true"},
	{"has_execution_errors", "The same for execution_errors", "true"},
	{"project_name", OF_RESULT "the name of the project", "My Project"},
	{"endpoint_name", OF_RESULT "the name of the endpoint", "Chat"},
	{"endpoint_url", OF_RESULT "the address of the endpoint", "https://chat.example.com/v1"},
	{NULL, NULL, NULL},
};

static const ListedVariable *
Find(const char *name, size_t length)
{
	for (const ListedVariable *listed = listed_variables; listed->name != NULL; listed++)
	{
		if (strlen(listed->name) == length && memcmp(listed->name, name, length) == 0)
			return listed;
	}
	return NULL;
}

const ListedVariable *
FindListedVariable(const char *name)
{
	return Find(name, strlen(name));
}

bool
IsListedVariable(const char *name, size_t length)
{
	return Find(name, length) != NULL;
}

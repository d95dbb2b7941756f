/*
 * variables.c - the variables that a template can name: our own, and the keys of a task's result.
 *
 * Each of our variables always exists, and is empty if it has no value. So a key of the result does
 * not take its place, unless the variable is replaceable. Each value is made fit for a mail
 * (shown_text.h). Text is in the database's encoding.
 */
#include "postgres.h"

#include <ctype.h>

#include "template/variables.h"

#include "base/database_text.h"
#include "base/time_text.h"
#include "mail/blank_body.h"
#include "pgtime.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "template/test_verdict.h"
#include "utils/timestamp.h"

/* Ten years, in seconds. If an execution seems to be longer, one of its times is wrong. */
#define LONGEST_EXECUTION (3650 * INT64CONST(86400))

/* A longer text is not an id. */
#define MAX_LINKED_ID 255

/* A longer text is not a count or a status. */
#define MAX_SHORT_TEXT 255

static void
AddVariable(Variables *variables, ScopeVariable variable)
{
	Assert(variables->own_count < MAX_OWN_VARIABLES);
	variables->own[variables->own_count++] = variable;
}

/* Adds a string; NULL becomes the empty string. */
static void
AddString(Variables *variables, const char *name, const char *text)
{
	AddVariable(
		variables,
		(ScopeVariable){.name = name, .kind = MUSTACHE_STRING, .text = text != NULL ? text : ""});
}

/* Adds a string that a key of the result replaces if it has a value. */
static void
AddReplaceable(Variables *variables, const char *name, const char *text)
{
	AddString(variables, name, text);
	variables->own[variables->own_count - 1].replaceable = true;
}

static void
AddBool(Variables *variables, const char *name, bool flag)
{
	AddVariable(variables,
				(ScopeVariable){.name = name, .kind = flag ? MUSTACHE_TRUE : MUSTACHE_FALSE});
}

/*
 * The StringFilter of variables. A template may use a value many times, so the copy that it shows
 * is kept, and the number of copies is limited.
 */
static void
ShowString(void *arg, const char *name, int name_length, MustacheValue *value)
{
	Variables *variables = arg;
	TextShape shape = ShapeOfName(name, name_length);
	MemoryContext caller;
	ShownCopy *copy;

	if (shape != TEXT_LINES && ShowsNothing(value->data, value->length))
	{
		value->length = 0;
		return;
	}
	if (FitsShape(value->data, value->length, shape))
		return;
	for (int i = 0; i < variables->copy_count; i++)
	{
		copy = &variables->copies[i];
		if (copy->source == value->data && copy->shape == shape)
		{
			value->data = copy->text;
			value->length = copy->length;
			return;
		}
	}
	if (variables->copy_count == MAX_SHOWN_COPIES)
	{
		value->length = FittingLength(value->data, value->length, shape);
		return;
	}
	copy = &variables->copies[variables->copy_count++];
	caller = MemoryContextSwitchTo(variables->context);
	copy->source = value->data;
	copy->shape = shape;
	copy->text = FitToShape(value->data, value->length, shape);
	copy->length = strlen(copy->text);
	MemoryContextSwitchTo(caller);
	value->data = copy->text;
	value->length = copy->length;
}

static void
InitScope(Variables *variables, int own_count)
{
	InitJsonbScope(&variables->scope, variables->own, own_count, variables->values, NULL, NULL);
	variables->scope.filter = ShowString;
	variables->scope.filter_arg = variables;
	variables->scope.max_text = MAX_TEXT_CHARS;
}

/* Returns variables without our own: a look-up reads only the jsonb. */
static Variables *
BeginVariables(const Jsonb *values)
{
	Variables *variables = palloc(sizeof(Variables));

	variables->values = values;
	variables->own_count = 0;
	variables->copy_count = 0;
	variables->context = CurrentMemoryContext;
	InitScope(variables, 0);
	return variables;
}

/* From now on, a look-up reads our own variables first. */
static Variables *
FinishVariables(Variables *variables)
{
	InitScope(variables, variables->own_count);
	return variables;
}

bool
LookUpVariable(const Variables *variables, const char *name, int name_length, MustacheValue *value)
{
	const MustacheScope *scope = &variables->scope.scope;

	return scope->member(scope->arg, &variables->scope.root, name, name_length, value);
}

/* Returns "2m 45s", for example; NULL if one of the times is wrong. */
static char *
FormatExecutionTime(TimestampTz started_at, TimestampTz completed_at)
{
	int64 seconds = MicrosecondsBetween(started_at, completed_at) / USECS_PER_SEC;

	if (TIMESTAMP_NOT_FINITE(started_at) || TIMESTAMP_NOT_FINITE(completed_at) ||
		completed_at < started_at || seconds > LONGEST_EXECUTION)
		return NULL;
	if (seconds < SECS_PER_MINUTE)
		return psprintf(INT64_FORMAT "s", seconds);
	if (seconds < SECS_PER_HOUR)
		return psprintf(INT64_FORMAT "m " INT64_FORMAT "s", seconds / SECS_PER_MINUTE,
						seconds % SECS_PER_MINUTE);
	return psprintf(INT64_FORMAT "h " INT64_FORMAT "m", seconds / SECS_PER_HOUR,
					seconds % SECS_PER_HOUR / SECS_PER_MINUTE);
}

/*
 * Returns a zone of the time zone database; NULL if there is none of that name. PostgreSQL also
 * accepts rules such as XYZ4:05 as zones, and keeps each zone that it was asked for. So a relation
 * of the application could fill the memory with zones. All rules contain digits. So names with
 * digits are refused, except a few known ones.
 */
static pg_tz *
FindZone(const char *name)
{
	static const char *const names_with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"};
	static const char hours_prefix[] = "Etc/GMT";
	const char *digits = strpbrk(name, "0123456789");
	bool is_name = digits == NULL;
	pg_tz *zone;

	for (int i = 0; i < (int) lengthof(names_with_digits) && !is_name; i++)
		is_name = strcmp(name, names_with_digits[i]) == 0;
	if (!is_name)
		is_name = strncmp(name, hours_prefix, strlen(hours_prefix)) == 0 &&
				  digits == name + strlen(hours_prefix) + 1 && strlen(digits) <= 2;
	zone = is_name ? pg_tzset(name) : NULL;
	return zone != NULL && pg_tz_acceptable(zone) ? zone : NULL;
}

/*
 * Returns the time in the recipient's time zone if that is known, else in UTC. The text always
 * names the zone. Returns NULL if the time is infinite.
 */
static char *
FormatTime(TimestampTz time, const char *timezone)
{
	pg_tz *zone = timezone != NULL ? FindZone(timezone) : NULL;
	struct pg_tm tm;
	fsec_t fraction;
	int offset;
	const char *abbreviation;

	if (TIMESTAMP_NOT_FINITE(time))
		return NULL;
	if (zone == NULL)
		zone = pg_tzset("UTC");
	if (timestamp2tm(time, &offset, &tm, &fraction, &abbreviation, zone) != 0)
		return NULL;
	return psprintf("%04d-%02d-%02d %02d:%02d:%02d %s%s",
					tm.tm_year > 0 ? tm.tm_year : 1 - tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour,
					tm.tm_min, tm.tm_sec, abbreviation != NULL ? abbreviation : "UTC",
					tm.tm_year > 0 ? "" : " BC");
}

/*
 * Returns the result's completed_at with "UTC" appended, if it is a time without a zone, as Python
 * writes it: "2024-01-15 14:30:25", perhaps with a T or a fraction. Returns NULL if the result has
 * no such time.
 */
static char *
ResultTimeInUtc(const Variables *variables)
{
	static const char pattern[] = "0000-00-00 00:00:00";
	const int length = sizeof(pattern) - 1;
	MustacheValue value;
	const char *time;

	if (!LookUpVariable(variables, "completed_at", strlen("completed_at"), &value) ||
		value.kind != MUSTACHE_STRING || value.length < length)
		return NULL;
	time = value.data;
	for (int i = 0; i < value.length; i++)
	{
		char expected = i < length ? pattern[i] : (i == length ? '.' : '0');
		bool fits = expected == '0' ? isdigit((unsigned char) time[i])
									: time[i] == expected || (i == 10 && time[i] == 'T');

		if (!fits)
			return NULL;
	}
	return psprintf("%.10s %.8s UTC", time, time + 11);
}

/*
 * Returns the id that the JSON has under this name, encoded for the end of a URL; NULL if there is
 * none.
 */
static char *
LinkedId(const Variables *variables, const char *name)
{
	static const char unreserved[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	const MustacheScope *scope = &variables->scope.scope;
	MustacheValue id;
	StringInfoData text;
	StringInfoData encoded;
	char *utf8;

	if (!LookUpVariable(variables, name, strlen(name), &id))
		return NULL;
	initStringInfo(&text);
	if (id.kind == MUSTACHE_STRING && id.length <= MAX_LINKED_ID)
		appendBinaryStringInfo(&text, id.data, id.length);
	else if (id.kind == MUSTACHE_NUMBER)
		scope->append_text(scope->arg, &id, MAX_LINKED_ID, &text);
	utf8 = DatabaseTextToUtf8(text.data, text.len);
	/* "." and ".." would lead to another page. */
	if (TextIsBlank(utf8) || strcmp(utf8, ".") == 0 || strcmp(utf8, "..") == 0)
		return NULL;
	initStringInfo(&encoded);
	for (const char *p = utf8; *p != '\0'; p++)
	{
		if (strchr(unreserved, *p) != NULL)
			appendStringInfoChar(&encoded, *p);
		else
			appendStringInfo(&encoded, "%%%02X", (unsigned char) *p);
	}
	return encoded.data;
}

static char *
ResultUrl(const Variables *variables)
{
	static const struct
	{
		const char *variable;
		const char *path;
	} links[] = {{"test_run_id", "test-runs"}, {"test_set_id", "test-sets"}};

	if (*FrontendUrl() == '\0')
		return NULL;
	for (int i = 0; i < (int) lengthof(links); i++)
	{
		char *id = LinkedId(variables, links[i].variable);

		if (id != NULL)
			return psprintf("%s/%s/%s", FrontendUrl(), links[i].path, id);
	}
	return NULL;
}

/* Returns a symbol for plain text. If the database's encoding has no emoji, it is ASCII. */
static const char *
Symbol(VerdictTone tone)
{
	static const char *const emoji[] = {
		[VERDICT_GOOD] = "\xE2\x9C\x85",			  /* U+2705 */
		[VERDICT_MIXED] = "\xE2\x9A\xA0\xEF\xB8\x8F", /* U+26A0 U+FE0F */
		[VERDICT_BAD] = "\xE2\x9D\x8C",				  /* U+274C */
	};
	int encoding = GetDatabaseEncoding();

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return emoji[tone];
	return tone == VERDICT_GOOD ? "*" : "!";
}

/*
 * Reads a string or a number of the result as text. Returns false if it is something else, or too
 * long.
 */
static bool
ReadShortText(const Variables *variables, const char *name, StringInfo text)
{
	const MustacheScope *scope = &variables->scope.scope;
	MustacheValue value;

	resetStringInfo(text);
	if (!LookUpVariable(variables, name, strlen(name), &value))
		return false;
	if (value.kind == MUSTACHE_NUMBER)
		return scope->append_text(scope->arg, &value, MAX_SHORT_TEXT, text);
	if (value.kind != MUSTACHE_STRING || value.length > MAX_SHORT_TEXT)
		return false;
	appendBinaryStringInfo(text, value.data, value.length);
	return true;
}

/*
 * Adds a count of the result as a text (in a section, the text "0" is a value) and a flag that it
 * is more than 0. Returns the count.
 */
static int64
AddCount(Variables *variables, const char *key, const char *shown_name, const char *flag_name,
		 StringInfo text)
{
	int64 count = COUNT_UNKNOWN;

	if (ReadShortText(variables, key, text))
		count = ParseCount(text->data, text->len);
	AddString(variables, shown_name, count == COUNT_UNKNOWN ? NULL : psprintf(INT64_FORMAT, count));
	AddBool(variables, flag_name, count > 0);
	return count;
}

static void
ReadCounts(Variables *variables, TestCounts *counts)
{
	StringInfoData text;

	initStringInfo(&text);
	counts->total = AddCount(variables, "total_tests", "total_tests_shown", "has_any_tests", &text);
	counts->passed =
		AddCount(variables, "tests_passed", "tests_passed_shown", "has_passed_tests", &text);
	counts->failed =
		AddCount(variables, "tests_failed", "tests_failed_shown", "has_failed_tests", &text);
	counts->errors = AddCount(variables, "execution_errors", "execution_errors_shown",
							  "has_execution_errors", &text);
	counts->execution = EXECUTION_UNKNOWN;
	if (ReadShortText(variables, "execution_status", &text))
		counts->execution = ParseExecutionStatus(text.data, text.len);
	pfree(text.data);
}

/*
 * Adds the variables that follow from the counts. They make a verdict only if the task itself
 * succeeded.
 */
static void
AddVerdict(Variables *variables, bool is_success)
{
	TestCounts counts;
	VerdictTone tone = VERDICT_BAD;
	char *words = NULL;
	char *parts;

	ReadCounts(variables, &counts);
	if (is_success)
		tone = JudgeTests(&counts, &words);
	parts = CountsInWords(&counts);
	AddString(variables, "test_verdict", words);
	AddString(variables, "test_outcome",
			  words != NULL ? words : (is_success ? "Success" : "Failed"));
	AddString(variables, "test_verdict_symbol", Symbol(tone));
	AddBool(variables, "test_verdict_is_bad", tone == VERDICT_BAD);
	AddBool(variables, "test_verdict_is_mixed", tone == VERDICT_MIXED);
	AddString(variables, "test_counts", parts);
	AddBool(variables, "has_test_counts", *parts != '\0' || counts.total != COUNT_UNKNOWN);
}

static void
AddStatus(Variables *variables, bool is_success)
{
	AddString(variables, "status", is_success ? "success" : "failed");
	AddString(variables, "status_title", is_success ? "Success" : "Failed");
	AddString(variables, "status_upper", is_success ? "SUCCESS" : "FAILED");
	AddString(variables, "status_symbol", Symbol(is_success ? VERDICT_GOOD : VERDICT_BAD));
	AddBool(variables, "is_success", is_success);
	AddBool(variables, "is_failed", !is_success);
}

Variables *
NotificationVariables(const Notification *notification, const Recipient *recipient)
{
	Variables *variables = BeginVariables(notification->result);
	const char *organization_id = recipient->organization_id;
	char *result_time;

	if (organization_id == NULL)
		organization_id = notification->organization_id;
	AddString(variables, "recipient_name", ShownLine(recipient->name));
	AddString(variables, "recipient_email", recipient->email);
	AddReplaceable(variables, "task_name",
				   ShownLine(notification->display_name != NULL ? notification->display_name
																: notification->task_name));
	AddString(variables, "task_id", ShownLine(notification->task_id));
	AddStatus(variables, notification->is_success);
	AddVerdict(variables, notification->is_success);
	AddReplaceable(variables, "execution_time",
				   notification->has_started_at
					   ? FormatExecutionTime(notification->started_at, notification->completed_at)
					   : NULL);
	result_time = ResultTimeInUtc(variables);
	if (result_time != NULL)
		AddString(variables, "completed_at", result_time);
	else
		AddReplaceable(variables, "completed_at",
					   FormatTime(notification->completed_at, recipient->timezone));
	AddString(variables, "error_message",
			  notification->error_message != NULL ? ShownError(notification->error_message) : NULL);
	AddString(variables, "frontend_url", FrontendUrl());
	AddString(variables, "result_url", ResultUrl(variables));
	AddString(variables, "organization_name", ShownLine(recipient->organization_name));
	AddString(variables, "organization_id", ShownLine(organization_id));
	AddString(variables, "from_name", SettingFromName());
	return FinishVariables(variables);
}

Variables *
GivenVariables(const Jsonb *given)
{
	Variables *variables = BeginVariables(given);
	bool is_success = true;
	MustacheValue status;

	if (LookUpVariable(variables, "status", strlen("status"), &status) &&
		status.kind == MUSTACHE_STRING)
	{
		is_success = status.length == (int) strlen("success") &&
					 memcmp(status.data, "success", status.length) == 0;
		AddStatus(variables, is_success);
	}
	AddString(variables, "frontend_url", FrontendUrl());
	AddString(variables, "result_url", ResultUrl(variables));
	AddString(variables, "from_name", SettingFromName());
	for (int i = 0; i < variables->own_count; i++)
		variables->own[i].replaceable = true;
	/*
	 * The caller cannot give the variables that follow from the counts: examples would contradict
	 * the counts.
	 */
	AddVerdict(variables, is_success);
	return FinishVariables(variables);
}

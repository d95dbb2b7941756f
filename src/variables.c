/*
 * variables.c - what a template can name: our variables, and the keys of a task's result beneath them.
 *
 * Every variable of ours is always there, empty where there is nothing to say: a key of the result must not be able to
 * take its place. Text is in the database's encoding.
 */
#include "postgres.h"

#include <ctype.h>

#include "variables.h"

#include "database_text.h"
#include "pgtime.h"
#include "settings.h"
#include "time_text.h"
#include "utils/timestamp.h"

/* An error message is shown up to this many characters; of a longer one, its beginning and its end. */
#define MAX_ERROR_CHARS 4000
#define ERROR_HEAD_CHARS 2400
#define ERROR_TAIL_CHARS 1500
#define ERROR_CUT_NOTE "\n\n[... the middle of this message is left out ...]\n\n"

/* What takes longer has not run for so long: a time is wrong. In seconds: ten years. */
#define LONGEST_EXECUTION (3650 * INT64CONST(86400))

/* What is longer is no id. */
#define MAX_LINKED_ID 255

static void
AddVariable(Variables *variables, ScopeVariable variable)
{
	Assert(variables->own_count < MAX_OWN_VARIABLES);
	variables->own[variables->own_count++] = variable;
}

/* NULL is the empty string. */
static void
AddString(Variables *variables, const char *name, const char *text)
{
	AddVariable(
		variables,
		(ScopeVariable){.name = name, .kind = MUSTACHE_STRING, .text = text != NULL ? text : ""});
}

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

/* Variables with nothing of ours yet: what is looked up comes from the jsonb. */
static Variables *
BeginVariables(const Jsonb *values)
{
	Variables *variables = palloc(sizeof(Variables));

	variables->values = values;
	variables->own_count = 0;
	InitJsonbScope(&variables->scope, NULL, 0, values, NULL, NULL);
	return variables;
}

/* Lay ours over it. */
static Variables *
FinishVariables(Variables *variables)
{
	InitJsonbScope(&variables->scope, variables->own, variables->own_count, variables->values, NULL,
				   NULL);
	return variables;
}

bool
LookUpVariable(const Variables *variables, const char *name, int name_length, MustacheValue *value)
{
	const MustacheScope *scope = &variables->scope.scope;

	return scope->member(scope->arg, &variables->scope.root, name, name_length, value);
}

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
 * A zone of the time zone database; NULL: there is none of that name. PostgreSQL keeps each zone that it was asked for, and takes
 * rules such as XYZ4:05 for zones too: a relation of the app could make up endless ones. All rules have digits; of names, few.
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

/* In the recipient's time zone if it is a known one, else in UTC; never without saying which. */
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
 * A time of the task's own without a zone, as Python writes it: "2024-01-15 14:30:25", with a T or a fraction too.
 * Shown with UTC; NULL if the result has none, or it says more than that.
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

/* Made fit for reading: no control characters but line breaks and tabs, and not longer than a mail can show. */
static char *
ShownError(const char *message)
{
	int length = strlen(message);
	char *shown;

	if (length > MAX_ERROR_CHARS)
	{
		int chars = pg_mbstrlen_with_len(message, length);

		if (chars > MAX_ERROR_CHARS)
		{
			int head = pg_mbcharcliplen(message, length, ERROR_HEAD_CHARS);
			int tail = pg_mbcharcliplen(message, length, chars - ERROR_TAIL_CHARS);

			/* The end of a traceback says what happened. */
			message = psprintf("%.*s" ERROR_CUT_NOTE "%s", head, message, message + tail);
		}
	}
	shown = pstrdup(message);
	for (char *p = shown; *p != '\0'; p++)
	{
		if (((unsigned char) *p < ' ' && *p != '\n' && *p != '\t' && *p != '\r') || *p == 0x7F)
			*p = ' ';
	}
	return shown;
}

/* The id that the JSON has under this name, as the end of a URL; NULL: none. */
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
	if (text.len == 0)
		return NULL;

	utf8 = DatabaseTextToUtf8(text.data, text.len);
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

	if (rhesis_frontend_url == NULL || *rhesis_frontend_url == '\0')
		return NULL;
	for (int i = 0; i < (int) lengthof(links); i++)
	{
		char *id = LinkedId(variables, links[i].variable);

		if (id != NULL)
			return psprintf("%s/%s/%s", rhesis_frontend_url, links[i].path, id);
	}
	return NULL;
}

/* A mark for plain text; a database that can't hold the emoji makes do with ASCII. */
static const char *
StatusSymbol(bool is_success)
{
	int encoding = GetDatabaseEncoding();

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return is_success ? "\xE2\x9C\x85" : "\xE2\x9D\x8C"; /* U+2705, U+274C */
	return is_success ? "*" : "!";
}

static void
AddStatus(Variables *variables, bool is_success)
{
	AddString(variables, "status", is_success ? "success" : "failed");
	AddString(variables, "status_title", is_success ? "Success" : "Failed");
	AddString(variables, "status_upper", is_success ? "SUCCESS" : "FAILED");
	AddString(variables, "status_symbol", StatusSymbol(is_success));
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
	AddString(variables, "recipient_name", recipient->name);
	AddString(variables, "recipient_email", recipient->email);
	AddReplaceable(variables, "task_name",
				   notification->display_name != NULL ? notification->display_name
													  : notification->task_name);
	AddString(variables, "task_id", notification->task_id);
	AddStatus(variables, notification->is_success);
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
	AddString(variables, "frontend_url", rhesis_frontend_url);
	AddString(variables, "result_url", ResultUrl(variables));
	AddString(variables, "organization_name", recipient->organization_name);
	AddString(variables, "organization_id", organization_id);
	AddString(variables, "from_name", SettingFromName());
	return FinishVariables(variables);
}

Variables *
GivenVariables(const Jsonb *given)
{
	Variables *variables = BeginVariables(given);
	MustacheValue status;

	if (LookUpVariable(variables, "status", strlen("status"), &status) &&
		status.kind == MUSTACHE_STRING)
		AddStatus(variables, status.length == (int) strlen("success") &&
								 memcmp(status.data, "success", status.length) == 0);
	AddString(variables, "frontend_url", rhesis_frontend_url);
	AddString(variables, "result_url", ResultUrl(variables));
	AddString(variables, "from_name", SettingFromName());
	for (int i = 0; i < variables->own_count; i++)
		variables->own[i].replaceable = true;
	return FinishVariables(variables);
}

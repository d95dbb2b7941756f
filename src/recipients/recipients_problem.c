/*
 * recipients_problem.c - see recipients_problem.h.
 */
#include "postgres.h"

#include "base/time_limit.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "recipients/recipients_problem.h"
#include "utils/builtins.h"

/* How much of each text of an error is passed on. */
#define TEXT_MAX_BYTES 1000

bool
IsRowError(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_TRANSACTION_STATE:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INVALID_CATALOG_NAME:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_CONFIG_FILE_ERROR:
		case ERRCODE_FDW_ERROR:
			return false;
		default:
			/* This includes codes that a function invents: RAISE accepts any code. */
			return true;
	}
}

bool
IsCancellation(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

static const char *
HintFor(const ErrorData *error)
{
	/* message_id is the message before its translation. */
	if (error->message_id != NULL && strstr(error->message_id, "row-level security") != NULL)
		return "Give the owner of the relation that is read BYPASSRLS, or name a view in "
			   "rhesis_notify.recipients whose owner sees every recipient.";
	if (error->hint != NULL)
		return error->hint;
	switch (error->sqlerrcode)
	{
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_UNDEFINED_COLUMN:
		case ERRCODE_INVALID_NAME:
		case ERRCODE_WRONG_OBJECT_TYPE:
			return "Set rhesis_notify.recipients to a table or view that has the columns user_id "
				   "and email.";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return "Each relation is read with the rights of its owner: grant the owner what the "
				   "relation needs.";
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return "Another session, perhaps a migration, has it locked; mail goes on when that "
				   "is done.";
		case ERRCODE_READ_ONLY_SQL_TRANSACTION:
			return "Recipients are read in a read-only transaction: a view must not call a "
				   "function that writes.";
		default:
			return NULL;
	}
}

/*
 * Returns a copy of a text that code of the application may have written, cut to TEXT_MAX_BYTES;
 * NULL for NULL.
 */
static char *
CopyCut(const char *text)
{
	return text == NULL ? NULL : pnstrdup(text, pg_mbcliplen(text, strlen(text), TEXT_MAX_BYTES));
}

void
ReportProblem(RecipientsProblem *problem, const ErrorData *error, const Reading *reading)
{
	const char *role = OidIsValid(reading->owner) ? GetUserNameFromId(reading->owner, true) : NULL;

	if (TimeLimitHasPassed())
	{
		problem->sqlstate = ERRCODE_QUERY_CANCELED;
		problem->message = psprintf("reading recipients takes longer than %d ms", LOOK_UP_LIMIT_MS);
		problem->hint = pstrdup("The relation must find rows by their user with an index; see its "
								"plan with EXPLAIN.");
	}
	else
	{
		problem->sqlstate = error->sqlerrcode;
		problem->message = CopyCut(error->message);
		problem->hint = CopyCut(HintFor(error));
	}
	if (role == NULL)
		problem->detail = CopyCut(error->detail);
	else if (error->detail == NULL)
		problem->detail = psprintf("%s is read as role \"%s\".", reading->name, role);
	else
		problem->detail =
			psprintf("%s is read as role \"%s\". %s", reading->name, role, CopyCut(error->detail));
}

char *
DescribeRowError(const ErrorData *error)
{
	return psprintf("%s (SQLSTATE %s)", CopyCut(error->message),
					unpack_sql_state(error->sqlerrcode));
}

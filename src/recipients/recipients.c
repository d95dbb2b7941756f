/*
 * recipients.c - finds who gets a notification's mail, or why nobody does.
 *
 * The verdicts come from rows that recipients_relation.c reads: one statement reads the people of a
 * batch, and in the Rhesis schema a second one reads their organizations. If a statement fails, the
 * batch is halved until the rows that make it fail are alone. Those rows get the error; the other
 * rows get their verdicts. An error counts as a problem of the whole relation in two cases: its
 * kind concerns the relation and no tried user can be read without it, or several users were tried
 * and all got the same error.
 */
#include "postgres.h"

#include "base/ascii.h"
#include "base/database_text.h"
#include "base/shown_text.h"
#include "base/time_limit.h"
#include "mail/mailbox.h"
#include "mail/written_address.h"
#include "miscadmin.h"
#include "recipients/recipients.h"
#include "recipients/recipients_problem.h"
#include "recipients/recipients_relation.h"
#include "settings/settings.h"

/*
 * How many characters of a value are read. An address that is cut is still too long to be valid, so
 * cutting never makes a valid address out of an invalid one.
 */
#define ADDRESS_MAX_CHARS 1000
#define NAME_MAX_CHARS 256
#define TIMEZONE_MAX_CHARS 64

/*
 * How many users of a batch are looked up alone, to tell whether an error is about the relation or
 * about one row.
 */
#define OTHERS_TRIED 8

#define FAILING_ROWS_KEPT 256

typedef enum PersonColumn
{
	PERSON_ID,
	PERSON_EMAIL,
	PERSON_NAME,
	PERSON_GIVEN_NAME,
	PERSON_ORGANIZATION_ID,
	PERSON_ORGANIZATION_NAME,
	PERSON_ACTIVE,
	PERSON_DELETED,
	PERSON_TIMEZONE
} PersonColumn;

static const AppColumn rhesis_user_columns[] = {
	[PERSON_ID] = {"id", APP_COLUMN_KEY, 0, true},
	[PERSON_EMAIL] = {"email", APP_COLUMN_TEXT, ADDRESS_MAX_CHARS, true},
	[PERSON_NAME] = {"name", APP_COLUMN_TEXT, NAME_MAX_CHARS, false},
	[PERSON_GIVEN_NAME] = {"given_name", APP_COLUMN_TEXT, NAME_MAX_CHARS, false},
	[PERSON_ORGANIZATION_ID] = {"organization_id", APP_COLUMN_KEY, 0, false},
	[PERSON_ORGANIZATION_NAME] = {NULL, APP_COLUMN_TEXT, 0, false},
	[PERSON_ACTIVE] = {"is_active", APP_COLUMN_FLAG, 0, false},
	[PERSON_DELETED] = {"deleted_at", APP_COLUMN_IS_SET, 0, false},
	[PERSON_TIMEZONE] = {NULL, APP_COLUMN_TEXT, 0, false},
};

static const AppColumn recipients_columns[] = {
	[PERSON_ID] = {"user_id", APP_COLUMN_KEY, 0, true},
	[PERSON_EMAIL] = {"email", APP_COLUMN_TEXT, ADDRESS_MAX_CHARS, true},
	[PERSON_NAME] = {"name", APP_COLUMN_TEXT, NAME_MAX_CHARS, false},
	[PERSON_GIVEN_NAME] = {NULL, APP_COLUMN_TEXT, 0, false},
	[PERSON_ORGANIZATION_ID] = {"organization_id", APP_COLUMN_KEY, 0, false},
	[PERSON_ORGANIZATION_NAME] = {"organization_name", APP_COLUMN_TEXT, NAME_MAX_CHARS, false},
	[PERSON_ACTIVE] = {"active", APP_COLUMN_FLAG, 0, false},
	[PERSON_DELETED] = {NULL, APP_COLUMN_IS_SET, 0, false},
	[PERSON_TIMEZONE] = {"timezone", APP_COLUMN_TEXT, TIMEZONE_MAX_CHARS, false},
};

enum
{
	ORGANIZATION_ID,
	ORGANIZATION_NAME,
	ORGANIZATION_DISPLAY_NAME
};

static const AppColumn rhesis_organization_columns[] = {
	[ORGANIZATION_ID] = {"id", APP_COLUMN_KEY, 0, true},
	[ORGANIZATION_NAME] = {"name", APP_COLUMN_TEXT, NAME_MAX_CHARS, false},
	[ORGANIZATION_DISPLAY_NAME] = {"display_name", APP_COLUMN_TEXT, NAME_MAX_CHARS, false},
};

static AppRelation rhesis_users = {
	.columns = rhesis_user_columns,
	.column_count = lengthof(rhesis_user_columns),
};
static AppRelation rhesis_organizations = {
	.columns = rhesis_organization_columns,
	.column_count = lengthof(rhesis_organization_columns),
	.is_optional = true,
};
static AppRelation named_recipients = {
	.columns = recipients_columns,
	.column_count = lengthof(recipients_columns),
};

/* One call of LookUpRecipients(). */
typedef struct LookUp
{
	Notification *const *notifications;
	Recipient *recipients;
	RecipientsProblem *problem;
	AppRelation *people;
	const char *people_name;
	AppRelation *organizations; /* NULL: the rows of people have the organizations' names */

	int answered;		  /* rows whose user could be searched in the relation */
	ErrorData *row_error; /* the first error that counts as a row's own */
	Reading row_reading;
	const char *failed_user;
	bool several_users_failed;
	bool errors_differ;
} LookUp;

#define RHESIS_USERS_NAME "public.\"user\""
#define ORGANIZATIONS_NAME "public.organization"

static bool
IsEmpty(const char *text)
{
	return text == NULL || *text == '\0';
}

static bool
IsBlank(const char *text)
{
	return text == NULL || ShowsNothing(text, strlen(text));
}

static bool
IsTrue(const char *flag)
{
	return flag != NULL && strcmp(flag, "true") == 0;
}

/* Returns true only for "false": null does not mean inactive. */
static bool
IsFalse(const char *flag)
{
	return flag != NULL && strcmp(flag, "false") == 0;
}

/*
 * Returns true if listed, a domain of length bytes in Unicode or ASCII, is the same as domain,
 * which is in ASCII.
 */
static bool
IsDomain(const char *listed, size_t length, const char *domain)
{
	const char *problem;

	for (size_t i = 0; i < length; i++)
	{
		if (IS_HIGHBIT_SET(listed[i]))
		{
			listed = DomainInAscii(listed, length, &problem);
			length = listed != NULL ? strlen(listed) : 0;
			break;
		}
	}
	return length > 0 && length == strlen(domain) && BeginsAlike(listed, domain, length);
}

static bool
IsPlaceholder(const char *address)
{
	const char *domain = AddressDomain(address);
	const char *listed = rhesis_placeholder_domains;

	while (!IsEmpty(listed))
	{
		size_t length;

		listed += strspn(listed, ", \t\r\n");
		length = strcspn(listed, ", \t\r\n");
		if (length > 0 && IsDomain(listed, length, domain))
			return true;
		listed += length;
	}
	return false;
}

/*
 * Returns the row of people for a user and an organization. If there is none, returns NULL and sets
 * *reason to unknown_user or wrong_organization. If several rows have the same pair, prefers a row
 * that is not inactive.
 */
static char **
ChoosePerson(const AppRows *people, const char *user_key, const char *organization_id,
			 const char **reason)
{
	const KeyType *organization_type = people->key_types[PERSON_ORGANIZATION_ID];
	const char *organization_key = NULL;
	char **chosen = NULL;
	int alive = 0;
	int matching = 0;
	Datum unused;

	if (!IsEmpty(organization_id) && organization_type != NULL)
		organization_key = organization_type->parse(organization_id, &unused);

	for (int i = FirstRowOfKey(people, user_key);
		 i < people->count && strcmp(people->values[i][PERSON_ID], user_key) == 0; i++)
	{
		char **row = people->values[i];
		const char *row_organization = row[PERSON_ORGANIZATION_ID];

		if (IsTrue(row[PERSON_DELETED]))
			continue;
		alive++;
		if (!IsEmpty(organization_id) && (organization_key == NULL || IsEmpty(row_organization) ||
										  strcmp(row_organization, organization_key) != 0))
			continue;
		matching++;
		if (chosen == NULL || (IsFalse(chosen[PERSON_ACTIVE]) && !IsFalse(row[PERSON_ACTIVE])))
			chosen = row;
	}

	if (alive == 0)
		*reason = "unknown_user";
	else if (matching == 0 || (IsEmpty(organization_id) && matching > 1))
		*reason = "wrong_organization";
	else
		return chosen;
	return NULL;
}

/*
 * Sets recipient->email to the address as the envelope has it; an address that is not valid stays
 * as it is written, and recipient->email_problem says why. Returns why no mail is owed to the
 * address, or NULL.
 */
static const char *
ReadAddress(Recipient *recipient, char *written)
{
	const char *utf8 = written != NULL ? TryDatabaseTextToUtf8(written) : "";
	char *address;

	recipient->email = written;
	if (utf8 == NULL)
		recipient->email_problem = "it has bytes that are no character";
	else if (IsOnlyBlanks(utf8, strlen(utf8)))
		return "no_email";
	else if (pg_mbstrlen(written) >= ADDRESS_MAX_CHARS)
		recipient->email_problem = "it is longer than 254 bytes"; /* it was cut */
	if (recipient->email_problem != NULL)
		return "invalid_email";

	address = ReadWrittenAddress(utf8, strlen(utf8), &recipient->email_problem);
	if (address == NULL)
		return "invalid_email";
	recipient->email = address;
	if (IsPlaceholder(address))
		return "placeholder_email";
	return NULL;
}

static void
FillRecipient(Recipient *recipient, char **person)
{
	recipient->skip_reason = ReadAddress(recipient, person[PERSON_EMAIL]);
	if (IsFalse(person[PERSON_ACTIVE]))
	{
		recipient->skip_reason = "inactive_user";
		recipient->email_problem = NULL;
	}
	if (!IsBlank(person[PERSON_NAME]))
		recipient->name = person[PERSON_NAME];
	else if (!IsBlank(person[PERSON_GIVEN_NAME]))
		recipient->name = person[PERSON_GIVEN_NAME];
	else
		recipient->name = recipient->email;
	if (!IsEmpty(person[PERSON_ORGANIZATION_ID]))
		recipient->organization_id = person[PERSON_ORGANIZATION_ID];
	if (!IsBlank(person[PERSON_ORGANIZATION_NAME]))
		recipient->organization_name = person[PERSON_ORGANIZATION_NAME];
	if (!IsBlank(person[PERSON_TIMEZONE]))
		recipient->timezone = person[PERSON_TIMEZONE];
}

static void
Keep(char **text)
{
	if (*text != NULL)
		*text = pstrdup(*text);
}

/* Copies the values, because the rows, which may be many, are freed. */
static void
KeepRecipient(Recipient *recipient)
{
	Keep(&recipient->email);
	Keep(&recipient->name);
	Keep(&recipient->organization_id);
	Keep(&recipient->organization_name);
	Keep(&recipient->timezone);
}

/*
 * Reads people for notifications[first .. first + count) in one statement, and sets the verdicts.
 * Adds to *answered how many users could be searched, and sets *reading to the relation. Returns
 * NULL, or the error.
 */
static ErrorData *
JudgePeople(LookUp *look_up, int first, int count, int *answered, Reading *reading)
{
	const char **user_ids = palloc(count * sizeof(char *));
	int *asked = palloc(count * sizeof(int));
	int asked_count = 0;
	AppRows people;
	ErrorData *error;

	for (int i = first; i < first + count; i++)
	{
		const char *user_id = look_up->notifications[i]->user_id;

		memset(&look_up->recipients[i], 0, sizeof(Recipient));
		if (IsEmpty(user_id))
			look_up->recipients[i].skip_reason = "no_user";
		else
		{
			user_ids[asked_count] = user_id;
			asked[asked_count++] = i;
		}
	}
	if (asked_count == 0)
		return NULL;

	reading->name = look_up->people_name;
	error = ReadAppRelation(look_up->people, look_up->people_name, user_ids, asked_count, &people);
	reading->owner = people.owner;
	for (int i = 0; error == NULL && i < asked_count; i++)
	{
		Recipient *recipient = &look_up->recipients[asked[i]];
		char **person;

		if (people.keys[i] == NULL)
		{
			recipient->skip_reason = "unknown_user";
			continue;
		}
		(*answered)++;
		person =
			ChoosePerson(&people, people.keys[i], look_up->notifications[asked[i]]->organization_id,
						 &recipient->skip_reason);
		if (person != NULL)
		{
			FillRecipient(recipient, person);
			KeepRecipient(recipient);
		}
	}
	FreeAppRows(&people);
	return error;
}

/*
 * Reads the names of the organizations for those of recipients[first .. first + count) that are
 * owed a mail, in one statement. Sets *reading to the relation. Returns NULL, or the error.
 */
static ErrorData *
NameOrganizations(LookUp *look_up, int first, int count, Reading *reading)
{
	const char **organization_ids = palloc(count * sizeof(char *));
	Recipient **asked = palloc(count * sizeof(Recipient *));
	int asked_count = 0;
	AppRows organizations;
	ErrorData *error;

	for (int i = first; i < first + count; i++)
	{
		Recipient *recipient = &look_up->recipients[i];

		if (recipient->skip_reason == NULL && recipient->organization_id != NULL)
		{
			organization_ids[asked_count] = recipient->organization_id;
			asked[asked_count++] = recipient;
		}
	}
	if (asked_count == 0)
		return NULL;

	reading->name = ORGANIZATIONS_NAME;
	error = ReadAppRelation(look_up->organizations, ORGANIZATIONS_NAME, organization_ids,
							asked_count, &organizations);
	reading->owner = organizations.owner;
	for (int i = 0; error == NULL && i < asked_count; i++)
	{
		const char *key = organizations.keys[i];
		int row = key != NULL ? FirstRowOfKey(&organizations, key) : organizations.count;
		char **organization;

		if (row == organizations.count || strcmp(organizations.values[row][0], key) != 0)
			continue;
		organization = organizations.values[row];
		if (!IsBlank(organization[ORGANIZATION_DISPLAY_NAME]))
			asked[i]->organization_name = pstrdup(organization[ORGANIZATION_DISPLAY_NAME]);
		else if (!IsBlank(organization[ORGANIZATION_NAME]))
			asked[i]->organization_name = pstrdup(organization[ORGANIZATION_NAME]);
	}
	FreeAppRows(&organizations);
	return error;
}

/*
 * The ids of rows that failed while other rows of the same look-up did not. If such a row is tried
 * again without other rows, its error still counts as its own. If there are too many such rows, the
 * oldest one is forgotten, and counts like any other row again.
 */
static int64 failing_rows[FAILING_ROWS_KEPT];
static int failing_row_count = 0;

static bool
IsKnownToFail(const Notification *notification)
{
	for (int i = 0; i < Min(failing_row_count, FAILING_ROWS_KEPT); i++)
	{
		if (failing_rows[i] == notification->id)
			return true;
	}
	return false;
}

static void
RememberFailingRows(const LookUp *look_up, int count)
{
	for (int i = 0; i < count && look_up->answered > 0; i++)
	{
		const Notification *notification = look_up->notifications[i];

		/* A preview, for example, is not a row of the queue, and has no id. */
		if (notification->id != 0 && look_up->recipients[i].error != NULL &&
			!IsKnownToFail(notification))
			failing_rows[failing_row_count++ % FAILING_ROWS_KEPT] = notification->id;
	}
}

static bool
AreKnownToFail(const LookUp *look_up, int first, int count)
{
	for (int i = first; i < first + count; i++)
	{
		if (!IsKnownToFail(look_up->notifications[i]))
			return false;
	}
	return true;
}

/* Sets the error of this row alone, and notes it for AllFailAlike(). */
static void
ReportRowError(LookUp *look_up, int row, ErrorData *error, const Reading *reading)
{
	Recipient *recipient = &look_up->recipients[row];
	const char *user_id = look_up->notifications[row]->user_id;

	memset(recipient, 0, sizeof(Recipient));
	recipient->error = DescribeRowError(error);
	/* If a row that is known to fail fails again, that says nothing about the relation. */
	if (IsKnownToFail(look_up->notifications[row]))
		return;
	if (look_up->row_error == NULL)
	{
		look_up->row_error = error;
		look_up->row_reading = *reading;
		look_up->failed_user = user_id;
		return;
	}
	if (error->sqlerrcode != look_up->row_error->sqlerrcode)
		look_up->errors_differ = true;
	if (strcmp(user_id, look_up->failed_user) != 0)
		look_up->several_users_failed = true;
}

/*
 * Returns true if an error that seems to concern the relation is only about rows of the slice. For
 * example, a view calls a function that reads a table of one user's tenant. So tries a few other
 * rows, spread over the slice: returns true if a row of this look-up could be read, or if all rows
 * of the slice are known to fail.
 */
static bool
IsReadableForOthers(LookUp *look_up, int first, int count, const ErrorData *error)
{
	int step = Max(count / OTHERS_TRIED, 1);

	if (AreKnownToFail(look_up, first, count))
		return true;
	/* Each try would wait for the lock again. */
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return false;
	for (int i = first; count > 1 && i < first + count && look_up->answered == 0; i += step)
	{
		Reading reading = {0};
		int answered = 0;
		ErrorData *failure = JudgePeople(look_up, i, 1, &answered, &reading);

		if (failure == NULL && look_up->organizations != NULL)
			failure = NameOrganizations(look_up, i, 1, &reading);
		if (TimeLimitHasPassed() || (failure && IsCancellation(failure)))
			return false;
		if (failure == NULL)
			look_up->answered += answered;
	}
	return look_up->answered > 0;
}

/*
 * Fills in recipients[first .. first + count). Returns false, and fills in the look-up's problem,
 * if a relation as a whole cannot be read. Raises a cancellation that the time limit did not cause.
 */
static bool
LookUpSlice(LookUp *look_up, int first, int count)
{
	Reading reading = {0};
	int answered = 0;
	ErrorData *error;

	error = JudgePeople(look_up, first, count, &answered, &reading);
	if (error == NULL && look_up->organizations != NULL)
		error = NameOrganizations(look_up, first, count, &reading);
	if (error == NULL)
	{
		look_up->answered += answered;
		return true;
	}

	if (IsCancellation(error) && !TimeLimitHasPassed())
		ReThrowError(error);
	if (TimeLimitHasPassed() ||
		(!IsRowError(error) && !IsReadableForOthers(look_up, first, count, error)))
	{
		StopTimeLimit();
		ReportProblem(look_up->problem, error, &reading);
		return false;
	}
	if (count == 1)
	{
		ReportRowError(look_up, first, error, &reading);
		return true;
	}
	return LookUpSlice(look_up, first, count / 2) &&
		   LookUpSlice(look_up, first + count / 2, count - count / 2);
}

/*
 * Returns true if several users were tried and all got the same error: then the relation is at
 * fault, not their rows.
 */
static bool
AllFailAlike(const LookUp *look_up)
{
	return look_up->answered == 0 && look_up->several_users_failed && !look_up->errors_differ;
}

const char *
RecipientsRelationName(void)
{
	return IsEmpty(rhesis_recipients) ? RHESIS_USERS_NAME : rhesis_recipients;
}

bool
LookUpRecipients(Notification *const *notifications, int count, Recipient *recipients,
				 RecipientsProblem *problem)
{
	static bool is_running = false;
	volatile bool is_readable = false;
	LookUp look_up = {
		.notifications = notifications,
		.recipients = recipients,
		.problem = problem,
	};
	ErrorContextCallback context = {.callback = CancelAgain};

	if (is_running)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("a recipients relation cannot look up recipients itself")));
	if (IsEmpty(rhesis_recipients))
	{
		look_up.people = &rhesis_users;
		look_up.people_name = RHESIS_USERS_NAME;
		look_up.organizations = &rhesis_organizations;
	}
	else
	{
		look_up.people = &named_recipients;
		look_up.people_name = pstrdup(rhesis_recipients);
	}

	context.previous = error_context_stack;
	error_context_stack = &context;
	is_running = true;
	StartTimeLimit(LOOK_UP_LIMIT_MS);
	PG_TRY();
	{
		is_readable = LookUpSlice(&look_up, 0, count);
	}
	PG_FINALLY();
	{
		StopTimeLimit();
		is_running = false;
	}
	PG_END_TRY();
	error_context_stack = context.previous;

	if (is_readable)
		RememberFailingRows(&look_up, count);
	if (is_readable && AllFailAlike(&look_up))
	{
		ReportProblem(problem, look_up.row_error, &look_up.row_reading);
		is_readable = false;
	}
	return is_readable;
}

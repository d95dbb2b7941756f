/*
 * recipients.h - reads the application's user and organization relations, each as its owner.
 *
 * This is the only code that reads relations of the application. It does not know the queue: it
 * takes notifications, and returns a verdict for each. The relation is rhesis_notify.recipients, or
 * the Rhesis schema if that is empty.
 *
 * Rules for special cases:
 *  - A name without a schema in rhesis_notify.recipients means schema public, whatever the search
 *    path is.
 *  - An empty organization id, in a notification or in a row, means none.
 *  - If the relation has no column organization_id, no row has an organization: a notification that
 *    has one is wrong_organization.
 *  - A user is inactive if the column is false. Null does not mean inactive.
 *  - An organization's name is its display_name, else its name.
 */
#ifndef RHESIS_RECIPIENTS_H
#define RHESIS_RECIPIENTS_H

#include "queue/notification.h"

/*
 * Strings are in the database's encoding, and cut at lengths that no real value has. If no row of
 * the relation was chosen (no_user, unknown_user, wrong_organization, or an error), all strings but
 * skip_reason and error are NULL.
 */
typedef struct Recipient
{
	const char *skip_reason; /* a code that doc/reference.md lists; NULL: a mail is owed */
	char *error; /* the error that this row's look-up raised (recipients_error); NULL: none */
	char *email; /* if a mail is owed, as the envelope has it: trimmed, its domain in ASCII */
	const char *email_problem; /* for invalid_email: what is wrong, a constant phrase; else NULL */
	char *name;				   /* display name: name, else given_name, else the address */
	char *organization_id;	   /* the row's; NULL: none */
	char *organization_name;   /* NULL: unknown */
	char *timezone;			   /* NULL: unknown */
} Recipient;

/*
 * Why the relations as a whole cannot be read now. The queue then waits and reports this, and no
 * row is changed.
 */
typedef struct RecipientsProblem
{
	int sqlstate;
	char *message;
	char *detail; /* may be NULL */
	char *hint;	  /* may be NULL */
} RecipientsProblem;

/*
 * Looks up count notifications in the caller's transaction; if no error is raised, with one
 * statement per relation. If the relations as a whole cannot be read, returns false and fills in
 * *problem. Otherwise returns true and fills in each recipients[i]. Results are in the current
 * memory context.
 *
 * Errors of the relations are not raised, and nothing that the relations do remains: each is read
 * in a subtransaction that is rolled back. Only these errors are raised: a cancellation, a lack of
 * memory, and the attempt of a relation to look up recipients itself. No right of the current user
 * is used. Not parallel safe.
 */
extern bool LookUpRecipients(Notification *const *notifications, int count, Recipient *recipients,
							 RecipientsProblem *problem);

/* Returns the name of the relation that has the users' addresses, as a statement would write it. */
extern const char *RecipientsRelationName(void);

#endif

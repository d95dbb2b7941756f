/*
 * recipients.h - reads the app's user and organization relations, each as its owner.
 *
 * This is the only code that touches relations of the app. It knows nothing about the queue: notifications go in, a verdict
 * for each comes out. Which relations: rhesis_notify.recipients, or the Rhesis schema when that is empty.
 *
 * What the interface leaves open:
 *  - a name without a schema in rhesis_notify.recipients means schema public, whatever the search path;
 *  - an empty organization id, in a notification or in a row, is none;
 *  - where the relation has no column organization_id no row has any pair: a notification with an organization is
 *    wrong_organization;
 *  - somebody is inactive when the column says false; null says nothing;
 *  - an organization's name is its display_name, else its name.
 */
#ifndef RHESIS_RECIPIENTS_H
#define RHESIS_RECIPIENTS_H

#include "queue/notification.h"

/*
 * Strings are in the database's encoding and cut at lengths that no real value has. Beside a skip_reason they are filled where
 * a row decided it (inactive_user, and what is wrong with an address), NULL otherwise.
 */
typedef struct Recipient
{
	const char *skip_reason; /* a skip code of interface section 2, or NULL when a mail is owed */
	char *error; /* this row's look-up raised this error (recipients_error); NULL: none */
	char *email; /* where a mail is owed, as the envelope has it: trimmed, its domain in ASCII */
	const char *
		email_problem; /* beside invalid_email: what is wrong with it, a constant phrase; else NULL */
	char *name;		   /* display name: name, else given_name, else the address */
	char *organization_id;	 /* the row's; NULL: none */
	char *organization_name; /* NULL: unknown */
	char *timezone;			 /* NULL: unknown */
} Recipient;

/* Why the relations as a whole can't be read now: the queue waits and says so, no row is touched. */
typedef struct RecipientsProblem
{
	int sqlstate;
	char *message;
	char *detail; /* may be NULL */
	char *hint;	  /* may be NULL */
} RecipientsProblem;

/*
 * Look up count notifications, one statement per relation, in the transaction that the caller has open. False with *problem
 * filled when the relations as a whole can't be read; else each recipients[i] is filled. Results live in the current
 * memory context.
 *
 * The relations' errors never come through, and nothing that they do is left behind (each is read in a subtransaction that
 * is rolled back). Raised are only cancellations, a lack of memory, and the attempt of a relation to look recipients up
 * itself. Who calls does not matter: no right of the current user is used. Not parallel safe.
 */
extern bool LookUpRecipients(Notification *const *notifications, int count, Recipient *recipients,
							 RecipientsProblem *problem);

/* The relation that tells users' addresses, as a statement would name it. */
extern const char *RecipientsRelationName(void);

#endif

/*
 * recipients.h - reads the app's user and organization relations, each as its owner.
 *
 * This is the only code that touches relations of the app. It knows nothing about the queue: notifications go in, a verdict
 * for each comes out.
 */
#ifndef RHESIS_RECIPIENTS_H
#define RHESIS_RECIPIENTS_H

#include "notification.h"

typedef struct Recipient
{
	const char *skip_reason; /* a skip code of interface section 2, or NULL when a mail is owed */
	char *error;			 /* this row's look-up raised an error (recipients_error); NULL: none */
	char *email;
	char *name; /* display name: name, else given_name, else the address */
	char *organization_id;
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
 * Look up count notifications, one statement per relation, in the transaction that the caller has open (errors are contained in
 * subtransactions). False with *problem filled when the relations as a whole can't be read; else each recipients[i] is
 * filled. Results live in the current memory context.
 */
extern bool LookUpRecipients(Notification *const *notifications, int count, Recipient *recipients,
							 RecipientsProblem *problem);

#endif

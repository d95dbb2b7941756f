/*
 * variables.h - what a template can name: our variables, and the keys of a task's result beneath them.
 */
#ifndef RHESIS_VARIABLES_H
#define RHESIS_VARIABLES_H

#include "base/shown_text.h"
#include "queue/notification.h"
#include "recipients/recipients.h"
#include "template/jsonb_scope.h"

#define MAX_OWN_VARIABLES 40

/* So many values of the result are made fit for a mail by copying them; of more, no more is shown than can be without. */
#define MAX_SHOWN_COPIES 40

/* A string of the result, and the copy that is shown. */
typedef struct ShownCopy
{
	const void *source;
	TextShape shape;
	const char *text;
	int length;
} ShownCopy;

typedef struct Variables
{
	JsonbScope scope;
	const Jsonb *values;
	ScopeVariable own[MAX_OWN_VARIABLES];
	int own_count;
	ShownCopy copies[MAX_SHOWN_COPIES];
	int copy_count;
	MemoryContext context;
} Variables;

/*
 * The variables of a notification's mail, in the current memory context. They point into the notification, the recipient
 * and the settings. Text is in the database's encoding.
 */
extern Variables *
NotificationVariables(const Notification *notification, const Recipient *recipient);

/*
 * Variables given as a jsonb object; those of ours that follow from them or from the settings are added where they are
 * absent or null.
 */
extern Variables *GivenVariables(const Jsonb *given);

/* A variable as the top level of a template sees it. False: there is none of that name. */
extern bool
LookUpVariable(const Variables *variables, const char *name, int name_length, MustacheValue *value);

#endif

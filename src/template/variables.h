/*
 * variables.h - the variables that a template can name: our own, and the keys of a task's result.
 *
 * If both have the same name, our own variable is used, except for task_name, execution_time and
 * completed_at: for these a key of the result is used if it has a value.
 */
#ifndef RHESIS_VARIABLES_H
#define RHESIS_VARIABLES_H

#include "base/shown_text.h"
#include "queue/notification.h"
#include "recipients/recipients.h"
#include "template/jsonb_scope.h"

#define MAX_OWN_VARIABLES 40

/*
 * At most so many values of the result that do not fit a mail are replaced by copies that fit. A
 * further value is cut before the first character that does not fit.
 */
#define MAX_SHOWN_COPIES 40

/* A string of the result, and the copy that is shown instead. */
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
 * Returns the variables of a notification's mail, in the current memory context. They point into
 * the notification, the recipient and the settings. Text is in the database's encoding.
 */
extern Variables *
NotificationVariables(const Notification *notification, const Recipient *recipient);

/*
 * Returns the variables that a jsonb object gives, and some of our own. Those that follow from
 * status, frontend_url, result_url and from_name are used if the object gives no value for them.
 * Those that follow from the counts are always our own.
 */
extern Variables *GivenVariables(const Jsonb *given);

/*
 * Looks up a variable at the top level of a template. Returns false if there is none of that name.
 */
extern bool
LookUpVariable(const Variables *variables, const char *name, int name_length, MustacheValue *value);

#endif

/*
 * explain_internal.h - what the two halves of explain() share: decisions about the mail, and its way to the mail server.
 */
#ifndef RHESIS_EXPLAIN_INTERNAL_H
#define RHESIS_EXPLAIN_INTERNAL_H

#include "funcapi.h"
#include "queue/notification.h"
#include "queue/queue_facts.h"

typedef struct Explanation
{
	ReturnSetInfo *result;
	const Notification *notification;
	const NotificationFacts *facts;

	/* Looked at now: why no mail would be sent; NULL: nothing stands against it. */
	const char *obstacle;
	bool recipients_unreadable; /* the obstacle is not the row's, and passes */
	bool in_copy;				/* nothing is decided in this database */
} Explanation;

/* Append a row; detail and advice may be NULL. */
extern void AppendDecision(const Explanation *explanation, const char *step, const char *decision,
						   const char *detail, const char *advice);

/* Is the notification in this state? */
extern bool IsInState(const Explanation *explanation, const char *state);

/* pending or deferred: the worker is still to decide. */
extern bool IsWaiting(const Explanation *explanation);

/* The rows from the queue on: pause, workers, mail server, attempts, state, and what comes next. */
extern void ExplainDelivery(Explanation *explanation);

#endif

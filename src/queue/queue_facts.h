/*
 * queue_facts.h - what the queue knows of one notification, for explain(): how it was opted in, where it stands, what happened.
 */
#ifndef RHESIS_QUEUE_FACTS_H
#define RHESIS_QUEUE_FACTS_H

#include "datatype/timestamp.h"

/* Strings that are NULL are null in the row. */
typedef struct NotificationFacts
{
	char *state; /* a label of delivery_state */
	char *reason;
	int attempts;
	TimestampTz next_attempt_at;
	TimestampTz finished_at; /* 0: it is not */
	int64 claimed_by;		 /* 0: by nobody */
	char *recipient_email;
	char *message_id;
	char *smtp_reply;
	int64
		due_before; /* how many are due before it, counted up to MOST_DUE_BEFORE; 0 where it is not due itself */

	bool names_template; /* the row itself does */
	bool names_subject;
	char *registered_name; /* the registration that the claim goes by; NULL: there is none */
	bool registered_silent;
	bool registered_shipped;

	TimestampTz paused_since; /* 0: this database is not paused */
	char *paused_by;
} NotificationFacts;

#define MOST_DUE_BEFORE 10000

typedef struct NotificationEvent
{
	TimestampTz occurred_at;
	char *event;
	char *reply;   /* NULL: none */
	char *message; /* NULL: none */
	char *by;	   /* who did it; NULL: the worker */
} NotificationEvent;

/* The facts, palloc'd in context; NULL: there is no such notification. As the current user, in the open transaction. */
extern NotificationFacts *FetchFacts(int64 id, MemoryContext context);

/* The last events, at most limit, the oldest of them first, palloc'd in context; *count are returned, there are *total. */
extern NotificationEvent *
FetchEvents(int64 id, int limit, MemoryContext context, int *count, int64 *total);

#endif

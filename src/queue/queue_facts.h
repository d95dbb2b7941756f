/*
 * queue_facts.h - what the queue knows about one notification, for explain(): how it was opted in,
 * its state, its events.
 */
#ifndef RHESIS_QUEUE_FACTS_H
#define RHESIS_QUEUE_FACTS_H

#include "datatype/timestamp.h"

/* A string is NULL if the row's column is null. */
typedef struct NotificationFacts
{
	char *state; /* a label of delivery_state */
	char *reason;
	int attempts;
	TimestampTz next_attempt_at;
	TimestampTz finished_at; /* 0: it is not finished */
	int64 claimed_by;		 /* 0: it is not claimed */
	char *recipient_email;
	char *message_id;
	char *smtp_reply;
	int64 due_before; /* rows that are due before it, at most MOST_DUE_BEFORE; 0 if it is not due */

	bool names_template; /* the row itself names one */
	bool names_subject;
	char *registered_name; /* the registration that the claim uses; NULL: there is none */
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
	char *by;	   /* the role that did it; NULL: the worker */
} NotificationEvent;

/*
 * Returns the facts, palloc'd in context; NULL if there is no such notification. Reads as the
 * current user, in the open transaction.
 */
extern NotificationFacts *FetchFacts(int64 id, MemoryContext context);

/*
 * Returns the last events, at most limit, in the order of time, palloc'd in context. *count is
 * their number, *total the number of all events.
 */
extern NotificationEvent *
FetchEvents(int64 id, int limit, MemoryContext context, int *count, int64 *total);

#endif

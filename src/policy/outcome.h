/*
 * outcome.h - the delivery policy: what a mail server's reply, or its silence, means for a message.
 *
 * Pure: no I/O, no state, no allocation. The rules are one table, in outcome_rules.c.
 */
#ifndef RHESIS_OUTCOME_H
#define RHESIS_OUTCOME_H

#include "smtp/smtp_event.h"

/* Whose trouble it is. */
typedef enum OutcomeScope
{
	OUTCOME_SCOPE_MESSAGE,
	OUTCOME_SCOPE_ADDRESS,
	OUTCOME_SCOPE_CONNECTION,
	OUTCOME_SCOPE_ACCOUNT,
	OUTCOME_SCOPE_QUOTA,
	OUTCOME_SCOPE_SERVER,
} OutcomeScope;

/*
 * What to do with the message. For every scope but MESSAGE and ADDRESS the server is backed off too (but
 * after RETRY_FRESH), whatever the action.
 */
typedef enum OutcomeAction
{
	OUTCOME_SENT,		 /* accepted; counts an attempt */
	OUTCOME_DEFER,		 /* try later; counts an attempt */
	OUTCOME_FAIL,		 /* never try again; counts an attempt */
	OUTCOME_RETURN,		 /* give it back; does not count */
	OUTCOME_RETRY_FRESH, /* at once, on a new connection; does not count */
	OUTCOME_IN_DOUBT,	 /* it may have been accepted; counts an attempt */
} OutcomeAction;

typedef struct Outcome
{
	OutcomeScope scope;
	OutcomeAction action;
	const char *reason; /* a delivery_reason code, constant; NULL when sent */
	int delay_seconds; /* wait at least this long: the server named it, or a limit is known to last; or 0 */
	const char *hint; /* the next step, for the person who can mend it, constant; or NULL */
	bool is_full; /* this connection takes no more messages, for a count that another reaches too */
} Outcome;

extern Outcome OutcomeForEvent(const SmtpEvent *event);

/* What the SMTP client has to know of the same: see SmtpOptions.judge. */
extern SmtpRefusal RefusalForEvent(const SmtpEvent *event);

/* Names for logs, events and tests: "account", "return". Constant strings. */
extern const char *OutcomeScopeName(OutcomeScope scope);
extern const char *OutcomeActionName(OutcomeAction action);

#endif /* RHESIS_OUTCOME_H */

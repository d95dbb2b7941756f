/*
 * outcome.h - what a mail server's reply, or its silence, means for a message
 *
 * Pure: no I/O, no state, no allocation. The rules are in outcome_rules.c. disposition.h decides
 * what is done about the outcome.
 */
#ifndef RHESIS_OUTCOME_H
#define RHESIS_OUTCOME_H

#include "smtp/smtp_event.h"

/* What the problem is about. */
typedef enum OutcomeScope
{
	OUTCOME_SCOPE_MESSAGE,
	OUTCOME_SCOPE_ADDRESS,
	OUTCOME_SCOPE_CONNECTION,
	OUTCOME_SCOPE_ACCOUNT,
	OUTCOME_SCOPE_QUOTA,
	OUTCOME_SCOPE_SERVER,
} OutcomeScope;

/* What should happen to the message. */
typedef enum OutcomeAction
{
	OUTCOME_SENT,		 /* accepted; counts an attempt */
	OUTCOME_DEFER,		 /* try later; counts an attempt */
	OUTCOME_FAIL,		 /* never try again; counts an attempt */
	OUTCOME_RETURN,		 /* return it to the queue; does not count */
	OUTCOME_RETRY_FRESH, /* try again at once over a new connection; does not count */
	OUTCOME_IN_DOUBT,	 /* the server may have accepted it; counts an attempt */
} OutcomeAction;

typedef struct Outcome
{
	OutcomeScope scope;
	OutcomeAction action;
	const char *reason; /* a delivery_reason code, constant; NULL when sent */
	int delay_seconds;	/* wait at least this long, for the server or for a known limit; or 0 */
	const char *hint;	/* the next step for a person, constant; or NULL */
	bool is_full; /* the connection takes no more messages; another one will reach that limit too */
} Outcome;

/*
 * Returns the outcome of the first rule that matches the event. If the mail is to be deferred or
 * returned to the queue, and the reply names a delay, that delay replaces the rule's.
 */
extern Outcome OutcomeForEvent(const SmtpEvent *event);

/* Returns what the refusal of a mail means for the connection. For SmtpOptions.judge. */
extern SmtpRefusal RefusalForEvent(const SmtpEvent *event);

/* Names for tests: "account", "return". Constant strings. */
extern const char *OutcomeScopeName(OutcomeScope scope);
extern const char *OutcomeActionName(OutcomeAction action);

#endif /* RHESIS_OUTCOME_H */

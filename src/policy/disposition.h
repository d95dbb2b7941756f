/*
 * disposition.h - the decision what happens next: to a mail, and to the mail server.
 *
 * This is the only place that decides it. outcome.h says what a server's reply means. The
 * disposition adds the attempts so far and the circumstances. Delivery records it and the worker
 * carries it out.
 *
 * Pure: no I/O, no state, no allocation.
 */
#ifndef RHESIS_DISPOSITION_H
#define RHESIS_DISPOSITION_H

#include "policy/delivery_state.h"
#include "smtp/smtp_event.h"

/* The mail's history, and the settings that apply to it. */
typedef struct MailCircumstances
{
	int attempts;	 /* made before this one */
	int fresh_tries; /* times it was sent again over a fresh connection, uncounted */
	bool is_probe;	 /* it was sent alone, to see whether the server is well again */
	int max_attempts;
	int64 retry_delay_ms;
	int64 retry_max_delay_ms;
	bool hold_in_doubt; /* else a mail in doubt is sent again */
	double jitter;		/* 0 to 1 */
} MailCircumstances;

/* The worker and the mail server. */
typedef struct ServerCircumstances
{
	bool is_draining;	   /* the worker finishes what it has begun, and then exits */
	bool is_shutting_down; /* the same, and PostgreSQL waits for it */
	bool is_backing_off;   /* no new mail is sent for now */
	int64 backoff_left_ms;
	int failures;	 /* back-offs in a row before this event */
	int connections; /* that are open now */
	double jitter;	 /* 0 to 1 */
} ServerCircumstances;

/* What the worker does about the mail server. */
typedef enum ServerAction
{
	SERVER_ACTION_NONE,				 /* the event says nothing about the server */
	SERVER_ACTION_CLEAR,			 /* the server is well: end the back-off */
	SERVER_ACTION_FEWER_CONNECTIONS, /* use no more connections than are open now */
	SERVER_ACTION_BACK_OFF,			 /* send nothing for a while */
	SERVER_ACTION_SLOW_DOWN,		 /* back off, and then send at a lower rate */
} ServerAction;

typedef struct Disposition
{
	/* Send the mail again at once over another connection. Then nothing is recorded. */
	bool resend;
	bool counts_fresh_try; /* the resend adds one to fresh_tries */

	/* Otherwise record this. */
	DeliveryState state;
	const char *reason;	 /* a delivery_reason code, constant; NULL: none */
	const char *event;	 /* the delivery_events row to add, constant; NULL: none */
	bool counts_attempt; /* it adds one to attempts */
	bool in_doubt;		 /* the server may have accepted the mail */
	int64 delay_ms;		 /* PENDING, DEFERRED: due this long after now */

	/* The mail server. */
	ServerAction server;
	int64 backoff_ms;	  /* BACK_OFF, SLOW_DOWN: send nothing for this long, at least */
	bool backoff_is_firm; /* only a probe ends the back-off, not a mail that was on its way */
	bool forgets_limit;	  /* how many connections the server allows is no longer known */
	bool needs_person;	  /* waiting does not help: a setting or the account has to change */
	const char *hint;	  /* the next step for that person, constant; NULL: none is known */
} Disposition;

/* After the SMTP client has reported the event for a mail. */
extern Disposition DispositionForEvent(const SmtpEvent *event, const MailCircumstances *mail,
									   const ServerCircumstances *server);

/*
 * After no mail could be composed. The reason is constant. can_pass says whether a later attempt
 * may succeed. The mail server has nothing to do with it.
 */
extern Disposition
DispositionForFailedPreparation(const char *reason, bool can_pass, const MailCircumstances *mail);

/*
 * How long to send nothing: at least as long as the server asks for. Several connections often fail
 * at the same time. So a failure during a back-off adds only what the server asks for.
 */
extern int64 BackoffMs(const ServerCircumstances *server, int named_seconds);

/*
 * When to try a message again: base doubled with each attempt made (1, 2, ...), at most max, and
 * shortened by up to a quarter as jitter (0 to 1) says. So mails that failed together are not tried
 * together.
 */
extern int64 RetryDelayMs(int attempts, int64 base_ms, int64 max_ms, double jitter);

/* How long to leave a server alone after this many failures in a row: 1 s, doubling to 60 s. */
extern int64 BackoffDelayMs(int failures, double jitter);

/* A name for tests: "slow_down". Constant. */
extern const char *ServerActionName(ServerAction action);

#endif

/*
 * disposition.h - decides what happens next: to a mail, and to the mail server.
 *
 * No other file decides that. outcome.h says what a server's reply means. The disposition adds the
 * attempts so far and the circumstances. Delivery records the disposition, and the worker carries
 * it out.
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
	int fresh_tries; /* resends over a fresh connection, which count no attempt */
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
	bool is_shutting_down; /* SIGTERM has come: the worker exits soon */
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
	bool backoff_is_firm; /* only a probe ends the back-off, not a mail that was sent before it */
	bool forgets_limit;	  /* how many connections the server allows is no longer known */
	bool needs_person;	  /* waiting does not help: a setting or the account has to change */
	const char *hint;	  /* the next step for that person, constant; NULL: none is known */
} Disposition;

/* Returns what to do after the SMTP client has reported this event for a mail. */
extern Disposition DispositionForEvent(const SmtpEvent *event, const MailCircumstances *mail,
									   const ServerCircumstances *server);

/*
 * Returns what to do with a notification whose mail could not be composed. reason is a
 * delivery_reason code, constant. can_pass is true if a later attempt may succeed. Nothing is done
 * about the mail server.
 */
extern Disposition
DispositionForFailedPreparation(const char *reason, bool can_pass, const MailCircumstances *mail);

/*
 * Returns how long to send nothing: at least the named_seconds that the server asks for (0: it asks
 * for none). Several connections often fail at the same time. So a failure during a back-off adds
 * only what the server asks for.
 */
extern int64 BackoffMs(const ServerCircumstances *server, int named_seconds);

/*
 * Returns how long to wait before a message is tried again: base_ms after the first attempt,
 * doubled with each further one, at most max_ms, and shortened by up to a quarter as jitter (0 to
 * 1) says. So mails that failed together are not tried together.
 */
extern int64 RetryDelayMs(int attempts, int64 base_ms, int64 max_ms, double jitter);

/*
 * Returns how long to send nothing after this many failures in a row: 1 s after the first, doubling
 * to 60 s, and shortened by up to a quarter as jitter (0 to 1) says.
 */
extern int64 BackoffDelayMs(int failures, double jitter);

/* Returns a name for tests, such as "slow_down". Constant. */
extern const char *ServerActionName(ServerAction action);

#endif

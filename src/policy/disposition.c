/*
 * disposition.c - decides what happens next: to a mail, and to the mail server.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <math.h>

#include "policy/disposition.h"
#include "policy/outcome.h"
#include "policy/smtp_hint.h"

#define MAX_FRESH_TRIES 3

/*
 * A limit that lasts this long is a limit for the hour or the day. The rate does not matter then.
 */
#define LONG_LIMIT_SECONDS 60

/* ---------- Delays ---------- */

/* Returns base_ms doubled (step - 1) times, at most max_ms, shortened by up to a quarter. */
static int64
Exponential(int step, int64 base_ms, int64 max_ms, double jitter)
{
	double delay = ldexp(base_ms, Min(Max(step, 1) - 1, 60));

	Assert(jitter >= 0 && jitter <= 1);
	return (int64) (Min(delay, max_ms) * (1.0 - 0.25 * jitter));
}

int64
RetryDelayMs(int attempts, int64 base_ms, int64 max_ms, double jitter)
{
	return Exponential(attempts, base_ms, max_ms, jitter);
}

int64
BackoffDelayMs(int failures, double jitter)
{
	return Exponential(failures, 1000, 60 * 1000, jitter);
}

static int64
RetryMs(const MailCircumstances *mail)
{
	return RetryDelayMs(mail->attempts + 1, mail->retry_delay_ms, mail->retry_max_delay_ms,
						mail->jitter);
}

int64
BackoffMs(const ServerCircumstances *server, int named_seconds)
{
	int64 named = named_seconds * INT64CONST(1000);

	if (server->is_backing_off)
		return named;
	return Max(BackoffDelayMs(server->failures + 1, server->jitter), named);
}

/* ---------- The mail ---------- */

/* Returns true if the worker closed the connection itself, before the server had the whole mail. */
static bool
IsInterrupted(const SmtpEvent *event)
{
	return event->kind == SMTP_EVENT_ABORTED && !event->dot_written;
}

/*
 * Returns true if the server refused one more connection, and others are open. The mail can use one
 * of those.
 */
static bool
CanUseOtherConnections(const Outcome *outcome, const SmtpEvent *event,
					   const ServerCircumstances *server)
{
	return outcome->scope == OUTCOME_SCOPE_CONNECTION && outcome->action == OUTCOME_RETURN &&
		   event->stage <= SMTP_STAGE_AUTH && server->connections > 0;
}

/* Makes the mail fail if it would be tried again although its attempts are used up. */
static void
FailAtLastAttempt(Outcome *outcome, const MailCircumstances *mail)
{
	bool again = outcome->action == OUTCOME_DEFER ||
				 (outcome->action == OUTCOME_IN_DOUBT && !mail->hold_in_doubt);

	if (!again || mail->attempts + 1 < mail->max_attempts)
		return;
	outcome->action = OUTCOME_FAIL;
	outcome->reason = "attempts_exhausted";
	outcome->delay_seconds = 0;
}

/*
 * Returns after how long a mail whose attempt does not count is due again. If the connection ended
 * during the mail, the mail itself may be the cause, each time again. So it waits, and the other
 * mails go first.
 */
static int64
ReturnDelayMs(const Outcome *outcome, const SmtpEvent *event, int64 retry_ms)
{
	bool may_be_cause =
		outcome->scope == OUTCOME_SCOPE_CONNECTION && event->stage >= SMTP_STAGE_RCPT;

	return may_be_cause ? retry_ms : 0;
}

static void
DecideMail(Disposition *disposition, const Outcome *outcome, const SmtpEvent *event,
		   const MailCircumstances *mail)
{
	int64 named = outcome->delay_seconds * INT64CONST(1000);

	disposition->reason = outcome->reason;
	disposition->counts_attempt = true;
	disposition->delay_ms = Max(RetryMs(mail), named);
	switch (outcome->action)
	{
		case OUTCOME_SENT:
			disposition->state = DELIVERY_SENT;
			break;
		case OUTCOME_DEFER:
			disposition->state = DELIVERY_DEFERRED;
			disposition->event = "deferred";
			break;
		case OUTCOME_FAIL:
			disposition->state = DELIVERY_FAILED;
			disposition->event = "failed";
			break;
		case OUTCOME_IN_DOUBT:
			disposition->state = mail->hold_in_doubt ? DELIVERY_HELD : DELIVERY_DEFERRED;
			disposition->event = "in_doubt";
			disposition->in_doubt = true;
			break;
		case OUTCOME_RETURN:
		case OUTCOME_RETRY_FRESH:
			disposition->state = DELIVERY_DEFERRED;
			disposition->counts_attempt = false;
			disposition->delay_ms = ReturnDelayMs(outcome, event, disposition->delay_ms);
			break;
	}
}

/* ---------- The mail server ---------- */

/*
 * Returns true if the server wants a lower rate. A probe is sent alone, so it cannot have been too
 * fast.
 */
static bool
WasTooFast(const Outcome *outcome, const MailCircumstances *mail)
{
	return outcome->scope == OUTCOME_SCOPE_QUOTA && outcome->delay_seconds < LONG_LIMIT_SECONDS &&
		   !mail->is_probe;
}

/*
 * Returns true if waiting does not help, because a setting or the account has to change. A reply
 * with 4xx may be another one later.
 */
static bool
NeedsPerson(const Outcome *outcome, const SmtpEvent *event)
{
	return outcome->scope == OUTCOME_SCOPE_ACCOUNT &&
		   (event->kind != SMTP_EVENT_REPLY || event->code >= 500);
}

/*
 * Returns how long a mail whose attempt does not count waits: as long as nothing is sent to the
 * server. At a shutdown, only a back-off that has begun before counts.
 */
static int64
WaitForServerMs(const Disposition *disposition, const ServerCircumstances *server)
{
	int64 left = server->is_backing_off ? server->backoff_left_ms : 0;

	return server->is_shutting_down ? left : Max(left, disposition->backoff_ms);
}

static void
DecideServer(Disposition *disposition, const Outcome *outcome, const SmtpEvent *event,
			 const MailCircumstances *mail, const ServerCircumstances *server)
{
	if (outcome->scope == OUTCOME_SCOPE_MESSAGE || outcome->scope == OUTCOME_SCOPE_ADDRESS)
	{
		disposition->server = SERVER_ACTION_CLEAR;
		return;
	}
	disposition->server =
		WasTooFast(outcome, mail) ? SERVER_ACTION_SLOW_DOWN : SERVER_ACTION_BACK_OFF;
	disposition->backoff_ms = BackoffMs(server, outcome->delay_seconds);
	disposition->backoff_is_firm =
		outcome->scope == OUTCOME_SCOPE_QUOTA || outcome->delay_seconds > 0;
	disposition->forgets_limit = event->stage <= SMTP_STAGE_AUTH;
	disposition->needs_person = NeedsPerson(outcome, event);
	disposition->hint = SmtpHint(event, outcome);
	if (!disposition->counts_attempt)
		disposition->delay_ms = Max(disposition->delay_ms, WaitForServerMs(disposition, server));
}

/* ---------- Both ---------- */

Disposition
DispositionForEvent(const SmtpEvent *event, const MailCircumstances *mail,
					const ServerCircumstances *server)
{
	Disposition disposition = {.state = DELIVERY_PENDING, .server = SERVER_ACTION_NONE};
	Outcome outcome = OutcomeForEvent(event);
	bool can_resend = !server->is_draining && !server->is_shutting_down && !server->is_backing_off;

	/* A server can name any delay. No mail and no server waits longer than the setting says. */
	outcome.delay_seconds = Min(outcome.delay_seconds, mail->retry_max_delay_ms / 1000);

	if (IsInterrupted(event))
		return disposition;
	if (outcome.action == OUTCOME_RETRY_FRESH && mail->fresh_tries < MAX_FRESH_TRIES)
	{
		disposition.resend = disposition.counts_fresh_try = can_resend;
		return disposition;
	}
	if (outcome.action == OUTCOME_RETRY_FRESH)
		outcome.action = OUTCOME_RETURN;
	if (can_resend && CanUseOtherConnections(&outcome, event, server))
	{
		disposition.resend = true;
		disposition.server = SERVER_ACTION_FEWER_CONNECTIONS;
		return disposition;
	}
	FailAtLastAttempt(&outcome, mail);
	DecideMail(&disposition, &outcome, event, mail);
	DecideServer(&disposition, &outcome, event, mail, server);
	Assert(disposition.delay_ms >= 0 && disposition.backoff_ms >= 0);
	Assert(!disposition.in_doubt || disposition.counts_attempt);
	return disposition;
}

Disposition
DispositionForFailedPreparation(const char *reason, bool can_pass, const MailCircumstances *mail)
{
	bool again = can_pass && mail->attempts + 1 < mail->max_attempts;
	Disposition disposition = {
		.state = again ? DELIVERY_DEFERRED : DELIVERY_FAILED,
		.reason = reason,
		.event = again ? "deferred" : "failed",
		.counts_attempt = again,
		.delay_ms = RetryMs(mail),
	};

	return disposition;
}

const char *
ServerActionName(ServerAction action)
{
	static const char *const names[] = {
		[SERVER_ACTION_NONE] = "none",
		[SERVER_ACTION_CLEAR] = "clear",
		[SERVER_ACTION_FEWER_CONNECTIONS] = "fewer_connections",
		[SERVER_ACTION_BACK_OFF] = "back_off",
		[SERVER_ACTION_SLOW_DOWN] = "slow_down",
	};

	Assert(action < lengthof(names));
	return names[action];
}

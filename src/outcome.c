/*
 * outcome.c - the delivery policy: what a mail server's reply, or its silence, means for a message.
 *
 * The policy is the table of rules below, tried in order; the code around it only matches. To learn or
 * change how a reply is treated, read the table. Every row has a test that quotes the reply it is for.
 *
 * Two principles decided the doubtful cases. A server's trouble is not a message's trouble: what every other
 * message would meet too gives the message back uncounted and leaves the server alone for a while. And one
 * bad row harms one row: what this message alone may have caused counts an attempt, so that it ends some day.
 *
 * A server repeats addresses in its replies, and users choose their addresses. So every wording below has a
 * space in it, which no address we send to has: nobody can name himself "throttling".
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <math.h>

#include "outcome.h"
#include "reply_wording.h"

#define BIT(x) (1u << (x))

/* Kinds of events */
#define REPLY BIT(SMTP_EVENT_REPLY)
#define LOST BIT(SMTP_EVENT_CONNECTION_LOST)
#define TIMEOUT BIT(SMTP_EVENT_TIMEOUT)
#define GARBAGE BIT(SMTP_EVENT_GARBAGE)
#define ABORTED BIT(SMTP_EVENT_ABORTED)
#define BROKEN (LOST | TIMEOUT | GARBAGE)

/* Stages */
#define ANYWHERE (~0u)
#define SETUP                                                                    \
	(BIT(SMTP_STAGE_CONNECT) | BIT(SMTP_STAGE_GREETING) | BIT(SMTP_STAGE_EHLO) | \
	 BIT(SMTP_STAGE_STARTTLS) | BIT(SMTP_STAGE_TLS) | BIT(SMTP_STAGE_AUTH))
#define TLS (BIT(SMTP_STAGE_STARTTLS) | BIT(SMTP_STAGE_TLS))
#define AUTH BIT(SMTP_STAGE_AUTH)
#define MAIL BIT(SMTP_STAGE_MAIL)
#define RCPT BIT(SMTP_STAGE_RCPT)
#define FINAL_DOT BIT(SMTP_STAGE_FINAL_DOT)

/* Further conditions */
#define IF_DOT_WRITTEN 1
#define IF_REUSED 2
#define IF_NAMES_SENDER 4 /* the text names our sender's address or its domain */

/* Where a range of codes begins that leaves 421 to the rule of the connection. */
#define NOT_421 422

/* Account limits by the day or hour: asking again every minute would not help. */
#define LONG_LIMIT (15 * 60)

typedef struct Rule
{
	/* All of these must hold. */
	unsigned int kinds;
	unsigned int stages;
	int code_from, code_to; /* replies only */
	const char *enhanced;	/* "5.7.1", or "4.2." for all of them; NULL: any or none */
	const char *wording; /* one of these phrases, '|' between them, in any case; NULL: any text */
	int conditions;

	/* Then this is the outcome. */
	OutcomeScope scope;
	OutcomeAction action;
	const char *reason;
	int delay_seconds;
} Rule;

static const Rule rules[] = {
	/* ---- The end of a message ---- */

	/* 250 2.0.0 Ok: queued as 4F2A */
	{REPLY, FINAL_DOT, 200, 299, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_SENT, NULL, 0},

	/* The server had the whole message, and no reply came: it may have been accepted. */
	{BROKEN | ABORTED, ANYWHERE, 0, 0, NULL, NULL, IF_DOT_WRITTEN, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_IN_DOUBT, "in_doubt", 0},

	/* We stopped it ourselves. */
	{ABORTED, ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_RETURN, "interrupted", 0},

	/* ---- Too fast, or too much: the account's quota ---- */

	/* Amazon SES: 454 Throttling failure: Daily message quota exceeded */
	{REPLY, ANYWHERE, 400, 599, NULL, "daily message quota exceeded", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", LONG_LIMIT},

	/* Amazon SES: 454 Throttling failure: Maximum sending rate exceeded */
	{REPLY, ANYWHERE, 400, 499, NULL, "throttling failure|maximum sending rate", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", 0},

	/* Google: 450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error. */
	{REPLY, ANYWHERE, 400, 499, NULL, "smtp relay limit exceeded", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", 0},

	/*
	 * Google: 550 5.4.5 Daily user sending limit exceeded. 550 5.4.5 Daily user sending quota exceeded.
	 * 550 5.4.5 Daily SMTP relay limit exceeded for user. 550 5.7.1 Daily SMTP relay limit exceeded for
	 * customer. All are over the next day, so these 5xx are temporary.
	 */
	{REPLY, ANYWHERE, 500, 599, NULL,
	 "sending limit exceeded|sending quota exceeded|smtp relay limit exceeded", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", LONG_LIMIT},

	/* SendGrid, as the answer to a login or later: 451 Authentication failed: Maximum credits exceeded */
	{REPLY, ANYWHERE, 400, 599, NULL, "maximum credits exceeded", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", LONG_LIMIT},

	/*
	 * Mailgun: 421 Domain example.com is not allowed to send: recipient limit exceeded, try again after
	 * Sun, 05 Oct 2025 19:22:44 UTC. 554 Your account is on probation and domains are limited to 100
	 * messages / hour. Account will be enabled in 341 seconds
	 */
	{REPLY, ANYWHERE, 400, 599, NULL, "send: recipient limit exceeded|messages / hour", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", LONG_LIMIT},

	/* Microsoft 365: 432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded */
	{REPLY, ANYWHERE, 400, 499, NULL, "sender thread limit exceeded", 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", 0},

	/*
	 * Google: 450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents
	 * additional messages from being delivered. 452 4.2.2 The email account that you tried to reach is
	 * over quota. Whatever they say of rates and quotas, 4.2.x is the recipient's mailbox, not us.
	 */
	{REPLY, ANYWHERE, NOT_421, 499, "4.2.", NULL, 0, /* => */
	 OUTCOME_SCOPE_ADDRESS, OUTCOME_DEFER, "smtp_temporary", 0},

	/*
	 * Google: 421 4.7.0 Our system has detected an unusual rate of unsolicited mail. 421 4.7.0 Try again
	 * later, closing connection. Postfix: 450 4.7.1 Error: too much mail from 192.0.2.1. SendGrid's table:
	 * 452 Too many recipients received this hour. Others: 451 4.7.1 Rate limit exceeded, slow down.
	 */
	{REPLY, ANYWHERE, 400, 499, NULL,
	 "unusual rate|try again later, closing connection|too much mail|this hour|hourly limit|"
	 "rate limit|sending rate|too many messages|slow down",
	 0, /* => */
	 OUTCOME_SCOPE_QUOTA, OUTCOME_RETURN, "quota", 0},

	/* ---- A connection that was kept, and had died ---- */

	/* Postfix, to a client that was idle: 421 4.4.2 mail.example.com Error: timeout exceeded */
	{REPLY, MAIL, 421, 421, NULL, NULL, IF_REUSED, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_RETRY_FRESH, "connection", 0},
	{LOST | TIMEOUT, MAIL, 0, 0, NULL, NULL, IF_REUSED, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_RETRY_FRESH, "connection", 0},

	/* ---- The account: no other message would fare better until somebody mends it ---- */

	/* Google, Amazon SES: 530 5.7.0 Must issue a STARTTLS command first */
	{REPLY, ANYWHERE, 500, 599, NULL, "must issue a starttls", 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "tls", 0},

	/* Postfix: 454 4.7.0 TLS not available due to local problem */
	{REPLY, TLS, NOT_421, 599, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "tls", 0},

	/*
	 * Postfix: 454 4.7.0 Temporary authentication failure: Connection lost to authentication server.
	 * Google: 454 4.7.0 Too many login attempts, please try again later. 535 5.7.8 Username and Password
	 * not accepted. 534 5.7.9 Application-specific password required. Amazon SES: 535 Authentication
	 * Credentials Invalid. Microsoft: 535 5.7.139 Authentication unsuccessful.
	 */
	{REPLY, AUTH, NOT_421, 599, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},

	/* Amazon SES, Google: 530 5.7.0 Authentication Required. Mailgun: 535 Authentication failed */
	{REPLY, ANYWHERE, 530, 538, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},

	/*
	 * SendGrid: 550 The from address does not match a verified Sender Identity. 403 You are not authorized
	 * to send from that email address. 550 Unauthenticated senders not allowed. Mailgun: 421 Domain
	 * sandbox1.mailgun.org is not allowed to send: Please activate your Mailgun account. Amazon SES:
	 * Sending paused for this account. Microsoft 365: 550 5.7.60 SMTP; Client does not have permissions to
	 * send as this sender.
	 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "a verified sender identity|not authorized to send from|unauthenticated senders not allowed|"
	 "is not allowed to send:|sending paused for this account|permissions to send as this sender",
	 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},

	/*
	 * Amazon SES: 554 Message rejected: Email address is not verified. The following identities failed the
	 * check in region US-EAST-1: sender@example.com. 554 Access denied: User `arn:…' is not authorized to
	 * perform `ses:SendRawEmail' on resource `arn:…:identity/example.com'. In its sandbox SES says the same
	 * of a recipient, and that is this message's trouble alone.
	 */
	{REPLY, ANYWHERE, 500, 599, NULL, "address is not verified|is not authorized to perform",
	 IF_NAMES_SENDER, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},

	/*
	 * Postfix: 553 5.7.1 <noreply@example.com>: Sender address rejected: not owned by user app. 450 4.1.8
	 * <noreply@example.com>: Sender address rejected: Domain not found. It checks the sender only when
	 * it knows the recipient.
	 */
	{REPLY, MAIL | RCPT, 400, 599, NULL, "sender address rejected", 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},

	/* 550 5.7.1 Sender not verified. Exchange: 501 5.1.7 Invalid address. 553 5.1.8 Domain does not exist */
	{REPLY, MAIL, 500, 599, "5.7.1", NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},
	{REPLY, MAIL, 500, 599, "5.1.", NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},

	{BIT(SMTP_EVENT_NO_AUTH) | BIT(SMTP_EVENT_LOGIN_FAILED), ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "auth", 0},
	{BIT(SMTP_EVENT_NO_STARTTLS) | BIT(SMTP_EVENT_CERTIFICATE) | BIT(SMTP_EVENT_CA_FILE), ANYWHERE,
	 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ACCOUNT, OUTCOME_RETURN, "tls", 0},

	/* ---- The connection ---- */

	/*
	 * Amazon SES: 421 Too many concurrent SMTP connections. Google: 421 4.3.0 Temporary System Problem.
	 * Try again later. 421 4.4.5 Server busy, try again later.
	 */
	{REPLY, ANYWHERE, 421, 421, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_RETURN, "connection", 0},

	/* Postfix: 450 4.7.0 Error: too many connections. 450 too frequent connects from 192.0.2.1 */
	{REPLY, ANYWHERE, 400, 599, NULL,
	 "too many connections|too many concurrent|too many sessions|too frequent connects", 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_RETURN, "connection", 0},

	/* 453 4.3.2 System not accepting network messages */
	{REPLY, ANYWHERE, 400, 499, "4.3.2", NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_RETURN, "connection", 0},

	/* ---- The server ---- */

	/* Postfix: 452 4.3.1 Insufficient system storage */
	{REPLY, MAIL, 400, 499, "4.3.1", NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "smtp_temporary", 0},

	/* 554 5.3.2 mail.example.com: no SMTP service here; 504 5.5.2 <pod>: Helo command rejected */
	{REPLY, SETUP, 400, 599, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "connection", 0},

	{BIT(SMTP_EVENT_DNS) | BIT(SMTP_EVENT_REFUSED), ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "connection", 0},
	{BIT(SMTP_EVENT_TLS_FAILED), ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "tls", 0},
	{TIMEOUT, SETUP | MAIL, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_SERVER, OUTCOME_RETURN, "timeout", 0},
	{LOST | GARBAGE, SETUP | MAIL, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_RETURN, "connection", 0},

	/* ---- The message itself: its size, its recipient, its content ---- */

	/* Postfix: 552 5.3.4 Message size exceeds fixed limit. Also where it is said of a recipient. */
	{REPLY, ANYWHERE, 500, 599, "5.3.4", NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_FAIL, "smtp_permanent", 0},

	/* Postfix: 450 4.7.1 <jane@example.com>: Recipient address rejected: Greylisted, try again in 300 s */
	{REPLY, RCPT, 400, 499, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ADDRESS, OUTCOME_DEFER, "smtp_temporary", 0},

	/* Postfix: 550 5.1.1 <jane@example.com>: Recipient address rejected: User unknown */
	{REPLY, RCPT, 500, 599, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_ADDRESS, OUTCOME_FAIL, "smtp_permanent", 0},

	/* Google accepts some recipients at first: 550 5.1.1 The email account … does not exist (after the dot) */
	{REPLY, ANYWHERE, 500, 599, "5.1.", NULL, 0, /* => */
	 OUTCOME_SCOPE_ADDRESS, OUTCOME_FAIL, "smtp_permanent", 0},

	/* Postfix: 451 4.3.0 Error: queue file write error. Whatever else is temporary counts an attempt. */
	{REPLY, ANYWHERE, 400, 499, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_DEFER, "smtp_temporary", 0},

	/* Postfix: 554 5.6.0 Message content rejected. Whatever else is permanent fails this message alone. */
	{REPLY, ANYWHERE, 500, 599, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_MESSAGE, OUTCOME_FAIL, "smtp_permanent", 0},

	/*
	 * The conversation broke in the middle of a message. Its own bytes may be the cause, each time again:
	 * so it counts.
	 */
	{TIMEOUT, ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_DEFER, "timeout", 0},
	{LOST | GARBAGE, ANYWHERE, 0, 0, NULL, NULL, 0, /* => */
	 OUTCOME_SCOPE_CONNECTION, OUTCOME_DEFER, "connection", 0},
};

/* ---------- Matching ---------- */

static bool
RuleMatches(const Rule *rule, const SmtpEvent *event, SmtpEventKind kind)
{
	const char *text = event->text != NULL ? event->text : "";

	if (!(rule->kinds & BIT(kind)) || !(rule->stages & BIT(event->stage)))
		return false;
	if ((rule->conditions & IF_DOT_WRITTEN) && !event->dot_written)
		return false;
	if ((rule->conditions & IF_REUSED) && !event->reused)
		return false;
	if (kind != SMTP_EVENT_REPLY)
		return true;

	if (event->code < rule->code_from || event->code > rule->code_to)
		return false;
	if (rule->enhanced != NULL)
	{
		const char *enhanced = event->enhanced != NULL ? event->enhanced : "";
		size_t length = strlen(rule->enhanced);

		if (strncmp(enhanced, rule->enhanced, length) != 0 ||
			(rule->enhanced[length - 1] != '.' && enhanced[length] != '\0'))
			return false;
	}
	if (rule->wording != NULL && !HasWording(text, rule->wording))
		return false;
	return !(rule->conditions & IF_NAMES_SENDER) || NamesSender(text, event->sender);
}

/* ---------- The outcome ---------- */

/*
 * A reply with a code that no command of ours asks for here ("250" to DATA, "354" to the final dot) tells us
 * only that we don't understand the server.
 */
static SmtpEventKind
EffectiveKind(const SmtpEvent *event)
{
	bool refusal = (event->code >= 400 && event->code <= 599);
	bool acceptance =
		(event->stage == SMTP_STAGE_FINAL_DOT && event->code >= 200 && event->code <= 299);

	if (event->kind == SMTP_EVENT_REPLY && !refusal && !acceptance)
		return SMTP_EVENT_GARBAGE;
	return event->kind;
}

/* The first rule that matches; the last one holds for all that is left. */
static const Rule *
FindRule(const SmtpEvent *event, SmtpEventKind kind)
{
	const Rule *last = &rules[lengthof(rules) - 1];
	const Rule *rule = rules;

	while (rule < last && !RuleMatches(rule, event, kind))
		rule++;
	return rule;
}

Outcome
OutcomeForEvent(const SmtpEvent *event)
{
	SmtpEventKind kind = EffectiveKind(event);
	const Rule *rule = FindRule(event, kind);
	Outcome outcome = {rule->scope, rule->action, rule->reason, rule->delay_seconds};
	bool again = (rule->action == OUTCOME_DEFER || rule->action == OUTCOME_RETURN);

	if (again && kind == SMTP_EVENT_REPLY && event->text != NULL)
	{
		int named = NamedDelaySeconds(event->text);

		if (named > 0)
			outcome.delay_seconds = named;
	}
	return outcome;
}

Outcome
LimitAttempts(Outcome outcome, int attempts, int max_attempts)
{
	bool again = (outcome.action == OUTCOME_DEFER || outcome.action == OUTCOME_IN_DOUBT);

	if (again && attempts >= max_attempts)
	{
		outcome.action = OUTCOME_FAIL;
		outcome.reason = "attempts_exhausted";
		outcome.delay_seconds = 0;
	}
	return outcome;
}

bool
OutcomeCountsAttempt(OutcomeAction action)
{
	return action != OUTCOME_RETURN && action != OUTCOME_RETRY_FRESH;
}

bool
OutcomeBacksOff(const Outcome *outcome)
{
	return outcome->action != OUTCOME_RETRY_FRESH && outcome->scope != OUTCOME_SCOPE_MESSAGE &&
		   outcome->scope != OUTCOME_SCOPE_ADDRESS;
}

/* base doubled (step - 1) times, at most max, shortened by up to a quarter. */
static int64
Exponential(int step, int64 base_ms, int64 max_ms, double jitter)
{
	double delay = ldexp(base_ms, Min(Max(step, 1) - 1, 60));

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

const char *
SmtpStageName(SmtpStage stage)
{
	static const char *const names[] = {"connect", "greeting", "ehlo",	   "starttls",
										"tls",	   "auth",	   "mail",	   "rcpt",
										"data",	   "body",	   "final_dot"};

	return names[stage];
}

const char *
SmtpEventKindName(SmtpEventKind kind)
{
	static const char *const names[] = {"reply",   "connection_lost", "timeout",	"garbage",
										"dns",	   "refused",		  "tls_failed", "certificate",
										"ca_file", "no_starttls",	  "no_auth",	"login_failed",
										"aborted"};

	return names[kind];
}

const char *
OutcomeScopeName(OutcomeScope scope)
{
	static const char *const names[] = {"message", "address", "connection",
										"account", "quota",	  "server"};

	return names[scope];
}

const char *
OutcomeActionName(OutcomeAction action)
{
	static const char *const names[] = {"sent",	  "defer",		 "fail",
										"return", "retry_fresh", "in_doubt"};

	return names[action];
}

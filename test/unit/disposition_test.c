/*
 * disposition_test.c - what happens next to a mail and to the mail server, in all circumstances.
 *
 * The first table has a row for each cell of the fault matrix (test/t/fault_matrix.pl). With the
 * argument "cells" the program prints these rows, and test/unit/fault_cells_test compares them with
 * the matrix.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "policy/disposition.h"

#include "tap.h"

#define MAX_ATTEMPTS 12

/*
 * The first attempt of a mail, with the default settings and without jitter, unless a test changes
 * it.
 */
#define MAIL(...)                                                                              \
	{                                                                                          \
		.max_attempts = MAX_ATTEMPTS, .retry_delay_ms = 30000, .retry_max_delay_ms = 14400000, \
		__VA_ARGS__                                                                            \
	}

/* Returns a disposition as text: "deferred quota +0 in 1000 ms; back_off 1000 ms, firm" */
static const char *
Describe(const Disposition *disposition, char *text, size_t size)
{
	const Disposition *d = disposition;
	char delay[40] = "";
	char backoff[40] = "";

	if (d->state == DELIVERY_PENDING || d->state == DELIVERY_DEFERRED)
		snprintf(delay, sizeof(delay), " in %lld ms", (long long) d->delay_ms);
	if (d->server == SERVER_ACTION_BACK_OFF || d->server == SERVER_ACTION_SLOW_DOWN)
		snprintf(backoff, sizeof(backoff), " %lld ms", (long long) d->backoff_ms);
	if (d->resend)
		snprintf(text, size, "resend%s; %s", d->counts_fresh_try ? " fresh" : "",
				 ServerActionName(d->server));
	else
		snprintf(text, size, "%s %s +%d%s%s; %s%s%s%s%s", DeliveryStateName(d->state),
				 d->reason ? d->reason : "-", d->counts_attempt ? 1 : 0, delay,
				 d->in_doubt ? ", in doubt" : "", ServerActionName(d->server), backoff,
				 d->backoff_is_firm ? ", firm" : "", d->forgets_limit ? ", forgets limit" : "",
				 d->needs_person ? ", needs person" : "");
	return text;
}

/* ---- The fault matrix ---- */

/*
 * A stage and a fault of the matrix, and what the SMTP client reports with and without PIPELINING.
 */
typedef struct Cell
{
	const char *stage;
	const char *fault;
	const char *pipelining;

	SmtpStage reported_stage;
	SmtpEventKind kind;
	int code;
	const char *enhanced;
	const char *text;

	const char *expected;
} Cell;

/* The replies of the matrix */
#define REPLY_4XX SMTP_EVENT_REPLY, 451, "4.3.0", "Not now"
#define REPLY_5XX SMTP_EVENT_REPLY, 554, "5.3.0", "Not at all"
#define REPLY_421 SMTP_EVENT_REPLY, 421, "4.3.2", "Closing"
#define ACCEPTED SMTP_EVENT_REPLY, 250, "2.0.0", "Ok: queued as 0001"
#define LOST SMTP_EVENT_CONNECTION_LOST, 0, NULL, NULL
#define SILENCE SMTP_EVENT_TIMEOUT, 0, NULL, NULL
#define GARBAGE SMTP_EVENT_GARBAGE, 0, NULL, NULL
#define FAILED(kind) SMTP_EVENT_##kind, 0, NULL, NULL

/* The dispositions that many cells share */
#define SENT "sent - +1; clear"
#define NOT_CONNECTED(reason) "deferred " reason " +0 in 1000 ms; back_off 1000 ms, forgets limit"
#define NEEDS_PERSON(reason) NOT_CONNECTED(reason) ", needs person"
#define RETURNED(reason) "deferred " reason " +0 in 1000 ms; back_off 1000 ms"
#define RETURNED_LAST "deferred connection +0 in 30000 ms; back_off 1000 ms"
#define BROKEN(reason) "deferred " reason " +1 in 30000 ms; back_off 1000 ms"
#define DEFERRED "deferred smtp_temporary +1 in 30000 ms; clear"
#define REFUSED "failed smtp_permanent +1; clear"
#define IN_DOUBT "deferred in_doubt +1 in 30000 ms, in doubt; back_off 1000 ms"

static const Cell cells[] = {
	{"connect", "closed", "both", SMTP_STAGE_GREETING, LOST, NOT_CONNECTED("connection")},
	{"connect", "silence", "both", SMTP_STAGE_GREETING, SILENCE, NOT_CONNECTED("timeout")},

	{"greeting", "4xx", "both", SMTP_STAGE_GREETING, REPLY_4XX, NOT_CONNECTED("connection")},
	{"greeting", "5xx", "both", SMTP_STAGE_GREETING, REPLY_5XX, NOT_CONNECTED("connection")},
	{"greeting", "421", "both", SMTP_STAGE_GREETING, REPLY_421, NOT_CONNECTED("connection")},
	{"greeting", "closed", "both", SMTP_STAGE_GREETING, LOST, NOT_CONNECTED("connection")},
	{"greeting", "silence", "both", SMTP_STAGE_GREETING, SILENCE, NOT_CONNECTED("timeout")},
	{"greeting", "garbage", "both", SMTP_STAGE_GREETING, GARBAGE, NOT_CONNECTED("connection")},
	{"greeting", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"greeting", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"greeting", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},

	{"EHLO", "4xx", "both", SMTP_STAGE_EHLO, REPLY_4XX, NOT_CONNECTED("connection")},
	{"EHLO", "5xx", "both", SMTP_STAGE_EHLO, REPLY_5XX, NOT_CONNECTED("connection")},
	{"EHLO", "421", "both", SMTP_STAGE_EHLO, REPLY_421, NOT_CONNECTED("connection")},
	{"EHLO", "closed", "both", SMTP_STAGE_EHLO, LOST, NOT_CONNECTED("connection")},
	{"EHLO", "silence", "both", SMTP_STAGE_EHLO, SILENCE, NOT_CONNECTED("timeout")},
	{"EHLO", "garbage", "both", SMTP_STAGE_EHLO, GARBAGE, NOT_CONNECTED("connection")},
	{"EHLO", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"EHLO", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"EHLO", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"EHLO", "too early", "both", SMTP_STAGE_STARTTLS, FAILED(NO_STARTTLS), NEEDS_PERSON("tls")},

	{"STARTTLS", "4xx", "both", SMTP_STAGE_STARTTLS, REPLY_4XX, NOT_CONNECTED("tls")},
	{"STARTTLS", "5xx", "both", SMTP_STAGE_STARTTLS, REPLY_5XX, NOT_CONNECTED("tls")},
	{"STARTTLS", "421", "both", SMTP_STAGE_STARTTLS, REPLY_421, NOT_CONNECTED("connection")},
	{"STARTTLS", "closed", "both", SMTP_STAGE_STARTTLS, LOST, NOT_CONNECTED("connection")},
	{"STARTTLS", "silence", "both", SMTP_STAGE_STARTTLS, SILENCE, NOT_CONNECTED("timeout")},
	{"STARTTLS", "garbage", "both", SMTP_STAGE_STARTTLS, GARBAGE, NOT_CONNECTED("connection")},
	{"STARTTLS", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"STARTTLS", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"STARTTLS", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"STARTTLS", "too early", "both", SMTP_STAGE_STARTTLS, SILENCE, NOT_CONNECTED("timeout")},

	{"TLS handshake", "closed", "both", SMTP_STAGE_TLS, FAILED(TLS_FAILED), NOT_CONNECTED("tls")},
	{"TLS handshake", "silence", "both", SMTP_STAGE_TLS, SILENCE, NOT_CONNECTED("timeout")},
	{"TLS handshake", "garbage", "both", SMTP_STAGE_TLS, GARBAGE, NOT_CONNECTED("connection")},

	{"EHLO in TLS", "4xx", "both", SMTP_STAGE_AUTH, FAILED(NO_AUTH), NEEDS_PERSON("auth")},
	{"EHLO in TLS", "5xx", "both", SMTP_STAGE_AUTH, FAILED(NO_AUTH), NEEDS_PERSON("auth")},
	{"EHLO in TLS", "421", "both", SMTP_STAGE_EHLO, REPLY_421, NOT_CONNECTED("connection")},
	{"EHLO in TLS", "closed", "both", SMTP_STAGE_EHLO, LOST, NOT_CONNECTED("connection")},
	{"EHLO in TLS", "silence", "both", SMTP_STAGE_EHLO, SILENCE, NOT_CONNECTED("timeout")},
	{"EHLO in TLS", "garbage", "both", SMTP_STAGE_EHLO, GARBAGE, NOT_CONNECTED("connection")},
	{"EHLO in TLS", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"EHLO in TLS", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"EHLO in TLS", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},

	{"AUTH", "4xx", "both", SMTP_STAGE_AUTH, REPLY_4XX, NOT_CONNECTED("auth")},
	{"AUTH", "5xx", "both", SMTP_STAGE_AUTH, REPLY_5XX, NEEDS_PERSON("auth")},
	{"AUTH", "421", "both", SMTP_STAGE_AUTH, REPLY_421, NOT_CONNECTED("connection")},
	{"AUTH", "closed", "both", SMTP_STAGE_AUTH, LOST, NOT_CONNECTED("connection")},
	{"AUTH", "silence", "both", SMTP_STAGE_AUTH, SILENCE, NOT_CONNECTED("timeout")},
	{"AUTH", "garbage", "both", SMTP_STAGE_AUTH, GARBAGE, NOT_CONNECTED("connection")},
	{"AUTH", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"AUTH", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"AUTH", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"AUTH", "too early", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},

	{"MAIL", "4xx", "both", SMTP_STAGE_MAIL, REPLY_4XX, DEFERRED},
	{"MAIL", "5xx", "both", SMTP_STAGE_MAIL, REPLY_5XX, REFUSED},
	{"MAIL", "421", "both", SMTP_STAGE_MAIL, REPLY_421, RETURNED("connection")},
	{"MAIL", "closed", "both", SMTP_STAGE_MAIL, LOST, RETURNED("connection")},
	{"MAIL", "silence", "both", SMTP_STAGE_MAIL, SILENCE, RETURNED("timeout")},
	{"MAIL", "garbage", "both", SMTP_STAGE_MAIL, GARBAGE, RETURNED("connection")},
	{"MAIL", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"MAIL", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"MAIL", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"MAIL", "too early", "with", SMTP_STAGE_RCPT, GARBAGE, BROKEN("connection")},
	{"MAIL", "too early", "without", SMTP_STAGE_MAIL, SILENCE, RETURNED("timeout")},

	{"RCPT", "4xx", "both", SMTP_STAGE_RCPT, REPLY_4XX, DEFERRED},
	{"RCPT", "5xx", "both", SMTP_STAGE_RCPT, REPLY_5XX, REFUSED},
	{"RCPT", "421", "both", SMTP_STAGE_RCPT, REPLY_421, RETURNED_LAST},
	{"RCPT", "closed", "both", SMTP_STAGE_RCPT, LOST, BROKEN("connection")},
	{"RCPT", "silence", "both", SMTP_STAGE_RCPT, SILENCE, BROKEN("timeout")},
	{"RCPT", "garbage", "both", SMTP_STAGE_RCPT, GARBAGE, BROKEN("connection")},
	{"RCPT", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"RCPT", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"RCPT", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"RCPT", "too early", "with", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"RCPT", "too early", "without", SMTP_STAGE_RCPT, GARBAGE, BROKEN("connection")},

	{"DATA", "4xx", "both", SMTP_STAGE_DATA, REPLY_4XX, DEFERRED},
	{"DATA", "5xx", "both", SMTP_STAGE_DATA, REPLY_5XX, REFUSED},
	{"DATA", "421", "both", SMTP_STAGE_DATA, REPLY_421, RETURNED_LAST},
	{"DATA", "closed", "both", SMTP_STAGE_DATA, LOST, BROKEN("connection")},
	{"DATA", "silence", "both", SMTP_STAGE_DATA, SILENCE, BROKEN("timeout")},
	{"DATA", "garbage", "both", SMTP_STAGE_DATA, GARBAGE, BROKEN("connection")},
	{"DATA", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"DATA", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"DATA", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"DATA", "too early", "with", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"DATA", "too early", "without", SMTP_STAGE_DATA, GARBAGE, BROKEN("connection")},

	{"body", "4xx", "both", SMTP_STAGE_BODY, REPLY_4XX, DEFERRED},
	{"body", "5xx", "both", SMTP_STAGE_BODY, REPLY_5XX, REFUSED},
	{"body", "421", "both", SMTP_STAGE_BODY, REPLY_421, RETURNED_LAST},
	{"body", "closed", "both", SMTP_STAGE_BODY, LOST, BROKEN("connection")},
	{"body", "silence", "both", SMTP_STAGE_BODY, SILENCE, BROKEN("timeout")},
	{"body", "garbage", "both", SMTP_STAGE_BODY, GARBAGE, BROKEN("connection")},

	{"final dot", "4xx", "both", SMTP_STAGE_FINAL_DOT, REPLY_4XX, DEFERRED},
	{"final dot", "5xx", "both", SMTP_STAGE_FINAL_DOT, REPLY_5XX, REFUSED},
	{"final dot", "421", "both", SMTP_STAGE_FINAL_DOT, REPLY_421, RETURNED_LAST},
	{"final dot", "closed", "both", SMTP_STAGE_FINAL_DOT, LOST, IN_DOUBT},
	{"final dot", "silence", "both", SMTP_STAGE_FINAL_DOT, SILENCE, IN_DOUBT},
	{"final dot", "garbage", "both", SMTP_STAGE_FINAL_DOT, GARBAGE, IN_DOUBT},
	{"final dot", "too early", "both", SMTP_STAGE_BODY, GARBAGE, BROKEN("connection")},

	{"accepted", "4xx", "both", SMTP_STAGE_FINAL_DOT, REPLY_4XX, DEFERRED},
	{"accepted", "5xx", "both", SMTP_STAGE_FINAL_DOT, REPLY_5XX, REFUSED},
	{"accepted", "421", "both", SMTP_STAGE_FINAL_DOT, REPLY_421, RETURNED_LAST},
	{"accepted", "closed", "both", SMTP_STAGE_FINAL_DOT, LOST, IN_DOUBT},
	{"accepted", "silence", "both", SMTP_STAGE_FINAL_DOT, SILENCE, IN_DOUBT},
	{"accepted", "garbage", "both", SMTP_STAGE_FINAL_DOT, GARBAGE, IN_DOUBT},
	{"accepted", "in pieces", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"accepted", "ten lines", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
	{"accepted", "60 kB line", "both", SMTP_STAGE_FINAL_DOT, ACCEPTED, SENT},
};

static SmtpEvent
EventOfCell(const Cell *cell)
{
	SmtpEvent event = {
		.stage = cell->reported_stage,
		.kind = cell->kind,
		.code = cell->code,
		.enhanced = cell->enhanced,
		.text = cell->text,
		.dot_written = cell->reported_stage == SMTP_STAGE_FINAL_DOT,
	};

	return event;
}

static void
CheckCells(void)
{
	static const MailCircumstances mail = MAIL();
	static const ServerCircumstances server = {0};

	for (int i = 0; i < (int) lengthof(cells); i++)
	{
		const Cell *cell = &cells[i];
		SmtpEvent event = EventOfCell(cell);
		Disposition disposition = DispositionForEvent(&event, &mail, &server);
		char got[200];
		char name[100];

		snprintf(name, sizeof(name), "%s, %s, %s", cell->stage, cell->fault, cell->pipelining);
		is_str(Describe(&disposition, got, sizeof(got)), cell->expected, name);
	}
}

/*
 * Prints the cells for fault_cells_test, each with the outcome that is recorded first, as
 * doc/reliability.md has it.
 */
static void
PrintCells(void)
{
	static const MailCircumstances mail = MAIL();
	static const ServerCircumstances server = {0};

	for (int i = 0; i < (int) lengthof(cells); i++)
	{
		SmtpEvent event = EventOfCell(&cells[i]);
		Disposition disposition = DispositionForEvent(&event, &mail, &server);

		printf("%s\t%s\t%s\t%s\t%s\t%d\n", cells[i].stage, cells[i].fault, cells[i].pipelining,
			   DeliveryStateName(disposition.state), disposition.reason ? disposition.reason : "",
			   disposition.counts_attempt ? 1 : 0);
	}
}

/* ---- Circumstances ---- */

typedef struct Case
{
	const char *name;
	SmtpEvent event;
	MailCircumstances mail;
	ServerCircumstances server;
	const char *expected;
} Case;

#define EVENT(its_stage, its_kind, ...)                                             \
	{                                                                               \
		.stage = SMTP_STAGE_##its_stage, .kind = SMTP_EVENT_##its_kind, __VA_ARGS__ \
	}
#define REPLY(its_stage, its_code, its_text, ...) \
	EVENT(its_stage, REPLY, .code = its_code, .text = its_text, __VA_ARGS__)
#define LOST_AFTER_DOT EVENT(FINAL_DOT, CONNECTION_LOST, .dot_written = true)
#define GREYLISTED REPLY(RCPT, 451, "Greylisted, try again in 300 seconds")
#define IDLE_TOO_LONG REPLY(MAIL, 421, "timeout exceeded", .reused = true)
#define TOO_MANY_CONNECTIONS REPLY(GREETING, 421, "Too many concurrent SMTP connections")
#define TOO_FAST REPLY(MAIL, 454, "Throttling failure: Maximum sending rate exceeded")
#define TOO_MANY_TODAY REPLY(MAIL, 454, "Throttling failure: Daily message quota exceeded")

static const Case cases[] = {
	/* Attempts */
	{"the second attempt",
	 GREYLISTED,
	 MAIL(.attempts = 5),
	 {0},
	 "deferred smtp_temporary +1 in 960000 ms; clear"},
	{"a delay that the server names",
	 GREYLISTED,
	 MAIL(),
	 {0},
	 "deferred smtp_temporary +1 in 300000 ms; clear"},
	{"the attempt before the last",
	 GREYLISTED,
	 MAIL(.attempts = MAX_ATTEMPTS - 2),
	 {0},
	 "deferred smtp_temporary +1 in 14400000 ms; clear"},
	{"the last attempt",
	 GREYLISTED,
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 "failed attempts_exhausted +1; clear"},
	{"more attempts than are allowed now",
	 GREYLISTED,
	 MAIL(.attempts = MAX_ATTEMPTS + 5),
	 {0},
	 "failed attempts_exhausted +1; clear"},
	{"a refusal at the last attempt",
	 REPLY(RCPT, 550, "User unknown"),
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 "failed smtp_permanent +1; clear"},
	{"a connection that ends at the last attempt",
	 EVENT(BODY, CONNECTION_LOST),
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 "failed attempts_exhausted +1; back_off 1000 ms"},
	{"a server in trouble at the last attempt",
	 EVENT(CONNECT, REFUSED),
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 NOT_CONNECTED("connection")},
	{"acceptance at the last attempt",
	 REPLY(FINAL_DOT, 250, "Ok"),
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 SENT},
	{"a greylisting with jitter",
	 REPLY(RCPT, 451, "Greylisted"),
	 MAIL(.jitter = 1),
	 {0},
	 "deferred smtp_temporary +1 in 22500 ms; clear"},

	/* In doubt */
	{"in doubt", LOST_AFTER_DOT, MAIL(), {0}, IN_DOUBT},
	{"in doubt, which is held",
	 LOST_AFTER_DOT,
	 MAIL(.hold_in_doubt = true),
	 {0},
	 "held in_doubt +1, in doubt; back_off 1000 ms"},
	{"in doubt at the last attempt",
	 LOST_AFTER_DOT,
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 "failed attempts_exhausted +1; back_off 1000 ms"},
	{"in doubt at the last attempt, which is held",
	 LOST_AFTER_DOT,
	 MAIL(.attempts = MAX_ATTEMPTS - 1, .hold_in_doubt = true),
	 {0},
	 "held in_doubt +1, in doubt; back_off 1000 ms"},
	{"a greylisting where doubt is held",
	 REPLY(RCPT, 451, "Greylisted"),
	 MAIL(.attempts = MAX_ATTEMPTS - 1, .hold_in_doubt = true),
	 {0},
	 "failed attempts_exhausted +1; clear"},

	/* The worker cut the connection */
	{"aborted before the end", EVENT(BODY, ABORTED), MAIL(), {0}, "pending - +0 in 0 ms; none"},
	{"aborted at the last attempt",
	 EVENT(DATA, ABORTED),
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 "pending - +0 in 0 ms; none"},
	{"aborted during a shutdown",
	 EVENT(RCPT, ABORTED),
	 MAIL(),
	 {.is_shutting_down = true},
	 "pending - +0 in 0 ms; none"},
	{"aborted after the end",
	 EVENT(FINAL_DOT, ABORTED, .dot_written = true),
	 MAIL(),
	 {0},
	 IN_DOUBT},

	/* A connection that was kept, and had ended */
	{"an idle connection had ended", IDLE_TOO_LONG, MAIL(), {0}, "resend fresh; none"},
	{"... for the third time", IDLE_TOO_LONG, MAIL(.fresh_tries = 2), {0}, "resend fresh; none"},
	{"... for the fourth time", IDLE_TOO_LONG, MAIL(.fresh_tries = 3), {0}, RETURNED("connection")},
	{"... while the worker is draining",
	 IDLE_TOO_LONG,
	 MAIL(),
	 {.is_draining = true},
	 "pending - +0 in 0 ms; none"},
	{"... during a shutdown",
	 IDLE_TOO_LONG,
	 MAIL(),
	 {.is_shutting_down = true},
	 "pending - +0 in 0 ms; none"},
	{"... during a back-off",
	 IDLE_TOO_LONG,
	 MAIL(),
	 {.is_backing_off = true, .backoff_left_ms = 700},
	 "pending - +0 in 0 ms; none"},
	{"... for the fourth time, while the worker is draining",
	 IDLE_TOO_LONG,
	 MAIL(.fresh_tries = 3),
	 {.is_draining = true},
	 RETURNED("connection")},

	/* As many connections as are allowed */
	{"one connection too many",
	 TOO_MANY_CONNECTIONS,
	 MAIL(),
	 {.connections = 2},
	 "resend; fewer_connections"},
	{"... and no fresh try is left",
	 TOO_MANY_CONNECTIONS,
	 MAIL(.fresh_tries = 3),
	 {.connections = 1},
	 "resend; fewer_connections"},
	{"... and no other is open", TOO_MANY_CONNECTIONS, MAIL(), {0}, NOT_CONNECTED("connection")},
	{"... while the worker is draining",
	 TOO_MANY_CONNECTIONS,
	 MAIL(),
	 {.connections = 2, .is_draining = true},
	 NOT_CONNECTED("connection")},
	{"... during a shutdown",
	 TOO_MANY_CONNECTIONS,
	 MAIL(),
	 {.connections = 2, .is_shutting_down = true},
	 "deferred connection +0 in 0 ms; back_off 1000 ms, forgets limit"},
	{"... during a back-off",
	 TOO_MANY_CONNECTIONS,
	 MAIL(),
	 {.connections = 2, .is_backing_off = true, .backoff_left_ms = 700},
	 "deferred connection +0 in 700 ms; back_off 0 ms, forgets limit"},
	{"a greeting that does not come, and others are open",
	 EVENT(GREETING, TIMEOUT),
	 MAIL(),
	 {.connections = 2},
	 NOT_CONNECTED("timeout")},
	{"a login that is refused, and others are open",
	 REPLY(AUTH, 535, "No"),
	 MAIL(),
	 {.connections = 2},
	 NEEDS_PERSON("auth")},
	{"a connection that ends at MAIL, and others are open",
	 EVENT(MAIL, CONNECTION_LOST),
	 MAIL(),
	 {.connections = 2},
	 RETURNED("connection")},

	/* A quota */
	{"too fast", TOO_FAST, MAIL(), {0}, "deferred quota +0 in 1000 ms; slow_down 1000 ms, firm"},
	{"... says the answer to a probe",
	 TOO_FAST,
	 MAIL(.is_probe = true),
	 {0},
	 "deferred quota +0 in 1000 ms; back_off 1000 ms, firm"},
	{"... at the login",
	 REPLY(AUTH, 454, "Throttling failure: Maximum sending rate exceeded"),
	 MAIL(),
	 {0},
	 "deferred quota +0 in 1000 ms; slow_down 1000 ms, firm, forgets limit"},
	{"... and the server names 59 seconds",
	 REPLY(MAIL, 451, "Slow down, try again in 59 seconds"),
	 MAIL(),
	 {0},
	 "deferred quota +0 in 59000 ms; slow_down 59000 ms, firm"},
	{"... and the server names 60 seconds",
	 REPLY(MAIL, 451, "Slow down, try again in 60 seconds"),
	 MAIL(),
	 {0},
	 "deferred quota +0 in 60000 ms; back_off 60000 ms, firm"},
	{"a quota of the day",
	 TOO_MANY_TODAY,
	 MAIL(),
	 {0},
	 "deferred quota +0 in 900000 ms; back_off 900000 ms, firm"},
	{"a quota at the last attempt",
	 TOO_MANY_TODAY,
	 MAIL(.attempts = MAX_ATTEMPTS - 1),
	 {0},
	 "deferred quota +0 in 900000 ms; back_off 900000 ms, firm"},

	/* Delays */
	{"a delay of the server above the setting",
	 REPLY(RCPT, 451, "Greylisted, try again in 5 hours"),
	 MAIL(),
	 {0},
	 "deferred smtp_temporary +1 in 14400000 ms; clear"},
	{"a delay that another server trouble names",
	 REPLY(MAIL, 421, "Try again in 5 minutes"),
	 MAIL(),
	 {0},
	 "deferred connection +0 in 300000 ms; back_off 300000 ms, firm"},
	{"the third failure in a row",
	 EVENT(CONNECT, DNS),
	 MAIL(),
	 {.failures = 2},
	 "deferred connection +0 in 4000 ms; back_off 4000 ms, forgets limit"},
	{"many failures in a row",
	 EVENT(CONNECT, DNS),
	 MAIL(),
	 {.failures = 100, .jitter = 1},
	 "deferred connection +0 in 45000 ms; back_off 45000 ms, forgets limit"},
	{"another failure during a back-off",
	 EVENT(CONNECT, DNS),
	 MAIL(),
	 {.failures = 3, .is_backing_off = true, .backoff_left_ms = 2500},
	 "deferred connection +0 in 2500 ms; back_off 0 ms, forgets limit"},
	{"a delay that the server names during a back-off",
	 REPLY(MAIL, 421, "Try again in 5 minutes"),
	 MAIL(),
	 {.failures = 3, .is_backing_off = true, .backoff_left_ms = 2500},
	 "deferred connection +0 in 300000 ms; back_off 300000 ms, firm"},
	{"a connection that ends in the middle during a back-off",
	 EVENT(BODY, CONNECTION_LOST),
	 MAIL(),
	 {.is_backing_off = true, .backoff_left_ms = 50000},
	 "deferred connection +1 in 30000 ms; back_off 0 ms"},
	{"acceptance during a back-off",
	 REPLY(FINAL_DOT, 250, "Ok"),
	 MAIL(),
	 {.is_backing_off = true, .backoff_left_ms = 50000},
	 SENT},
	{"a server in trouble during a shutdown",
	 EVENT(CONNECT, DNS),
	 MAIL(),
	 {.is_shutting_down = true},
	 "deferred connection +0 in 0 ms; back_off 1000 ms, forgets limit"},

	/* The account */
	{"a password that is wrong",
	 REPLY(AUTH, 535, "Authentication credentials invalid"),
	 MAIL(),
	 {0},
	 NEEDS_PERSON("auth")},
	{"a login that does not work for the moment",
	 REPLY(AUTH, 454, "Temporary failure"),
	 MAIL(),
	 {0},
	 NOT_CONNECTED("auth")},
	{"a certificate of another name", EVENT(TLS, CERTIFICATE), MAIL(), {0}, NEEDS_PERSON("tls")},
	{"a sender that is not verified",
	 REPLY(MAIL, 550, "Domain is not verified"),
	 MAIL(),
	 {0},
	 "deferred auth +0 in 1000 ms; back_off 1000 ms, needs person"},
};

static void
CheckCases(void)
{
	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		Disposition disposition = DispositionForEvent(&c->event, &c->mail, &c->server);
		char got[200];

		is_str(Describe(&disposition, got, sizeof(got)), c->expected, c->name);
	}
}

static const char *
EventFor(const SmtpEvent *event)
{
	static const MailCircumstances mail = MAIL();
	static const ServerCircumstances server = {0};

	return DispositionForEvent(event, &mail, &server).event;
}

static void
CheckEvents(void)
{
	SmtpEvent accepted = REPLY(FINAL_DOT, 250, "Ok");
	SmtpEvent greylisted = GREYLISTED;
	SmtpEvent refused = REPLY(RCPT, 550, "User unknown");
	SmtpEvent in_doubt = LOST_AFTER_DOT;
	SmtpEvent no_server = EVENT(CONNECT, REFUSED);

	is_str(EventFor(&accepted), NULL, "acceptance adds no event of its own");
	is_str(EventFor(&greylisted), "deferred", "an attempt that counts adds an event");
	is_str(EventFor(&refused), "failed", "a refusal adds one");
	is_str(EventFor(&in_doubt), "in_doubt", "doubt adds one");
	is_str(EventFor(&no_server), NULL, "a server in trouble adds none to a mail");
}

/* Checks what happens to a mail that could not be composed at this attempt. */
static void
CheckPreparation(int attempt, bool can_pass, const char *expected, const char *event,
				 const char *name)
{
	MailCircumstances mail = MAIL(.attempts = attempt - 1);
	Disposition disposition = DispositionForFailedPreparation("render_error", can_pass, &mail);
	char got[200];

	is_str(Describe(&disposition, got, sizeof(got)), expected, name);
	is_str(disposition.event, event, "... with its event");
}

static void
CheckPreparations(void)
{
	CheckPreparation(1, true, "deferred render_error +1 in 30000 ms; none", "deferred",
					 "a preparation that may succeed later is tried again");
	CheckPreparation(3, true, "deferred render_error +1 in 120000 ms; none", "deferred",
					 "... later each time");
	CheckPreparation(MAX_ATTEMPTS, true, "failed render_error +0; none", "failed",
					 "... until its attempts are used up");
	CheckPreparation(1, false, "failed render_error +0; none", "failed",
					 "one that cannot succeed fails at once");
}

static void
CheckTimes(void)
{
	is_int(RetryDelayMs(1, 30000, 14400000, 0), 30000,
		   "the first retry comes after the base delay");
	is_int(RetryDelayMs(2, 30000, 14400000, 0), 60000, "the second after twice of it");
	is_int(RetryDelayMs(5, 30000, 14400000, 0), 480000, "and so on");
	is_int(RetryDelayMs(12, 30000, 14400000, 0), 14400000, "up to the maximum");
	is_int(RetryDelayMs(2000000000, 30000, 14400000, 0), 14400000, "also for absurd numbers");
	is_int(RetryDelayMs(0, 30000, 14400000, 0), 30000, "and for no attempt at all");
	is_int(RetryDelayMs(2, 30000, 14400000, 1), 45000, "jitter takes a quarter at most");
	is_int(RetryDelayMs(3, PG_INT32_MAX, PG_INT32_MAX, 0), PG_INT32_MAX,
		   "the largest settings do not overflow");
	is_int(BackoffDelayMs(1, 0), 1000, "a server is left alone for a second at first");
	is_int(BackoffDelayMs(6, 0), 32000, "then longer");
	is_int(BackoffDelayMs(7, 0), 60000, "but never longer than a minute");
	is_int(BackoffDelayMs(1000, 1), 45000, "with jitter");
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "cells") == 0)
	{
		PrintCells();
		return 0;
	}
	CheckCells();
	CheckCases();
	CheckEvents();
	CheckPreparations();
	CheckTimes();
	return done_testing();
}

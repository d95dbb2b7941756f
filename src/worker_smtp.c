/*
 * worker_smtp.c - the worker's side of SMTP: hands mails to the pool, takes outcomes back, leaves a server in trouble alone.
 *
 * A server's trouble is not a message's: what has not been sent goes back to the queue, attempts unharmed, and after a pause one
 * mail goes first.
 */
#include "postgres.h"

#include "worker_smtp.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pace.h"
#include "settings.h"
#include "settings_password.h"
#include "utils/timestamp.h"
#include "worker_session.h"
#include "worker_state.h"

#define PASSWORD_AGE_MS 1000

static TimestampTz password_read_at;

const char *
OpenPool(void)
{
	const char *problem = SmtpSettingsProblem();
	SmtpOptions options;

	if (problem == NULL)
		problem = SmtpInitialize();
	if (problem == NULL)
	{
		SmtpOptionsFromSettings(&options);
		worker.pool = SmtpPoolCreate(&options, &problem);
	}
	return worker.pool ? NULL : problem;
}

/* The server is in trouble: leave it alone for a while, and give back what it has not seen. */
static void
BackOff(const char *trouble, int delay_seconds)
{
	int64 delay;

	if (shutdown_was_requested || GetCurrentTimestamp() < worker.backing_off_until)
		return;
	delay = BackoffDelayMs(++worker.server_failures, pg_prng_double(&pg_global_prng_state));
	delay = Max(delay, delay_seconds * INT64CONST(1000));
	worker.backing_off_until = After(delay);
	worker.probing = false;
	ShowBackoff(worker.backing_off_until);
	if (IsNewComplaint(trouble))
		ereport(WARNING, (errcode(ERRCODE_CONNECTION_FAILURE),
						  errmsg("SMTP server \"%s\" port %d is in trouble: %s", rhesis_smtp_host,
								 rhesis_smtp_port, trouble),
						  errdetail("Mail waits; the next try is in " INT64_FORMAT " ms.", delay),
						  errhint("SELECT * FROM rhesis_notify.check_smtp() tells more.")));
	GiveBackUnsent();
}

static void
ServerIsWell(void)
{
	if (worker.server_failures == 0 && !worker.probing)
		return;
	if (worker.server_failures > 0)
		ereport(LOG,
				(errmsg("SMTP server \"%s\" port %d is back", rhesis_smtp_host, rhesis_smtp_port)));
	worker.server_failures = 0;
	worker.backing_off_until = 0;
	worker.probing = false;
	ForgetComplaint();
	ShowBackoff(0);
	SmtpPoolLimit(worker.pool, rhesis_smtp_connections);
	worker.claim_at = 0;
}

void
EndBackoff(void)
{
	if (worker.backing_off_until == 0 || GetCurrentTimestamp() < worker.backing_off_until)
		return;
	worker.backing_off_until = 0;
	worker.probing = true;
	ShowBackoff(0);
	SmtpPoolLimit(worker.pool, 1);
	SmtpPoolResume(worker.pool);
	worker.claim_at = 0;
}

/* A mounted secret may have been replaced. */
static bool
RefreshPassword(void)
{
	char *problem;
	char *password;

	if (GetCurrentTimestamp() < password_read_at + PASSWORD_AGE_MS * INT64CONST(1000))
		return true;
	password = ReadSmtpPassword(&problem);
	if (problem)
	{
		BackOff(problem, 0);
		return false;
	}
	SmtpPoolSetPassword(worker.pool, password);
	ForgetPassword(password);
	password_read_at = GetCurrentTimestamp();
	return true;
}

int64
SubmitReady(void)
{
	int64 wait = 0;

	if (worker.ready.count > 0 && !RefreshPassword())
		return 0;
	while (worker.ready.count > 0 && SmtpPoolRoom(worker.pool) > 0 && wait == 0)
	{
		wait = PaceNext(MyDatabaseId, rhesis_max_rate, GetCurrentTimestamp());
		if (wait == 0)
		{
			SmtpSubmit(worker.pool, &TakeFirst(&worker.ready)->mail);
			worker.in_flight++;
		}
	}
	return wait;
}

static void
CountOutcome(const Delivery *delivery, const Outcome *outcome)
{
	if (outcome->action == OUTCOME_IN_DOUBT ||
		(delivery->record.event && strcmp(delivery->record.event, "in_doubt") == 0))
		pg_atomic_fetch_add_u64(&my_slot->in_doubt, 1);
	switch (delivery->record.state)
	{
		case DELIVERY_SENT:
			pg_atomic_fetch_add_u64(&my_slot->sent, 1);
			break;
		case DELIVERY_DEFERRED:
			pg_atomic_fetch_add_u64(&my_slot->deferred, 1);
			break;
		case DELIVERY_FAILED:
			pg_atomic_fetch_add_u64(&my_slot->failed, 1);
			break;
		default:
			break;
	}
}

/* We cut the connection ourselves, in the middle of it. */
static bool
WasAborted(const Delivery *delivery)
{
	const SmtpEvent *event = &delivery->mail.event;

	return event->kind == SMTP_EVENT_ABORTED && !event->dot_written;
}

static void
SubmitAgain(Delivery *delivery)
{
	SmtpMailClear(&delivery->mail);
	SmtpSubmit(worker.pool, &delivery->mail);
	worker.in_flight++;
}

/* One mail is back from the pool. */
static void
Collect(Delivery *delivery)
{
	Outcome outcome;

	worker.in_flight--;
	outcome = SettleDelivery(delivery);
	if (outcome.action == OUTCOME_RETRY_FRESH && !worker.draining && !shutdown_was_requested)
	{
		SubmitAgain(delivery);
		return;
	}
	if (outcome.action == OUTCOME_RETRY_FRESH || WasAborted(delivery))
	{
		GiveBack(delivery, 0);
		AppendSettled(delivery);
		return;
	}
	CountOutcome(delivery, &outcome);
	AppendSettled(delivery);
	if (!OutcomeBacksOff(&outcome))
	{
		ServerIsWell();
		if (delivery->record.smtp_reply && delivery->record.state != DELIVERY_SENT)
			ShowError(delivery->record.smtp_reply);
	}
	else
	{
		BackOff(delivery->record.smtp_reply, outcome.delay_seconds);
		if (!delivery->record.counts_attempt)
			delivery->record.delay_ms =
				TimestampDifferenceMilliseconds(GetCurrentTimestamp(), worker.backing_off_until);
	}
}

void
RunSmtp(void)
{
	SmtpPoolStatus status;
	SmtpMail *mail;

	SmtpRun(worker.pool);
	while ((mail = SmtpNextFinished(worker.pool)) != NULL)
		Collect(mail->cookie);
	SmtpPoolGetStatus(worker.pool, &status);
	pg_atomic_write_u32(&my_slot->connections, status.connections);
	pg_atomic_write_u32(&my_slot->in_flight, worker.in_flight);
}

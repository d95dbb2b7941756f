/*
 * worker_smtp.c - see worker_smtp.h.
 *
 * After an event, the policy decides what happens to the mail and to the mail server. This file
 * carries out the former, worker_backoff.c the latter.
 */
#include "postgres.h"

#include "worker/worker_smtp.h"

#include "access/xact.h"
#include "delivery/delivery_log.h"
#include "miscadmin.h"
#include "server/pace.h"
#include "settings/settings.h"
#include "settings/settings_password.h"
#include "utils/timestamp.h"
#include "worker/worker_backoff.h"
#include "worker/worker_drain.h"
#include "worker/worker_outbox.h"
#include "worker/worker_record.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

#define PASSWORD_AGE_MS 1000

/* When the password is to be read again. */
static MonotonicTime read_password_at = 0;

/*
 * Reads the password again after a while: a mounted secret may have been replaced. If it cannot be
 * read, backs off and returns false.
 */
static bool
RefreshPassword(void)
{
	char *problem;
	char *password;

	if (MonotonicNow() < read_password_at)
		return true;
	password = ReadSmtpPassword(&problem);
	if (problem)
	{
		ServerCircumstances server;

		GetServerCircumstances(&server);
		BackOff(
			"password", problem,
			"Check rhesis_notify.smtp_password_file: the server's operating system user must be "
			"able to read it.",
			BackoffMs(&server, 0), false);
		ShowNeedOfPerson();
		return false;
	}
	SmtpPoolSetPassword(MailPool(), password);
	ForgetPassword(password);
	read_password_at = DeadlineAfter(PASSWORD_AGE_MS);
	return true;
}

static void
Submit(Delivery *delivery)
{
	delivery->is_probe |= IsProbing();
	SubmitToPool(delivery);
}

int64
SubmitReady(void)
{
	int64 wait = 0;

	if (ReadyCount() > 0 && !RefreshPassword())
		return 0;
	while (ReadyCount() > 0 && SmtpPoolCapacity(MailPool()) > 0 && wait == 0)
	{
		wait = PaceNext(MyDatabaseId, rhesis_max_rate, GetCurrentTimestamp());
		if (wait == 0)
			Submit(TakeReady());
	}
	return wait;
}

static void
CountDisposition(const Disposition *disposition)
{
	if (disposition->in_doubt)
		pg_atomic_fetch_add_u64(&my_slot->in_doubt, 1);
	switch (disposition->state)
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

/* Logs at DEBUG2 what has happened to a mail in the pool. */
static void
LogEvent(const Delivery *delivery)
{
	char *event;

	if (!message_level_is_interesting(DEBUG2))
		return;
	event = EventInOneLine(&delivery->mail.event);
	elog(DEBUG2, "notification " INT64_FORMAT ": %s", delivery->notification->id, event);
	pfree(event);
}

/*
 * Settles a mail that the pool has finished, and treats the mail server accordingly. Returns true
 * if the mail was given to the pool again.
 */
static bool
Collect(Delivery *delivery)
{
	ServerCircumstances server;
	Disposition disposition;

	LogEvent(delivery);
	NoteBackFromPool(delivery);
	GetServerCircumstances(&server);
	disposition = SettleDelivery(delivery, &server);
	if (!disposition.resend)
	{
		CountDisposition(&disposition);
		AppendSettled(delivery);
	}
	TreatServer(delivery, &disposition);
	if (disposition.resend)
	{
		SmtpMailClear(&delivery->mail);
		Submit(delivery);
	}
	return disposition.resend;
}

/* Logs the dialogue with the mail server at DEBUG3. */
static void
LogDialogue(void)
{
	const char *line = SmtpTakeTrace(MailPool());

	while (line != NULL && *line != '\0')
	{
		int length = strcspn(line, "\n");

		elog(DEBUG3, "SMTP %.*s", length, line);
		line += length + 1;
	}
}

static void
LogConnections(const SmtpPoolStatus *status)
{
	static uint64 logged;

	if (status->connects == logged)
		return;
	logged = status->connects;
	elog(DEBUG1,
		 "connected to SMTP server \"%s\" port %d: %d connections now, " UINT64_FORMAT " in all",
		 rhesis_smtp_host, rhesis_smtp_port, status->connections, status->connects);
}

void
RunSmtp(void)
{
	SmtpPoolStatus status;
	bool again;

	Assert(!IsTransactionState());
	do
	{
		SmtpMail *mail;

		again = false;
		SmtpPoolTrace(MailPool(), message_level_is_interesting(DEBUG3));
		SmtpRun(MailPool());
		LogDialogue();
		while ((mail = SmtpNextFinished(MailPool())) != NULL)
			again |= Collect(mail->cookie);
		TryMoreConnections();

		/*
		 * A pool with a failed connection opens no other one. By now that error has been handled,
		 * so let the pool open connections again, unless the worker backs off.
		 */
		if (BackoffUntil() == 0)
			SmtpPoolResume(MailPool());
	} while (again);
	SmtpPoolGetStatus(MailPool(), &status);
	LogConnections(&status);
	pg_atomic_write_u32(&my_slot->connections, status.connections);
	pg_atomic_write_u32(&my_slot->in_flight, InFlightCount());
}

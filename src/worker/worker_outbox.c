/*
 * worker_outbox.c - see worker_outbox.h.
 */
#include "postgres.h"

#include "worker/worker_outbox.h"

#include "delivery/smtp_settings.h"
#include "server/claim_journal.h"
#include "settings/settings.h"
#include "worker/delivery_list.h"

static SmtpPool *pool = NULL;
static DeliveryList ready = EMPTY_DELIVERY_LIST(ready);
static int in_flight = 0;
static bool probe_is_out = false;

const char *
OpenPool(void)
{
	const char *problem = SmtpSettingsProblem();
	SmtpOptions options;

	Assert(pool == NULL);
	if (problem == NULL)
		problem = SmtpInitialize();
	if (problem == NULL)
	{
		SmtpOptionsFromSettings(&options);
		pool = SmtpPoolCreate(&options, &problem);
	}
	return pool ? NULL : problem;
}

SmtpPool *
MailPool(void)
{
	return pool;
}

int
BatchSize(void)
{
	return Min(BATCH_PER_CONNECTION * rhesis_smtp_connections, LARGEST_BATCH);
}

void
AppendReady(Delivery *delivery)
{
	AppendDelivery(&ready, delivery);
}

Delivery *
TakeReady(void)
{
	return TakeFirst(&ready);
}

int
ReadyCount(void)
{
	return ready.count;
}

void
SubmitToPool(Delivery *delivery)
{
	Assert(delivery->owes_mail);
	probe_is_out |= delivery->is_probe;
	ForgetUnsent(&delivery->unsent_place);
	SmtpSubmit(pool, &delivery->mail);
	in_flight++;
}

void
NoteBackFromPool(const Delivery *delivery)
{
	Assert(in_flight > 0);
	in_flight--;
	if (delivery->is_probe)
		probe_is_out = false;
}

int
InFlightCount(void)
{
	return in_flight;
}

bool
ProbeIsOut(void)
{
	return probe_is_out;
}

Delivery *
TakeUnsent(void)
{
	Delivery *delivery = TakeFirst(&ready);
	SmtpMail *mail;

	if (delivery != NULL || pool == NULL)
		return delivery;
	mail = SmtpTakeBack(pool);
	if (mail == NULL)
		return NULL;
	delivery = mail->cookie;
	NoteBackFromPool(delivery);
	return delivery;
}

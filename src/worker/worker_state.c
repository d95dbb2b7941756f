/*
 * worker_state.c - what a worker holds, and the lists that its deliveries pass through.
 */
#include "postgres.h"

#include "worker/worker_state.h"

#include "settings/settings.h"
#include "utils/timestamp.h"

WorkerState worker;

/* What is claimed and can't be recorded is in doubt after a crash, and in memory. */
#define MOST_REFUSED 1000

/* Rows by which it is seen whether recipients can be read again: one alone could not tell its own trouble from everybody's. */
#define ROWS_TRIED 8

static char logged_error[256];

static void
InitList(DeliveryList *list)
{
	list->first = NULL;
	list->tail = &list->first;
	list->count = 0;
}

void
AppendDelivery(DeliveryList *list, Delivery *delivery)
{
	delivery->next = NULL;
	*list->tail = delivery;
	list->tail = &delivery->next;
	list->count++;
}

Delivery *
TakeFirst(DeliveryList *list)
{
	Delivery *delivery = list->first;

	if (delivery == NULL)
		return NULL;
	list->first = delivery->next;
	if (list->first == NULL)
		list->tail = &list->first;
	list->count--;
	return delivery;
}

void
AppendSettled(Delivery *delivery)
{
	if (worker.settled.count == 0)
		worker.settled_at = GetCurrentTimestamp();
	AppendDelivery(&worker.settled, delivery);
}

int
Outstanding(void)
{
	return worker.ready.count + worker.in_flight + worker.settled.count;
}

bool
IsDrained(void)
{
	return Outstanding() == 0 && worker.locked.count == 0;
}

void
SettleLocked(void)
{
	Delivery *delivery;

	while ((delivery = TakeFirst(&worker.locked)) != NULL)
		AppendSettled(delivery);
}

void
SettleRefused(TimestampTz now)
{
	int count = worker.refused.count;

	while (count-- > 0)
	{
		Delivery *delivery = TakeFirst(&worker.refused);

		if (delivery->record_at > now)
		{
			AppendDelivery(&worker.refused, delivery);
			continue;
		}
		worker.recording_one_by_one = true;
		AppendSettled(delivery);
	}
}

bool
TooMuchIsRefused(void)
{
	return worker.refusals >= LARGEST_BATCH || worker.refused.count >= MOST_REFUSED;
}

TimestampTz
RefusedUntil(void)
{
	TimestampTz until = DT_NOEND;

	for (Delivery *delivery = worker.refused.first; delivery; delivery = delivery->next)
		until = Min(until, delivery->record_at);
	return until;
}

/* Whatever no byte was written of goes back to the queue. */
void
ReturnUnsent(void)
{
	Delivery *delivery;
	SmtpMail *mail;

	while ((delivery = TakeFirst(&worker.ready)) != NULL)
	{
		GiveBack(delivery, 0);
		AppendSettled(delivery);
	}
	while (worker.pool && (mail = SmtpTakeBack(worker.pool)) != NULL)
	{
		delivery = mail->cookie;
		worker.in_flight--;
		if (delivery->is_probe)
			worker.probe_is_out = false;
		GiveBack(delivery, 0);
		AppendSettled(delivery);
	}
}

bool
StandsStill(void)
{
	return worker.paused || worker.in_copy;
}

int
BatchSize(void)
{
	return Min(BATCH_PER_CONNECTION * rhesis_smtp_connections, LARGEST_BATCH);
}

int
ClaimLimit(void)
{
	int claimed = worker.ready.count + worker.in_flight;

	/* Not after all that is on its way: something may hang for long. */
	if (worker.probing)
		return worker.probe_is_out || worker.ready.count > 0 ? 0 : 1;
	if (TooMuchIsRefused())
		return 0;
	if (worker.single_row_claims > 0)
		return 1 - Outstanding();
	if (worker.careful_until != 0 && GetCurrentTimestamp() < worker.careful_until)
		return Outstanding() > 0 ? 0 : BatchSize();
	if (worker.recipients_failures > 0)
		return Min(ROWS_TRIED, BatchSize()) - Outstanding();
	return Min(BATCH_PER_CONNECTION * rhesis_smtp_connections + BatchSize() - claimed,
			   2 * BatchSize());
}

static bool
IsHeavilyLoaded(void)
{
	Size enough = ENOUGH_BYTES + (Size) ENOUGH_BYTES_PER_CONNECTION * rhesis_smtp_connections;

	return Outstanding() > 0 && DeliveriesWeight() > (worker.ready.count > 0 ? enough : 3 * enough);
}

/* Not for a handful of rows at a time, while there is enough to do. */
bool
HasRoomForClaim(void)
{
	int limit = ClaimLimit();

	if (IsHeavilyLoaded())
		return false;
	return limit >= BatchSize() || (limit > 0 && (worker.probing || Outstanding() == 0));
}

bool
ShouldLogError(const char *text)
{
	ShowError(text);
	if (strncmp(logged_error, text, sizeof(logged_error) - 1) == 0)
		return false;
	strlcpy(logged_error, text, sizeof(logged_error));
	return true;
}

TimestampTz
After(int64 milliseconds)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
}

void
HeedClock(TimestampTz now)
{
	if (now < worker.last_round)
	{
		worker.claim_at = 0;
		worker.from_start_at = 0;
		worker.safety_check_at = 0;
		worker.purge_at = 0;
		worker.suspects_at = 0;
		for (Delivery *delivery = worker.refused.first; delivery; delivery = delivery->next)
			delivery->record_at = Min(delivery->record_at, now);
		worker.settled_at = Min(worker.settled_at, now);
		worker.locked_until = Min(worker.locked_until, now);
		worker.backing_off_until = Min(worker.backing_off_until, now);
		worker.recipients_at = Min(worker.recipients_at, now);
		worker.trouble_until = Min(worker.trouble_until, now);
		worker.drain_until = Min(worker.drain_until, now);
		worker.next_try_at = Min(worker.next_try_at, now);
	}
	worker.last_round = now;
}

void
ResetLoggedError(void)
{
	logged_error[0] = '\0';
}

void
InitWorkerState(void)
{
	InitList(&worker.ready);
	InitList(&worker.settled);
	InitList(&worker.locked);
	InitList(&worker.refused);
	worker.fitting = MOST_FITTING;
}

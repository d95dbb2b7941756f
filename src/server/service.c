/*
 * service.c - see service.h.
 */
#include "postgres.h"

#include "server/service.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#define CULPRIT_SAID_MS (60 * 60 * 1000)

static void
AddRunning(Service *service, const WorkerSlot *slot)
{
	service->running++;
	service->running_since = Max(service->running_since, slot->started_at);
	service->in_flight += CopiedNumber(&slot->in_flight);
	service->connections += CopiedNumber(&slot->connections);
	if (slot->activity == WORKER_MAIL_OFF)
		service->mail_off = slot;
	if (slot->backing_off_until != 0)
		service->backing_off = slot;
	if (slot->activity == WORKER_WAITING_FOR_RECIPIENTS)
		service->waiting_for_recipients = slot;
	if (slot->looking_up_since != 0)
		service->looking_up = slot;
	if (slot->culprit_at != 0 &&
		!TimestampDifferenceExceeds(slot->culprit_at, GetCurrentTimestamp(), CULPRIT_SAID_MS))
		service->found_culprit = slot;
	if (slot->activity == WORKER_IN_TROUBLE)
		service->in_trouble = slot;
	if (slot->activity == WORKER_WAITING_FOR_STANDBY)
		service->waiting_for_standby = slot;
	for (int kind = 0; kind < REFUSAL_KINDS; kind++)
	{
		if (slot->refusals[kind].count > 0)
			service->refusals[kind] = slot->refusals[kind];
	}
}

void
ReadService(Service *service)
{
	memset(service, 0, sizeof(*service));
	service->has_launcher = pg_atomic_read_u32(&rhesis_shared->launcher) != NO_PROCESS;
	service->slots = CopySlots(MyDatabaseId, &service->count);
	for (int i = 0; i < service->count; i++)
	{
		const WorkerSlot *slot = &service->slots[i];
		TimestampTz sent_at = (TimestampTz) CopiedCounter(&slot->last_sent_at);

		service->last_sent_at = Max(service->last_sent_at, sent_at);
		service->in_doubt += CopiedCounter(&slot->in_doubt);
		if (slot->number == 0)
			service->wanted = CopiedNumber(&slot->wanted_workers);
		if (slot->state == SLOT_RUNNING)
			AddRunning(service, slot);
	}
}

const WorkerSlot *
WorkerOfEpoch(const Service *service, int64 epoch)
{
	for (int i = 0; i < service->count; i++)
	{
		const WorkerSlot *slot = &service->slots[i];

		if (slot->state == SLOT_RUNNING && epoch != 0 &&
			(int64) CopiedCounter(&slot->epoch) == epoch)
			return slot;
	}
	return NULL;
}

/*
 * service.h - what the workers of this database do, as a sum from shared memory, for explain(),
 * health() and metrics().
 *
 * The functions ask no process and no mail server: they tell what the workers have published.
 */
#ifndef RHESIS_SERVICE_H
#define RHESIS_SERVICE_H

#include "server/shared_state.h"

typedef struct Service
{
	WorkerSlot
		*slots; /* copies, in the order of their numbers; read atomics with the functions below */
	int count;
	int wanted; /* rhesis_notify.workers as the first worker has it; 0: not known yet */
	int running;
	bool has_launcher;
	TimestampTz running_since; /* of the worker that started last; 0: no worker is running */
	TimestampTz last_sent_at;  /* 0: no mail since the start of the server */
	uint32 in_flight;
	uint32 connections;
	uint64 in_doubt; /* mails that were in doubt, since the start of the server */

	/* One of the workers that are in that state, or NULL. */
	const WorkerSlot *mail_off;
	const WorkerSlot *backing_off;
	const WorkerSlot *waiting_for_recipients;
	const WorkerSlot *looking_up;	 /* for longer than usual */
	const WorkerSlot *found_culprit; /* a row has ended its worker within the last hour */
	const WorkerSlot *in_trouble;
	const WorkerSlot *waiting_for_standby;

	/* For each kind, the refusals that one worker has met. A count of 0: nothing is refused. */
	Refusal refusals[REFUSAL_KINDS];
} Service;

/* Fills in *service. The slots are palloc'd in the current memory context. */
extern void ReadService(Service *service);

/* Returns the slot of the running worker with this epoch; NULL if there is none. */
extern const WorkerSlot *WorkerOfEpoch(const Service *service, int64 epoch);

/* Returns the value of an atomic in a copied slot, which no other process writes. */
static inline uint64
CopiedCounter(const pg_atomic_uint64 *counter)
{
	return pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, counter));
}

static inline uint32
CopiedNumber(const pg_atomic_uint32 *number)
{
	return pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, number));
}

/* Returns since when the worker's commit has been waiting for a standby; 0 if it is not. */
static inline TimestampTz
StandbySince(const WorkerSlot *slot)
{
	return (TimestampTz) CopiedCounter(&slot->standby_since);
}

#endif

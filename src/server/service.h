/*
 * service.h - what the workers of this database do, summed up from shared memory, for explain(), health() and metrics().
 *
 * It asks no process and no mail server: it tells what the workers know.
 */
#ifndef RHESIS_SERVICE_H
#define RHESIS_SERVICE_H

#include "server/shared_state.h"

typedef struct Service
{
	WorkerSlot *
		slots; /* copies, in the order of their numbers; of locks and atomics see the functions below */
	int count;
	int wanted; /* rhesis_notify.workers as its first worker has it; 0: none has said so yet */
	int running;
	bool has_launcher;
	TimestampTz running_since; /* of the worker that started last; 0: none is running */
	TimestampTz last_sent_at;  /* 0: no mail since the start of the server */
	uint32 in_flight;
	uint32 connections;
	uint64 in_doubt; /* since the start of the server */

	/* One of the workers that are in that state, or NULL. */
	const WorkerSlot *mail_off;
	const WorkerSlot *backing_off;
	const WorkerSlot *waiting_for_recipients;
	const WorkerSlot *looking_up;	 /* for longer than usual */
	const WorkerSlot *found_culprit; /* a row that ended its worker, within the last hour */
	const WorkerSlot *in_trouble;
	const WorkerSlot *waiting_for_standby;

	/* Of each kind the refusals of one worker; a count of 0: nothing is refused. */
	Refusal refusals[REFUSAL_KINDS];
} Service;

/* palloc'd in the current memory context. */
extern void ReadService(Service *service);

/* The running worker of that epoch; NULL: there is none. */
extern const WorkerSlot *WorkerOfEpoch(const Service *service, int64 epoch);

/* Of a copy: nobody else writes to it. */
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

/* Since when the commit of a worker that waits for a standby does so. */
static inline TimestampTz
StandbySince(const WorkerSlot *slot)
{
	return (TimestampTz) CopiedCounter(&slot->standby_since);
}

#endif

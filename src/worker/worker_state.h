/*
 * worker_state.h - what a worker holds, shared by the files that make it up (worker*.c).
 *
 * What is claimed is in one of five places: ready (composed), in flight (with the pool), settled (to be recorded), locked (to be
 * recorded when another session lets go of the row), refused (to be recorded when a trigger or constraint of an app lets it).
 */
#ifndef RHESIS_WORKER_STATE_H
#define RHESIS_WORKER_STATE_H

#include "delivery/delivery.h"
#include "smtp/smtp.h"
#include "worker/worker_slot.h"

/*
 * Rows are claimed and recorded in batches of four for each connection. Each is a statement and a commit, so batches are large; but
 * no server is talked to meanwhile, so there is a limit: 256 connections to a far server would wait for each other.
 */
#define BATCH_PER_CONNECTION 4
#define LARGEST_BATCH 64

/* More rows than are ever claimed together. */
#define MOST_FITTING 1000000

/* The memory of what is claimed, beyond which no more is while there is something to send; three times that while all is on the wire. */
#define ENOUGH_BYTES (8 * 1024 * 1024)
#define ENOUGH_BYTES_PER_CONNECTION (128 * 1024)

/* Work of a transaction, in which something may be raised. */
typedef enum WorkerStep
{
	STEP_OTHER,
	STEP_RECORD,
	STEP_ADOPT,
	STEP_CLAIM,
	STEP_PURGE,
	STEP_COMMIT /* of these three */
} WorkerStep;

typedef struct DeliveryList
{
	Delivery *first;
	Delivery **tail;
	int count;
} DeliveryList;

typedef struct WorkerState
{
	int64 epoch;
	SmtpPool *pool; /* NULL: mail is off */

	DeliveryList ready;
	int in_flight;
	DeliveryList settled;
	TimestampTz settled_at; /* when the oldest of the settled was */
	DeliveryList locked;
	TimestampTz locked_until; /* when to try to record them again */
	bool around_locks;		  /* record what is not locked, instead of waiting for the rest */
	DeliveryBatch *preparing; /* claimed, and not yet in one of the lists */
	int fitting;			  /* so many rows are not too large to be claimed together */

	/* A trigger or constraint of an app may refuse one row: after an error, each is tried alone. */
	WorkerStep step;
	bool recording_one_by_one;
	bool adopting_one_by_one;
	bool claiming_one_by_one;
	DeliveryList refused;	 /* outcomes that could not be recorded; each has its time */
	int refusals;			 /* since an outcome was recorded */
	TimestampTz suspects_at; /* when to look for rows that claims leave behind without an error */

	TimestampTz last_round; /* by the clock that all these times are of; it may be set back */

	/* When there is work on the queue: 0 is now, DT_NOEND never. */
	TimestampTz claim_at;
	TimestampTz look_back_at;  /* when a claim is to begin at the first row that waits */
	TimestampTz from_start_at; /* when it may look for that from the start of the queue */
	bool woken;				   /* since it did so last */
	TimestampTz safety_check_at;
	TimestampTz purge_at;
	bool due_time_known;
	bool paused;
	bool in_copy;	   /* the database is a copy: nothing is decided */
	bool knows_itself; /* whether it is one has been looked at since the start */

	/* Troubles: of the SMTP server, of the app's relations, of our own statements. */
	int server_failures;
	TimestampTz backing_off_until; /* 0: is not */
	bool backoff_is_firm;		   /* only a probe can end it */
	bool probing;				   /* one mail goes first to a server that was in trouble */
	bool probe_is_out;
	int recipients_failures;
	int recipients_sqlstate; /* of the last of them */
	int64 cancelled_id;		 /* the look-up of this row alone was cancelled last */
	bool slow_row_failed;	 /* for a look-up that took too long, and none has succeeded since */
	TimestampTz recipients_at;
	int consecutive_errors;
	TimestampTz trouble_until;
	int tries;				   /* that operators wanted, one soon after the other */
	TimestampTz next_try_at;   /* when the next of them may be */
	int single_row_claims;	   /* so many claims of one row each, to find the row that fails */
	TimestampTz careful_until; /* until then, nothing is prepared while a mail is on the wire */

	bool reload_requested;	 /* settings or the extension may have changed */
	bool draining;			 /* finish what is on its way, then leave */
	TimestampTz drain_until; /* then connections are cut on which nothing has been sent yet */
	WorkerExitReason drain_exit_reason;
} WorkerState;

extern WorkerState worker;

extern void InitWorkerState(void);

extern void AppendDelivery(DeliveryList *list, Delivery *delivery);
extern Delivery *TakeFirst(DeliveryList *list);
extern void AppendSettled(Delivery *delivery);

/* All that is claimed and not recorded, but for what others have locked. */
extern int Outstanding(void);

/* Nothing is left that was claimed. */
extern bool IsDrained(void);

/* What was locked is to be recorded together with what is settled. */
extern void SettleLocked(void);

/* The same of what was refused, as far as its time has come. */
extern void SettleRefused(TimestampTz now);

/* So many outcomes were refused that nothing more is claimed. */
extern bool TooMuchIsRefused(void);

/* When the first of what was refused is to be recorded; DT_NOEND: nothing was. */
extern TimestampTz RefusedUntil(void);
/* The database is paused, or a copy: what is in the queue stays there. */
extern bool StandsStill(void);

/* How many rows are claimed and recorded together, at least, while there is enough to do. */
extern int BatchSize(void);

/*
 * How many rows may be claimed on top of what is on its way: what is claimed is in doubt after a crash, so it is a little ahead of the
 * connections.
 */
extern int ClaimLimit(void);
extern bool HasRoomForClaim(void);

/* Whatever no byte was written of is settled as given back to the queue. */
extern void ReturnUnsent(void);

/*
 * Show a trouble in worker_status. True when it is to be logged too: a cause is logged once, until another one comes up or
 * ResetLoggedError says that all is well again.
 */
extern bool ShouldLogError(const char *text);
extern void ResetLoggedError(void);

/* That many milliseconds from now. */
extern TimestampTz After(int64 milliseconds);

/* In each round: where the clock was set back, what was to be done at some time by the old clock is to be done now. */
extern void HeedClock(TimestampTz now);

#endif

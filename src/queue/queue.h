/*
 * queue.h - claim, record, purge: the SQL side of our own tables.
 *
 * Each function runs in the transaction that its caller has open, as the extension's owner, over plans that are prepared
 * once per session. Nothing here reads the app's tables, knows templates or speaks SMTP.
 */
#ifndef RHESIS_QUEUE_H
#define RHESIS_QUEUE_H

#include "queue/notification.h"
#include "queue/queue_copy.h"
#include "queue/queue_try.h"

/* What a row may weigh in the worker's memory: a hostile task must not be able to exhaust it. */
#define QUEUE_MAX_RESULT (1024 * 1024)
#define QUEUE_MAX_ERROR_MESSAGE 65536
#define QUEUE_MAX_TEXT 100000
#define QUEUE_MAX_CLAIM (6 * 1024 * 1024)

typedef enum DeliveryState
{
	DELIVERY_PENDING, /* given back, as if never claimed */
	DELIVERY_DEFERRED,
	DELIVERY_HELD,
	DELIVERY_SENT,
	DELIVERY_FAILED,
	DELIVERY_SKIPPED
} DeliveryState;

/* What became of one claimed notification. Strings may be NULL; all are copied into SQL before RecordOutcomes returns. */
typedef struct DeliveryRecord
{
	int64 id;
	DeliveryState state;
	const char *reason;	 /* a code of interface section 2 */
	bool counts_attempt; /* adds one to attempts */
	int64 delay_ms;		 /* PENDING, DEFERRED: due this long after now */
	const char *recipient_email;
	const char *message_id;
	const char *smtp_reply; /* any bytes: stored printable and cut at 1,000 characters */
	const char *event;		/* NULL: no delivery_events row */
	int smtp_code;			/* 0: none */
	const char *enhanced_code;
	const char *event_reply;
	const char *event_detail; /* plain text for detail->>'message' */
} DeliveryRecord;

typedef struct ClaimResult
{
	Notification **notifications; /* those that may owe a mail */
	int count;
	int settled;  /* rows that were skipped there and then (silent, expired, no user) */
	bool refused; /* one of them came with a copy: nothing was claimed or settled */
	bool full;	  /* as many rows as asked for were due: there may be more behind them */
	bool cut;	  /* the next ones would have been too large together */
} ClaimResult;

/* A new worker epoch: never used before in this database, also not by the rows of a restored dump. */
extern int64 QueueNextEpoch(void);

/*
 * Where a claim begins to look. Entries of the queue's index whose rows were finished long ago stay in it while an old snapshot is
 * held open, and each one costs a visit: so the start of the queue is the dearest place to begin at.
 */
typedef enum ClaimStart
{
	CLAIM_ONWARDS,	  /* behind the last claimed row */
	CLAIM_FROM_FIRST, /* at the first row that waits, which is looked for where it was found last */
	CLAIM_FROM_START  /* at the start of the queue */
} ClaimStart;

/*
 * Claim up to limit due rows for the epoch, in (next_attempt_at, id) order. Rows that owe no mail are settled there and then, for
 * the first of these reasons: silent_task, expired, no_user. Where one of them came with a copy of another database, none is claimed
 * or settled. Those that are larger than QUEUE_MAX_CLAIM together, but for the first of them, are left as they were. Results live in
 * context.
 */
extern void
ClaimDueNotifications(int64 epoch, int limit, ClaimStart start, const CopyBounds *bounds,
					  MemoryContext context, ClaimResult *result);

/*
 * The same, from the start of the queue and row by row, for when a claim has failed. Rows that cannot be claimed are set aside (see
 * queue_aside.h); *problem is that of the first of them, id and count say which and how many. While patient, raises
 * troubles of the server.
 */
typedef struct RowProblems
{
	int count;
	int64 id;
	QueueProblem problem;
} RowProblems;

extern void ClaimRowByRow(int64 epoch, int limit, bool patient, const CopyBounds *bounds,
						  MemoryContext context, ClaimResult *result, RowProblems *problems);

/* Rows that are due since then may have come in, so neither the next claim nor the next look begins behind that time. */
extern void RewindClaimPosition(TimestampTz since);

/*
 * Record outcomes of rows that are still claimed by the epoch; a row that an operator has cancelled, deleted or taken over
 * meanwhile is left as it is, and so is one whose update a trigger suppresses. Returns the number of rows recorded.
 */
extern int RecordOutcomes(int64 epoch, const DeliveryRecord *records, int count);

/*
 * The same for those rows that no other session has locked: it waits for nobody. The ids of the others, which stay claimed, go
 * to locked, which has room for count; returns their number.
 */
extern int
RecordUnlockedOutcomes(int64 epoch, const DeliveryRecord *records, int count, int64 *locked);

/*
 * Record one outcome alone, as far as nobody has the row locked. False: it was locked, or raised, and *problem says what (its
 * message is NULL for a lock).
 */
extern bool RecordOutcome(int64 epoch, const DeliveryRecord *record, QueueProblem *problem);

/* Those of the rows that are still claimed by the epoch, and not locked by others, go to claimed; returns their number. */
extern int StillClaimed(int64 epoch, const DeliveryRecord *records, int count, int64 *claimed);

/*
 * Rows in `sending` whose epoch is not live are in doubt: each gets an in_doubt event, counts an attempt and becomes due at
 * once, or `held` where rhesis_notify.in_doubt says so, or `failed` (interrupted) when that was its last attempt, so that a row
 * that takes the server down does not do so for ever. epoch_is_live is asked after the rows were read: an epoch that is
 * published before its first claim can't be mistaken for a dead one. It must not raise. Returns how many rows there were.
 */
extern int AdoptOrphans(bool (*epoch_is_live)(int64 epoch));

/* The same row by row. Those that could not be adopted stay as they are. */
extern int AdoptRowByRow(bool (*epoch_is_live)(int64 epoch), RowProblems *problems);

/*
 * Of these rows, those that are claimed by a dead epoch become due again as if they had never been claimed: no mail server has heard
 * of them. Returns their number.
 */
extern int ReturnClaimedRows(int64 epoch, const int64 *ids, int count);

/*
 * Where the sequence of delivery_events would give ids that rows have, as after logical replication, have it go on behind them. For
 * when something could not be recorded: it is no row's fault. It stays, whatever becomes of the transaction.
 */
extern void SkipUsedEventIds(void);

/*
 * When the first row that waits is due; false when nothing waits. The time may lie in the past: the row lies before those that
 * were claimed last, or somebody holds a lock on it, or it came in meanwhile.
 */
extern bool NextDueTime(TimestampTz *due);

/*
 * Remove up to limit finished rows older than rhesis_notify.retention, the oldest first; returns how many. While as many were found as
 * asked for, the next call goes on behind them.
 */
extern int PurgeFinished(int limit);

/* One notification by id, whoever holds it, as a claim would hand it out; NULL when there is none. For preview and explain. */
extern Notification *FetchNotification(int64 id, MemoryContext context);

/*
 * The ids of the last notifications that ask for the template (NULL: for any), the latest first, at most limit; those of other
 * organizations than the given one are left out (NULL: none is). Their number is in *count. The array is palloc'd in context.
 */
extern int64 *LatestNotifications(const char *template_name, const char *organization_id, int limit,
								  MemoryContext context, int *count);

#endif

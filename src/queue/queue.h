/*
 * queue.h - claim, record, purge: the SQL side of our own tables.
 *
 * Each function runs in its caller's transaction, as the extension's owner, over plans that are
 * prepared once per session. Nothing here reads the application's tables, knows templates or speaks
 * SMTP.
 */
#ifndef RHESIS_QUEUE_H
#define RHESIS_QUEUE_H

#include "policy/delivery_state.h"
#include "queue/notification.h"
#include "queue/queue_copy.h"
#include "queue/queue_try.h"

/* How large a row may be in the worker's memory: a hostile task must not be able to exhaust it. */
#define QUEUE_MAX_RESULT (1024 * 1024)
#define QUEUE_MAX_ERROR_MESSAGE 65536
#define QUEUE_MAX_TEXT 100000
#define QUEUE_MAX_CLAIM (6 * 1024 * 1024)

/*
 * The outcome of one claimed notification. Strings may be NULL. All are copied into SQL before
 * RecordOutcomes() returns.
 */
typedef struct DeliveryRecord
{
	int64 id;
	DeliveryState state;
	const char *reason;	 /* a code that doc/reference.md lists; NULL: none */
	bool counts_attempt; /* adds one to attempts */
	int64 delay_ms;		 /* PENDING, DEFERRED: how long until it is due */
	const char *recipient_email;
	const char *message_id;
	const char *smtp_reply; /* any bytes: stored printable and cut at 1,000 characters */
	const char *event;		/* NULL: no row in delivery_events */
	int smtp_code;			/* 0: none */
	const char *enhanced_code;
	const char *event_reply;
	const char *event_detail; /* plain text for detail->>'message' */
} DeliveryRecord;

typedef struct ClaimResult
{
	Notification **notifications; /* the rows that may be owed a mail */
	int count;
	int settled;  /* rows that were skipped at once (silent, expired, no user) */
	bool refused; /* a due row came with a copy: nothing was claimed or settled */
	bool full;	  /* as many rows as the limit were due: there may be more */
	bool cut;	  /* more rows would have been too large together */
} ClaimResult;

/*
 * Returns a new worker epoch. It was never used before in this database, not even by the rows of a
 * restored dump.
 */
extern int64 QueueNextEpoch(void);

/*
 * Where a claim begins to look. While an old snapshot is held open, the queue's index keeps the
 * entries of rows that were finished long ago, and each entry costs a visit. So a claim that begins
 * at the start of the queue costs most.
 */
typedef enum ClaimStart
{
	CLAIM_ONWARDS,	  /* after the last claimed row */
	CLAIM_FROM_FIRST, /* at the first waiting row */
	CLAIM_FROM_START  /* at the start of the queue */
} ClaimStart;

/*
 * Claims up to limit due rows for the epoch, in the order of (next_attempt_at, id). Rows that are
 * owed no mail are settled at once, for the first reason that applies: silent_task, expired,
 * no_user. If one of the rows came with a copy of another database, nothing is claimed or settled.
 * If the rows are larger than QUEUE_MAX_CLAIM together, the first ones are claimed (at least one),
 * and the others stay as they were. The notifications are palloc'd in context.
 */
extern void
ClaimDueNotifications(int64 epoch, int limit, ClaimStart start, const CopyBounds *bounds,
					  MemoryContext context, ClaimResult *result);

/* How many rows failed, and the id and the problem of the first one. */
typedef struct RowProblems
{
	int count;
	int64 id;
	QueueProblem problem;
} RowProblems;

/*
 * The same, row by row, from the start of the queue; for use after a claim has failed. Rows that
 * cannot be claimed are set aside (see queue_aside.h) and counted in *problems. patient: an error of
 * the server is raised instead.
 */
extern void ClaimRowByRow(int64 epoch, int limit, bool patient, const CopyBounds *bounds,
						  MemoryContext context, ClaimResult *result, RowProblems *problems);

/*
 * Rows may have become due at this time or later. So the next claim, and the next search for
 * waiting rows, begin no later than there.
 */
extern void RewindClaimPosition(TimestampTz since);

/*
 * Records the outcomes of rows that the epoch still claims. A row that an operator has meanwhile
 * cancelled, deleted or taken over stays as it is; so does a row whose update a trigger suppresses.
 * Returns the number of rows recorded.
 */
extern int RecordOutcomes(int64 epoch, const DeliveryRecord *records, int count);

/*
 * The same, but waits for no lock: records only the rows that no other session has locked. The ids
 * of the other rows, which stay claimed, go to locked, which has space for count ids. Returns their
 * number.
 */
extern int
RecordUnlockedOutcomes(int64 epoch, const DeliveryRecord *records, int count, int64 *locked);

/*
 * Records one outcome, unless another session has locked the row. Returns false if the row was
 * locked, or an error was raised. *problem then has the error; its message is NULL for a lock.
 */
extern bool RecordOutcome(int64 epoch, const DeliveryRecord *record, QueueProblem *problem);

/*
 * Puts the ids of the rows that the epoch still claims, and that no other session has locked, into
 * claimed. Returns their number.
 */
extern int StillClaimed(int64 epoch, const DeliveryRecord *records, int count, int64 *claimed);

/*
 * Rows in `sending` whose epoch is not live are in doubt. Each gets an in_doubt event, counts an
 * attempt and becomes due at once. It becomes `held` instead if rhesis_notify.in_doubt says so, or
 * `failed` (interrupted) if that was its last attempt: so a row that crashes the server does not do
 * so for ever. epoch_is_live is called after the rows were read. So an epoch that is published
 * before its first claim is never taken for dead. It must not raise an error. Returns the number of
 * rows.
 */
extern int AdoptOrphans(bool (*epoch_is_live)(int64 epoch));

/* The same row by row. Rows that could not be adopted stay as they are. */
extern int AdoptRowByRow(bool (*epoch_is_live)(int64 epoch), RowProblems *problems);

/*
 * For a dead epoch: those of the rows that it still claims become due again, as if they had never
 * been claimed. No mail server has seen them. Returns their number.
 */
extern int ReturnClaimedRows(int64 epoch, const int64 *ids, int count);

/*
 * After logical replication, the sequence of delivery_events may give ids that rows already have.
 * If so, moves the sequence on. For use when something could not be recorded: the rows are then not
 * at fault. The change stays even if the transaction is rolled back.
 */
extern void SkipUsedEventIds(void);

/*
 * Sets *due to the time when the first waiting row is due. Returns false if no row waits. The time
 * may be in the past: the row is before the rows that were claimed last, or another session has
 * locked it, or it came in meanwhile.
 */
extern bool NextDueTime(TimestampTz *due);

/*
 * Deletes up to limit finished rows that are older than rhesis_notify.retention, oldest first.
 * Returns their number. If that is limit, the next call goes on after them.
 */
extern int PurgeFinished(int limit);

/*
 * Returns one notification by id, whatever its state, as a claim would return it; NULL if there is
 * none. For preview() and explain().
 */
extern Notification *FetchNotification(int64 id, MemoryContext context);

/*
 * Returns the ids of the latest notifications that use the template (NULL: any template), latest
 * first, at most limit. If organization_id is not NULL, notifications of other organizations are
 * left out. *count is their number. The array is palloc'd in context.
 */
extern int64 *LatestNotifications(const char *template_name, const char *organization_id, int limit,
								  MemoryContext context, int *count);

#endif

/*
 * queue.h - claim, record, purge: the SQL side of our own tables.
 *
 * Each function runs in the transaction of its caller. The current user must be the owner of the
 * extension. Each statement is planned once per session. Nothing here reads the application's
 * tables, knows templates or speaks SMTP.
 */
#ifndef RHESIS_QUEUE_H
#define RHESIS_QUEUE_H

#include "policy/delivery_state.h"
#include "queue/notification.h"
#include "queue/queue_copy.h"
#include "queue/queue_try.h"

/*
 * Limits of the memory that rows take in a worker, so that a hostile task cannot exhaust it.
 * QUEUE_MAX_RESULT and QUEUE_MAX_CLAIM are in bytes, the others in characters.
 */
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
	Notification **notifications; /* the claimed rows */
	int count;
	int settled;  /* rows that were skipped: silent_task, expired, no_user */
	bool refused; /* a due row came with a copy: nothing was claimed or settled */
	bool full;	  /* as many rows as the limit were due: there may be more */
	bool cut;	  /* rows were left out: all together would be too large */
} ClaimResult;

/*
 * Returns a new worker epoch: a number that no row of this database has, not even a row of a
 * restored dump.
 */
extern int64 QueueNextEpoch(void);

/*
 * Where in the queue a claim begins. While an old snapshot is held open, the queue's index keeps
 * the entries of rows that were finished long ago, and each entry takes time. So a claim that
 * begins at the start of the queue takes longest.
 */
typedef enum ClaimStart
{
	CLAIM_ONWARDS,	  /* after the last claimed row */
	CLAIM_FROM_FIRST, /* at the first waiting row */
	CLAIM_FROM_START  /* at the start of the queue */
} ClaimStart;

/*
 * Claims up to limit due rows for the epoch, in the order of (next_attempt_at, id). Skips rows that
 * another session has locked, and rows that are set aside (see queue_aside.h). Rows that are owed
 * no mail are settled at once, for the first reason that applies: silent_task, expired, no_user. If
 * one of the rows came with a copy of another database, as bounds tells, nothing is claimed or
 * settled. If the rows are larger than QUEUE_MAX_CLAIM together, the first ones are claimed (at
 * least one), and the others stay as they were. Fills in *result; the notifications are palloc'd in
 * context.
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
 * Claims due rows like ClaimDueNotifications(), but each row in a subtransaction, and from the
 * start of the queue. For use after a claim has failed, or to try rows that are set aside. Rows
 * that cannot be claimed are set aside and counted in *problems.
 *
 * Raises an error if rows are locked and no other row could be claimed, or if too many rows are set
 * aside. patient: also raises an error that is the server's (see IsServerError()) instead of
 * setting the row aside.
 */
extern void ClaimRowByRow(int64 epoch, int limit, bool patient, const CopyBounds *bounds,
						  MemoryContext context, ClaimResult *result, RowProblems *problems);

/*
 * Call this when rows may have become due, at the time since or later. The next claim, and the next
 * search for waiting rows, then begin no later than there.
 */
extern void RewindClaimPosition(TimestampTz since);

/*
 * Records the outcomes of rows that the epoch still claims. A row that an operator has meanwhile
 * cancelled, deleted or taken over stays as it is; so does a row whose update a trigger suppresses.
 * Returns the number of rows recorded. Raises an error if a trigger makes a finished row due again.
 */
extern int RecordOutcomes(int64 epoch, const DeliveryRecord *records, int count);

/*
 * Records outcomes like RecordOutcomes(), but waits for no lock: leaves out the rows that another
 * session has locked. Puts the ids of the rows that the epoch still claims afterwards into locked,
 * which has space for count ids, and returns their number. Another session has locked such a row,
 * or a trigger has suppressed its update.
 */
extern int
RecordUnlockedOutcomes(int64 epoch, const DeliveryRecord *records, int count, int64 *locked);

/*
 * Records one outcome, unless another session has locked the row. Returns true if the outcome was
 * recorded, or if the epoch no longer claims the row. Returns false if the row was locked, or an
 * error was raised. Then *problem has the error; its message is NULL if the row was locked.
 */
extern bool RecordOutcome(int64 epoch, const DeliveryRecord *record, QueueProblem *problem);

/*
 * Puts the ids of those of the records that the epoch still claims into claimed, which has space
 * for count ids, and locks these rows. Skips rows that another session has locked. Returns the
 * number of ids.
 */
extern int StillClaimed(int64 epoch, const DeliveryRecord *records, int count, int64 *claimed);

/*
 * Adopts the rows in `sending` whose epoch is not live: these rows are in doubt. Each gets an
 * in_doubt event, counts an attempt and becomes due at once. It becomes `held` instead if
 * rhesis_notify.in_doubt says so, or `failed` (interrupted) if that was its last attempt, so that a
 * row that crashes the server does not do so for ever. Rows that another session has locked are
 * skipped. Returns the number of rows.
 *
 * epoch_is_live must not raise an error. It is called after the rows were read. So an epoch that is
 * published before its first claim is never taken for dead.
 */
extern int AdoptOrphans(bool (*epoch_is_live)(int64 epoch));

/*
 * Adopts rows like AdoptOrphans(), each in a subtransaction; for use after that has failed. Rows
 * that could not be adopted stay as they are and are counted in *problems. Returns the number of
 * rows that were adopted.
 */
extern int AdoptRowByRow(bool (*epoch_is_live)(int64 epoch), RowProblems *problems);

/*
 * Makes those of the rows named in ids that a dead epoch still claims due again, as if they had
 * never been claimed. No mail server may have seen their mails. Rows that another session has
 * locked are skipped. Returns the number of rows.
 */
extern int ReturnClaimedRows(int64 epoch, const int64 *ids, int count);

/*
 * After logical replication, the sequence of delivery_events may give ids that rows already have.
 * If so, moves the sequence forward. Call this before rows are tried one by one: otherwise each of
 * them would fail for this reason, and none would be at fault. The change stays even if the
 * transaction is rolled back.
 */
extern void SkipUsedEventIds(void);

/*
 * Sets *due to the time when the first waiting row is due. Returns false if no row waits. Rows that
 * are set aside do not count. The time may be in the past: the row is before the rows that were
 * claimed last, or another session has locked it, or it has just been inserted.
 */
extern bool NextDueTime(TimestampTz *due);

/*
 * Returns the notification with this id, in any state, as a claim would return it, palloc'd in
 * context. Returns NULL if there is no such row.
 */
extern Notification *FetchNotification(int64 id, MemoryContext context);

/*
 * Returns the ids of the latest notifications that use the template (NULL: any template), latest
 * first, at most limit. Tasks that are not opted in are left out. If organization_id is not NULL,
 * notifications of other organizations are left out. *count is the number of ids. The array is
 * palloc'd in context.
 */
extern int64 *LatestNotifications(const char *template_name, const char *organization_id, int limit,
								  MemoryContext context, int *count);

#endif

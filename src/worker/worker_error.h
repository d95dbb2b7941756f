/*
 * worker_error.h - logs errors of the worker's statements and of the recipients relation once for
 * each cause, and makes the worker wait after them.
 */
#ifndef RHESIS_WORKER_ERROR_H
#define RHESIS_WORKER_ERROR_H

#include "base/monotonic.h"
#include "queue/queue.h"
#include "recipients/recipients.h"
#include "worker/worker_slot.h"

/* The part of a transaction that is running, for the code that handles an error in it. */
typedef enum WorkerStep
{
	STEP_OTHER,
	STEP_RECORD,
	STEP_ADOPT,
	STEP_CLAIM,
	STEP_PURGE,
	STEP_COMMIT /* the commit of the changes of RECORD, ADOPT and CLAIM */
} WorkerStep;

extern void EnterStep(WorkerStep step);
extern WorkerStep CurrentStep(void);

/*
 * Shows an error in worker_status. Returns true if it should be logged, too: an error is logged
 * once, until another one occurs or all is well again.
 */
extern bool ShouldLogError(const char *text);

/*
 * Call this when a transaction has failed. No other one begins before ErrorWaitUntil(), which is
 * later after each further error.
 */
extern void WaitAfterError(void);
extern MonotonicTime ErrorWaitUntil(void);

/* Call this when a transaction on the queue has succeeded. */
extern void ResetConsecutiveErrors(void);

/*
 * Returns true if an error that can be the server's, such as a full disk, is still taken for that.
 * After several errors in a row it is taken for an error of the row.
 */
extern bool MayBeServerError(void);

/*
 * Call this when triggers, rules or constraints of the application refuse to change rows. Logs one
 * warning for each cause, which begins with what.
 */
extern void ReportRowProblems(const char *what, RowProblems *problems);

/*
 * Shows that count rows are refused (see ShowRefusal()). When no row is refused any more, the same
 * error is logged again if it comes back.
 */
extern void NoteRefused(RefusalKind kind, int count, int64 id, const char *text);

/*
 * Call this when recipients cannot be read. No row is claimed before RecipientsWaitUntil(). Logs
 * why, once for each cause.
 */
extern void WaitForRecipients(const RecipientsProblem *problem);
extern MonotonicTime RecipientsWaitUntil(void);

/* Returns true if recipients could not be read since the last look-up that succeeded. */
extern bool RecipientsFail(void);
extern void NoteRecipientsAreReadable(void);

/* Ends both waits at this time if they last longer. Returns true if one of them did. */
extern bool ShortenErrorWaits(MonotonicTime until);

#endif

/*
 * worker_error.h - errors of the worker's statements and of the relation that tells recipients:
 * each cause is logged once, and waited out.
 */
#ifndef RHESIS_WORKER_ERROR_H
#define RHESIS_WORKER_ERROR_H

#include "base/monotonic.h"
#include "queue/queue.h"
#include "recipients/recipients.h"
#include "worker/worker_slot.h"

/* The part of a transaction that is running, for the code that handles its error. */
typedef enum WorkerStep
{
	STEP_OTHER,
	STEP_RECORD,
	STEP_ADOPT,
	STEP_CLAIM,
	STEP_PURGE,
	STEP_COMMIT /* of what STEP_RECORD, STEP_ADOPT and STEP_CLAIM have changed */
} WorkerStep;

extern void EnterStep(WorkerStep step);
extern WorkerStep CurrentStep(void);

/*
 * Show an error in worker_status. True: log it, too. An error is logged once, until another one
 * comes up or ResetLoggedError says that all is well again.
 */
extern bool ShouldLogError(const char *text);
extern void ResetLoggedError(void);

/* A transaction has failed: no other one for a while, which is longer after each error. */
extern void WaitAfterError(void);
extern MonotonicTime ErrorWaitUntil(void);

/* A transaction has succeeded. */
extern void ResetConsecutiveErrors(void);

/*
 * May an error that can be the server's, such as a full disk, still be that? After several errors
 * in a row it is taken for the row's.
 */
extern bool MayBeServerError(void);

/*
 * Triggers, rules or constraints of the application refuse to change rows: one warning for each
 * cause.
 */
extern void ReportRowProblems(const char *what, RowProblems *problems);

/*
 * So many rows are refused (see ShowRefusal). When no row is refused any more, an error is logged
 * again if it comes back.
 */
extern void NoteRefused(RefusalKind kind, int count, int64 id, const char *text);

/* Recipients cannot be read: no claim for a while. The log says why, once for each cause. */
extern void WaitForRecipients(const RecipientsProblem *problem);
extern MonotonicTime RecipientsWaitUntil(void);

/* Have recipients not been readable since the last look-up that succeeded? */
extern bool RecipientsFail(void);
extern void NoteRecipientsAreReadable(void);

/* End both waits at this time, if they last longer. True: one of them did. */
extern bool ShortenErrorWaits(MonotonicTime until);

#endif

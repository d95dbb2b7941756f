/*
 * worker_session.h - a worker's session in its database: its signals and its transactions.
 */
#ifndef RHESIS_WORKER_SESSION_H
#define RHESIS_WORKER_SESSION_H

#include <signal.h>

typedef enum ExtensionFit
{
	EXTENSION_ABSENT,
	EXTENSION_FITS,
	EXTENSION_MISFIT /* already logged: library and SQL objects are of different versions */
} ExtensionFit;

/* SIGTERM came. Set nowhere else. */
extern volatile sig_atomic_t shutdown_was_requested;

/*
 * For SIGTERM, set before signals are unblocked: while connecting it ends the process; a statement under way is cancelled,
 * which the loop catches; else it is a flag and the latch.
 */
extern void HandleWorkerSigterm(SIGNAL_ARGS);

/* Connect and pin the session. FATAL when the database can't be had. */
extern void ConnectWorker(Oid database);

/* Look for the extension, in a transaction of its own, and remember its owner. The log says what does not fit, or fits as it is. */
extern ExtensionFit FindExtension(void);

/* Has the extension that FindExtension found been dropped since? One that was created instead counts as another one. */
extern bool ExtensionIsGone(void);

/*
 * A short transaction as the extension's owner, with a snapshot; pg_stat_activity shows the work meanwhile, a constant string. What is raised in
 * between is for AbortWork.
 */
extern void BeginWork(const char *work);
extern void CommitWork(void);
extern void AbortWork(void);

#endif

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

/* SIGTERM came. Only HandleWorkerSigterm sets it. */
extern volatile sig_atomic_t shutdown_was_requested;

/*
 * The handler of SIGTERM. It is installed before signals are unblocked. While the worker connects,
 * SIGTERM ends the process. If a statement is running, SIGTERM cancels it, and the loop handles
 * that. Otherwise it sets the flag and the latch.
 */
extern void HandleWorkerSigterm(SIGNAL_ARGS);

/* Connect, and pin the session's settings. FATAL if the database cannot be opened. */
extern void ConnectWorker(Oid database);

/*
 * Look for the extension, in a transaction of its own, and remember its owner. Logs versions that
 * do not fit, and objects of another version that the library serves.
 */
extern ExtensionFit FindExtension(void);

/*
 * Has the extension that FindExtension found been dropped? An extension that was created since is
 * another one.
 */
extern bool ExtensionIsGone(void);

/*
 * A short transaction as the extension's owner, with a snapshot. pg_stat_activity shows the work
 * meanwhile, which is a constant string. After an error in between, call AbortWork.
 */
extern void BeginWork(const char *work);
extern void CommitWork(void);
extern void AbortWork(void);

#endif

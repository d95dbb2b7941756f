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

/* True after SIGTERM. Only HandleWorkerSigterm() sets this. */
extern volatile sig_atomic_t shutdown_was_requested;

/*
 * The handler of SIGTERM. It is installed before signals are unblocked. While the worker connects,
 * SIGTERM ends the process. If a statement is running, SIGTERM cancels it, and the loop handles
 * that. Otherwise it sets the flag and the latch.
 */
extern void HandleWorkerSigterm(SIGNAL_ARGS);

/*
 * Connects to the database, and pins the session's settings. Raises FATAL if the database cannot be
 * opened.
 */
extern void ConnectWorker(Oid database);

/*
 * Looks for the extension, in a transaction of its own, and remembers its owner. Logs versions that
 * do not fit, and objects of another version that the library serves.
 */
extern ExtensionFit FindExtension(void);

/*
 * Returns true if the extension that FindExtension() found was dropped. An extension that was
 * created since then is another one.
 */
extern bool ExtensionIsGone(void);

/*
 * Begin, commit or abort a short transaction as the extension's owner, with a snapshot. Meanwhile
 * pg_stat_activity shows work, a constant string. After an error in between, call AbortWork().
 */
extern void BeginWork(const char *work);
extern void CommitWork(void);
extern void AbortWork(void);

#endif

/*
 * worker_session.c - see worker_session.h.
 *
 * All work on our own tables is done as the extension's owner, in transactions that never wait for
 * a network.
 */
#include "postgres.h"

#include "worker/worker_session.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/time_limit.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "replication/syncrep.h"
#include "server/versions.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/worker_activity.h"
#include "worker/worker_settings.h"
#include "worker/worker_slot.h"

volatile sig_atomic_t shutdown_was_requested = false;

static volatile sig_atomic_t connecting = true;
static volatile sig_atomic_t in_transaction = false;
static volatile sig_atomic_t committing = false;
static volatile sig_atomic_t wait_was_interrupted = false;
static Oid extension = InvalidOid;
static Oid extension_owner = InvalidOid;

void
HandleWorkerSigterm(SIGNAL_ARGS)
{
	int saved_errno = errno;

	if (connecting)
	{
		shutdown_was_requested = true;
		die(RHESIS_SIGNAL_ARGUMENTS);
	}
	/*
	 * The postmaster sends two signals, one to the process and one to its group. The second signal
	 * must not hit the transaction that returns our rows to the queue.
	 */
	if (in_transaction && !shutdown_was_requested)
	{
		InterruptPending = true;
		QueryCancelPending = true;
		ExpireTimeLimit();
	}
	shutdown_was_requested = true;
	SetLatch(MyLatch);
	errno = saved_errno;
}

/*
 * DROP DATABASE, for instance, waits for an answer of every process, and a commit that waits for a
 * synchronous standby gives no answer. So that wait is cancelled, and CommitWork begins it again.
 */
static void
HandleWorkerSigusr1(SIGNAL_ARGS)
{
	procsignal_sigusr1_handler(RHESIS_SIGNAL_ARGUMENTS);
	/* The handler above has set the latch. */
	if (committing && ProcSignalBarrierPending)
	{
		wait_was_interrupted = true;
		QueryCancelPending = true;
	}
}

void
ConnectWorker(Oid database)
{
	RememberServerSettings();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pqsignal(SIGUSR1, HandleWorkerSigusr1);
	PinSettings();
	connecting = false;
}

/*
 * Returns the installed version, and sets *oid and *owner to those of the extension. Returns NULL
 * if there is no extension.
 */
static char *
ReadExtension(Oid *oid, Oid *owner)
{
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	char *version = NULL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("rhesis_notify"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool is_null;
		Datum datum =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &is_null);

		version = TextDatumGetCString(datum);
		*oid = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return version;
}

/* Logs that the objects have another version than the library. */
static void
ReportObjectVersion(const char *version, bool served)
{
	const char *database = get_database_name(MyDatabaseId);

	if (served)
		ereport(LOG,
				(errmsg("rhesis_notify %s serves database \"%s\", whose objects are of version %s",
						RHESIS_NOTIFY_VERSION, database, version),
				 errhint("Run ALTER EXTENSION rhesis_notify UPDATE in that database.")));
	else
		ereport(
			WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rhesis_notify sends no mail in database \"%s\": the loaded library and the "
					"extension's objects are of different versions",
					database),
			 errdetail("The library is version %s, the objects are version %s.",
					   RHESIS_NOTIFY_VERSION, version),
			 errhint(
				 "If the objects are older, run ALTER EXTENSION rhesis_notify UPDATE in that "
				 "database; if the library is older, install that of version %s and restart the "
				 "server.",
				 version)));
}

ExtensionFit
FindExtension(void)
{
	ExtensionFit fit = EXTENSION_FITS;
	char *version;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	version = ReadExtension(&extension, &extension_owner);
	if (version == NULL)
		fit = EXTENSION_ABSENT;
	else if (strcmp(version, RHESIS_NOTIFY_VERSION) != 0)
	{
		if (!ServesObjects(version))
			fit = EXTENSION_MISFIT;
		ReportObjectVersion(version, fit == EXTENSION_FITS);
	}
	CommitTransactionCommand();
	pgstat_report_stat(false);
	return fit;
}

bool
ExtensionIsGone(void)
{
	Oid oid = InvalidOid;
	Oid owner;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	(void) ReadExtension(&oid, &owner);
	CommitTransactionCommand();
	pgstat_report_stat(false);
	return oid != extension;
}

void
BeginWork(const char *work)
{
	Assert(!in_transaction && !IsTransactionState());
	in_transaction = true;
	/* PostgreSQL does not set it in a background worker, and now() would stand still. */
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SetUserIdAndSecContext(extension_owner, SECURITY_LOCAL_USERID_CHANGE);
	PushActiveSnapshot(GetTransactionSnapshot());
	ShowWork(work);
}

/* Does what a commit and an abort have in common. */
static void
EndWork(void)
{
	Assert(!IsTransactionState());
	/* A commit does not restore the user. */
	SetUserIdAndSecContext(GetSessionUserId(), 0);

	/*
	 * A cancel that came too late for this transaction must not hit the next one, which records
	 * outcomes.
	 */
	in_transaction = committing = false;
	if (shutdown_was_requested || wait_was_interrupted)
		QueryCancelPending = wait_was_interrupted = false;

	/*
	 * A function of the application may have taken advisory locks. A rollback does not release
	 * them.
	 */
	LockReleaseSession(USER_LOCKMETHOD);

	/* Without this, autovacuum never sees what the worker writes. */
	pgstat_report_stat(false);
	ShowWorkDone();
}

/*
 * The commit is on this server's disk. If the wait for the standbys was interrupted, waits again,
 * as synchronous_commit says, and answers other processes meanwhile.
 */
static void
WaitForStandbys(void)
{
	while (wait_was_interrupted)
	{
		wait_was_interrupted = false;
		QueryCancelPending = false;
		/* Test this after the line above: a SIGTERM from here on cancels the wait. */
		if (shutdown_was_requested)
			break;
		if (ProcSignalBarrierPending)
			ProcessProcSignalBarrier();
		HOLD_INTERRUPTS();
		SyncRepWaitForLSN(XactLastCommitEnd, true);
		RESUME_INTERRUPTS();
	}
}

void
CommitWork(void)
{
	Assert(in_transaction && IsTransactionState());
	PopActiveSnapshot();
	committing = true;
	ShowCommit();
	CommitTransactionCommand();
	WaitForStandbys();
	ShowCommitDone();
	committing = false;
	EndWork();
}

void
AbortWork(void)
{
	ShowCommitDone();
	AbortCurrentTransaction();
	EndWork();
}

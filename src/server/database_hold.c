/*
 * database_hold.c - see database_hold.h.
 *
 * DROP DATABASE, CREATE DATABASE … TEMPLATE, RENAME and SET TABLESPACE need a database without
 * connections, and a worker is always connected. So before PostgreSQL counts connections, the
 * session publishes a hold, ends the database's workers and waits until they are gone. The launcher
 * starts no worker until the hold is released, at the end of the transaction.
 *
 * A user must not stop mail with a command that the user may not run. PostgreSQL calls the hook for
 * DROP after its own permission check. For the other commands there is no such hook, so their check
 * is repeated here first.
 */
#include "postgres.h"

#include <signal.h>

#include "server/database_hold.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/monotonic.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_tablespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "server/shared_state.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define WORKERS_LEAVE_WITHIN_MS 4000
#define LOOK_AGAIN_MS 10

static object_access_hook_type previous_access_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;
static bool holding = false;
static bool callbacks_registered = false;

/* ---- Holds ---- */

static bool
HolderIsAlive(const DatabaseHold *hold)
{
	return GetPGProcByNumber(hold->process)->pid == hold->pid;
}

bool
DatabaseIsHeld(Oid database)
{
	bool held = false;

	SpinLockAcquire(&rhesis_shared->holds_mutex);
	for (int i = 0; i < MAX_DATABASE_HOLDS; i++)
	{
		const DatabaseHold *hold = &rhesis_shared->holds[i];

		if (hold->database == database && HolderIsAlive(hold))
			held = true;
	}
	SpinLockRelease(&rhesis_shared->holds_mutex);
	return held;
}

/*
 * Note in shared memory that this session holds the database. Returns false if too many are held.
 */
static bool
PublishHold(Oid database)
{
	bool published = false;

	SpinLockAcquire(&rhesis_shared->holds_mutex);
	for (int i = 0; i < MAX_DATABASE_HOLDS && !published; i++)
	{
		DatabaseHold *hold = &rhesis_shared->holds[i];

		if (OidIsValid(hold->database) && HolderIsAlive(hold))
			continue;
		hold->database = database;
		hold->pid = MyProcPid;
		hold->process = RhesisMyProcNumber();
		published = true;
	}
	SpinLockRelease(&rhesis_shared->holds_mutex);
	return published;
}

/*
 * Release what this session holds, and tell the launcher. The launcher then reads pg_database
 * before it starts a worker: a database that was held may be gone.
 */
static void
ReleaseHolds(void)
{
	Oid released = InvalidOid;

	if (!holding)
		return;
	SpinLockAcquire(&rhesis_shared->holds_mutex);
	for (int i = 0; i < MAX_DATABASE_HOLDS; i++)
	{
		DatabaseHold *hold = &rhesis_shared->holds[i];

		if (!OidIsValid(hold->database) || hold->pid != MyProcPid)
			continue;
		released = hold->database;
		hold->database = InvalidOid;
	}
	SpinLockRelease(&rhesis_shared->holds_mutex);
	holding = false;
	NoteChangedDatabase(released);
}

static void
ReleaseAtTransactionEnd(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		ReleaseHolds();
}

static void
ReleaseAtExit(int code, Datum argument)
{
	ReleaseHolds();
}

/*
 * End the database's workers. Returns how many are left, including those that are about to start.
 * Each worker gets SIGTERM only once: a second one would interrupt it while it records its last
 * outcomes. signalled has a place for each slot: the pid that got SIGTERM.
 */
static int
EndWorkers(Oid database, int *signalled)
{
	int count = 0;

	LockSlots(LW_EXCLUSIVE);
	for (int i = 0; i < rhesis_shared->slot_count; i++)
	{
		WorkerSlot *slot = &rhesis_shared->slots[i];

		if (pg_atomic_read_u32(&slot->database) != database ||
			(slot->state != SLOT_STARTING && slot->state != SLOT_RUNNING))
			continue;
		count++;
		if (slot->state == SLOT_RUNNING && signalled[i] != slot->pid)
		{
			signalled[i] = slot->pid;
			kill(slot->pid, SIGTERM);
		}
	}
	UnlockSlots();
	return count;
}

/*
 * Hold the database until the end of the transaction. Waits until its workers are gone, but at most
 * WORKERS_LEAVE_WITHIN_MS. Does nothing if too many databases are held.
 */
static void
HoldDatabase(Oid database)
{
	MonotonicTime until;
	int *signalled;

	Assert(IsTransactionState());
	if (rhesis_shared == NULL || !PublishHold(database))
		return;
	holding = true;
	if (!callbacks_registered)
	{
		RegisterXactCallback(ReleaseAtTransactionEnd, NULL);
		before_shmem_exit(ReleaseAtExit, (Datum) 0);
		callbacks_registered = true;
	}

	signalled = palloc0(rhesis_shared->slot_count * sizeof(int));
	until = DeadlineAfter(WORKERS_LEAVE_WITHIN_MS);
	while (EndWorkers(database, signalled) > 0 && MonotonicNow() < until)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN_MS,
						 RhesisWaitEvent("RhesisNotifyHold"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(signalled);
}

/* ---- Hooks ---- */

static void
HoldDroppedDatabase(ObjectAccessType access, Oid class, Oid object, int sub_object, void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, class, object, sub_object, arg);
	if (access == OAT_DROP && class == DatabaseRelationId)
		HoldDatabase(object);
}

static bool
MayCreateDatabases(void)
{
	HeapTuple tuple;
	bool may;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	may = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return may;
}

static bool
MayUseTablespace(const char *name)
{
	Oid tablespace = get_tablespace_oid(name, true);

	return OidIsValid(tablespace) && RhesisMayCreateInTablespace(tablespace);
}

static bool
IsTemplate(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool is_template =
		HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is_template;
}

static const char *
OptionText(List *options, const char *name)
{
	ListCell *cell;

	foreach(cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * Returns the database that this command needs without connections. Returns InvalidOid if there is
 * none, or if the user may not run the command: PostgreSQL then raises the error.
 */
static Oid
DatabaseNeeded(Node *statement)
{
	const char *name = NULL;
	bool may = false;
	bool copies = IsA(statement, CreatedbStmt);
	Oid database;

	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
			name = OptionText(((CreatedbStmt *) statement)->options, "template");
			if (name == NULL)
				name = "template1";
			may = MayCreateDatabases();
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) statement)->subname;
			may = MayCreateDatabases();
			break;
		case T_AlterDatabaseStmt:
		{
			AlterDatabaseStmt *alter = (AlterDatabaseStmt *) statement;
			const char *tablespace = OptionText(alter->options, "tablespace");

			name = tablespace ? alter->dbname : NULL;
			may = tablespace && MayUseTablespace(tablespace);
			break;
		}
		default:
			break;
	}
	if (name == NULL || !may)
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database))
		return InvalidOid;
	/*
	 * No worker is started in a template. But a worker may still be connected that was started
	 * before the database became a template.
	 */
	if (RhesisOwnsDatabase(database) || (copies && IsTemplate(database)))
		return database;
	return InvalidOid;
}

static void
HoldForUtility(PlannedStmt *statement, const char *query, bool read_only_tree,
			   ProcessUtilityContext context, ParamListInfo parameters,
			   QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	Oid database =
		IsAbortedTransactionBlockState() ? InvalidOid : DatabaseNeeded(statement->utilityStmt);

	if (OidIsValid(database) && database != MyDatabaseId)
		HoldDatabase(database);
	if (previous_utility_hook)
		previous_utility_hook(statement, query, read_only_tree, context, parameters, environment,
							  receiver, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, parameters, environment,
								receiver, completion);
}

void
HoldDatabases(void)
{
	previous_access_hook = object_access_hook;
	object_access_hook = HoldDroppedDatabase;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = HoldForUtility;
}

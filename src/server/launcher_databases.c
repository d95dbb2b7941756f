/*
 * launcher_databases.c - see launcher_databases.h.
 *
 * Only a process that connects to a database can find out whether the database has the extension.
 * So the answer is kept until a hook tells of a change.
 */
#include "postgres.h"

#include "server/launcher_databases.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "pgstat.h"
#include "server/shared_state.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define FIRST_FAILURE_MS 1000
#define LONGEST_FAILURE_MS 300000
#define CHANGE_PATIENCE_MS 10000 /* the longest wait after a failure when something has changed */

static HTAB *databases;

void
InitKnownDatabases(void)
{
	HASHCTL control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(KnownDatabase);
	control.hcxt = TopMemoryContext;
	databases =
		hash_create("rhesis_notify databases", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

KnownDatabase *
FindKnownDatabase(Oid oid)
{
	return hash_search(databases, &oid, HASH_FIND, NULL);
}

void
StartKnownDatabases(HASH_SEQ_STATUS *sequence)
{
	hash_seq_init(sequence, databases);
}

void
ScanDatabases(void)
{
	HASH_SEQ_STATUS sequence;
	KnownDatabase *known;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	hash_seq_init(&sequence, databases);
	while ((known = hash_seq_search(&sequence)) != NULL)
		known->seen = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);
		bool found;

		/* -2 marks a database whose DROP was interrupted. */
		if (row->datistemplate || !row->datallowconn || row->datconnlimit == -2)
			continue;
		known = hash_search(databases, &row->oid, HASH_ENTER, &found);
		if (!found)
		{
			known->answer = ANSWER_UNKNOWN;
			known->changed = false;
			known->failures = 0;
			known->failed_at = known->probe_at = 0;
		}
		namestrcpy(&known->name, NameStr(row->datname));
		known->seen = true;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);

	hash_seq_init(&sequence, databases);
	while ((known = hash_seq_search(&sequence)) != NULL)
	{
		if (!known->seen)
			hash_search(databases, &known->oid, HASH_REMOVE, NULL);
	}
}

/* Returns the milliseconds without a new process after the database's failures, at most at_most. */
static int64
FailureDelayMs(const KnownDatabase *known, int64 at_most)
{
	return Min((int64) FIRST_FAILURE_MS << Min(known->failures - 1, 16), at_most);
}

/*
 * Shorten the wait of a database whose processes failed, because something has changed in it: a
 * process may be able to connect now. Do not try at once: while a database has no worker, each task
 * that reports counts as a change.
 */
static void
HurryFailed(KnownDatabase *known)
{
	if (known->failures > 0)
		known->probe_at =
			Min(known->probe_at,
				MonotonicPlusMs(known->failed_at, FailureDelayMs(known, CHANGE_PATIENCE_MS)));
}

static void
ForgetAnswer(KnownDatabase *known)
{
	HurryFailed(known);
	if (known->answer == ANSWER_NO_EXTENSION || known->answer == ANSWER_MISFIT)
		known->answer = ANSWER_UNKNOWN;
	else
		known->changed = true;
}

bool
NoticeChanges(void)
{
	Oid changed[MAX_CHANGED_DATABASES];
	int count = TakeChangedDatabases(changed);
	HASH_SEQ_STATUS sequence;
	KnownDatabase *known;

	for (int i = 0; i < count; i++)
	{
		known = FindKnownDatabase(changed[i]);
		if (known)
			ForgetAnswer(known);
	}
	if (count < 0)
	{
		StartKnownDatabases(&sequence);
		while ((known = hash_seq_search(&sequence)) != NULL)
			ForgetAnswer(known);
	}
	return count != 0;
}

void
KeepAnswer(KnownDatabase *known, DatabaseAnswer answer)
{
	if (known == NULL)
		return;
	known->failures = 0;
	known->answer = known->changed ? ANSWER_UNKNOWN : answer;
	known->changed = false;
}

void
NoteFailedStart(KnownDatabase *known)
{
	int64 delay;

	if (known == NULL)
		return;
	known->answer = ANSWER_UNKNOWN;
	known->failures++;
	delay = FailureDelayMs(known, LONGEST_FAILURE_MS);
	known->failed_at = MonotonicNow();
	known->probe_at = MonotonicPlusMs(known->failed_at, delay);
	if (known->failures == 1)
		ereport(
			WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rhesis_notify cannot start a worker in database \"%s\"", NameStr(known->name)),
			 errdetail("If the database has the extension, its mail waits. Other databases are "
					   "not affected."),
			 errhint("The message that names this database in its CONTEXT says why. The "
					 "launcher tries again at growing intervals.")));
}

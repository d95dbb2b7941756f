/*
 * launcher_databases.c - what the launcher knows of the server's databases.
 *
 * Whether a database has the extension can only be found out by connecting to it, so the answer is kept until a hook tells of a
 * change.
 */
#include "postgres.h"

#include "launcher_databases.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "pgstat.h"
#include "shared_state.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

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
		}
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

static void
ForgetAnswer(KnownDatabase *known)
{
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
	known->answer = known->changed ? ANSWER_UNKNOWN : answer;
	known->changed = false;
}

/*
 * launcher_databases.h - what the launcher knows of the server's databases.
 */
#ifndef RHESIS_LAUNCHER_DATABASES_H
#define RHESIS_LAUNCHER_DATABASES_H

#include "base/monotonic.h"
#include "utils/hsearch.h"

/* Whether a database has the extension, as a process has found out. */
typedef enum DatabaseAnswer
{
	ANSWER_UNKNOWN,
	ANSWER_NO_EXTENSION,
	ANSWER_MISFIT,
	ANSWER_SERVED
} DatabaseAnswer;

typedef struct KnownDatabase
{
	Oid oid; /* hash key */
	NameData name;
	DatabaseAnswer answer;
	int failures;			 /* starts of a worker that failed, since one succeeded */
	MonotonicTime failed_at; /* when the last of them failed */
	MonotonicTime probe_at;	 /* when to start a process again, at the earliest; 0: at once */
	bool seen;
	/* A hook told of a change after a process was asked for: its answer may be out of date. */
	bool changed;
} KnownDatabase;

extern void InitKnownDatabases(void);

/* Returns the database with this oid; NULL if the launcher does not know it. */
extern KnownDatabase *FindKnownDatabase(Oid oid);

/* Begin a scan of all known databases. hash_seq_search() returns the next one. */
extern void StartKnownDatabases(HASH_SEQ_STATUS *sequence);

/*
 * Read pg_database, in a transaction of its own: note the databases that can have a worker, and
 * forget the others.
 */
extern void ScanDatabases(void);

/*
 * Forget the answers for databases that hooks have told of. Returns true if there were such
 * databases. A process that is running may then give an answer that is out of date, so KeepAnswer()
 * will not keep it.
 */
extern bool NoticeChanges(void);

/*
 * Keep the answer that a process has found in a database. If the database has changed since, the
 * answer is unknown again. known may be NULL.
 */
extern void KeepAnswer(KnownDatabase *known, DatabaseAnswer answer);

/*
 * Note that a process could not work in its database. The first failure is logged. The next start
 * waits, longer after each failure. known may be NULL.
 */
extern void NoteFailedStart(KnownDatabase *known);

#endif

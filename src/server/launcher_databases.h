/*
 * launcher_databases.h - what the launcher knows of the server's databases.
 */
#ifndef RHESIS_LAUNCHER_DATABASES_H
#define RHESIS_LAUNCHER_DATABASES_H

#include "base/monotonic.h"
#include "utils/hsearch.h"

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
	int failures;			 /* of its processes at their start, since one started */
	MonotonicTime failed_at; /* when the last of them failed */
	MonotonicTime probe_at;	 /* when to try again at the earliest; 0: at once */
	bool seen;
	bool changed; /* since a process was started for it: its answer may be out of date */
} KnownDatabase;

extern void InitKnownDatabases(void);

/* NULL: not known, like InvalidOid. */
extern KnownDatabase *FindKnownDatabase(Oid oid);

/* Go through all of them. */
extern void StartKnownDatabases(HASH_SEQ_STATUS *sequence);

/* Bring what is known up to date with pg_database, in a transaction of its own. */
extern void ScanDatabases(void);

/*
 * Forget the answers of databases that hooks have told of. True: there were such databases. A
 * process that is running may give an answer that is out of date: this is remembered, too.
 */
extern bool NoticeChanges(void);

/* A process has found the answer. NULL is allowed. */
extern void KeepAnswer(KnownDatabase *known, DatabaseAnswer answer);

/* A process could not work in its database: log it once, and try again, later each time. */
extern void NoteFailedStart(KnownDatabase *known);

#endif

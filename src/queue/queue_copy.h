/*
 * queue_copy.h - whether this database is itself, or a copy of another one.
 *
 * A restored dump, CREATE DATABASE ... TEMPLATE, a snapshot and the first copy of a subscription
 * bring notifications that the original also mails. In a copy nothing is mailed, and no
 * notification changes its state, until adopt_database() is called. The objects of 1.0 have no
 * identity: with them, every database counts as itself.
 */
#ifndef RHESIS_QUEUE_COPY_H
#define RHESIS_QUEUE_COPY_H

#include "datatype/timestamp.h"

/* At most so many unfinished notifications are read and counted. */
#define MOST_COPIED 100000

/* The sign that a database is a copy. */
typedef enum CopySign
{
	NO_COPY,
	COPY_WITHOUT_IDENTITY, /* somebody has deleted the row */
	COPY_OF_TOKEN,		   /* another database's identity: a dump, or a publication of all tables */
	COPY_OF_DATABASE,	   /* CREATE DATABASE ... TEMPLATE */
	COPY_OF_INSTANCE,	   /* another rhesis_notify.instance: a copied data directory */
	COPY_WITH_OLD_ROWS	   /* a notification that is due is older than the database */
} CopySign;

/* Which rows came with a copy. ROW_IS_COPIED in queue_internal.h uses these bounds. */
typedef struct CopyBounds
{
	TimestampTz born;			  /* all rows created before are copied; DT_NOBEGIN: none are */
	int64 last_id;				  /* the last id that the queue's sequence has given */
	TimestampTz unnumbered_until; /* rows created before are copied if their id is beyond last_id */
} CopyBounds;

typedef struct DatabaseState
{
	bool is_paused;
	CopySign copy;				 /* as the identity shows; ReadCopyFigures() finds old rows */
	bool is_upgraded;			 /* itself after pg_upgrade: its identity must be renewed */
	bool is_from_empty_template; /* the same for a copy of a template whose queue was never used */
	CopyBounds bounds;
} DatabaseState;

typedef struct CopyFigures
{
	int64 waiting;	   /* unfinished notifications that are not held; counted up to MOST_COPIED */
	TimestampTz since; /* when the oldest of them was created; 0: there is none */
	TimestampTz newest_copied; /* when the newest due row of a copy was created */
	bool has_old_rows;		   /* a due row came with a copy, so newest_copied is set */
} CopyFigures;

/* Reads, in one statement, whether this database's mail is paused and whether it is a copy. */
extern void ReadDatabaseState(DatabaseState *state);

/*
 * For workers: writes the changes of the identity that ReadDatabaseState() found necessary, and
 * that need no decision.
 */
extern void RenewIdentity(const DatabaseState *state);

/*
 * For workers. If the clock was set back to before the database's birth, new rows are older than
 * the birth and yet no sign of a copy. So move the birth back with the clock.
 */
extern void MoveBirthBack(DatabaseState *state);

extern void ReadCopyFigures(const DatabaseState *state, CopyFigures *figures);

/*
 * For workers. Rows that were created just before the extension was may differ from this database's
 * own rows only in their ids, and a restore sets the sequence at its end. So remember such rows in
 * database_birth.
 */
extern void RememberOldRows(const DatabaseState *state, const CopyFigures *figures);

/* For sessions: ReadDatabaseState(), and also looks for old rows. figures may be NULL. */
extern CopySign FindCopySign(CopyFigures *figures);

/*
 * Returns the instance that the database was adopted with, palloc'd in context; NULL if there is no
 * identity, or more than one.
 */
extern char *RememberedInstance(MemoryContext context);

/* Returns for people, for example, "it has the identity of another database, ...". */
extern const char *CopySignText(CopySign sign);

/* Returns "3 notifications wait, the oldest since ...", palloc'd. */
extern const char *CopyWaitingText(const CopyFigures *figures);

/* What an operator can do about a copy. */
#define ADOPT_HINT                                                        \
	"SELECT rhesis_notify.adopt_database(true) sends what waits, SELECT " \
	"rhesis_notify.adopt_database(false) cancels it; until then nothing is mailed."

#endif

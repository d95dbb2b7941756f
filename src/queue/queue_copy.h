/*
 * queue_copy.h - whether this database is itself, or a copy of another one.
 *
 * A restored dump, CREATE DATABASE ... TEMPLATE, a snapshot and the first copy of a subscription bring notifications that the
 * original mails, too. In a copy nothing is mailed, and no notification changes its state, until adopt_database() is called.
 * What the objects of 1.0 do not have is never a reason: there every database is itself.
 */
#ifndef RHESIS_QUEUE_COPY_H
#define RHESIS_QUEUE_COPY_H

#include "datatype/timestamp.h"

/* How many of the notifications that are not finished are looked through, and counted. */
#define MOST_COPIED 100000

/* By what a copy is recognised. */
typedef enum CopySign
{
	NO_COPY,
	COPY_WITHOUT_IDENTITY, /* somebody has deleted a row */
	COPY_OF_TOKEN, /* another database's identity is here: a dump, or a publication of all tables */
	COPY_OF_DATABASE,  /* CREATE DATABASE ... TEMPLATE */
	COPY_OF_INSTANCE,  /* another rhesis_notify.instance: a copied data directory */
	COPY_WITH_OLD_ROWS /* a notification that is due is older than the database */
} CopySign;

/* Which rows came with a copy: see ROW_IS_COPIED in queue_internal.h. */
typedef struct CopyBounds
{
	TimestampTz born;			  /* all that was created before; DT_NOBEGIN: none */
	int64 last_id;				  /* the last id that the queue's sequence has given */
	TimestampTz unnumbered_until; /* all that was created before and has an id beyond it */
} CopyBounds;

typedef struct DatabaseState
{
	bool is_paused;
	CopySign copy;	  /* by its identity; of old rows ReadCopyFigures knows */
	bool is_upgraded; /* itself, by pg_upgrade: the identity is to be brought up to date */
	bool
		is_from_empty_template; /* itself, made from a template whose queue was never used: the same */
	CopyBounds bounds;
} DatabaseState;

typedef struct CopyFigures
{
	int64 waiting; /* all that is not finished, but for what is held; counted up to MOST_COPIED */
	TimestampTz since; /* when the oldest of these was created; 0: there is none */
	TimestampTz
		newest_copied; /* when the newest of those was created that came with a copy and are due; 0: there is none */
	bool has_old_rows; /* one of them is due, or was being sent, and is older than the database */
} CopyFigures;

/* In one statement: is this database's mail paused, and is it a copy? */
extern void ReadDatabaseState(DatabaseState *state);

/* Write what ReadDatabaseState found, and nobody has to decide. For workers. */
extern void RenewIdentity(const DatabaseState *state);

/*
 * Where the clock was set back to before the database's birth, what tasks report now is older than that and no sign of a copy: the birth
 * goes back with the clock. For workers.
 */
extern void HeedYoungerClock(DatabaseState *state);

extern void ReadCopyFigures(const DatabaseState *state, CopyFigures *figures);

/*
 * Rows that were created just before the extension was, and that only the queue's sequence tells from this database's own: a restore
 * sets the sequence in the end, so they are remembered. For workers.
 */
extern void RememberOldRows(const DatabaseState *state, const CopyFigures *figures);

/* As ReadDatabaseState, and old rows are looked for, too: for sessions. figures may be NULL. */
extern CopySign FindCopySign(CopyFigures *figures);

/* The instance that the database was adopted with, palloc'd in context; NULL: there is no identity, or several. */
extern char *RememberedInstance(MemoryContext context);

/* "it has the identity of another database: ...", in words for people. */
extern const char *CopySignText(CopySign sign);

/* "3 notifications wait, the oldest since ...", palloc'd. */
extern const char *CopyWaitingText(const CopyFigures *figures);

/* What to do about it. */
#define ADOPT_HINT                                                        \
	"SELECT rhesis_notify.adopt_database(true) sends what waits, SELECT " \
	"rhesis_notify.adopt_database(false) cancels it; until then nothing is mailed."

#endif

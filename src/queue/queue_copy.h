/*
 * queue_copy.h - tells whether this database is a copy of another one.
 *
 * A restored dump, CREATE DATABASE ... TEMPLATE, a snapshot and the first copy of a subscription
 * bring notifications that the original also mails. In a copy nothing is mailed, and no
 * notification changes its state, until adopt_database() is called. The objects of version 1.0 have
 * no identity: with them, no database counts as a copy.
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
	COPY_WITHOUT_IDENTITY, /* a row of our two tables is missing */
	COPY_OF_TOKEN,		   /* the identity of another database, by a dump or replication */
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
	CopySign copy;				 /* by the identity alone; ReadCopyFigures() looks for old rows */
	bool is_upgraded;			 /* no copy, but pg_upgrade made the server: RenewIdentity() */
	bool is_from_empty_template; /* no copy: its template's queue was unused: RenewIdentity() */
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
 * For workers. If ReadDatabaseState() has set is_upgraded or is_from_empty_template, updates the
 * identity accordingly. No operator has to decide about these cases.
 */
extern void RenewIdentity(const DatabaseState *state);

/*
 * For workers. If the clock was set back to before the birth, new rows of this database look like
 * rows of a copy. So moves the birth back, too: in database_birth and in state->bounds.
 */
extern void MoveBirthBack(DatabaseState *state);

/*
 * Counts the unfinished notifications, and looks for due rows that came with a copy according to
 * state->bounds. Fills in *figures.
 */
extern void ReadCopyFigures(const DatabaseState *state, CopyFigures *figures);

/*
 * For workers, after old rows were found. A row of a copy that was created in the minute before
 * CREATE EXTENSION is recognised only by its id, which the queue's sequence has not given. At its
 * end, a restore sets the sequence, and then the id no longer tells. So if the newest copied row is
 * of that minute, moves the birth to just after the row.
 */
extern void RememberOldRows(const DatabaseState *state, const CopyFigures *figures);

/*
 * For sessions. Returns the sign that this database is a copy, by its identity or by due rows;
 * NO_COPY if there is none. Fills in *figures, unless figures is NULL.
 */
extern CopySign FindCopySign(CopyFigures *figures);

/*
 * Returns the rhesis_notify.instance that the database was created or adopted with, palloc'd in
 * context; NULL if there is no identity, or more than one.
 */
extern char *RememberedInstance(MemoryContext context);

/*
 * Returns the sign in words, constant: for example, "it has the identity of another database, ...".
 */
extern const char *CopySignText(CopySign sign);

/* Returns "3 notifications wait, the oldest since ...", or "nothing waits". */
extern const char *CopyWaitingText(const CopyFigures *figures);

/* What an operator can do about a copy. */
#define ADOPT_HINT                                                        \
	"SELECT rhesis_notify.adopt_database(true) sends what waits, SELECT " \
	"rhesis_notify.adopt_database(false) cancels it; until then nothing is mailed."

#endif

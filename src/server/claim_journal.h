/*
 * claim_journal.h - rows that are claimed and that no mail server has seen, in shared memory. When
 * their worker dies, they are not in doubt.
 */
#ifndef RHESIS_CLAIM_JOURNAL_H
#define RHESIS_CLAIM_JOURNAL_H

/* Further claimed rows are not noted, and are in doubt after a death. */
#define JOURNAL_ROWS 512

#define NOT_NOTED (-1)

/* What a dead worker has left. */
typedef struct JournalLife
{
	Oid database;
	int64 epoch;		   /* 0: nothing */
	int preparing;		   /* so many rows were being prepared when it ended; 0: none */
	int64 preparing_id;	   /* one of them */
	int single_row_claims; /* so many claims of one row were still to be made, see worker_limit.h */
	int64 unsent[JOURNAL_ROWS]; /* ids; 0: no row */
} JournalLife;

/* Reserve and set up its memory when the server starts; for _PG_init. */
extern void RequestClaimJournal(void);

/*
 * A worker calls this before its first claim, when its epoch is published. The journal keeps what
 * the worker before has left.
 */
extern void BeginJournal(int slot, int64 epoch);

/* A row is claimed. Returns its place, or NOT_NOTED. Notes nothing before BeginJournal. */
extern int NoteUnsent(int64 id);

/* Call this before a byte of its mail can be sent, and when its outcome is on disk. */
extern void ForgetUnsent(int *place);

/*
 * From now on so many rows are being prepared (0: no row), one of them with this id, and so many
 * claims of one row each are still to be made.
 */
extern void NotePreparing(int count, int64 id, int single_row_claims);

/*
 * Copy what a dead worker of this database has left: that of the life with this number, from 0 on.
 * False: there are no more. Call ForgetLife when nothing is left to do for a life.
 */
extern bool DeadLife(int number, bool (*epoch_is_live)(int64 epoch), JournalLife *life);
extern void ForgetLife(int64 epoch);

/*
 * Rows that have ended their worker. Such a row is prepared alone, while no mail is on the wire.
 * The journal keeps the last few of them.
 */
extern void NoteCulprit(int64 id);
extern bool IsCulprit(int64 id);
extern void ForgetCulprit(int64 id);

/* The rows that it was preparing have been dealt with. */
extern void ForgetPreparing(int64 epoch);

#endif

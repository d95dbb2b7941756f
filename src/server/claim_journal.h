/*
 * claim_journal.h - rows that are claimed and that no mail server has seen, in shared memory. When
 * their worker dies, they are not in doubt.
 */
#ifndef RHESIS_CLAIM_JOURNAL_H
#define RHESIS_CLAIM_JOURNAL_H

/*
 * The number of rows that the journal holds for a worker. Rows that are claimed beyond it are not
 * noted: they are in doubt if the worker dies.
 */
#define JOURNAL_ROWS 512

#define NOT_NOTED (-1)

/*
 * What the journal keeps about a worker, from its start until nothing is left to do after its end.
 */
typedef struct JournalLife
{
	Oid database;
	int64 epoch;		   /* the worker's; 0: this life is free */
	int preparing;		   /* number of rows that are being prepared, or were at its end */
	int64 preparing_id;	   /* one of them */
	int single_row_claims; /* claims of one row that are still to be made, see worker_limit.h */
	int64 unsent[JOURNAL_ROWS]; /* ids; 0: no row */
} JournalLife;

/* Reserve and set up the journal's memory when the server starts; for _PG_init. */
extern void RequestClaimJournal(void);

/*
 * Begin the life of the worker in the slot with this number. The worker calls this when its epoch
 * is published, and before its first claim. The journal keeps the last life of this slot that has
 * left something.
 */
extern void BeginJournal(int slot, int64 epoch);

/*
 * Note that a row is claimed. Returns its place in the journal; NOT_NOTED if the journal is full,
 * or before BeginJournal().
 */
extern int NoteUnsent(int64 id);

/*
 * Remove the row at *place, and set *place to NOT_NOTED. Call this before a byte of the row's mail
 * can be sent, and when its outcome is on disk. *place may be NOT_NOTED.
 */
extern void ForgetUnsent(int *place);

/*
 * Note that count rows are being prepared from now on (0: none), that id is the id of one of them,
 * and that single_row_claims claims of one row each are still to be made.
 */
extern void NotePreparing(int count, int64 id, int single_row_claims);

/*
 * Find what the dead workers of this database have left. Copies the life with this number, from 0
 * on, to *life. epoch_is_live tells whether the worker of an epoch still runs. Returns false if
 * there is no life with this number.
 */
extern bool DeadLife(int number, bool (*epoch_is_live)(int64 epoch), JournalLife *life);
/* Remove the life of this epoch. Call this when nothing is left to do for it. */
extern void ForgetLife(int64 epoch);

/*
 * Culprits are rows that have ended their worker while they were prepared. Such a row is prepared
 * alone, while no mail is being sent. The journal keeps the last 32 of the server.
 */
extern void NoteCulprit(int64 id);
extern bool IsCulprit(int64 id);
extern void ForgetCulprit(int64 id);

/* Note that the rows that the worker of this epoch was preparing have been dealt with. */
extern void ForgetPreparing(int64 epoch);

#endif

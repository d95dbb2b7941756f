/*
 * claim_journal.h - which claimed rows no mail server has heard of, in shared memory: the death of their worker puts them in no doubt.
 */
#ifndef RHESIS_CLAIM_JOURNAL_H
#define RHESIS_CLAIM_JOURNAL_H

/* Claimed rows beyond that are not noted, and are in doubt after a death. */
#define JOURNAL_ROWS 512

#define NOT_NOTED (-1)

/* What a worker that is gone has left. */
typedef struct JournalLife
{
	Oid database;
	int64 epoch;		   /* 0: nothing */
	int preparing;		   /* so many rows it was looking up and rendering when it ended; 0: none */
	int64 preparing_id;	   /* one of them */
	int single_row_claims; /* it was to make so many claims of one row each, see worker_limit.h */
	int64 unsent[JOURNAL_ROWS]; /* ids; 0: no row */
} JournalLife;

/* Memory for so many slots, at the start of the server. */
extern Size ClaimJournalSize(int slots);
extern void SetUpClaimJournal(int slots);

/* For a worker with its slot and its epoch, which is published, before its first claim. What its predecessor has left is kept. */
extern void BeginJournal(int slot, int64 epoch);

/* A row is claimed; returns its place, or NOT_NOTED. Without BeginJournal nothing is noted. */
extern int NoteUnsent(int64 id);

/* Before a byte of its mail can be sent, and when its outcome is on disk. */
extern void ForgetUnsent(int *place);

/* So many rows are being prepared from now on (0: none), this one among them, and so many are to be prepared single_row_claims. */
extern void NotePreparing(int count, int64 id, int single_row_claims);

/*
 * Copy what a dead worker of this database has left, the number-th of such lives. False: there are no more. Call ForgetLife when
 * nothing is left to do for one.
 */
extern bool DeadLife(int number, bool (*epoch_is_live)(int64 epoch), JournalLife *life);
extern void ForgetLife(int64 epoch);

/*
 * Rows that have ended their worker: such a row is prepared alone, while nothing is on the wire. The last few of the server are known.
 */
extern void NoteCulprit(int64 id);
extern bool IsCulprit(int64 id);
extern void ForgetCulprit(int64 id);

/* What it was preparing is heeded. */
extern void ForgetPreparing(int64 epoch);

#endif

/*
 * prepared.h - keeps what a prepared transaction has to tell the workers until its COMMIT PREPARED.
 */
#ifndef RHESIS_PREPARED_H
#define RHESIS_PREPARED_H

/* What a transaction tells the workers and the launcher when it commits. */
typedef enum CommitMessage
{
	MESSAGE_ROWS_DUE,	  /* WAKE_ROWS_DUE for the workers of this database */
	MESSAGE_RETRY_NOW,	  /* WAKE_ROWS_DUE and WAKE_RETRY_NOW for them */
	MESSAGE_CHANGED,	  /* the extension or a setting of this database has changed */
	MESSAGE_OTHER_CHANGED /* a setting of another database, or of all, has changed */
} CommitMessage;

#define COMMIT_MESSAGES (MESSAGE_OTHER_CHANGED + 1)

/* Keep the message with the transaction that is being prepared; for XACT_EVENT_PRE_PREPARE. */
extern void KeepForCommitPrepared(CommitMessage message);

/*
 * Install the hook for COMMIT PREPARED; for _PG_init. When a transaction has been committed, the
 * hook calls pass_on_message with each message that was kept with it. The function must raise no
 * error.
 */
extern void WatchPreparedTransactions(void (*pass_on_message)(CommitMessage message));

#endif

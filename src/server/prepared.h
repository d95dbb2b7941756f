/*
 * prepared.h - keeps what a prepared transaction has to tell the workers until its COMMIT PREPARED.
 */
#ifndef RHESIS_PREPARED_H
#define RHESIS_PREPARED_H

/* What a transaction tells when it commits. */
typedef enum CommitMessage
{
	MESSAGE_ROWS_DUE,	  /* WAKE_ROWS_DUE for the workers of this database */
	MESSAGE_RETRY_NOW,	  /* WAKE_RETRY_NOW for them, too */
	MESSAGE_CHANGED,	  /* the extension or a setting of this database */
	MESSAGE_OTHER_CHANGED /* a setting of another database, or of all */
} CommitMessage;

#define COMMIT_MESSAGES (MESSAGE_OTHER_CHANGED + 1)

/* Keep the message with the transaction that is being prepared; for XACT_EVENT_PRE_PREPARE. */
extern void KeepForCommitPrepared(CommitMessage message);

/*
 * Install the hook that calls this function, which raises no error, with each kept message when its
 * transaction has been committed; for _PG_init.
 */
extern void WatchPreparedTransactions(void (*pass_on_message)(CommitMessage message));

#endif

/*
 * wakeup.h - wakes the database's workers when a transaction commits.
 */
#ifndef RHESIS_WAKEUP_H
#define RHESIS_WAKEUP_H

#include "server/prepared.h"

/*
 * At the commit of this transaction, tell the workers of a database (InvalidOid: of all databases)
 * that settings or the extension may have changed, and tell the launcher.
 */
extern void AnnounceChangeAtCommit(Oid database);

/*
 * Tell workers and launcher this message of a prepared transaction that has just been committed.
 * Raises no error.
 */
extern void PassOnCommitMessage(CommitMessage message);

#endif

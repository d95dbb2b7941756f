/*
 * wakeup.h - wakes the database's workers when the transaction commits.
 */
#ifndef RHESIS_WAKEUP_H
#define RHESIS_WAKEUP_H

#include "server/prepared.h"

/*
 * At this transaction's commit, have the workers of a database (InvalidOid: of all) look at their settings and at the extension
 * again, and the launcher at the database.
 */
extern void AnnounceChangeAtCommit(Oid database);

/* What a prepared transaction was to tell: it has been committed just now. Raises nothing. */
extern void PassOnCommitMessage(CommitMessage message);

#endif

/*
 * wakeup.h - wakes the database's workers when the transaction commits.
 */
#ifndef RHESIS_WAKEUP_H
#define RHESIS_WAKEUP_H

/*
 * At this transaction's commit, have the workers of a database (InvalidOid: of all) look at their settings and at the extension
 * again, and the launcher at the database.
 */
extern void AnnounceChangeAtCommit(Oid database);

#endif

/*
 * worker_limit.h - how many rows may be claimed at once.
 */
#ifndef RHESIS_WORKER_LIMIT_H
#define RHESIS_WORKER_LIMIT_H

/*
 * At least the next count claims take one row each, to find the row whose preparation fails.
 * SingleRowClaims() returns how many of these claims are left.
 */
extern void ClaimSingleRows(int count);
extern int SingleRowClaims(void);

/* Call this for each claim. */
extern void CountClaim(void);

/*
 * Call this when a worker has died while it prepared rows: that may happen again. For some minutes,
 * no row is claimed while a mail is ready or on the wire. So no mail is in doubt if this worker
 * dies, too.
 */
extern void BeCareful(void);

/*
 * Call this when count rows were claimed or prepared that were not too large together. cut: further
 * rows were left out because of their size.
 */
extern void NoteFitting(int count, bool cut);

/* Returns how many rows the next claim may take. */
extern int ClaimLimit(void);

/*
 * Returns true if the next claim may take enough rows. While the worker has mails, a few rows are
 * not enough.
 */
extern bool HasSpaceForClaim(void);

#endif

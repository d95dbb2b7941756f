/*
 * worker_limit.h - how many rows may be claimed at once.
 */
#ifndef RHESIS_WORKER_LIMIT_H
#define RHESIS_WORKER_LIMIT_H

/* Claim that many rows one by one, at least, to find the row whose preparation fails. */
extern void ClaimSingleRows(int count);
extern int SingleRowClaims(void);

/* A claim is made. */
extern void CountClaim(void);

/*
 * A worker has died while it prepared rows, and may die again: for some minutes no row is prepared
 * while a mail is on the wire, which would be in doubt then.
 */
extern void BeCareful(void);

/*
 * So many rows were not too large together. cut: further rows were left out because of their size.
 */
extern void NoteFitting(int count, bool cut);

/* How many rows the next claim may take. */
extern int ClaimLimit(void);

/* May a claim be made now? Not for a handful of rows at a time, while there is enough to do. */
extern bool HasSpaceForClaim(void);

#endif

/*
 * worker_backoff.h - how a worker spares a mail server: it leaves one in trouble alone, uses no more connections than are
 * allowed, and slows down when it is told to.
 */
#ifndef RHESIS_WORKER_BACKOFF_H
#define RHESIS_WORKER_BACKOFF_H

#include "base/monotonic.h"
#include "delivery/delivery.h"

/*
 * The server, or the account, is in trouble: no mail for a while, at least for delay_seconds, and what it has not seen goes back
 * to the queue. The hint is the next step for the person who can mend it, or NULL. Logged once for each cause until the server is well again. A firm one is not ended by a mail that was on its way.
 */
extern void
BackOff(const char *cause, const char *trouble, const char *hint, int delay_seconds, bool firm);

/* The same for an outcome that backs off. */
extern void BackOffFor(const Delivery *delivery, const Outcome *outcome);

/* The server has dealt with this mail: it is well, unless the mail says nothing about that. */
extern void ServerIsWell(const Delivery *delivery);

/* When the time to back off is over, one mail goes first. */
extern void EndBackoff(void);

/* Until when no mail goes to the server; 0: the worker does not back off. */
extern MonotonicTime BackoffUntil(void);

/* Is the next mail the one that goes first? */
extern bool IsProbing(void);

/*
 * An operator wants it tried now: whatever the worker waits for (a mail server, recipients, its own tables) is tried at once. Of
 * many such requests, one after the other, few are: what comes too soon after the last one is put off for some seconds.
 */
extern void RetryNow(void);

/* Was a connection refused while there are others? Then we go on with those: true, and the mail may be submitted again. */
extern bool UseFewerConnections(const Delivery *delivery, const Outcome *outcome);

/* After a while one more connection is tried. */
extern void TryMoreConnections(void);

#endif

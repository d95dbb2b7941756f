/*
 * worker_backoff.h - how a worker spares a mail server: it backs off after an error of the server,
 * uses no more connections than are allowed, and slows down when the server asks for it.
 */
#ifndef RHESIS_WORKER_BACKOFF_H
#define RHESIS_WORKER_BACKOFF_H

#include "base/monotonic.h"
#include "delivery/delivery.h"

/*
 * Back off: no mail goes to the server for a while, at least for delay_ms, and all mails that
 * it has not seen return to the queue. trouble is the error. hint is the next step for the person
 * who can mend it, or NULL. Each cause is logged once until the server works again. A mail that was
 * on its way does not end a firm back-off.
 */
extern void
BackOff(const char *cause, const char *trouble, const char *hint, int64 delay_ms, bool firm);

/* What the policy needs to know about the worker and the mail server. */
extern void GetServerCircumstances(ServerCircumstances *server);

/* Carries out what was decided about the mail server. */
extern void TreatServer(const Delivery *delivery, const Disposition *disposition);

/* When the time to back off is over, one mail goes first. */
extern void EndBackoff(void);

/* Until when no mail goes to the server; 0: the worker does not back off. */
extern MonotonicTime BackoffUntil(void);

/* Is the next mail the one that goes first? */
extern bool IsProbing(void);

/*
 * An operator wants a retry: try at once what the worker waits for (a mail server, recipients, its
 * own tables). If requests come one soon after the other, only some are granted: a request that
 * comes too soon is put off for some seconds.
 */
extern void RetryNow(void);

/* After a while, try one more connection. */
extern void TryMoreConnections(void);

#endif

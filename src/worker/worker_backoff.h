/*
 * worker_backoff.h - how a worker treats a mail server in trouble: it backs off after an error of
 * the server, uses no more connections than are allowed, and slows down when the server asks for
 * it.
 */
#ifndef RHESIS_WORKER_BACKOFF_H
#define RHESIS_WORKER_BACKOFF_H

#include "base/monotonic.h"
#include "delivery/delivery.h"

/*
 * Begins a back-off, or makes it longer: no mail goes to the server for at least delay_ms, and all
 * mails that the server has not seen return to the queue. trouble is the text of the error. hint is
 * the next step for the person who can correct the error, or NULL. Errors with the same cause, a
 * short text, are logged once until the server works again.
 *
 * Normally the back-off ends as soon as the server accepts any mail, or refuses it for a reason
 * that is the mail's own. If it is firm, only the probe ends it in this way.
 */
extern void
BackOff(const char *cause, const char *trouble, const char *hint, int64 delay_ms, bool firm);

/* Fills in what the policy needs to know about the worker and the mail server. */
extern void GetServerCircumstances(ServerCircumstances *server);

/* Carries out what the policy has decided about the mail server after an event of this delivery. */
extern void TreatServer(const Delivery *delivery, const Disposition *disposition);

/* If the time to back off is over, ends the wait: the next mail is sent alone, as a probe. */
extern void EndBackoff(void);

/* Returns until when no mail goes to the server; 0 if the worker does not back off. */
extern MonotonicTime BackoffUntil(void);

/* Returns true if the next mail is sent alone, as a probe. */
extern bool IsProbing(void);

/*
 * Call this when an operator requests a retry. The worker then tries at once what it waits for (a
 * mail server, recipients, its own tables). A request that comes too soon after another one is
 * granted some seconds later.
 */
extern void RetryNow(void);

/* Allows one more connection if the server has refused one some time ago. */
extern void TryMoreConnections(void);

#endif

/*
 * worker_outbox.h - holds composed mails: those that are ready, and those that the SMTP pool has
 * (in flight).
 */
#ifndef RHESIS_WORKER_OUTBOX_H
#define RHESIS_WORKER_OUTBOX_H

#include "delivery/delivery.h"
#include "smtp/smtp.h"

/*
 * Rows are claimed and recorded in batches of four for each connection. Each batch is a statement
 * and a commit, so batches are large. But the worker talks to no mail server while it works on a
 * batch. So the size has a limit: otherwise 256 connections to a distant server would be idle
 * meanwhile.
 */
#define BATCH_PER_CONNECTION 4
#define LARGEST_BATCH 64

/* Opens the pool with the options of the settings. Returns NULL, or why it was not opened. */
extern const char *OpenPool(void);

/* Returns the pool; NULL if mail is off. */
extern SmtpPool *MailPool(void);

/* Returns how many rows are claimed and recorded together while there is enough to do. */
extern int BatchSize(void);

extern void AppendReady(Delivery *delivery);

/* Removes the first ready mail and returns it; NULL if no mail is ready. */
extern Delivery *TakeReady(void);
extern int ReadyCount(void);

/* Gives the mail to the pool. From now on the mail server may have seen it. */
extern void SubmitToPool(Delivery *delivery);

/* Call this when the pool has finished the mail or returned it. */
extern void NoteBackFromPool(const Delivery *delivery);
extern int InFlightCount(void);

/* Returns true if a probe is in flight. */
extern bool ProbeIsOut(void);

/*
 * Removes a delivery that is ready, or of whose mail the pool has not written a byte yet, and
 * returns it. Returns NULL if there are no more.
 */
extern Delivery *TakeUnsent(void);

#endif

/*
 * worker_outbox.h - composed mails: those that are ready, and those that the SMTP pool has (in
 * flight).
 */
#ifndef RHESIS_WORKER_OUTBOX_H
#define RHESIS_WORKER_OUTBOX_H

#include "delivery/delivery.h"
#include "smtp/smtp.h"

/*
 * Rows are claimed and recorded in batches of four for each connection. Each batch is a statement
 * and a commit, so batches are large. But the worker talks to no mail server meanwhile, so there is
 * a limit: 256 connections to a server far away would wait for each other.
 */
#define BATCH_PER_CONNECTION 4
#define LARGEST_BATCH 64

/* Open the pool by the settings. Returns NULL, or what is wrong with them. */
extern const char *OpenPool(void);

/* NULL: mail is off. */
extern SmtpPool *MailPool(void);

/* So many rows are claimed and recorded together while there is enough to do. */
extern int BatchSize(void);

extern void AppendReady(Delivery *delivery);

/* NULL: no mail is ready. */
extern Delivery *TakeReady(void);
extern int ReadyCount(void);

/* The mail goes to the pool. From here on the mail server may learn of it. */
extern void SubmitToPool(Delivery *delivery);

/* The mail is back from the pool. */
extern void NoteBackFromPool(const Delivery *delivery);
extern int InFlightCount(void);

/* Is a mail in flight that goes first to a server that was in trouble? */
extern bool ProbeIsOut(void);

/*
 * Take a delivery that is ready, or of whose mail the pool has not written a byte yet. NULL: there
 * are no more.
 */
extern Delivery *TakeUnsent(void);

#endif

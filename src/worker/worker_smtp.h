/*
 * worker_smtp.h - the worker's side of SMTP: hands mails to the pool and takes outcomes back.
 */
#ifndef RHESIS_WORKER_SMTP_H
#define RHESIS_WORKER_SMTP_H

/* Make progress and collect outcomes. */
extern void RunSmtp(void);

/* Hand ready mails to the pool, as the pace allows; returns the microseconds until the next may follow. */
extern int64 SubmitReady(void);

#endif

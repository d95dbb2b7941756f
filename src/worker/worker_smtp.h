/*
 * worker_smtp.h - the worker's side of SMTP: hands mails to the pool and takes outcomes back.
 */
#ifndef RHESIS_WORKER_SMTP_H
#define RHESIS_WORKER_SMTP_H

/* Make progress, and collect outcomes. */
extern void RunSmtp(void);

/*
 * Hand ready mails to the pool, as fast as the pace allows. Returns the microseconds until the next
 * mail may follow.
 */
extern int64 SubmitReady(void);

#endif

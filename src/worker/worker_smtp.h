/*
 * worker_smtp.h - gives mails to the SMTP pool and takes their outcomes back.
 */
#ifndef RHESIS_WORKER_SMTP_H
#define RHESIS_WORKER_SMTP_H

/*
 * Lets the pool make all progress that is possible without waiting, and settles the mails that it
 * has finished.
 */
extern void RunSmtp(void);

/*
 * Gives ready mails to the pool, as fast as the pace allows. Returns in how many microseconds the
 * pace allows the next mail; 0 if the pace does not prevent it.
 */
extern int64 SubmitReady(void);

#endif

/*
 * delivery_log.h - the log lines about deliveries
 *
 * Do not change their words: people search for them.
 */
#ifndef RHESIS_DELIVERY_LOG_H
#define RHESIS_DELIVERY_LOG_H

#include "smtp/smtp_event.h"

/* Returns the server's reply, or else what happened and at which stage. Printable, palloc'd. */
extern char *EventInOneLine(const SmtpEvent *event);

/* Logs that a mail was sent (level LOG), if rhesis_notify.log_deliveries is on. */
extern void LogMailSent(const char *address, const char *task_id);

/* Logs that a mail was not sent (level WARNING). detail and hint may be NULL. */
extern void
LogMailFailed(const char *address, const char *reason, const char *detail, const char *hint);

#endif

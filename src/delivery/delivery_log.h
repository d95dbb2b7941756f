/*
 * delivery_log.h - the log lines about deliveries
 *
 * Do not change their words: people search for them.
 */
#ifndef RHESIS_DELIVERY_LOG_H
#define RHESIS_DELIVERY_LOG_H

#include "smtp/smtp_event.h"

/* Replaces line breaks and control characters by '?': no value can forge a log line. palloc'd. */
extern char *OneLine(const char *text);

/* The server's reply, or else what happened and at which stage: printable, palloc'd. */
extern char *EventInOneLine(const SmtpEvent *event);

/* LOG, if rhesis_notify.log_deliveries is on. */
extern void LogMailSent(const char *address, const char *task_id);

/* WARNING. The detail and the hint can be NULL. */
extern void
LogMailFailed(const char *address, const char *reason, const char *detail, const char *hint);

#endif

/*
 * delivery_log.h - the log lines about deliveries, in the fixed words of the interface: what people grep for.
 */
#ifndef RHESIS_DELIVERY_LOG_H
#define RHESIS_DELIVERY_LOG_H

#include "smtp/smtp_event.h"

/* Line breaks and control characters become '?', so that no value can forge a log line. palloc'd. */
extern char *OneLine(const char *text);

/* What the server said, or what happened and where instead: printable, palloc'd. */
extern char *EventInOneLine(const SmtpEvent *event);

/* LOG, where rhesis_notify.log_deliveries is on. */
extern void LogMailSent(const char *address, const char *task_id);

/* WARNING, with an optional DETAIL and HINT. */
extern void
LogMailFailed(const char *address, const char *reason, const char *detail, const char *hint);

#endif

/*
 * smtp_hint.h - what a person can do about a mail server's trouble: for check_smtp(), health(), explain() and the log.
 */
#ifndef RHESIS_SMTP_HINT_H
#define RHESIS_SMTP_HINT_H

#include "policy/outcome.h"

/* Constant, full sentences; NULL: none is known. They quote nothing that the server said. */
extern const char *SmtpHint(const SmtpEvent *event, const Outcome *outcome);

#endif

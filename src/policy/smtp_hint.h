/*
 * smtp_hint.h - what a person can do about a problem with the mail server
 *
 * For check_smtp(), health(), explain() and the log.
 */
#ifndef RHESIS_SMTP_HINT_H
#define RHESIS_SMTP_HINT_H

#include "policy/outcome.h"

/* Constant, full sentences that quote nothing of the reply; NULL: no hint is known. */
extern const char *SmtpHint(const SmtpEvent *event, const Outcome *outcome);

#endif

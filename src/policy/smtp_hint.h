/*
 * smtp_hint.h - what a person can do about a problem with the mail server
 *
 * For check_smtp(), health(), explain() and the log.
 */
#ifndef RHESIS_SMTP_HINT_H
#define RHESIS_SMTP_HINT_H

#include "policy/outcome.h"

/*
 * Returns what a person can do, in full sentences, constant; NULL if no hint is known. The hint
 * quotes nothing of the reply.
 */
extern const char *SmtpHint(const SmtpEvent *event, const Outcome *outcome);

#endif

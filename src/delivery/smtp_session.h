/*
 * smtp_session.h - SMTP in a user's own session: one mail or one probe, waited for interruptibly.
 */
#ifndef RHESIS_SMTP_SESSION_H
#define RHESIS_SMTP_SESSION_H

#include "smtp/smtp.h"

/*
 * Send one mail over a connection of its own and wait for the outcome, which is then in mail->event until SmtpMailClear. NULL,
 * or what kept it from being tried (palloc'd or static). Can be cancelled.
 */
extern const char *SendInSession(SmtpMail *mail);

/* Go through the steps up to RCPT TO. NULL, or what kept it from being tried. Can be cancelled. */
extern const char *ProbeInSession(const char *sender, const char *recipient, SmtpProbe *probe);

#endif

/*
 * smtp_session.h - SMTP in a user's session: sends one mail, or probes the server once
 */
#ifndef RHESIS_SMTP_SESSION_H
#define RHESIS_SMTP_SESSION_H

#include "smtp/smtp.h"

/*
 * Sends one mail over a connection of its own, and waits for the event. Returns NULL when the event
 * is in mail->event, where it stays until SmtpMailClear(). If the mail was not tried, returns why
 * (palloc'd or static). The user can cancel the wait.
 */
extern const char *SendInSession(SmtpMail *mail);

/*
 * Tries the steps of a mail up to RCPT TO, and fills in *probe. Returns NULL, or, if nothing was
 * tried, why. The user can cancel the wait.
 */
extern const char *ProbeInSession(const char *sender, const char *recipient, SmtpProbe *probe);

#endif

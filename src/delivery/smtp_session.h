/*
 * smtp_session.h - SMTP in a user's session: sends one mail, or probes the server once
 */
#ifndef RHESIS_SMTP_SESSION_H
#define RHESIS_SMTP_SESSION_H

#include "smtp/smtp.h"

/*
 * Sends one mail over a connection of its own, and waits. Returns NULL when the event is in
 * mail->event, where it stays until SmtpMailClear(). Else returns why the mail was not tried
 * (palloc'd or static). The user can cancel the wait.
 */
extern const char *SendInSession(SmtpMail *mail);

/* Probes the steps up to RCPT TO. Returns NULL, or why it was not tried. The user can cancel it. */
extern const char *ProbeInSession(const char *sender, const char *recipient, SmtpProbe *probe);

#endif

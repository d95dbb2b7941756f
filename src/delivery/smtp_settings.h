/*
 * smtp_settings.h - the settings as options of the SMTP client.
 */
#ifndef RHESIS_SMTP_SETTINGS_H
#define RHESIS_SMTP_SETTINGS_H

#include "smtp/smtp.h"

/* What keeps mail from being sent, in words for the log (static); NULL: the settings are complete. */
extern const char *SmtpSettingsProblem(void);

/* Everything but the password; strings are the settings' own. */
extern void SmtpOptionsFromSettings(SmtpOptions *options);

#endif

/*
 * smtp_settings.h - the settings as options of the SMTP client.
 */
#ifndef RHESIS_SMTP_SETTINGS_H
#define RHESIS_SMTP_SETTINGS_H

#include "smtp/smtp.h"

/*
 * Returns why no mail can be sent, as text for the log (static); NULL if the settings are complete.
 */
extern const char *SmtpSettingsProblem(void);

/* Fills in all but the password. The strings belong to the settings. */
extern void SmtpOptionsFromSettings(SmtpOptions *options);

#endif

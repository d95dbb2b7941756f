/*
 * smtp_settings.h - turns the settings into options of the SMTP client.
 */
#ifndef RHESIS_SMTP_SETTINGS_H
#define RHESIS_SMTP_SETTINGS_H

#include "smtp/smtp.h"

/*
 * Returns why no mail can be sent with these settings, as static text for the log; NULL if they are
 * complete.
 */
extern const char *SmtpSettingsProblem(void);

/* Fills in all options but the password. The strings belong to the settings. */
extern void SmtpOptionsFromSettings(SmtpOptions *options);

#endif

/*
 * settings_password.h - the SMTP password: where it is kept and how it is read.
 */
#ifndef RHESIS_SETTINGS_PASSWORD_H
#define RHESIS_SETTINGS_PASSWORD_H

extern void DefinePasswordSettings(void);

/* Returns true if a password, or a file to read it from, is set somewhere. */
extern bool PasswordIsConfigured(void);

/*
 * Returns the password, palloc'd: the file's first line, which is read now, else the setting, else
 * the environment's; NULL if there is none. Give it to ForgetPassword() after use. If the file
 * cannot be used, returns NULL and sets *problem, palloc'd.
 */
extern char *ReadSmtpPassword(char **problem);

/* Wipes and frees a password. NULL is allowed. */
extern void ForgetPassword(char *password);

#endif

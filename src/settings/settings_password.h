/*
 * settings_password.h - the SMTP password: where it is kept and how it is read.
 */
#ifndef RHESIS_SETTINGS_PASSWORD_H
#define RHESIS_SETTINGS_PASSWORD_H

extern void DefinePasswordSettings(void);

/* A password, or a file to read it from, is set somewhere. */
extern bool PasswordIsConfigured(void);

/*
 * The password: the mounted file's first line (read now), else the setting, else the environment's; NULL when there is
 * none. palloc'd; give it to ForgetPassword when done. *problem is set (palloc'd) if the file can't be used.
 */
extern char *ReadSmtpPassword(char **problem);

/* Wipe and free; NULL is fine. */
extern void ForgetPassword(char *password);

#endif

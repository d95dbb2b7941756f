/*
 * settings_environment.h - defaults of settings from the server's environment.
 */
#ifndef RHESIS_SETTINGS_ENVIRONMENT_H
#define RHESIS_SETTINGS_ENVIRONMENT_H

#include "utils/guc.h"

/*
 * Returns the value of the environment variable if check accepts it, and builtin if the variable is
 * not set or empty. If check refuses the value, warns with the reason, and returns builtin.
 */
extern char *
EnvironmentDefault(const char *variable, const char *builtin, GucStringCheckHook check);

/* As EnvironmentDefault(), for SMTP_PORT, which must be a number from 1 to 65535. */
extern int EnvironmentPort(int builtin);

#endif

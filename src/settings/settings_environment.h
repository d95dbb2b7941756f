/*
 * settings_environment.h - defaults of settings from the server's environment.
 */
#ifndef RHESIS_SETTINGS_ENVIRONMENT_H
#define RHESIS_SETTINGS_ENVIRONMENT_H

#include "utils/guc.h"

/*
 * Returns the environment variable's value if the setting would accept it. Else warns, with the
 * reason, and returns the built-in default.
 */
extern char *
EnvironmentDefault(const char *variable, const char *builtin, GucStringCheckHook check);

/* The same for SMTP_PORT. */
extern int EnvironmentPort(int builtin);

#endif

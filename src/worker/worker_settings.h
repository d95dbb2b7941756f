/*
 * worker_settings.h - the settings of a worker's session, whatever is set for the application.
 */
#ifndef RHESIS_WORKER_SETTINGS_H
#define RHESIS_WORKER_SETTINGS_H

/*
 * Call this before the connection is made. It remembers the settings of the server's configuration,
 * and pins those that could end the connection.
 */
extern void RememberServerSettings(void);

/*
 * Call this after the connection is made. It undoes what ALTER DATABASE and ALTER ROLE have
 * changed, and pins the settings that the worker relies on.
 */
extern void PinSettings(void);

extern void PinSetting(const char *name, const char *value);

#endif

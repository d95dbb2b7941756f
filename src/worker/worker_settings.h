/*
 * worker_settings.h - the settings that a worker's session runs with, whatever is set for the app.
 */
#ifndef RHESIS_WORKER_SETTINGS_H
#define RHESIS_WORKER_SETTINGS_H

/*
 * Call this before the connection is made. It remembers the settings of the server's configuration, and pins those that
 * could end the connection.
 */
extern void RememberServerSettings(void);

/* After the connection: undo what ALTER DATABASE and ALTER ROLE changed, and pin what the worker relies on. */
extern void PinSettings(void);

extern void PinSetting(const char *name, const char *value);

#endif

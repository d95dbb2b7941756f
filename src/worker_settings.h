/*
 * worker_settings.h - the settings that a worker's session runs with, whatever is set for the app.
 */
#ifndef RHESIS_WORKER_SETTINGS_H
#define RHESIS_WORKER_SETTINGS_H

/* Before the connection: remember what the server's configuration says, and keep what the connection itself needs. */
extern void RememberServerSettings(void);

/* After the connection: undo what ALTER DATABASE and ALTER ROLE changed, and pin what the worker relies on. */
extern void PinSettings(void);

extern void PinSetting(const char *name, const char *value);

#endif

/*
 * worker_settings.h - protects a worker's session from settings that are meant for the application.
 */
#ifndef RHESIS_WORKER_SETTINGS_H
#define RHESIS_WORKER_SETTINGS_H

/*
 * Call this before the connection is made. Remembers the settings of the server's configuration,
 * and pins those that could end the connection.
 */
extern void RememberServerSettings(void);

/*
 * Call this after the connection is made. Undoes what ALTER DATABASE and ALTER ROLE have changed,
 * and pins the settings that the worker relies on.
 */
extern void PinSettings(void);

#endif

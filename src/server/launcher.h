/*
 * launcher.h - finds databases that have the extension, and keeps workers running in them.
 */
#ifndef RHESIS_LAUNCHER_H
#define RHESIS_LAUNCHER_H

#include "postgres.h"

/* Register the launcher with the postmaster; for _PG_init. */
extern void RegisterLauncher(void);

extern PGDLLEXPORT void RhesisLauncherMain(Datum argument);

#endif

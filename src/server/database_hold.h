/*
 * database_hold.h - makes workers leave a database that a session works on as a whole.
 */
#ifndef RHESIS_DATABASE_HOLD_H
#define RHESIS_DATABASE_HOLD_H

/* Install the hooks; for _PG_init. */
extern void HoldDatabases(void);

/* Returns true if a live session holds this database. No worker is started in it then. */
extern bool DatabaseIsHeld(Oid database);

#endif

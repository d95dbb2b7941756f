/*
 * database_hold.h - makes workers leave a database that a session works on as a whole.
 */
#ifndef RHESIS_DATABASE_HOLD_H
#define RHESIS_DATABASE_HOLD_H

/* Install the hooks; for _PG_init. */
extern void HoldDatabases(void);

/* Does a live session hold this database? No worker is started in it then. */
extern bool DatabaseIsHeld(Oid database);

#endif

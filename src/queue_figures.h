/*
 * queue_figures.h - the queue in figures, and what its tables need of the server, for health() and metrics().
 *
 * All are read with indexes: what they cost grows with what waits; of what is finished only the failures of the last hour are counted.
 */
#ifndef RHESIS_QUEUE_FIGURES_H
#define RHESIS_QUEUE_FIGURES_H

#include "datatype/timestamp.h"

typedef struct QueueFigures
{
	int64 pending;
	int64 deferred;
	int64 due; /* of those two */
	int64 sending;
	int64 held;
	TimestampTz due_since;	  /* when the oldest of what is due has become so; 0: nothing is */
	TimestampTz paused_since; /* 0: this database is not paused */
	char *paused_by;
} QueueFigures;

/* Of the last hour. */
typedef struct QueueFailures
{
	int64 failed;
	int64 ended; /* failed or sent */
} QueueFailures;

/* Of the extension's tables that grow: the notifications and their events. */
typedef struct TableFigures
{
	bool is_vacuumed; /* autovacuum is on for them */
	int64 live_rows;  /* as the statistics have them */
	int64 dead_rows;
	TimestampTz
		vacuumed_at;	 /* by autovacuum or by hand, the table where it is longest ago; 0: never */
	int64 frozen_age;	 /* the greatest of all the extension's tables, in transactions ... */
	int64 multixact_age; /* ... and in multixacts */
} TableFigures;

typedef struct InstalledVersions
{
	char *objects; /* pg_extension's */
	char *files;   /* of the control file; NULL: it can't be read */
} InstalledVersions;

/* As the current user, in the open transaction; strings are palloc'd in context. */
extern void ReadQueueFigures(MemoryContext context, QueueFigures *figures);
extern void ReadQueueFailures(QueueFailures *failures);
extern void ReadTableFigures(TableFigures *figures);
extern void ReadInstalledVersions(MemoryContext context, InstalledVersions *versions);

#endif

/*
 * queue_figures.h - the queue in figures, and what its tables need of the server, for health() and metrics().
 *
 * They are read every few seconds, on queues of any length. So all is read with indexes: what is due, however much, from its
 * index alone; where the rows themselves have to be looked at, at most MOST_COUNTED of them are.
 */
#ifndef RHESIS_QUEUE_FIGURES_H
#define RHESIS_QUEUE_FIGURES_H

#include "datatype/timestamp.h"

#define MOST_COUNTED 100000

typedef struct QueueFigures
{
	/* Of the first MOST_COUNTED that are not finished, in the order in which they are worked off; but what is held is counted whole. */
	int64 pending;
	int64 deferred;
	int64 sending;
	int64 held;
	int64 due;				  /* all that is pending or deferred and should be sent now */
	TimestampTz due_since;	  /* when the oldest of what is due has become so; 0: nothing is */
	TimestampTz paused_since; /* 0: this database is not paused */
	char *paused_by;
} QueueFigures;

/* Of the last hour; of the last MOST_COUNTED notifications that have ended, where that were more. */
typedef struct QueueFailures
{
	int64 failed;
	int64 ended;	   /* failed or sent */
	TimestampTz since; /* the hour's begin, or of the first of those that were counted */
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
	char *unfrozen; /* those that autovacuum should have frozen, as VACUUM takes them; NULL: none */
} TableFigures;

typedef struct InstalledVersions
{
	char *objects; /* pg_extension's */
	char *files;   /* of the control file; NULL: it can't be read */
} InstalledVersions;

/* As the current user, in the open transaction; strings are palloc'd in context. */
extern void ReadQueueFigures(MemoryContext context, QueueFigures *figures);
extern void ReadQueueFailures(QueueFailures *failures);
extern void ReadTableFigures(MemoryContext context, TableFigures *figures);

/* Which sequences are behind the ids of their tables, in words, and the calls that mend it; NULL: none is. */
extern char *ReadSequenceLags(MemoryContext context, char **advice);

extern void ReadInstalledVersions(MemoryContext context, InstalledVersions *versions);

#endif

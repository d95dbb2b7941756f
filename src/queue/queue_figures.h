/*
 * queue_figures.h - the queue in figures, and the vacuum state of its tables, for health() and
 * metrics().
 *
 * Monitoring reads these figures every few seconds, on queues of any length. So every statement
 * uses indexes. The due rows are counted in their index alone. Held rows are all read, through an
 * index. Of other rows at most MOST_COUNTED are read.
 */
#ifndef RHESIS_QUEUE_FIGURES_H
#define RHESIS_QUEUE_FIGURES_H

#include "datatype/timestamp.h"

#define MOST_COUNTED 100000

typedef struct QueueFigures
{
	/*
	 * The first three count only the first MOST_COUNTED unfinished notifications, in the order of
	 * the queue. Held ones are all counted.
	 */
	int64 pending;
	int64 deferred;
	int64 sending;
	int64 held;
	int64 due;				  /* all that are pending or deferred and due now */
	TimestampTz due_since;	  /* when the first of them became due; 0: there is none */
	TimestampTz paused_since; /* 0: this database is not paused */
	char *paused_by;
} QueueFigures;

/*
 * Counts of the notifications that became final in the last hour: of the last MOST_COUNTED of them,
 * if there are more.
 */
typedef struct QueueFailures
{
	int64 failed;
	int64 ended;	   /* failed or sent */
	TimestampTz since; /* the beginning of the hour, or when the first one counted became final */
} QueueFailures;

/* About the extension's tables that grow: the notifications and their events. */
typedef struct TableFigures
{
	bool is_vacuumed; /* autovacuum is on for them */
	int64 live_rows;  /* by the statistics */
	int64 dead_rows;
	TimestampTz vacuumed_at; /* the earlier of both tables' last vacuums; 0: none was vacuumed */
	int64 frozen_age;	 /* the greatest age of all the extension's tables, in transactions ... */
	int64 multixact_age; /* ... and in multixacts */
	char *unfrozen;		 /* tables that autovacuum should have frozen, for VACUUM; NULL: none */
} TableFigures;

typedef struct InstalledVersions
{
	char *objects; /* the version in pg_extension */
	char *files;   /* the version in the control file; NULL: it cannot be read */
} InstalledVersions;

/*
 * These functions read as the current user, in the open transaction. Strings are palloc'd in
 * context.
 */
extern void ReadQueueFigures(MemoryContext context, QueueFigures *figures);
extern void ReadQueueFailures(QueueFailures *failures);
extern void ReadTableFigures(MemoryContext context, TableFigures *figures);

/*
 * Returns, in words, which sequences are behind the ids of their tables, and sets *advice to the
 * calls that correct that. Returns NULL, and sets *advice to NULL, if there is no such sequence.
 */
extern char *ReadSequenceLags(MemoryContext context, char **advice);

extern void ReadInstalledVersions(MemoryContext context, InstalledVersions *versions);

#endif

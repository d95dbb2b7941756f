/*
 * shared_state.h - what the processes of rhesis_notify know of each other.
 *
 * One slot per worker: a database and a number in it. A slot is given out by the launcher and keeps its counters when its
 * process ends and another takes its place. Shared memory holds process numbers and counters, never pointers, descriptors or
 * latches: a number that has become stale wakes some other process for nothing, and that is all it can do.
 */
#ifndef RHESIS_SHARED_STATE_H
#define RHESIS_SHARED_STATE_H

#include "base/monotonic.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/s_lock.h"
#include "datatype/timestamp.h"

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_IDLE,	   /* belongs to a database, no process */
	SLOT_STARTING, /* a process was asked for */
	SLOT_RUNNING
} SlotState;

/* Why a worker ended, for the launcher to decide what comes next. */
typedef enum WorkerExitReason
{
	EXIT_REASON_NONE,		  /* it was killed, or failed: again, with backoff */
	EXIT_REASON_TERMINATED,	  /* by SIGTERM: again, after a moment */
	EXIT_REASON_RELOAD,		  /* settings have changed: again, at once */
	EXIT_REASON_NO_EXTENSION, /* the database does not have the extension */
	EXIT_REASON_MISFIT,		  /* library and SQL objects do not fit: not before something changes */
	EXIT_REASON_SURPLUS		  /* fewer workers are wanted */
} WorkerExitReason;

typedef enum WorkerActivity
{
	WORKER_STARTING,
	WORKER_IDLE,
	WORKER_SENDING,
	WORKER_LOOKING_UP, /* recipients, for longer than usual */
	WORKER_PAUSED,	   /* from here on to WORKER_IN_TROUBLE it can't claim what comes in */
	WORKER_IN_COPY,	   /* its database is a copy of another one: it mails and decides nothing */
	WORKER_MAIL_OFF,
	WORKER_BACKING_OFF,
	WORKER_WAITING_FOR_RECIPIENTS,
	WORKER_IN_TROUBLE,			/* a statement of ours failed; it is tried again after a while */
	WORKER_WAITING_FOR_STANDBY, /* of a copy alone: the worker can show nothing meanwhile */
	WORKER_STOPPING,
	WORKER_STOPPED
} WorkerActivity;

/* Wake requests that other processes leave in a slot. The worker clears them when it has read them. */
#define WAKE_ROWS_DUE (1 << 0) /* rows may have become due, see due_since */
#define WAKE_RELOAD \
	(1 << 1) /* settings or the extension may have changed: finish, exit, be replaced */
#define WAKE_RETRY_NOW \
	(1 << 2) /* with WAKE_ROWS_DUE, by an operator: retry now what the worker waits for */

/* What triggers, rules and constraints of an app, and foreign keys to the queue, keep a worker from. */
typedef enum RefusalKind
{
	REFUSED_CLAIM,
	REFUSED_RECORD,
	REFUSED_REMOVAL,
	REFUSAL_KINDS
} RefusalKind;

#define MAX_REFUSAL 256

typedef struct Refusal
{
	int count; /* of rows; 0: nothing is refused */
	int64 id;  /* of one of them */
	TimestampTz since;
	char text[MAX_REFUSAL];
} Refusal;

#define NO_PROCESS ((uint32) -1)
#define MAX_LAST_ERROR 512
#define MAX_HINT 256

/* How fast a database's mails leave, see pace.c. Of the slot with number 0. */
typedef struct PaceState
{
	slock_t mutex;
	Oid database;			   /* whose state it is */
	int64 next_ns;			   /* when the next mail may leave */
	TimestampTz counted_since; /* mails that left since then */
	int counted;
	double counted_rate; /* and in the second before, per second */
	double limit; /* mails per second that the server could bear at limited_at; 0: any number */
	TimestampTz limited_at;
} PaceState;

typedef struct WorkerSlot
{
	/* Guarded by the lock. */
	SlotState state;
	int number; /* 0 is the database's first worker */
	uint32 generation;
	int pid;
	WorkerExitReason exit_reason;
	WorkerActivity activity;
	TimestampTz started_at;
	TimestampTz backing_off_until; /* 0: is not */
	bool needs_person;			   /* to mend it: what it backs off for does not pass by itself */
	MonotonicTime
		looking_up_since; /* for longer than usual; 0: is not. Its worker writes it without the lock */
	TimestampTz culprit_at; /* when a row was found that had ended its worker; 0: none was */
	int64 culprit_id;
	int64 terminated_id; /* the row whose preparation alone was ended by SIGTERM last; 0: none */
	TimestampTz last_error_at;
	char last_error[MAX_LAST_ERROR];
	char hint[MAX_HINT]; /* what to do about what it backs off for; empty: not known */
	Refusal refusals[REFUSAL_KINDS];
	bool settings_problem_logged; /* the warning was logged: once is enough */
	bool copy_logged;			  /* the same */
	bool links_problem_logged;	  /* the same */
	Oid former_database; /* of a free slot: whose counters these are, worker `number`'s of it; or InvalidOid */

	/* Read and written without it. */
	pg_atomic_uint32 database;
	pg_atomic_uint32 process; /* number of its PGPROC, or NO_PROCESS */
	pg_atomic_uint32 requests;
	pg_atomic_uint64
		due_since; /* WAKE_ROWS_DUE: since when the rows are due that came in, a TimestampTz */
	pg_atomic_uint32
		wanted_workers; /* rhesis_notify.workers of the database, known by its worker 0 */
	pg_atomic_uint32 in_flight;
	pg_atomic_uint32 connections;
	pg_atomic_uint64 epoch; /* 0: none */
	pg_atomic_uint64
		standby_since; /* since when a commit waits for a synchronous standby, a TimestampTz; or 0 */
	pg_atomic_uint64 sent;
	pg_atomic_uint64 deferred;
	pg_atomic_uint64 failed;
	pg_atomic_uint64 in_doubt;
	pg_atomic_uint64
		last_sent_at; /* when it last recorded a mail as sent, a TimestampTz; 0: never */

	PaceState pace;
} WorkerSlot;

#define MAX_CHANGED_DATABASES 32
#define MAX_DATABASE_HOLDS 32

/* A session works on a whole database, see database_hold.c. */
typedef struct DatabaseHold
{
	Oid database; /* InvalidOid: free */
	int pid;
	uint32 process; /* number of the holder's PGPROC */
} DatabaseHold;

typedef struct SharedState
{
	LWLock *lock;
	pg_atomic_uint32 launcher; /* number of its PGPROC, or NO_PROCESS */

	slock_t changed_mutex; /* guards the next three */
	int changed_count;
	bool changed_overflow; /* more than there was room for: look at all */
	Oid changed[MAX_CHANGED_DATABASES];

	slock_t holds_mutex; /* guards the next one */
	DatabaseHold holds[MAX_DATABASE_HOLDS];

	int slot_count;
	WorkerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} SharedState;

/* NULL without shared_preload_libraries. */
extern SharedState *rhesis_shared;

/* Install the hooks that ask for shared memory and set it up; for _PG_init. */
extern void RequestSharedState(void);

/* That the library was not preloaded, and what to do. */
#define PRELOAD_PROBLEM "rhesis_notify must be loaded when the server starts"
#define PRELOAD_HINT                                                    \
	"Add rhesis_notify to shared_preload_libraries in postgresql.conf " \
	"(shared_preload_libraries = 'rhesis_notify'; keep what is there "  \
	"already, separated by commas) and restart the server."

/* Raise the error that says which line is missing in postgresql.conf, unless the library was preloaded. */
extern void RequirePreload(void);

/*
 * What the slots of a database (InvalidOid: of all) are at this moment, in the order of their numbers, palloc'd. Of a copy only
 * what is no lock may be used.
 */
extern WorkerSlot *CopySlots(Oid database, int *count);

extern void LockSlots(LWLockMode mode);
extern void UnlockSlots(void);

/*
 * Leave wake requests for all workers of a database (InvalidOid: of all databases), and wake the
 * workers that did not have all of them yet. With WAKE_ROWS_DUE: rows are due since the given time.
 * False: the database has no worker. Raises no error and allocates nothing: for use after commit.
 */
extern bool SendRequests(Oid database, uint32 requests, TimestampTz due_since);

/*
 * Read and clear the requests to this slot's worker. *due_since: since when rows are due that came in.
 * DT_NOEND: no row came in.
 */
extern uint32 ConsumeRequests(WorkerSlot *slot, TimestampTz *due_since);

/*
 * Call this before the slot's worker sleeps: these requests do not wake it. True: it has got another
 * request.
 */
extern bool SleepThrough(WorkerSlot *slot, uint32 requests);
extern void WakeLauncher(void);

/* Tell the launcher that the extension may have come to or left a database, or that the database is new. Never raises. */
extern void NoteChangedDatabase(Oid database);

/* Fetch and forget the noted databases; returns their number, or -1: look at all. */
extern int TakeChangedDatabases(Oid *databases);

extern const char *WorkerActivityName(WorkerActivity activity);

#endif

/*
 * shared_state.h - what the processes of rhesis_notify know of each other.
 *
 * There is one slot for each worker: a database and a number in it. The launcher assigns the slot.
 * The slot keeps its counters when its process exits and another one takes its place. Shared memory
 * holds process numbers and counters. It never holds pointers, descriptors or latches. A process
 * number that is out of date wakes another process without need, and does no other harm.
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
	SLOT_IDLE,	   /* belongs to a database, has no process */
	SLOT_STARTING, /* the launcher has asked for a process */
	SLOT_RUNNING
} SlotState;

/* Why a worker exited. From this, the launcher decides what comes next. */
typedef enum WorkerExitReason
{
	EXIT_REASON_NONE,		  /* it was killed, or failed: restart with back-off */
	EXIT_REASON_TERMINATED,	  /* by SIGTERM: restart after a moment */
	EXIT_REASON_RELOAD,		  /* settings have changed: restart at once */
	EXIT_REASON_NO_EXTENSION, /* the database does not have the extension */
	EXIT_REASON_MISFIT,		  /* library and SQL objects do not fit: wait for a change */
	EXIT_REASON_SURPLUS		  /* fewer workers are wanted */
} WorkerExitReason;

typedef enum WorkerActivity
{
	WORKER_STARTING,
	WORKER_IDLE,
	WORKER_SENDING,
	WORKER_LOOKING_UP, /* recipients, for longer than usual */
	WORKER_PAUSED,	   /* in this state and those up to WORKER_IN_TROUBLE it claims no new rows */
	WORKER_IN_COPY,	   /* its database is a copy of another one: it decides nothing */
	WORKER_MAIL_OFF,
	WORKER_BACKING_OFF,
	WORKER_WAITING_FOR_RECIPIENTS,
	WORKER_IN_TROUBLE,			/* a statement failed; it is tried again after a while */
	WORKER_WAITING_FOR_STANDBY, /* set by CopySlots alone */
	WORKER_STOPPING,
	WORKER_STOPPED
} WorkerActivity;

/*
 * Wake requests that other processes leave in a slot. The worker clears them when it has read them.
 */
#define WAKE_ROWS_DUE (1 << 0)	/* rows may have become due, see due_since */
#define WAKE_RELOAD (1 << 1)	/* settings or the extension may have changed: finish and exit */
#define WAKE_RETRY_NOW (1 << 2) /* with WAKE_ROWS_DUE, from an operator: retry now */

/*
 * What the triggers, rules and constraints of an application, and foreign keys to the queue, refuse
 * to a worker.
 */
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

/* How fast a database's mails leave, see pace.c. Only the slot with number 0 uses it. */
typedef struct PaceState
{
	slock_t mutex;
	Oid database;			   /* whose state it is */
	int64 next_ns;			   /* when the next mail may leave */
	TimestampTz counted_since; /* counted has the mails that left since then */
	int counted;
	double counted_rate; /* the rate in the second before */
	double limit;		 /* mails per second at limited_at; 0: no limit */
	TimestampTz limited_at;
} PaceState;

typedef struct WorkerSlot
{
	/* SharedState.lock guards these members. */
	SlotState state;
	int number; /* 0 is the database's first worker */
	uint32 generation;
	int pid;
	WorkerExitReason exit_reason;
	WorkerActivity activity;
	TimestampTz started_at;
	TimestampTz backing_off_until; /* 0: it is not backing off */
	bool needs_person;			   /* the cause does not pass without a person */
	MonotonicTime
		looking_up_since;	/* start of a long look-up; 0: none. The worker takes no lock for it */
	TimestampTz culprit_at; /* when a row was found that had ended its worker; 0: never */
	int64 culprit_id;
	int64 terminated_id; /* the row that was prepared alone when SIGTERM last came; 0: none */
	TimestampTz last_error_at;
	char last_error[MAX_LAST_ERROR];
	char hint[MAX_HINT]; /* what a person can do about the back-off; empty: not known */
	Refusal refusals[REFUSAL_KINDS];
	bool settings_problem_logged; /* each warning is logged once */
	bool copy_logged;
	bool links_problem_logged;
	/*
	 * Of a free slot: its counters are those of worker `number` of this database; InvalidOid: of
	 * none.
	 */
	Oid former_database;

	/* These are read and written without the lock. */
	pg_atomic_uint32 database;
	pg_atomic_uint32 process; /* number of its PGPROC, or NO_PROCESS */
	pg_atomic_uint32 requests;
	/*
	 * With WAKE_ROWS_DUE: since when the rows that came in are due, at the earliest, a TimestampTz.
	 * DT_NOEND: not known.
	 */
	pg_atomic_uint64 due_since;
	/* rhesis_notify.workers, as worker 0 of the database has it. */
	pg_atomic_uint32 wanted_workers;
	pg_atomic_uint32 in_flight;
	pg_atomic_uint32 connections;
	pg_atomic_uint64 epoch; /* 0: none */
	/* Since when a commit waits for a synchronous standby, a TimestampTz; or 0. */
	pg_atomic_uint64 standby_since;
	pg_atomic_uint64 sent;
	pg_atomic_uint64 deferred;
	pg_atomic_uint64 failed;
	pg_atomic_uint64 in_doubt;
	/* When it last recorded a mail as sent, a TimestampTz; 0: never. */
	pg_atomic_uint64 last_sent_at;

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

	slock_t changed_mutex; /* guards the next three members */
	int changed_count;
	bool changed_overflow; /* there were too many: look at all databases */
	Oid changed[MAX_CHANGED_DATABASES];

	slock_t holds_mutex; /* guards the next member */
	DatabaseHold holds[MAX_DATABASE_HOLDS];

	int slot_count;
	WorkerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} SharedState;

/* NULL without shared_preload_libraries. */
extern SharedState *rhesis_shared;

/* Install the hooks that request and set up shared memory; for _PG_init. */
extern void RequestSharedState(void);

/* What to say if the library was not preloaded: a message, and the next step. */
#define PRELOAD_PROBLEM "rhesis_notify must be loaded when the server starts"
#define PRELOAD_HINT                                                    \
	"Add rhesis_notify to shared_preload_libraries in postgresql.conf " \
	"(shared_preload_libraries = 'rhesis_notify'; keep what is there "  \
	"already, separated by commas) and restart the server."

/*
 * Raise an error if the library was not preloaded. The error tells which line postgresql.conf
 * lacks.
 */
extern void RequirePreload(void);

/*
 * Returns copies of the slots of a database (InvalidOid: of all databases), in the order of their
 * numbers, palloc'd, and sets *count. Free slots are left out. Do not use the locks in a copy.
 */
extern WorkerSlot *CopySlots(Oid database, int *count);

/* Take and release SharedState.lock. WorkerSlot says what it guards. */
extern void LockSlots(LWLockMode mode);
extern void UnlockSlots(void);

/*
 * Leave wake requests for all workers of a database (InvalidOid: of all databases), and wake the
 * workers that did not have all of them yet. With WAKE_ROWS_DUE, due_since says since when the rows
 * are due (DT_NOEND: not known). Returns false if the database has no slot. Raises no error and
 * allocates nothing: for use after a commit.
 */
extern bool SendRequests(Oid database, uint32 requests, TimestampTz due_since);

/*
 * Returns the requests to this slot's worker, and clears them. Sets *due_since to the time since
 * when rows that came in are due; to DT_NOEND if no row came in, or if that is not known.
 */
extern uint32 ConsumeRequests(WorkerSlot *slot, TimestampTz *due_since);

/*
 * Call this before the slot's worker sleeps. These requests will not wake the worker. Returns true
 * if it has got another request, and must not sleep.
 */
extern bool SleepThrough(WorkerSlot *slot, uint32 requests);
extern void WakeLauncher(void);

/*
 * Tell the launcher that something has changed in a database (InvalidOid: in any of them): the
 * extension may have come or gone, or the database is new. Raises no error.
 */
extern void NoteChangedDatabase(Oid database);

/*
 * Copy the databases that were noted to databases, which has MAX_CHANGED_DATABASES places, and
 * forget them. Returns their number; -1 if all databases may have changed.
 */
extern int TakeChangedDatabases(Oid *databases);

extern const char *WorkerActivityName(WorkerActivity activity);

#endif

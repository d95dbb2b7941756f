/*
 * worker_activity.h - what a worker does, as worker_status and pg_stat_activity show it.
 *
 * Shown when it changes, not for each mail: numbers that change with every mail are brought up to date once a second.
 */
#ifndef RHESIS_WORKER_ACTIVITY_H
#define RHESIS_WORKER_ACTIVITY_H

#include "server/shared_state.h"

/* Before the worker waits. */
extern void ShowActivity(WorkerActivity activity);

/* While a transaction runs; then ShowActivity has to show anew what the worker does. */
extern void ShowWork(const char *work);
extern void ShowWorkDone(void);

/* Around a commit: it may wait for a synchronous standby, and the process can show nothing meanwhile. */
extern void ShowCommit(void);
extern void ShowCommitDone(void);

/* The wait event of a worker that waits in this activity, where the version of PostgreSQL has named ones. */
extern uint32 ActivityWaitEvent(WorkerActivity activity);

#endif

/*
 * worker_activity.h - what a worker does, as worker_status and pg_stat_activity show it.
 *
 * It is shown when it changes, and not for each mail. Numbers that change with every mail are
 * updated once a second.
 */
#ifndef RHESIS_WORKER_ACTIVITY_H
#define RHESIS_WORKER_ACTIVITY_H

#include "server/shared_state.h"

/* Call this before the worker waits. mails: as many as it is sending. */
extern void ShowActivity(WorkerActivity activity, int mails);

/* Show the work of a transaction. After it, ShowActivity shows again what the worker does. */
extern void ShowWork(const char *work);
extern void ShowWorkDone(void);

/*
 * Call these before and after a commit. It may wait for a synchronous standby, and the process can
 * show nothing meanwhile.
 */
extern void ShowCommit(void);
extern void ShowCommitDone(void);

/*
 * The wait event of a worker that waits in this activity. From PostgreSQL 17 on, it has a name of
 * its own.
 */
extern uint32 ActivityWaitEvent(WorkerActivity activity);

#endif

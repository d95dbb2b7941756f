/*
 * worker_activity.h - shows what a worker does, in worker_status and pg_stat_activity.
 *
 * A change is shown at once. Numbers that change with every mail are updated once a second.
 */
#ifndef RHESIS_WORKER_ACTIVITY_H
#define RHESIS_WORKER_ACTIVITY_H

#include "server/shared_state.h"

/*
 * Shows what the worker does. Call this before it waits. mails is the number of mails that it is
 * sending.
 */
extern void ShowActivity(WorkerActivity activity, int mails);

/*
 * Show the work of a transaction, and its end. The next ShowActivity() shows again what the worker
 * does.
 */
extern void ShowWork(const char *work);
extern void ShowWorkDone(void);

/*
 * Call these before and after a commit. The commit may wait for a synchronous standby, and the
 * process can show nothing meanwhile.
 */
extern void ShowCommit(void);
extern void ShowCommitDone(void);

/*
 * Returns the wait event of a worker that waits in this activity. From PostgreSQL 17 on, the event
 * has a name of its own.
 */
extern uint32 ActivityWaitEvent(WorkerActivity activity);

#endif

/*
 * worker.h - the process that sends a database's mail.
 */
#ifndef RHESIS_WORKER_H
#define RHESIS_WORKER_H

/* The main function of a worker's process. The argument is the number of its slot. */
extern PGDLLEXPORT void RhesisWorkerMain(Datum argument);

#endif

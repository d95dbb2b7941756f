/*
 * worker.h - the process that sends a database's mail.
 */
#ifndef RHESIS_WORKER_H
#define RHESIS_WORKER_H

extern PGDLLEXPORT void RhesisWorkerMain(Datum argument);

#endif

/*
 * foreign_sockets.h - ends a look-up that waits for another server (dblink, postgres_fdw) in code
 * that ignores interrupts.
 */
#ifndef RHESIS_FOREIGN_SOCKETS_H
#define RHESIS_FOREIGN_SOCKETS_H

/* Call this at a worker's start: the sockets that the process has now are never shut down. */
extern void SpareSockets(void);

/*
 * Shuts down the connections to other database servers that look-ups have opened in this worker. A
 * call that waits for such a connection then finds it closed. For signal handlers.
 */
extern void CutForeignSockets(void);

#endif

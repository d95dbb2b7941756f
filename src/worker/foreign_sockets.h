/*
 * foreign_sockets.h - wakes a relation that waits for another server's answer where PostgreSQL does not look for interrupts.
 */
#ifndef RHESIS_FOREIGN_SOCKETS_H
#define RHESIS_FOREIGN_SOCKETS_H

/* The sockets that this process has now are never cut. For a worker's start. */
extern void SpareSockets(void);

/*
 * Shut down the connections to other database servers that look-ups have opened in this process, a worker. A call that waits for
 * one of them finds it closed. For signal handlers.
 */
extern void CutForeignSockets(void);

#endif

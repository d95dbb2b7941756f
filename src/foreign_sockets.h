/*
 * foreign_sockets.h - wakes a relation that waits for another server's answer where PostgreSQL does not look for interrupts.
 */
#ifndef RHESIS_FOREIGN_SOCKETS_H
#define RHESIS_FOREIGN_SOCKETS_H

/*
 * Shut down every connection to another process that this one has, but for those to the mail server. For a worker, in a signal
 * handler: whoever waits for such a connection finds it closed.
 */
extern void CutForeignSockets(void);

#endif

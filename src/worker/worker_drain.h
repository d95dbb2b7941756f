/*
 * worker_drain.h - draining: a worker that is to be replaced begins nothing new, waits for the
 * mails on the wire, records their outcomes, and exits.
 */
#ifndef RHESIS_WORKER_DRAIN_H
#define RHESIS_WORKER_DRAIN_H

#include "base/monotonic.h"

extern void StartDrain(void);

/* Continues with all work, because an outcome has to be recorded first, and that may take long. */
extern void StopDrain(void);
extern bool IsDraining(void);

/*
 * Returns when the worker closes the connections on which no mail awaits the reply to its final
 * dot.
 */
extern MonotonicTime DrainUntil(void);

#endif

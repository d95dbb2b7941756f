/*
 * worker_drain.h - a worker that is to be replaced drains: it finishes what is on its way, and
 * exits.
 */
#ifndef RHESIS_WORKER_DRAIN_H
#define RHESIS_WORKER_DRAIN_H

#include "base/monotonic.h"

extern void StartDrain(void);

/* Go on with all work: something has to be recorded first, and that may take long. */
extern void StopDrain(void);
extern bool IsDraining(void);

/* When connections are cut on which no mail awaits the reply to its final dot. */
extern MonotonicTime DrainUntil(void);

#endif

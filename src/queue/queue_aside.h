/*
 * queue_aside.h - rows that could not be claimed, and when each is tried again.
 *
 * A trigger or constraint of an app fails for such a row. It is left out of claims for a while, so that it does not fail those of
 * others. Only this process knows it.
 */
#ifndef RHESIS_QUEUE_ASIDE_H
#define RHESIS_QUEUE_ASIDE_H

#include "datatype/timestamp.h"

extern int AsideCount(void);

/* When the first of them is to be tried again; DT_NOEND: there is none. */
extern TimestampTz AsideUntil(void);

/* It failed, again or for the first time; for a short while, if that may be the server's. False: there are too many. */
extern bool SetAside(int64 id, TimestampTz now, bool briefly);

extern void TakeFromAside(int64 id);

/* Those whose time has come but were not tried are none any more: finished, deleted, or not due. */
extern void ForgetUntried(TimestampTz now);

/* They may be tried at once: triggers or constraints have changed. */
extern void TryAsideAtOnce(void);

/* Their ids as a bigint[]: all, or those whose time has not come. */
extern Datum AllAside(void);
extern Datum StillAside(TimestampTz now);

#endif

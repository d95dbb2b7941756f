/*
 * pace.h - rhesis_notify.max_rate, kept by all workers of a database together.
 */
#ifndef RHESIS_PACE_H
#define RHESIS_PACE_H

#include "datatype/timestamp.h"

/*
 * May a mail leave now, at so many per second? Returns 0 and takes its place in the sequence, or the microseconds to wait before
 * asking again. A rate of 0 knows no wait.
 */
extern int64 PaceNext(Oid database, double rate, TimestampTz now);

#endif

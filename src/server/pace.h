/*
 * pace.h - how fast a database's mails leave: rhesis_notify.max_rate, and what the mail server can bear.
 */
#ifndef RHESIS_PACE_H
#define RHESIS_PACE_H

#include "datatype/timestamp.h"

/*
 * May a mail leave now, at so many per second (0: any number) and no faster than the server bears? Returns 0 and takes its place
 * in the sequence, or the microseconds to wait before asking again.
 */
extern int64 PaceNext(Oid database, double rate, TimestampTz now);

/*
 * The server has said "slow down": from now on half as many mails a second as there were. Returns how many that is, or 0: it
 * was said a moment ago already, of mails that were on their way.
 */
extern double PaceSlowDown(Oid database, double rate, TimestampTz now);

/* How many mails a second may leave now, at this rate (0: any number) and no faster than the server bears. 0: any number. */
extern double PaceLimit(Oid database, double rate, TimestampTz now);

#endif

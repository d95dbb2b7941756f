/*
 * pace.h - how fast a database's mails leave: rhesis_notify.max_rate, and what the mail server can
 * bear.
 */
#ifndef RHESIS_PACE_H
#define RHESIS_PACE_H

#include "datatype/timestamp.h"

/*
 * May a mail leave now, at so many mails per second (0: any number), and no faster than the server
 * can bear? Returns 0 and takes a place in the sequence, or the microseconds to wait before the
 * next call.
 */
extern int64 PaceNext(Oid database, double rate, TimestampTz now);

/*
 * The server has asked for a slower pace: from now on half as many mails leave per second. Returns
 * how many that is. 0: the server has asked a moment ago already, about mails that were on their
 * way.
 */
extern double PaceSlowDown(Oid database, double rate, TimestampTz now);

/*
 * How many mails per second may leave now, at this rate (0: any number), and no faster than the
 * server can bear. 0: any number.
 */
extern double PaceLimit(Oid database, double rate, TimestampTz now);

#endif

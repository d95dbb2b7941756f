/*
 * pace.h - how fast a database's mails leave: rhesis_notify.max_rate, and what the mail server can
 * bear.
 */
#ifndef RHESIS_PACE_H
#define RHESIS_PACE_H

#include "datatype/timestamp.h"

/*
 * Returns 0 if a mail may leave now, at rate mails per second (0: any number) and no faster than
 * the server can bear, and counts that mail. Otherwise returns the microseconds to wait before the
 * next call.
 */
extern int64 PaceNext(Oid database, double rate, TimestampTz now);

/*
 * Halves the pace, but not below one mail per second, because the server has asked for a slower
 * one. Returns how many mails per second may leave from now on. Returns 0, and changes nothing, if
 * the pace was halved less than a second ago: the server means mails that left before that. Also
 * returns 0 if the database has no first worker.
 */
extern double PaceSlowDown(Oid database, double rate, TimestampTz now);

/*
 * Returns how many mails per second may leave now, at this rate (0: any number) and no faster than
 * the server can bear; 0 if any number may leave.
 */
extern double PaceLimit(Oid database, double rate, TimestampTz now);

#endif

/*
 * time_text.h - times as an operator reads them: to the second, and how far away they are.
 */
#ifndef RHESIS_TIME_TEXT_H
#define RHESIS_TIME_TEXT_H

#include "datatype/timestamp.h"

/* Returns "45s", "2m 45s", "1h 3m" or "5d 2h", palloc'd; "0s" for a negative time. */
extern char *SpanText(int64 microseconds);

/*
 * Returns "2026-11-25 01:02:03+00 (3m 20s ago)", or "(in 20s)" for a future time, in the session's
 * time zone and style; palloc'd.
 */
extern char *TimeText(TimestampTz time);

/*
 * Returns the time plus the seconds; infinity or -infinity if the sum is out of range, which is
 * possible because a row may have any time.
 */
extern TimestampTz TimePlusSeconds(TimestampTz time, int64 seconds);
/* Returns to minus from; the largest or the smallest number if the difference is out of range. */
extern int64 MicrosecondsBetween(TimestampTz from, TimestampTz to);

#endif

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

/* A row may have any time. If a result is out of range, it is infinity, or the largest number. */
extern TimestampTz TimePlusSeconds(TimestampTz time, int64 seconds);
extern int64 MicrosecondsBetween(TimestampTz from, TimestampTz to);

#endif

/*
 * time_text.h - times as an operator reads them: to the second, and how far away they are.
 */
#ifndef RHESIS_TIME_TEXT_H
#define RHESIS_TIME_TEXT_H

#include "datatype/timestamp.h"

/* "45s", "2m 45s", "1h 3m", "5d 2h"; of a negative time "0s". palloc'd. */
extern char *SpanText(int64 microseconds);

/* "2026-11-25 01:02:03+00 (3m 20s ago)" or "(in 20s)", in the session's time zone and style; palloc'd. */
extern char *TimeText(TimestampTz time);

/* Times of rows may be any: what is out of range is infinite, or as long as can be told. */
extern TimestampTz TimePlusSeconds(TimestampTz time, int64 seconds);
extern int64 MicrosecondsBetween(TimestampTz from, TimestampTz to);

#endif

/*
 * time_text.c - times as an operator reads them: to the second, and how far away they are.
 */
#include "postgres.h"

#include "base/time_text.h"

#include "common/int.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define SECONDS_OF_TWO_DAYS (2 * SECS_PER_DAY)

char *
SpanText(int64 microseconds)
{
	int64 seconds = Max(microseconds, 0) / USECS_PER_SEC;

	if (seconds < SECS_PER_MINUTE)
		return psprintf(INT64_FORMAT "s", seconds);
	if (seconds < SECS_PER_HOUR)
		return psprintf(INT64_FORMAT "m " INT64_FORMAT "s", seconds / SECS_PER_MINUTE,
						seconds % SECS_PER_MINUTE);
	if (seconds < SECONDS_OF_TWO_DAYS)
		return psprintf(INT64_FORMAT "h " INT64_FORMAT "m", seconds / SECS_PER_HOUR,
						seconds % SECS_PER_HOUR / SECS_PER_MINUTE);
	return psprintf(INT64_FORMAT "d " INT64_FORMAT "h", seconds / SECS_PER_DAY,
					seconds % SECS_PER_DAY / SECS_PER_HOUR);
}

static char *
ToTheSecond(TimestampTz time)
{
	Datum value = TimestampTzGetDatum(time - time % USECS_PER_SEC);

	return DatumGetCString(DirectFunctionCall1(timestamptz_out, value));
}

char *
TimeText(TimestampTz time)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TIMESTAMP_NOT_FINITE(time))
		return DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(time)));
	if (time > now)
		return psprintf("%s (in %s)", ToTheSecond(time), SpanText(time - now));
	return psprintf("%s (%s ago)", ToTheSecond(time), SpanText(now - time));
}

TimestampTz
TimePlusSeconds(TimestampTz time, int64 seconds)
{
	TimestampTz sum;

	if (TIMESTAMP_NOT_FINITE(time))
		return time;
	if (pg_add_s64_overflow(time, seconds * USECS_PER_SEC, &sum) || !IS_VALID_TIMESTAMP(sum))
		return seconds < 0 ? DT_NOBEGIN : DT_NOEND;
	return sum;
}

int64
MicrosecondsBetween(TimestampTz from, TimestampTz to)
{
	int64 between;

	if (pg_sub_s64_overflow(to, from, &between))
		return to > from ? PG_INT64_MAX : PG_INT64_MIN;
	return between;
}

/*
 * smtp_timer.c - the clock of a pool, and the timer that ends the wait of its caller.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <time.h>

#include "smtp/smtp_internal.h"

/* Returns the microseconds of a clock that nobody can set. */
int64
SmtpNowUs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Set pool->now. The clock is read once for each call of the caller, and not for each mail. */
void
SmtpReadClock(SmtpPool *pool)
{
	pool->now = SmtpNowUs() / 1000;
}

/* Set the connection's deadline to this many milliseconds after pool->now. */
void
SmtpSetDeadline(SmtpConnection *connection, int milliseconds)
{
	SmtpPool *pool = connection->pool;

	connection->deadline = pool->now + milliseconds;
	pool->deadline = Min(pool->deadline, connection->deadline);
}

/*
 * Set the timer for the earliest deadline. pool->deadline may be earlier than all deadlines of the
 * connections. HandleDeadlines() computes it anew only when it has passed, so a mail costs no
 * system call for its time-out.
 */
void
SmtpArmTimer(SmtpPool *pool)
{
	int64 wanted = pool->deadline;

	if (pool->curl_deadline >= 0)
		wanted = Min(wanted, pool->curl_deadline);
	if (pool->connection_count == 0 || wanted == SMTP_NEVER)
		wanted = -1;
	if (wanted != pool->timer &&
		MuxSetTimer(pool->mux, wanted < 0 ? -1 : Max(wanted - pool->now, 0)))
		pool->timer = wanted;
}

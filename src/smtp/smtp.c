/*
 * smtp.c - runs a pool: sockets, time-outs, and connections for the waiting mails.
 *
 * SmtpRun() polls the multiplexer, lets libcurl and the ready connections make progress, and
 * returns without waiting. Nothing in a pool runs outside the calls of its owner.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "smtp/smtp_internal.h"

static void HandleEvents(SmtpPool *pool);
static void HandleDeadlines(SmtpPool *pool);
static void AssignMails(SmtpPool *pool);
static void OpenConnections(SmtpPool *pool);

void
SmtpPoolResume(SmtpPool *pool)
{
	pool->stalled = false;
}

void
SmtpPoolStartProbe(SmtpPool *pool, const char *sender, const char *recipient, SmtpProbe *probe)
{
	const SmtpMail mail = {.sender = sender, .recipient = recipient};

	memset(probe, 0, sizeof(*probe));
	strlcpy(probe->helo, pool->helo, sizeof(probe->helo));
	SmtpReadClock(pool);
	SmtpOpenConnection(pool, probe, &mail);
	SmtpArmTimer(pool);
}

void
SmtpRun(SmtpPool *pool)
{
	SmtpReadClock(pool);
	HandleEvents(pool);
	if (pool->deadline <= pool->now)
		HandleDeadlines(pool);
	AssignMails(pool);
	SmtpReapConnections(pool);
	OpenConnections(pool);
	SmtpArmTimer(pool);
}

/* Handle the events of the sockets and of libcurl's timer, until there are no more. */
static void
HandleEvents(SmtpPool *pool)
{
	MuxEvent events[MUX_POLL_LIMIT];
	int count;

	do
	{
		bool timer_fired;

		count = MuxPoll(pool->mux, events, lengthof(events), &timer_fired);
		if (timer_fired)
			pool->timer = -1;

		for (int i = 0; i < count; i++)
		{
			SmtpConnection *connection = SmtpConnectionByFd(pool, events[i].fd);

			if (connection == NULL)
				SmtpCurlAction(pool, events[i].fd, events[i].events);
			else
				SmtpServe(connection);
		}
		if (pool->curl_deadline >= 0 && pool->curl_deadline <= pool->now)
			SmtpCurlAction(pool, CURL_SOCKET_TIMEOUT, 0);
		SmtpCollectOpened(pool);
	} while (count == lengthof(events));
}

/* Close a connection that was idle for too long. Give up a connection that makes no progress. */
static void
HandleDeadlines(SmtpPool *pool)
{
	pool->deadline = SMTP_NEVER;
	for (int i = 0; i < pool->connection_count; i++)
	{
		SmtpConnection *connection = pool->connections[i];

		if (connection->state != SMTP_CONNECTION_READY)
			continue;
		if (connection->deadline > pool->now)
			pool->deadline = Min(pool->deadline, connection->deadline);
		else if (connection->idle)
		{
			connection->leaving = true;
			SmtpContinue(connection);
		}
		else
			SmtpAbandon(connection, SMTP_EVENT_TIMEOUT, "the server did not answer in time");
	}
}

/* Give the waiting mails to idle connections. Let connections above the limit end. */
static void
AssignMails(SmtpPool *pool)
{
	int count = 0;

	for (int i = 0; i < pool->connection_count; i++)
	{
		SmtpConnection *connection = pool->connections[i];

		if (connection->state == SMTP_CONNECTION_DEAD || connection->leaving)
			continue;
		if (++count > pool->limit)
			connection->leaving = true;
		if (connection->idle && (pool->waiting.length > 0 || connection->leaving))
			SmtpContinue(connection);
	}
}

/* Open a connection for each waiting mail that no connection will take, up to the limit. */
static void
OpenConnections(SmtpPool *pool)
{
	while (!pool->stalled && pool->opening_count < pool->waiting.length &&
		   pool->connection_count < pool->limit)
	{
		if (!SmtpOpenConnection(pool, NULL, NULL))
			break;
	}
}

void
SmtpCloseIdle(SmtpPool *pool)
{
	SmtpReadClock(pool);
	for (int i = 0; i < pool->connection_count; i++)
	{
		if (pool->connections[i]->idle)
		{
			pool->connections[i]->leaving = true;
			SmtpContinue(pool->connections[i]);
		}
	}
	SmtpReapConnections(pool);
	SmtpArmTimer(pool);
}

void
SmtpPoolGetStatus(const SmtpPool *pool, SmtpPoolStatus *status)
{
	status->connections = pool->connection_count;
	status->in_flight = pool->in_flight;
	status->stalled = pool->stalled;
	status->connects = pool->connects;
}

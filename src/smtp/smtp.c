/*
 * smtp.c - the pool of connections to one SMTP server.
 *
 * It decides which connection gets which mail, when a connection is opened and when one has waited long
 * enough, and it is the one place that runs things: SmtpRun polls the multiplexer, lets libcurl and the
 * open connections make progress, and returns without waiting.
 *
 * It promises to block nowhere, to raise no error, and to hand every mail back exactly once: finished, or
 * taken back by the caller before anything of it was written.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <time.h>

#include "smtp/smtp_internal.h"

static void AppendMail(SmtpMailList *list, SmtpMail *mail);
static SmtpMail *TakeMail(SmtpMailList *list);
static void HandleEvents(SmtpPool *pool);
static void HandleDeadlines(SmtpPool *pool);
static void AssignMails(SmtpPool *pool);
static void OpenConnections(SmtpPool *pool);

int64
SmtpNowUs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The clock of the pool, read once for each time that the caller comes in. */
void
SmtpWake(SmtpPool *pool)
{
	pool->now = SmtpNowUs() / 1000;
}

int
SmtpPoolRoom(const SmtpPool *pool)
{
	int connections = pool->stalled ? Min(pool->connection_count, pool->limit) : pool->limit;

	return Max(3 * connections - pool->in_flight, 0);
}

/* What goes into a command as it is can't end that command early, nor an address. */
bool
SmtpIsSafeWord(const char *word)
{
	size_t length = strlen(word);

	for (const char *c = word; *c != '\0'; c++)
		if ((unsigned char) *c <= ' ' || *c == 0x7f || *c == '<' || *c == '>')
			return false;
	return length > 0 && length < SMTP_LONGEST_ADDRESS;
}

void
SmtpSubmit(SmtpPool *pool, SmtpMail *mail)
{
	mail->text = NULL;
	pool->in_flight++;
	if (SmtpIsSafeWord(mail->sender) && SmtpIsSafeWord(mail->recipient))
		AppendMail(&pool->waiting, mail);
	else
	{
		SmtpEvent event = {.stage = SMTP_STAGE_RCPT,
						   .kind = SMTP_EVENT_REPLY,
						   .code = 501,
						   .enhanced = "5.1.3",
						   .text = "address not shown to the server: bad syntax"};

		SmtpFinishMail(pool, mail, &event);
	}
}

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
	SmtpWake(pool);
	SmtpOpenConnection(pool, probe, &mail);
	SmtpArmTimer(pool);
}

void
SmtpRun(SmtpPool *pool)
{
	SmtpWake(pool);
	HandleEvents(pool);
	if (pool->deadline <= pool->now)
		HandleDeadlines(pool);
	AssignMails(pool);
	SmtpReapConnections(pool);
	OpenConnections(pool);
	SmtpArmTimer(pool);
}

/* What the sockets and libcurl's timer have to say, until they fall silent. */
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
			{
				SmtpListen(connection);
				SmtpSpeak(connection);
			}
		}
		if (pool->curl_deadline >= 0 && pool->curl_deadline <= pool->now)
			SmtpCurlAction(pool, CURL_SOCKET_TIMEOUT, 0);
		SmtpCollectOpened(pool);
	} while (count == lengthof(events));
}

/* Idle connections leave; on the others something took too long. */
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
			SmtpSpeak(connection);
		}
		else
			SmtpGiveUp(connection, SMTP_EVENT_TIMEOUT, NULL, "the server did not answer in time");
	}
}

/* Waiting mails go to connections that have nothing to do; those that are too many leave. */
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
			SmtpSpeak(connection);
	}
}

/* Open a connection for each mail that none would take, within the limit. */
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

/*
 * The mail that a connection should begin next, or NULL. Before a connection gets a mail behind another
 * one's final dot, connections that have nothing to do, or will be ready soon, get theirs.
 */
SmtpMail *
SmtpNextMail(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;

	if (connection->probe != NULL)
		return NULL;
	if (connection->expected_count > 0 &&
		pool->opening_count + pool->idle_count >= pool->waiting.length)
		return NULL;
	return SmtpTakeWaiting(pool);
}

SmtpMail *
SmtpTakeWaiting(SmtpPool *pool)
{
	return TakeMail(&pool->waiting);
}

/* The mail's fate is known: copy the event with its texts, and queue the mail for the caller. */
void
SmtpFinishMail(SmtpPool *pool, SmtpMail *mail, const SmtpEvent *event)
{
	mail->event = *event;
	mail->event.sender = mail->sender;
	strlcpy(mail->enhanced, event->enhanced != NULL ? event->enhanced : "", sizeof(mail->enhanced));
	mail->event.enhanced = mail->enhanced;
	mail->text = event->text != NULL ? strdup(event->text) : NULL;
	mail->event.text = mail->text;
	pool->in_flight--;
	AppendMail(&pool->finished, mail);
}

SmtpMail *
SmtpNextFinished(SmtpPool *pool)
{
	return TakeMail(&pool->finished);
}

SmtpMail *
SmtpTakeBack(SmtpPool *pool)
{
	SmtpMail *mail = SmtpTakeWaiting(pool);

	if (mail != NULL)
		pool->in_flight--;
	return mail;
}

void
SmtpCloseIdle(SmtpPool *pool)
{
	SmtpWake(pool);
	for (int i = 0; i < pool->connection_count; i++)
	{
		if (pool->connections[i]->idle)
		{
			pool->connections[i]->leaving = true;
			SmtpSpeak(pool->connections[i]);
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

void
SmtpMailClear(SmtpMail *mail)
{
	free(mail->text);
	mail->text = NULL;
	mail->event.text = NULL;
}

static void
AppendMail(SmtpMailList *list, SmtpMail *mail)
{
	mail->next = NULL;
	if (list->head == NULL)
		list->head = mail;
	else
		list->tail->next = mail;
	list->tail = mail;
	list->length++;
}

static SmtpMail *
TakeMail(SmtpMailList *list)
{
	SmtpMail *mail = list->head;

	if (mail != NULL)
	{
		list->head = mail->next;
		list->length--;
	}
	return mail;
}

/* The ready connection on this socket, or NULL: then it is libcurl's. */
SmtpConnection *
SmtpConnectionByFd(const SmtpPool *pool, int fd)
{
	return fd < pool->by_fd_length ? pool->by_fd[fd] : NULL;
}

/* Find the connection by its socket from now on. False when there is no memory for that. */
bool
SmtpRegisterFd(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;
	int fd = connection->fd;

	if (fd >= pool->by_fd_length)
	{
		int length = Max(fd + 1, 2 * pool->by_fd_length);
		SmtpConnection **by_fd = realloc(pool->by_fd, length * sizeof(SmtpConnection *));

		if (by_fd == NULL)
			return false;
		memset(by_fd + pool->by_fd_length, 0,
			   (length - pool->by_fd_length) * sizeof(SmtpConnection *));
		pool->by_fd = by_fd;
		pool->by_fd_length = length;
	}
	pool->by_fd[fd] = connection;
	return true;
}

void
SmtpReapConnections(SmtpPool *pool)
{
	int kept = 0;

	for (int i = 0; i < pool->connection_count; i++)
	{
		if (pool->connections[i]->state == SMTP_CONNECTION_DEAD)
			SmtpFreeConnection(pool->connections[i]);
		else
			pool->connections[kept++] = pool->connections[i];
	}
	pool->connection_count = kept;
}

void
SmtpSetDeadline(SmtpConnection *connection, int milliseconds)
{
	SmtpPool *pool = connection->pool;

	connection->deadline = pool->now + milliseconds;
	pool->deadline = Min(pool->deadline, connection->deadline);
}

/*
 * pool->deadline is no later than any connection's: it is brought up to date only when it has run out, so
 * that a mail costs no system call for its time-out.
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

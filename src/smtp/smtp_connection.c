/*
 * smtp_connection.c - a connection from its first byte to its last.
 *
 * libcurl opens it: an easy handle with CURLOPT_CONNECT_ONLY in the pool's multi handle looks the
 * name up, connects, verifies and logs in. This file sets the handle up, and follows its progress
 * by the reply lines that libcurl shows. When the connection is ready, the dialogue of
 * smtp_transaction.c uses the socket, and returns an SmtpProgress. This file then watches the
 * socket, counts the idle connections, and closes the connection when the dialogue is over.
 *
 * The callbacks of libcurl record and return; they allocate nothing. All signals are blocked while
 * libcurl may start a resolver thread, so only the main thread runs signal handlers of PostgreSQL.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "smtp/smtp_internal.h"

#include "base/compat.h"

#ifndef FRONTEND
#include "storage/fd.h"
#endif

/* While a name is looked up, libcurl uses a socket and the pair of sockets of its resolver. */
#define DESCRIPTORS_OPENING 3
#define DESCRIPTORS_READY 1

static int WatchSocket(CURL *easy, curl_socket_t fd, int what, void *pool, void *socket_data);
static int NoteTimeout(CURLM *multi, long milliseconds, void *pool);
static size_t NoteReplyLine(char *line, size_t size, size_t count, void *connection);
static bool SetUpHandle(SmtpConnection *connection);
static void OpeningDone(SmtpConnection *connection, CURLcode result);
static void BeginDialogue(SmtpConnection *connection);
static void OpeningFailed(SmtpConnection *connection, CURLcode result);
static void FreeConnection(SmtpConnection *connection);

/* Block the signals that PostgreSQL handles, but not those that a thread causes itself. */
static void
BlockSignals(sigset_t *saved)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
	sigset_t all;

	sigfillset(&all);
	for (int i = 0; i < (int) lengthof(synchronous); i++)
		sigdelset(&all, synchronous[i]);
	pthread_sigmask(SIG_BLOCK, &all, saved);
}

static void
RestoreSignals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* Make the pool's multi handle. Returns false if that is not possible. */
bool
SmtpSetUpCurl(SmtpPool *pool)
{
	pool->multi = curl_multi_init();
	if (pool->multi == NULL)
		return false;
	SetResolverThreads(pool->multi, 2L * pool->max_connections);
	return curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, WatchSocket) == CURLM_OK &&
		   curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) == CURLM_OK &&
		   curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, NoteTimeout) == CURLM_OK &&
		   curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK;
}

void
SmtpTearDownCurl(SmtpPool *pool)
{
	sigset_t saved;

	BlockSignals(&saved);
	if (pool->multi != NULL)
		curl_multi_cleanup(pool->multi);
	RestoreSignals(&saved);
	pool->multi = NULL;
}

/* Watch a socket for libcurl. If the kernel refuses, the opening ends with a time-out. */
static int
WatchSocket(CURL *easy, curl_socket_t fd, int what, void *pool, void *socket_data)
{
	int events = 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= MUX_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= MUX_WRITE;
	MuxWatch(((SmtpPool *) pool)->mux, fd, events);
	return 0;
}

static int
NoteTimeout(CURLM *multi, long milliseconds, void *pool_data)
{
	SmtpPool *pool = pool_data;

	pool->curl_deadline = milliseconds < 0 ? -1 : pool->now + milliseconds;
	return 0;
}

/*
 * Note how far libcurl has come, from a reply line that it got while it opens the connection.
 * Returns the length; or 0, so that libcurl gives the connection up. That is needed for garbage,
 * where libcurl would wait until the time-out, and for a greeting other than 220, because libcurl
 * accepts any 2xx.
 */
static size_t
NoteReplyLine(char *line, size_t size, size_t count, void *connection_data)
{
	SmtpConnection *connection = connection_data;
	size_t length = size * count;

	SmtpTraceReceived(connection, line, length);
	NoteEhloLine(&connection->capabilities, line, length);
	for (size_t used = 0; used < length;)
	{
		used += SmtpReplyFeed(&connection->parser, line + used, length - used);
		if (connection->parser.status == SMTP_REPLY_GARBAGE)
			return 0;
		if (connection->parser.status != SMTP_REPLY_COMPLETE)
			continue;
		if (connection->opening_stage == SMTP_STAGE_CONNECT &&
			connection->parser.reply.code < 400 && connection->parser.reply.code != 220)
		{
			connection->parser.status = SMTP_REPLY_GARBAGE;
			return 0;
		}

		switch (connection->parser.reply.code)
		{
			case 220:
				if (connection->opening_stage == SMTP_STAGE_STARTTLS)
					connection->opening_stage = SMTP_STAGE_TLS;
				else
					connection->opening_stage = SMTP_STAGE_EHLO;
				break;
			case 250:
				if (connection->opening_stage == SMTP_STAGE_TLS)
					connection->over_tls = true;
				connection->opening_stage = connection->pool->tls && !connection->over_tls
												? SMTP_STAGE_STARTTLS
												: SMTP_STAGE_AUTH;
				break;
			default:
				break;
		}
	}
	return length;
}

static volatile bool owned_descriptors[SMTP_DESCRIPTORS_KNOWN];

bool
SmtpOwnsDescriptor(int descriptor)
{
	return descriptor >= SMTP_DESCRIPTORS_KNOWN || owned_descriptors[descriptor];
}

static curl_socket_t
OpenSocket(void *unused, curlsocktype purpose, struct curl_sockaddr *address)
{
	curl_socket_t descriptor = socket(address->family, address->socktype, address->protocol);

	if (descriptor >= 0)
		(void) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
	if (descriptor >= 0 && descriptor < SMTP_DESCRIPTORS_KNOWN)
		owned_descriptors[descriptor] = true;
	return descriptor;
}

static int
CloseSocket(void *unused, curl_socket_t descriptor)
{
	if (descriptor < SMTP_DESCRIPTORS_KNOWN)
		owned_descriptors[descriptor] = false;
	return close(descriptor);
}

/* Reserve the descriptors of an opening connection. Returns false if there are too few. */
static bool
AcquireDescriptors(SmtpConnection *connection)
{
#ifndef FRONTEND
	while (connection->descriptors < DESCRIPTORS_OPENING)
	{
		if (!AcquireExternalFD())
			return false;
		connection->descriptors++;
	}
#endif
	return true;
}

static void
ReleaseDescriptors(SmtpConnection *connection, int keep)
{
#ifndef FRONTEND
	while (connection->descriptors > keep)
	{
		ReleaseExternalFD();
		connection->descriptors--;
	}
#endif
}

/*
 * Begin to open a connection: for a probe, which sends probe_mail, or for mails if probe is NULL.
 * Returns false if that is not possible now. The failure is then reported as that of a connection
 * if it is a probe's, or if the pool has no other connection, whose end could make it possible. (If
 * there is no memory at all, nothing is reported.)
 */
bool
SmtpOpenConnection(SmtpPool *pool, SmtpProbe *probe, const SmtpMail *probe_mail)
{
	SmtpConnection *connection = calloc(1, sizeof(SmtpConnection));
	sigset_t saved;
	bool added = false;

	if (connection == NULL)
		return false;
	connection->pool = pool;
	connection->number = ++pool->numbered;
	connection->fd = -1;
	connection->probe = probe;
	if (probe_mail != NULL)
		connection->probe_mail = *probe_mail;
	connection->over_tls = pool->implicit_tls;
	connection->opening_stage = SMTP_STAGE_CONNECT;
	connection->opened_us = SmtpNowUs();
	SmtpReplyInit(&connection->parser);

	if (pool->connection_count <= pool->max_connections && AcquireDescriptors(connection) &&
		SetUpHandle(connection))
	{
		BlockSignals(&saved);
		added = curl_multi_add_handle(pool->multi, connection->easy) == CURLM_OK;
		RestoreSignals(&saved);
	}
	if (added)
	{
		pool->connections[pool->connection_count++] = connection;
		pool->opening_count++;
		return true;
	}

	strlcpy(connection->problem, "out of file descriptors or memory", CURL_ERROR_SIZE);
	connection->state = SMTP_CONNECTION_DEAD;
	if (pool->connection_count == 0 || probe != NULL)
		OpeningFailed(connection, CURLE_COULDNT_CONNECT);
	FreeConnection(connection);
	return false;
}

/*
 * Make and set up libcurl's handle for a connection: no proxy, no .netrc, no signals and no
 * protocol but SMTP, also if the environment asks for them. Returns false if libcurl refuses.
 */
static bool
SetUpHandle(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;
	CURL *easy = connection->easy = curl_easy_init();
	bool ok = easy != NULL;

#define SET(option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK
	SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	SET(CURLOPT_URL, pool->url);
	SET(CURLOPT_CONNECT_ONLY, 1L);
	SET(CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
	SET(CURLOPT_CLOSESOCKETFUNCTION, CloseSocket);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) pool->connect_timeout_ms);
	SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (long) (pool->connect_timeout_ms / 1000 + 1));
	SET(CURLOPT_ERRORBUFFER, connection->problem);
	SET(CURLOPT_HEADERFUNCTION, NoteReplyLine);
	SET(CURLOPT_HEADERDATA, connection);
	SET(CURLOPT_PRIVATE, connection);
	if (pool->trace != NULL)
	{
		SET(CURLOPT_VERBOSE, 1L);
		SET(CURLOPT_DEBUGFUNCTION, SmtpTraceOpening);
		SET(CURLOPT_DEBUGDATA, connection);
	}

	SET(CURLOPT_USE_SSL, (long) (pool->tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (pool->ca_file != NULL)
	{
		SET(CURLOPT_CAINFO, pool->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (pool->user != NULL)
	{
		/*
		 * Name each mechanism that may be used. Otherwise libcurl prefers GSSAPI if the server
		 * offers it and the user's name looks like an address; it then asks a Kerberos server and
		 * blocks.
		 */
		char login_options[128];

		SmtpLoginOptions(connection, login_options, sizeof(login_options));
		SET(CURLOPT_USERNAME, pool->user);
		SET(CURLOPT_PASSWORD, pool->password);
		SET(CURLOPT_LOGIN_OPTIONS, login_options);
	}
#undef SET
	return ok;
}

/* Let libcurl handle the events of one of its sockets, or its timer (CURL_SOCKET_TIMEOUT). */
void
SmtpCurlAction(SmtpPool *pool, curl_socket_t fd, int events)
{
	sigset_t saved;
	int running;
	int mask = 0;

	if (events & MUX_READ)
		mask |= CURL_CSELECT_IN;
	if (events & MUX_WRITE)
		mask |= CURL_CSELECT_OUT;
	if (fd == CURL_SOCKET_TIMEOUT)
		pool->curl_deadline = -1;
	BlockSignals(&saved);
	curl_multi_socket_action(pool->multi, fd, mask, &running);
	RestoreSignals(&saved);
}

/* Handle the connections that libcurl has finished opening: each is ready, or has failed. */
void
SmtpCollectOpened(SmtpPool *pool)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(pool->multi, &left)) != NULL)
	{
		char *connection = NULL;

		if (message->msg == CURLMSG_DONE &&
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &connection) == CURLE_OK)
			OpeningDone((SmtpConnection *) connection, message->data.result);
	}
}

/* ---- A connection that is ready ---- */

/* Returns the ready connection that has this socket; NULL if the socket is one of libcurl's. */
SmtpConnection *
SmtpConnectionByFd(const SmtpPool *pool, int fd)
{
	return fd < pool->by_fd_length ? pool->by_fd[fd] : NULL;
}

/* Let SmtpConnectionByFd() find the connection. Returns false if there is no memory for that. */
static bool
RegisterFd(SmtpConnection *connection)
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

/*
 * Begin the dialogue on a connection that libcurl has opened, or report that opening it has failed.
 * result is libcurl's.
 */
static void
OpeningDone(SmtpConnection *connection, CURLcode result)
{
	SmtpPool *pool = connection->pool;
	curl_socket_t fd = CURL_SOCKET_BAD;
	curl_off_t tls_time = 0;
	long code = 0;

	curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(connection->easy, CURLINFO_APPCONNECT_TIME_T, &tls_time);

	/* libcurl reports success if the server offers no login at all. */
	if (result == CURLE_OK && pool->user != NULL && code != 235)
		result = CURLE_LOGIN_DENIED;
	else if (result == CURLE_OK && pool->tls && tls_time == 0)
		result = CURLE_USE_SSL_FAILED;

	/* libcurl accepts any 2xx as the answer to EHLO. */
	else if (result == CURLE_OK && pool->user == NULL && code != 250)
	{
		connection->parser.status = SMTP_REPLY_GARBAGE;
		result = CURLE_WEIRD_SERVER_REPLY;
	}

	if (result == CURLE_OK)
	{
		curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &fd);
		connection->fd = fd;
		if (fd == CURL_SOCKET_BAD || !RegisterFd(connection) || !MuxWatch(pool->mux, fd, MUX_READ))
			result = CURLE_OUT_OF_MEMORY;
	}
	if (result != CURLE_OK)
	{
		OpeningFailed(connection, result);
		SmtpKill(connection);
		return;
	}

	if (pool->user != NULL)
		SmtpLoginSucceeded(connection);
	pool->connects++;
	BeginDialogue(connection);
}

/*
 * Begin the dialogue on a connection that is ready. It gets its first mail before its replies are
 * read: if the server closes each connection at once, each such connection then ends a mail, and
 * the pool does not open one connection after another without end.
 */
static void
BeginDialogue(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;
	SmtpMail *mail;

	Assert(connection->state == SMTP_CONNECTION_OPENING && pool->opening_count > 0);
	SmtpTraceNote(connection, "is ready");
	connection->state = SMTP_CONNECTION_READY;
	pool->opening_count--;
	ReleaseDescriptors(connection, DESCRIPTORS_READY);
	SmtpReplyInit(&connection->parser);
	connection->ready_us = SmtpNowUs();
	mail = connection->probe != NULL ? &connection->probe_mail : SmtpTakeWaiting(pool);
	if (mail != NULL)
		SmtpBeginMail(connection, mail);

	/* Until something was read, libcurl takes the connection for an idle one, and may close it. */
	SmtpServe(connection);
}

/* Watch the socket and count the idle connections, as the dialogue's progress demands. */
static void
NoteProgress(SmtpConnection *connection, SmtpProgress progress)
{
	SmtpPool *pool = connection->pool;
	bool blocked = progress == SMTP_PROGRESS_BLOCKED;
	bool idle = progress == SMTP_PROGRESS_IDLE;

	Assert(connection->state == SMTP_CONNECTION_READY);
	if (progress == SMTP_PROGRESS_ENDED)
	{
		SmtpKill(connection);
		return;
	}

	if (blocked != connection->write_blocked)
		MuxWatch(pool->mux, connection->fd, MUX_READ | (blocked ? MUX_WRITE : 0));
	connection->write_blocked = blocked;

	if (idle && !connection->idle)
	{
		connection->served = true;
		SmtpSetDeadline(connection, SMTP_IDLE_MS);
	}
	pool->idle_count += (int) idle - (int) connection->idle;
	Assert(0 <= pool->idle_count && pool->idle_count <= pool->connection_count);
	connection->idle = idle;
}

/* Go on with the dialogue of a ready connection after an event of its socket. */
void
SmtpServe(SmtpConnection *connection)
{
	if (connection->state != SMTP_CONNECTION_READY)
		return;
	NoteProgress(connection,
				 SmtpReadReplies(connection) ? SmtpFlush(connection) : SMTP_PROGRESS_ENDED);
}

/* Go on with the dialogue of an idle connection, because a mail waits, or to send QUIT. */
void
SmtpContinue(SmtpConnection *connection)
{
	Assert(connection->idle);
	NoteProgress(connection, SmtpFlush(connection));
}

/*
 * If the connection is ready, end its dialogue and the connection. SmtpGiveUp() finishes its mails
 * with this kind and text.
 */
void
SmtpAbandon(SmtpConnection *connection, SmtpEventKind kind, const char *text)
{
	if (connection->state != SMTP_CONNECTION_READY)
		return;
	SmtpGiveUp(connection, kind, NULL, text);
	SmtpKill(connection);
}

/* ---- The end of a connection ---- */

/* Mark the connection as dead. SmtpReapConnections() closes and frees it later. */
void
SmtpKill(SmtpConnection *connection)
{
	if (connection->state == SMTP_CONNECTION_OPENING)
		connection->pool->opening_count--;
	if (connection->idle)
		connection->pool->idle_count--;
	Assert(connection->pool->opening_count >= 0 && connection->pool->idle_count >= 0);
	connection->idle = false;
	connection->state = SMTP_CONNECTION_DEAD;
	/* A closed socket is readable for ever, so it must not be watched any more. */
	if (connection->fd >= 0)
		MuxWatch(connection->pool->mux, connection->fd, 0);
}

/* Close the connection, without QUIT, and free it. */
static void
FreeConnection(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;
	sigset_t saved;

	Assert(connection->state == SMTP_CONNECTION_DEAD);
	if (connection->fd >= 0)
	{
		MuxWatch(pool->mux, connection->fd, 0);
		if (SmtpConnectionByFd(pool, connection->fd) == connection)
			pool->by_fd[connection->fd] = NULL;
	}
	SmtpTraceNote(connection, "is closed");
	if (connection->easy != NULL)
	{
		BlockSignals(&saved);
		curl_multi_remove_handle(pool->multi, connection->easy);
		curl_easy_cleanup(connection->easy);
		RestoreSignals(&saved);
	}
	ReleaseDescriptors(connection, 0);
	free(connection);
}

/* Close and free the dead connections. */
void
SmtpReapConnections(SmtpPool *pool)
{
	int kept = 0;

	for (int i = 0; i < pool->connection_count; i++)
	{
		if (pool->connections[i]->state == SMTP_CONNECTION_DEAD)
			FreeConnection(pool->connections[i]);
		else
			pool->connections[kept++] = pool->connections[i];
	}
	pool->connection_count = kept;
}

/*
 * ---- The failure of a connection that could not be opened ----
 *
 * libcurl's code alone is not enough: 67 means a wrong password, a busy server, or a server without
 * a login. libcurl's message is for people. So the code, the stage that was reached and the last
 * reply decide together.
 */

/* The times that libcurl has measured; 0 if that stage was not reached. */
typedef struct OpeningTimes
{
	curl_off_t lookup;
	curl_off_t connect;
	curl_off_t tls;
} OpeningTimes;

static OpeningTimes
TimesOf(const SmtpConnection *connection)
{
	OpeningTimes times = {0};

	if (connection->easy != NULL)
	{
		curl_easy_getinfo(connection->easy, CURLINFO_NAMELOOKUP_TIME_T, &times.lookup);
		curl_easy_getinfo(connection->easy, CURLINFO_CONNECT_TIME_T, &times.connect);
		curl_easy_getinfo(connection->easy, CURLINFO_APPCONNECT_TIME_T, &times.tls);
	}
	return times;
}

/* Returns the stage that was reached, as the last reply and libcurl's times show it. */
static SmtpStage
StageReached(const SmtpConnection *connection, const OpeningTimes *times)
{
	if (connection->opening_stage == SMTP_STAGE_CONNECT && times->connect > 0)
		return connection->over_tls && times->tls == 0 ? SMTP_STAGE_TLS : SMTP_STAGE_GREETING;
	if (connection->opening_stage == SMTP_STAGE_TLS && times->tls > 0)
		return SMTP_STAGE_EHLO;
	return connection->opening_stage;
}

/* Set the event's stage and kind. If the kind is SMTP_EVENT_REPLY, the last reply is the reason. */
static void
ExplainFailure(SmtpConnection *connection, CURLcode result, SmtpEvent *event)
{
	const SmtpReply *reply = &connection->parser.reply;
	bool refused = connection->parser.status == SMTP_REPLY_COMPLETE && reply->code >= 400;
	OpeningTimes times = TimesOf(connection);

	event->stage = StageReached(connection, &times);
	switch (result)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
			event->kind = SMTP_EVENT_DNS;
			break;
		case CURLE_COULDNT_CONNECT:
			event->kind = SMTP_EVENT_REFUSED;
			break;
		case CURLE_OPERATION_TIMEDOUT:
			event->kind = times.lookup == 0 ? SMTP_EVENT_DNS : SMTP_EVENT_TIMEOUT;
			break;
		case CURLE_PEER_FAILED_VERIFICATION:
			event->stage = SMTP_STAGE_TLS;
			event->kind = SMTP_EVENT_CERTIFICATE;
			break;
		case CURLE_SSL_CACERT_BADFILE:
			event->stage = SMTP_STAGE_TLS;
			event->kind = SMTP_EVENT_CA_FILE;
			break;
		case CURLE_SSL_CONNECT_ERROR:
			event->stage = SMTP_STAGE_TLS;
			event->kind = SMTP_EVENT_TLS_FAILED;
			break;
		case CURLE_USE_SSL_FAILED:
			event->stage = SMTP_STAGE_STARTTLS;
			event->kind = refused ? SMTP_EVENT_REPLY : SMTP_EVENT_NO_STARTTLS;
			break;
		case CURLE_LOGIN_DENIED:
			event->stage = SMTP_STAGE_AUTH;
			if (refused)
				event->kind = SMTP_EVENT_REPLY;
			else
				event->kind =
					connection->capabilities.auth ? SMTP_EVENT_LOGIN_FAILED : SMTP_EVENT_NO_AUTH;
			break;
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_REMOTE_ACCESS_DENIED:
			event->kind = refused ? SMTP_EVENT_REPLY : SMTP_EVENT_GARBAGE;
			break;
		case CURLE_WRITE_ERROR: /* NoteReplyLine has returned 0 */
			event->kind = SMTP_EVENT_GARBAGE;
			break;
		default:
			/* If the last reply is a refusal, the server closed the connection after it. */
			event->kind = refused ? SMTP_EVENT_REPLY : SMTP_EVENT_CONNECTION_LOST;
			break;
	}
}

/*
 * Returns libcurl's message, or the meaning of its code. The message may quote the server, so it is
 * made plain ASCII.
 */
static const char *
Explanation(SmtpConnection *connection, CURLcode result)
{
	if (connection->problem[0] == '\0')
		return curl_easy_strerror(result);
	for (char *c = connection->problem; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return connection->problem;
}

/*
 * Report that a connection could not be opened. The event goes to the connection's probe, or else
 * to the mail that has waited longest. In the second case the pool is stalled: until
 * SmtpPoolResume() it opens no connection and reports no other failure. Nothing is reported if
 * another login mechanism is tried next.
 */
static void
OpeningFailed(SmtpConnection *connection, CURLcode result)
{
	SmtpPool *pool = connection->pool;
	const SmtpReply *reply = &connection->parser.reply;
	SmtpEvent event = {0};

	ExplainFailure(connection, result, &event);
	if (event.kind == SMTP_EVENT_REPLY)
	{
		event.code = reply->code;
		event.enhanced = reply->enhanced;
		event.text = reply->text;
	}
	else if (connection->parser.status == SMTP_REPLY_GARBAGE)
		event.text = reply->text;
	else if (event.kind == SMTP_EVENT_NO_AUTH)
		event.text = "the server offers no login";
	else
		event.text = Explanation(connection, result);

	if (SmtpTriesNextMechanism(connection, &event))
	{
		/* For waiting mails, OpenConnections() opens the next connection. */
		if (connection->probe != NULL)
			SmtpOpenConnection(pool, connection->probe, &connection->probe_mail);
	}
	else if (connection->probe != NULL)
		SmtpProbeFinished(connection, &event);
	else if (!pool->stalled && pool->waiting.length > 0)
	{
		pool->stalled = true;
		SmtpFinishMail(pool, SmtpTakeWaiting(pool), &event);
	}
}

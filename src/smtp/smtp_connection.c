/*
 * smtp_connection.c - libcurl makes the connections.
 *
 * Each connection is an easy handle with CURLOPT_CONNECT_ONLY in the pool's multi handle: libcurl looks the
 * name up, connects, verifies, logs in, and then leaves the socket to smtp_transaction.c. This file sets
 * the handles up, follows their progress through the reply lines that libcurl shows us
 * and closes them.
 *
 * The callbacks record and return; they allocate nothing. All signals are blocked while libcurl may start
 * a resolver thread, so that no thread but the main one ever runs a handler of PostgreSQL's.
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

/* While a name is looked up: the socket and the resolver's pair. */
#define DESCRIPTORS_OPENING 3
#define DESCRIPTORS_READY 1

static int WatchSocket(CURL *easy, curl_socket_t fd, int what, void *pool, void *socket_data);
static int NoteTimeout(CURLM *multi, long milliseconds, void *pool);
static size_t NoteReplyLine(char *line, size_t size, size_t count, void *connection);
static bool SetUpHandle(SmtpConnection *connection);
static void OpeningDone(SmtpConnection *connection, CURLcode result);
static void OpeningFailed(SmtpConnection *connection, CURLcode result);

/* Block what PostgreSQL handles; not what only this thread itself can cause. */
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

/* libcurl wants to know about a socket. If the kernel refuses, the connection's time-out will tell. */
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
 * A reply line of the connection's set-up: it tells how far libcurl has come. Returning 0 makes libcurl
 * give the connection up: it would wait for sense in garbage until the time-out, and takes any 2xx for a
 * greeting.
 */
static size_t
NoteReplyLine(char *line, size_t size, size_t count, void *connection_data)
{
	SmtpConnection *connection = connection_data;
	size_t length = size * count;

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
 * Open a connection: for mails, or for a probe. False when we can't even begin; if there is no other
 * connection whose end could change that, it is reported as a connection that failed.
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
	SmtpFreeConnection(connection);
	return false;
}

/* Whatever the environment says: no proxy, no .netrc, no signal, no protocol but SMTP. */
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
		 * Named one by one: left to itself, libcurl prefers GSSAPI as soon as a server offers it and the user
		 * looks like an address; it would ask a Kerberos server, and block.
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

/* Let libcurl act on a socket of its own, or on its timer (CURL_SOCKET_TIMEOUT). */
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

/* Connections that libcurl has done with: ready for mail, or failed. */
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

static void
OpeningDone(SmtpConnection *connection, CURLcode result)
{
	SmtpPool *pool = connection->pool;
	curl_socket_t fd = CURL_SOCKET_BAD;
	curl_off_t tls_time = 0;
	long code = 0;

	curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(connection->easy, CURLINFO_APPCONNECT_TIME_T, &tls_time);

	/* libcurl says that all is well when a server offers no login at all */
	if (result == CURLE_OK && pool->user != NULL && code != 235)
		result = CURLE_LOGIN_DENIED;
	else if (result == CURLE_OK && pool->tls && tls_time == 0)
		result = CURLE_USE_SSL_FAILED;

	/* It takes any 2xx for the answer to EHLO. */
	else if (result == CURLE_OK && pool->user == NULL && code != 250)
	{
		connection->parser.status = SMTP_REPLY_GARBAGE;
		result = CURLE_WEIRD_SERVER_REPLY;
	}

	if (result == CURLE_OK)
	{
		curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &fd);
		connection->fd = fd;
		if (fd == CURL_SOCKET_BAD || !SmtpRegisterFd(connection) ||
			!MuxWatch(pool->mux, fd, MUX_READ))
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
	connection->state = SMTP_CONNECTION_READY;
	pool->opening_count--;
	pool->connects++;
	ReleaseDescriptors(connection, DESCRIPTORS_READY);
	SmtpReplyInit(&connection->parser);
	connection->ready_us = SmtpNowUs();
	SmtpBegin(connection);
}

/* The connection is not used any more; it is closed and freed at the end of SmtpRun. */
void
SmtpKill(SmtpConnection *connection)
{
	if (connection->state == SMTP_CONNECTION_OPENING)
		connection->pool->opening_count--;
	if (connection->idle)
		connection->pool->idle_count--;
	connection->idle = false;
	connection->state = SMTP_CONNECTION_DEAD;
	/* Nobody listens any more: an ended socket that is still watched would be reported for ever. */
	if (connection->fd >= 0)
		MuxWatch(connection->pool->mux, connection->fd, 0);
}

/* Close, without a word, and free. */
void
SmtpFreeConnection(SmtpConnection *connection)
{
	SmtpPool *pool = connection->pool;
	sigset_t saved;

	if (connection->fd >= 0)
	{
		MuxWatch(pool->mux, connection->fd, 0);
		if (SmtpConnectionByFd(pool, connection->fd) == connection)
			pool->by_fd[connection->fd] = NULL;
	}
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

/*
 * ---- What went wrong with a connection that could not be opened ----
 *
 * libcurl's codes say too little (67 is a wrong password, a server that is busy, or one that offers no
 * login) and its messages are for people. So the code, how far the connection came, and the last reply decide
 * together.
 */

/* What libcurl has timed; 0: it has not come so far. */
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

/* What the connection was at: the last reply tells that, and what libcurl has timed since. */
static SmtpStage
StageReached(const SmtpConnection *connection, const OpeningTimes *times)
{
	if (connection->opening_stage == SMTP_STAGE_CONNECT && times->connect > 0)
		return connection->over_tls && times->tls == 0 ? SMTP_STAGE_TLS : SMTP_STAGE_GREETING;
	if (connection->opening_stage == SMTP_STAGE_TLS && times->tls > 0)
		return SMTP_STAGE_EHLO;
	return connection->opening_stage;
}

/* What a failed connection means: sets the event's stage and kind, and the reply if one was the reason. */
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
		case CURLE_WRITE_ERROR: /* NoteReplyLine's */
			event->kind = SMTP_EVENT_GARBAGE;
			break;
		default:
			/* refused, and then closed */
			event->kind = refused ? SMTP_EVENT_REPLY : SMTP_EVENT_CONNECTION_LOST;
			break;
	}
}

/* libcurl's message, or what its code means. It may quote the server: only plain text goes on. */
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
 * Tell the probe, or the mail that has waited longest. The pool opens no more connections until the caller
 * says so; while it does not, further failures are no news.
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
		/* For a mail that waits the pool opens the next connection by itself. */
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

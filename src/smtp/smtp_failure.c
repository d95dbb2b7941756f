/*
 * smtp_failure.c - what went wrong with a connection that could not be opened.
 *
 * libcurl's codes say too little (67 is a wrong password, a server that is busy, or one that offers no
 * login) and its messages are for people. So the code, how far the connection came, and the last reply decide
 * together.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "smtp/smtp_internal.h"

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
void
SmtpOpeningFailed(SmtpConnection *connection, CURLcode result)
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

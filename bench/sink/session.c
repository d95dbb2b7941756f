/*
 * session.c - one client's connection: its input, and its replies, which may be delayed.
 *
 * The delays imitate a server that is far away:
 *
 * - The work on a command begins when the kernel has received it, even if it is read later. The
 *   sink shares the processor with the client, and a server far away has a processor of its own.
 * - The work on a command begins after the work on the commands before it. The work on a mail takes
 *   accept_delay.
 * - A reply is sent reply_delay after the work is done. So the replies to commands that were sent
 *   together arrive together, and a client that waits for each reply waits for a round trip each
 *   time. A TLS handshake is not delayed.
 *
 * If there are delays, each session has a timer (a timerfd).
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"
#include "session.h"
#include "smtp.h"
#include "stream.h"
#include "tally.h"

#define INPUT_SIZE (256 * 1024)

/* A reply that is not sent before its time. */
typedef struct Reply
{
	int64_t due;
	size_t end;			/* the byte of the output at which it ends */
	int64_t mail_bytes; /* the size of the mail that it accepts; -1: it accepts none */
	char key[KEY_SIZE];
} Reply;

typedef struct Session
{
	Stream stream;
	Watch socket_watch;
	Watch timer_watch;
	int timer_fd;
	Smtp smtp;

	char carried[SMTP_LINE_LIMIT]; /* the beginning of a line whose end has not come yet */
	size_t carried_length;
	bool answered;	 /* all replies have been sent since the client last sent something */
	int64_t free_at; /* when the work on all input is done */

	/*
	 * The output: first what was sent, then what may be sent now, then the replies that wait for
	 * their time. It is emptied when all of it has been sent.
	 */
	char *output;
	size_t output_room;
	size_t output_length;
	size_t sent;
	size_t released;
	Reply *replies;
	size_t reply_room;
	size_t reply_count;
	size_t replies_released;

	bool tls_next;
	bool end_next;
	bool waits_to_write;
	bool ended;
	struct Session *next_ended;
} Session;

SessionOptions session_options;

/* The input of the session that reads: what it carried over, then what it has just read. */
static char input[SMTP_LINE_LIMIT + INPUT_SIZE];

static Session *ended_sessions;

static void
Close(Session *session)
{
	if (session->ended)
		return;
	StreamClose(&session->stream);
	if (session->timer_fd >= 0)
		close(session->timer_fd);
	TallyDisconnection();
	session->ended = true;
	session->next_ended = ended_sessions;
	ended_sessions = session;
}

void
SessionFreeEnded(void)
{
	while (ended_sessions != NULL)
	{
		Session *session = ended_sessions;

		ended_sessions = session->next_ended;
		free(session->output);
		free(session->replies);
		free(session);
	}
}

/* ---- Output ---- */

static void *
Grown(void *array, size_t *capacity, size_t wanted, size_t size)
{
	if (wanted <= *capacity)
		return array;
	*capacity = wanted * 2;
	array = realloc(array, *capacity * size);
	if (array == NULL)
		err(1, "could not keep a reply");
	return array;
}

static void
Enqueue(Session *session, const char *text, int64_t mail_bytes, const char *key)
{
	size_t length = strlen(text);
	Reply *reply;

	session->output =
		Grown(session->output, &session->output_room, session->output_length + length, 1);
	memcpy(session->output + session->output_length, text, length);
	session->output_length += length;

	session->replies =
		Grown(session->replies, &session->reply_room, session->reply_count + 1, sizeof(Reply));
	reply = &session->replies[session->reply_count++];
	reply->due = session->free_at + session_options.reply_delay;
	reply->end = session->output_length;
	reply->mail_bytes = mail_bytes;
	if (mail_bytes >= 0)
		memcpy(reply->key, key, KEY_SIZE);
}

/* Let the timer expire when the next reply is due. */
static void
SetTimer(Session *session, int64_t due)
{
	struct itimerspec spec = {
		.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};

	if (timerfd_settime(session->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
		err(1, "timerfd_settime");
}

/* Release the replies that are due. */
static void
Release(Session *session)
{
	int64_t now = session->timer_fd >= 0 ? Now() : INT64_MAX;

	while (session->replies_released < session->reply_count)
	{
		Reply *reply = &session->replies[session->replies_released];

		if (reply->due > now)
		{
			SetTimer(session, reply->due);
			break;
		}
		if (reply->mail_bytes >= 0)
		{
			TallyMail(reply->mail_bytes, reply->key);
			tally.late += session->timer_fd >= 0 ? now - reply->due : 0;
		}
		session->released = reply->end;
		session->replies_released++;
	}
}

/* All replies have been sent: do what had to wait until then. */
static void
AllSent(Session *session)
{
	session->output_length = session->sent = session->released = 0;
	session->reply_count = session->replies_released = 0;
	session->answered = true;
	if (session->end_next)
		Close(session);
	else if (session->tls_next)
	{
		session->tls_next = false;
		tally.handshakes++;
		StreamStartTls(&session->stream, session_options.tls);
	}
}

static void
Send(Session *session)
{
	bool blocked;

	Release(session);
	while (session->sent < session->released)
	{
		ssize_t count = StreamWrite(&session->stream, session->output + session->sent,
									session->released - session->sent);

		if (count < 0)
		{
			Close(session);
			return;
		}
		if (count == 0)
			break;
		session->sent += count;
	}
	blocked = session->sent < session->released;
	if (blocked != session->waits_to_write)
		LoopChange(session->stream.fd, &session->socket_watch,
				   blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
	session->waits_to_write = blocked;

	if (session->output_length > 0 && session->sent == session->output_length)
		AllSent(session);
}

/* ---- Input ---- */

/*
 * All replies were sent, and then the client has sent something. Does it belong to a mail?
 * Greeting, login and QUIT do not.
 */
static bool
BeginsTurn(const Session *session, size_t length)
{
	if (session->smtp.stage == SMTP_BODY_START || session->smtp.stage == SMTP_BODY)
		return true;
	return session->smtp.mailing || (length >= 4 && strncasecmp(input, "MAIL", 4) == 0);
}

/* Execute the answer to a command or a mail. The reply waits for its time. */
static void
Execute(Session *session, const SmtpAnswer *answer)
{
	if (answer->accepted_mail)
		session->free_at += session_options.accept_delay;
	if (answer->logged_in)
		tally.logins++;
	Enqueue(session, answer->reply, answer->accepted_mail ? session->smtp.body_bytes : -1,
			session->smtp.key);
	if (answer->action == SMTP_START_TLS)
		session->tls_next = true;
	else if (answer->action == SMTP_END)
		session->end_next = true;
}

/* Take the bytes that were carried over and the bytes that were read, and carry over the rest. */
static void
Take(Session *session, size_t count)
{
	size_t length = session->carried_length + count;
	size_t used = 0;
	SmtpAnswer answer;

	if (session->free_at < session->stream.arrived)
		session->free_at = session->stream.arrived;
	if (session->answered && BeginsTurn(session, length))
		tally.turns++;
	session->answered = false;

	do
	{
		used += SmtpTake(&session->smtp, input + used, length - used, &answer);
		if (answer.reply != NULL)
			Execute(session, &answer);
	} while (answer.reply != NULL);
	session->carried_length = length - used;
	memcpy(session->carried, input + used, session->carried_length);
}

static void
SocketReady(void *owner, uint32_t events)
{
	Session *session = owner;

	if (session->ended)
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
	{
		do
		{
			ssize_t count;

			memcpy(input, session->carried, session->carried_length);
			count = StreamRead(&session->stream, input + session->carried_length, INPUT_SIZE);
			if (count < 0)
			{
				Close(session);
				return;
			}
			if (count == 0)
				break;
			Take(session, count);
		} while (StreamPending(&session->stream));
	}
	Send(session);
}

static void
TimerReady(void *owner, uint32_t events)
{
	Session *session = owner;
	uint64_t expirations;

	(void) events;
	if (!session->ended && read(session->timer_fd, &expirations, sizeof(expirations)) > 0)
		Send(session);
}

void
SessionStart(int fd)
{
	Session *session = calloc(1, sizeof(Session));

	if (session == NULL)
		err(1, "could not start a session");
	session->stream.fd = fd;
	session->socket_watch = (Watch){SocketReady, session};
	LoopAdd(fd, &session->socket_watch, EPOLLIN);
	session->timer_fd = -1;
	if (session_options.reply_delay > 0 || session_options.accept_delay > 0)
	{
		session->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (session->timer_fd < 0)
			err(1, "timerfd_create");
		session->timer_watch = (Watch){TimerReady, session};
		LoopAdd(session->timer_fd, &session->timer_watch, EPOLLIN);
		session->free_at = Now();
		StreamKeepArrivals(&session->stream);
	}
	TallyConnection();
	Enqueue(session, "220 sink ESMTP\r\n", -1, NULL);
	Send(session);
}

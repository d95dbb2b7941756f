/*
 * session.h - one client's connection: input, and replies that leave when their time has come.
 */
#ifndef SINK_SESSION_H
#define SINK_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "smtp.h"

/* What all sessions share: set once, at the start. */
typedef struct SessionOptions
{
	int64_t reply_delay;  /* nanoseconds from a command to its reply: the round trip */
	int64_t accept_delay; /* nanoseconds of work on a mail before it is accepted */
	SSL_CTX *tls;		  /* NULL: not offered */
} SessionOptions;

extern SessionOptions session_options;

typedef struct Session Session;

/* Take this connection over and greet. */
extern void SessionStart(int fd);

/* Free the sessions that have ended. */
extern void SessionFreeEnded(void);

/* For the protocol: answer what has just been read. The text ends with CRLF. */
extern void SessionReply(Session *session, const char *text);

/* The same, for a mail: it is counted when this reply leaves. */
extern void SessionAcceptMail(Session *session, int64_t bytes, const char *key);

/* Once the replies so far have left: go on in TLS, or end the session. */
extern void SessionStartTls(Session *session);
extern void SessionEnd(Session *session);

#endif

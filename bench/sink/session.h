/*
 * session.h - one client's connection: its input, and its replies, which may be delayed.
 */
#ifndef SINK_SESSION_H
#define SINK_SESSION_H

#include <stdint.h>

#include <openssl/ssl.h>

/* What all sessions share: set once, at the start. */
typedef struct SessionOptions
{
	int64_t reply_delay;  /* nanoseconds from a command to its reply: the round trip */
	int64_t accept_delay; /* nanoseconds of work on a mail before it is accepted */
	SSL_CTX *tls;		  /* for STARTTLS, if smtp_offers.tls */
} SessionOptions;

extern SessionOptions session_options;

/* Take over an accepted connection, and send the greeting. */
extern void SessionStart(int fd);

/* Free the sessions that have ended. */
extern void SessionFreeEnded(void);

#endif

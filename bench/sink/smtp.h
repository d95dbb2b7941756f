/*
 * smtp.h - the server's side of SMTP: bytes in, replies out.
 */
#ifndef SINK_SMTP_H
#define SINK_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "tally.h"

typedef enum SmtpStage
{
	SMTP_COMMANDS,
	SMTP_BODY_START, /* nothing of the body is read yet */
	SMTP_BODY,
	SMTP_AUTH_PLAIN, /* the next line is the answer to a challenge of AUTH */
	SMTP_AUTH_USER,
	SMTP_AUTH_PASSWORD
} SmtpStage;

/* Where a client is in the protocol; all zeros for a new one. */
typedef struct Smtp
{
	SmtpStage stage;
	bool in_tls;
	bool logged_in;
	bool right_user; /* of AUTH LOGIN, whose password comes next */
	bool mailing;	 /* MAIL has been accepted */
	bool has_recipient;
	int64_t body_bytes;
	char key[KEY_SIZE]; /* local part of the recipient */
} Smtp;

/* The login that is offered and asked for; NULL: none. */
typedef struct SmtpLogin
{
	const char *user;
	const char *password;
} SmtpLogin;

extern SmtpLogin smtp_login;

struct Session;

/* A command line is no longer than this, its end included. */
#define SMTP_LINE_LIMIT 2048

/*
 * Take what has been read. Returns how many bytes were used: at least so many that fewer than SMTP_LINE_LIMIT are left,
 * which the caller puts in front of what it reads next.
 */
extern size_t SmtpTake(Smtp *smtp, struct Session *session, const char *bytes, size_t length);

#endif

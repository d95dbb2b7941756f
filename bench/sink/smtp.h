/*
 * smtp.h - the server's side of SMTP: bytes in, answers out.
 */
#ifndef SINK_SMTP_H
#define SINK_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	bool right_user; /* AUTH LOGIN: the user was right, and the password comes next */
	bool mailing;	 /* MAIL has been accepted */
	bool has_recipient;
	int64_t body_bytes;
	char key[KEY_SIZE]; /* local part of the recipient */
} Smtp;

/* What the server offers: set once, at the start. */
typedef struct SmtpOffers
{
	bool tls;		  /* STARTTLS */
	const char *user; /* the login that is offered and demanded; NULL: none */
	const char *password;
} SmtpOffers;

extern SmtpOffers smtp_offers;

/* What the session does after the reply. */
typedef enum SmtpAction
{
	SMTP_GO_ON,
	SMTP_START_TLS,
	SMTP_END
} SmtpAction;

/* The answer to one command or to one mail. */
typedef struct SmtpAnswer
{
	const char *reply;	/* ends with CRLF; valid until the next SmtpTake(); NULL: none */
	bool accepted_mail; /* the reply accepts a mail: smtp->body_bytes and smtp->key say which */
	bool logged_in;		/* the reply accepts a login */
	SmtpAction action;
} SmtpAnswer;

/* A command line is no longer than this, its end included. */
#define SMTP_LINE_LIMIT 2048

/*
 * Take bytes up to the end of one command or mail, and set the answer to it. Returns how many bytes
 * were used. Call it again with the rest until it uses none and answers nothing. Fewer than
 * SMTP_LINE_LIMIT bytes are left then; the caller puts them in front of what it reads next.
 */
extern size_t SmtpTake(Smtp *smtp, const char *bytes, size_t length, SmtpAnswer *answer);

#endif

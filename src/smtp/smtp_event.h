/*
 * smtp_event.h - what happened in a dialogue with a mail server, and at which stage.
 *
 * The SMTP client reports events, and the delivery policy decides what they mean. They share
 * nothing else.
 */
#ifndef RHESIS_SMTP_EVENT_H
#define RHESIS_SMTP_EVENT_H

/* The stage of the dialogue: mostly the command whose reply was awaited. */
typedef enum SmtpStage
{
	SMTP_STAGE_CONNECT, /* the name lookup and the TCP connection */
	SMTP_STAGE_GREETING,
	SMTP_STAGE_EHLO,
	SMTP_STAGE_STARTTLS,
	SMTP_STAGE_TLS, /* the handshake */
	SMTP_STAGE_AUTH,
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA,
	SMTP_STAGE_BODY,	  /* the body is being written */
	SMTP_STAGE_FINAL_DOT, /* the mail is written, its reply is awaited */
} SmtpStage;

/* What happened at that stage. */
typedef enum SmtpEventKind
{
	SMTP_EVENT_REPLY, /* the server has replied: see code, enhanced and text */
	SMTP_EVENT_CONNECTION_LOST,
	SMTP_EVENT_TIMEOUT,
	SMTP_EVENT_GARBAGE, /* not SMTP, or a reply that no command expects */
	SMTP_EVENT_DNS,
	SMTP_EVENT_REFUSED,		 /* or unreachable */
	SMTP_EVENT_TLS_FAILED,	 /* the handshake */
	SMTP_EVENT_CERTIFICATE,	 /* not trusted, expired, or for another name */
	SMTP_EVENT_CA_FILE,		 /* our CA file cannot be read */
	SMTP_EVENT_NO_STARTTLS,	 /* not offered, but required */
	SMTP_EVENT_NO_AUTH,		 /* not offered, but a user is set */
	SMTP_EVENT_LOGIN_FAILED, /* refused, but no reply gives a reason */
	SMTP_EVENT_ABORTED,		 /* we have closed the connection, for example at a shutdown */
} SmtpEventKind;

typedef struct SmtpEvent
{
	SmtpStage stage;
	SmtpEventKind kind;
	int code;			  /* of the reply; set for SMTP_EVENT_REPLY only */
	const char *enhanced; /* of the reply, such as "4.7.0"; "" or NULL: none */
	const char *text;	  /* NULL: none */
	const char *sender;	  /* the address of MAIL FROM, or NULL; some refusals quote it */
	bool dot_written;	  /* the final dot was written, or a part of it */
	bool reused;		  /* the connection had been ready before it got this mail */
} SmtpEvent;

/* What the refusal of a mail means for the connection. */
typedef enum SmtpRefusal
{
	SMTP_REFUSAL_OF_MAIL,		  /* nothing: it concerns the mail, the account or the server */
	SMTP_REFUSAL_OF_CONNECTION,	  /* this connection takes no more mails, but another may */
	SMTP_REFUSAL_CONNECTION_FULL, /* the same: the server limits the mails of each connection */
} SmtpRefusal;

/* Names for logs, events and tests, such as "rcpt" and "connection_lost". Constant strings. */
extern const char *SmtpStageName(SmtpStage stage);
extern const char *SmtpEventKindName(SmtpEventKind kind);

#endif

/*
 * smtp_event.h - what happened in a dialogue with a mail server, and where in it.
 *
 * The SMTP client reports it, and the delivery policy says what it means. Neither needs more of the other.
 */
#ifndef RHESIS_SMTP_EVENT_H
#define RHESIS_SMTP_EVENT_H

/* Where in the dialogue it happened: the command whose reply was awaited. */
typedef enum SmtpStage
{
	SMTP_STAGE_CONNECT, /* name lookup and TCP */
	SMTP_STAGE_GREETING,
	SMTP_STAGE_EHLO,
	SMTP_STAGE_STARTTLS,
	SMTP_STAGE_TLS, /* the handshake */
	SMTP_STAGE_AUTH,
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA,
	SMTP_STAGE_BODY,	  /* the body is being written */
	SMTP_STAGE_FINAL_DOT, /* all is written, the reply is awaited */
} SmtpStage;

/* What happened there. */
typedef enum SmtpEventKind
{
	SMTP_EVENT_REPLY, /* the server said something: code, enhanced, text */
	SMTP_EVENT_CONNECTION_LOST,
	SMTP_EVENT_TIMEOUT,
	SMTP_EVENT_GARBAGE, /* not SMTP, or a reply that no command asked for */
	SMTP_EVENT_DNS,
	SMTP_EVENT_REFUSED,		 /* or unreachable */
	SMTP_EVENT_TLS_FAILED,	 /* the handshake */
	SMTP_EVENT_CERTIFICATE,	 /* untrusted, expired, or of another name */
	SMTP_EVENT_CA_FILE,		 /* our CA file can't be read */
	SMTP_EVENT_NO_STARTTLS,	 /* not offered, but required */
	SMTP_EVENT_NO_AUTH,		 /* not offered, but a user is set */
	SMTP_EVENT_LOGIN_FAILED, /* refused without a reply that says why */
	SMTP_EVENT_ABORTED,		 /* by us: a shutdown, or somebody needs the database */
} SmtpEventKind;

typedef struct SmtpEvent
{
	SmtpStage stage;
	SmtpEventKind kind;
	int code;			  /* SMTP_EVENT_REPLY only, like the next two */
	const char *enhanced; /* "4.7.0"; "" or NULL: none */
	const char *text;	  /* NULL: none */
	const char
		*sender;	  /* MAIL FROM address; some refusals are ours only if they name it; or NULL */
	bool dot_written; /* the final dot had been written, wholly or in part */
	bool reused;	  /* this connection had been ready before this message came to it */
} SmtpEvent;

/* What a refusal says about the connection that it came over. */
typedef enum SmtpRefusal
{
	SMTP_REFUSAL_OF_MAIL,		  /* nothing: it is about the mail, the account or the server */
	SMTP_REFUSAL_OF_CONNECTION,	  /* this connection takes no more mails; another one may */
	SMTP_REFUSAL_CONNECTION_FULL, /* the same, for a count that another connection reaches too */
} SmtpRefusal;

/* Names for logs, events and tests: "rcpt", "connection_lost". Constant strings. */
extern const char *SmtpStageName(SmtpStage stage);
extern const char *SmtpEventKindName(SmtpEventKind kind);

#endif

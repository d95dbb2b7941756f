/*
 * smtp.h - connections to one SMTP server, and the mail transaction over them.
 *
 * libcurl connects (name lookup, TLS with verification, STARTTLS, SASL); we speak MAIL, RCPT, DATA and the rest ourselves,
 * pipelined where the server offers it, on up to max_connections connections at once. Nothing here blocks and nothing
 * raises an error: the caller submits mails, calls SmtpRun whenever the descriptor is readable, and collects outcomes.
 * A pool knows nothing about the queue, SQL or retry policy: it reports what happened, stage by stage.
 */
#ifndef RHESIS_SMTP_H
#define RHESIS_SMTP_H

#include "outcome.h"

typedef enum SmtpTls
{
	SMTP_TLS_AUTO,	   /* implicit on port 465, else STARTTLS required */
	SMTP_TLS_STARTTLS, /* STARTTLS required */
	SMTP_TLS_IMPLICIT,
	SMTP_TLS_NONE /* no TLS: the caller has checked that this is allowed */
} SmtpTls;

typedef struct SmtpOptions
{
	const char *host;
	int port;
	const char *user;	  /* NULL: no login */
	const char *password; /* copied when a connection is opened, wiped after it */
	SmtpTls tls;
	const char *ca_file;   /* NULL: the system's bundle */
	const char *helo_name; /* NULL: the machine's name */
	int connect_timeout_ms; /* until logged in */
	int send_timeout_ms;	/* for each reply, and for each write that makes no progress */
	int max_connections;
	int messages_per_connection;
} SmtpOptions;

/* One mail on its way. The caller owns it and all it points to until it comes back from SmtpNextFinished. */
typedef struct SmtpMail
{
	const char *sender;	   /* envelope addresses, without angle brackets; already validated */
	const char *recipient;
	const char *data;	   /* dot-stuffed, with the final CRLF . CRLF */
	size_t data_length;
	void *cookie;		   /* the caller's */

	/* set when it comes back */
	SmtpEvent event;	   /* what happened: stage, kind, reply (strings owned by the mail, freed by SmtpMailClear) */
	bool fresh_connection; /* it was the first transaction of its connection */

	struct SmtpMail *next; /* the pool's */
} SmtpMail;

typedef struct SmtpPool SmtpPool;

typedef struct SmtpPoolStatus
{
	int connections;   /* open or opening */
	int in_flight;	   /* submitted and not yet finished */
	uint64 connects;   /* connections that were opened, since the pool was made */
} SmtpPoolStatus;

/* Process-wide: curl_global_init and the check of libcurl's version and features. NULL, or what is wrong (static). */
extern const char *SmtpInitialize(void);

/* NULL with *problem set (static text) when it can't be made. The options are copied. */
extern SmtpPool *SmtpPoolCreate(const SmtpOptions *options, const char **problem);

/* Closes everything at once, without QUIT; unfinished mails are handed back with kind SMTP_FAIL_ABORTED. */
extern void SmtpPoolAbort(SmtpPool *pool);
extern void SmtpPoolDestroy(SmtpPool *pool);

extern int SmtpPoolDescriptor(const SmtpPool *pool);

/* How many more mails may be submitted now so that all of them are on the wire at once. */
extern int SmtpPoolRoom(const SmtpPool *pool);
extern void SmtpSubmit(SmtpPool *pool, SmtpMail *mail);

/* At most this many connections from now on (1 while probing a server that was in trouble). */
extern void SmtpPoolLimit(SmtpPool *pool, int connections);

/* Replace the password for connections opened from now on (a mounted secret is read again at each login). */
extern void SmtpPoolSetPassword(SmtpPool *pool, const char *password);

/* Make what progress can be made without waiting. */
extern void SmtpRun(SmtpPool *pool);

/* The next mail that is done, or NULL. A connection that could not be opened hands one mail back for its trouble;
 * the others stay queued in the pool until the caller takes them back with SmtpTakeBack. */
extern SmtpMail *SmtpNextFinished(SmtpPool *pool);

/* Mails that were submitted and of which no byte has been written yet leave the pool, one a call; NULL when none is left. */
extern SmtpMail *SmtpTakeBack(SmtpPool *pool);

/* Say QUIT on idle connections and close them. */
extern void SmtpCloseIdle(SmtpPool *pool);

extern void SmtpPoolGetStatus(const SmtpPool *pool, SmtpPoolStatus *status);

/* Free what an outcome left in the mail (not the mail, nor what the caller put in it). */
extern void SmtpMailClear(SmtpMail *mail);

/*
 * A probe for check_smtp(): connect, log in, MAIL FROM, RSET, QUIT on one connection, step by step. Started like a mail;
 * the steps reached and the event of the failed one are read from the probe.
 */
typedef struct SmtpProbeStep
{
	const char *step; /* "lookup", "connect", "tls", "login", "sender" */
	bool reached;
	bool ok;
	char detail[512];
	double elapsed_ms;
} SmtpProbeStep;

#define SMTP_PROBE_STEPS 5

typedef struct SmtpProbe
{
	SmtpProbeStep steps[SMTP_PROBE_STEPS];
	SmtpEvent event; /* of the failed step */
	bool done;
} SmtpProbe;

extern void SmtpPoolStartProbe(SmtpPool *pool, const char *sender, SmtpProbe *probe);

#endif

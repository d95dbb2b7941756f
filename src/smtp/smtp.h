/*
 * smtp.h - connections to one SMTP server, and the mail transaction over them.
 *
 * libcurl connects (name lookup, TLS with verification, STARTTLS, SASL); we speak MAIL, RCPT, DATA and
 * the rest ourselves, pipelined where the server offers it, on up to max_connections connections at once.
 * Nothing here blocks and nothing raises an error: the caller submits mails, calls SmtpRun whenever the
 * descriptor is readable, and collects outcomes. A pool knows nothing about the queue, SQL or retry
 * policy: it reports what happened, stage by stage.
 */
#ifndef RHESIS_SMTP_H
#define RHESIS_SMTP_H

#include "smtp/smtp_event.h"

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
	const char *password; /* NULL: empty */
	const char
		*auth; /* login mechanisms in the order in which they are tried; NULL: what is offered */
	SmtpTls tls;
	const char *ca_file;	/* NULL: the system's bundle */
	const char *helo_name;	/* NULL: the machine's name */
	int connect_timeout_ms; /* until logged in */
	int send_timeout_ms;	/* for each reply, and for each write that makes no progress */
	int max_connections;
	int messages_per_connection; /* at most; fewer once the server was seen to take fewer */
	SmtpRefusal (*judge)(const SmtpEvent *refusal); /* NULL: each is about the mail */
} SmtpOptions;

/* One mail on its way. The caller owns it and all it points to until it leaves the pool. */
typedef struct SmtpMail
{
	const char *sender; /* envelope addresses, without angle brackets; already validated */
	const char *recipient;
	const char *data; /* dot-stuffed, with the final CRLF . CRLF */
	size_t data_length;
	void *cookie; /* the caller's */

	/*
	 * What happened, set when it comes back. For kinds other than a reply, text says more for people
	 * (libcurl's message). The texts live until SmtpMailClear.
	 */
	SmtpEvent event;

	/* the pool's */
	struct SmtpMail *next;
	char enhanced[12];
	char *text;
} SmtpMail;

typedef struct SmtpPool SmtpPool;

typedef struct SmtpPoolStatus
{
	int connections; /* open or opening */
	int in_flight;	 /* submitted and not yet finished */
	bool stalled;	 /* a connection could not be opened: see SmtpPoolResume */
	uint64 connects; /* connections that were ready for mail, since the pool was made */
} SmtpPoolStatus;

/* So many login mechanisms are known. */
#define SMTP_MECHANISMS 7

/*
 * Reads a list of mechanisms, with commas or blanks between them, in any case, into order[SMTP_MECHANISMS]. False:
 * it has one twice, or one that needs more than a password.
 */
extern bool SmtpParseMechanisms(const char *list, int *order, int *count);

/* Process-wide: curl_global_init and the check of libcurl's version and features. NULL, or what is wrong (static). */
extern const char *SmtpInitialize(void);

/* NULL with *problem set (static text) when it can't be made. The options are copied. */
extern SmtpPool *SmtpPoolCreate(const SmtpOptions *options, const char **problem);

/*
 * Closes every connection at once, without QUIT. Mails that were being sent are finished, as
 * SMTP_EVENT_ABORTED; those that still waited are for SmtpTakeBack.
 */
extern void SmtpPoolAbort(SmtpPool *pool);

/* The same for connections on which no mail awaits the reply to its final dot: what they carried has surely not been sent. */
extern void SmtpPoolAbortUnsent(SmtpPool *pool);

/* Aborts and frees. Mails that the caller did not collect before stay the caller's. NULL is fine. */
extern void SmtpPoolDestroy(SmtpPool *pool);

/* Readable when SmtpRun has something to do; it stays the same for the life of the pool. */
extern int SmtpPoolDescriptor(const SmtpPool *pool);

/*
 * How many more mails keep all connections busy: for each one on the wire, one behind it, and one that is at
 * hand when that one's body is written, so that its envelope goes out with it. A stalled pool counts only the
 * connections that it has.
 */
extern int SmtpPoolRoom(const SmtpPool *pool);

/* Queues a mail; the next SmtpRun sends it. */
extern void SmtpSubmit(SmtpPool *pool, SmtpMail *mail);

/* At most this many connections from now on (1 while probing a server that was in trouble). */
extern void SmtpPoolLimit(SmtpPool *pool, int connections);

/* Replace the password for connections opened from now on (a mounted secret is read again at each login). */
extern void SmtpPoolSetPassword(SmtpPool *pool, const char *password);

/* Make what progress can be made without waiting. */
extern void SmtpRun(SmtpPool *pool);

/*
 * The next mail that is done, or NULL. When a connection could not be opened, one of the waiting mails is
 * finished with that event; the others stay queued, and the pool is stalled.
 */
extern SmtpMail *SmtpNextFinished(SmtpPool *pool);

/*
 * A stalled pool opens no connection, so that a server in trouble is not hammered; connections that are
 * open go on. This lets it try again.
 */
extern void SmtpPoolResume(SmtpPool *pool);

/* Mails that were submitted and of which no byte has been written yet leave the pool, one a call; NULL when none is left. */
extern SmtpMail *SmtpTakeBack(SmtpPool *pool);

/* Say QUIT on idle connections and close them. (A connection idle for some seconds does it by itself.) */
extern void SmtpCloseIdle(SmtpPool *pool);

extern void SmtpPoolGetStatus(const SmtpPool *pool, SmtpPoolStatus *status);

/* Free what an outcome left in the mail (not the mail, nor what the caller put in it). */
extern void SmtpMailClear(SmtpMail *mail);

/*
 * A probe for check_smtp(): connect, log in, MAIL FROM, RCPT TO, RSET, QUIT on a connection of its own, step by
 * step. The caller calls SmtpRun until it is done; then steps were reached up to the first that failed,
 * and the event tells of that one (or of the reply to RCPT). Nothing in it needs to be freed.
 */
typedef enum SmtpProbeStepName
{
	SMTP_PROBE_LOOKUP,
	SMTP_PROBE_CONNECT, /* up to the answer to EHLO */
	SMTP_PROBE_TLS,
	SMTP_PROBE_LOGIN,
	SMTP_PROBE_SENDER,
	SMTP_PROBE_RECIPIENT,
} SmtpProbeStepName;

#define SMTP_PROBE_STEPS 6

typedef struct SmtpProbeStep
{
	const char *step; /* "lookup", "connect", "tls", "login", "sender", "recipient" */
	bool reached;
	bool ok;
	char detail[512];
	double elapsed_ms;
} SmtpProbeStep;

typedef struct SmtpProbe
{
	SmtpProbeStep steps[SMTP_PROBE_STEPS];
	SmtpEvent event;
	char enhanced[12]; /* event.enhanced */
	char helo[256];	   /* what EHLO said */
	bool done;
} SmtpProbe;

/* The addresses and the probe stay the caller's; all must outlive the pool or the end of the probe. */
extern void
SmtpPoolStartProbe(SmtpPool *pool, const char *sender, const char *recipient, SmtpProbe *probe);

/* Whether a descriptor below this number is a connection to a mail server. For use in signal handlers too. */
#define SMTP_DESCRIPTORS_KNOWN 4096

extern bool SmtpOwnsDescriptor(int descriptor);

#endif

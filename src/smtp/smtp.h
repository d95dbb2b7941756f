/*
 * smtp.h - connections to one SMTP server, and the mail transactions over them.
 *
 * A pool has up to max_connections connections. libcurl opens them (name lookup, TLS with
 * verification, STARTTLS, SASL). The dialogue after that is written here: MAIL, RCPT, DATA and so
 * on, pipelined if the server offers that.
 *
 * Nothing here blocks, and nothing raises an error. The caller submits mails, calls SmtpRun()
 * whenever the descriptor is readable, and collects the finished mails. A pool knows nothing about
 * the queue, SQL or the retry policy: it reports what happened, and at which stage.
 */
#ifndef RHESIS_SMTP_H
#define RHESIS_SMTP_H

#include "smtp/smtp_event.h"

typedef enum SmtpTls
{
	SMTP_TLS_AUTO,	   /* implicit on port 465; on other ports STARTTLS is required */
	SMTP_TLS_STARTTLS, /* STARTTLS is required */
	SMTP_TLS_IMPLICIT, /* TLS from the first byte */
	SMTP_TLS_NONE	   /* no TLS; the caller has checked that this is allowed */
} SmtpTls;

typedef struct SmtpOptions
{
	const char *host;
	int port;
	const char *user;	  /* NULL: no login */
	const char *password; /* NULL: empty */
	const char *auth;	  /* a list of login mechanisms, in order; NULL: the default order */
	SmtpTls tls;
	const char *ca_file;	/* NULL: the system's bundle */
	const char *helo_name;	/* NULL: the machine's name */
	int connect_timeout_ms; /* from the lookup of the name until the login */
	int send_timeout_ms;	/* for each reply, and for each write that makes no progress */
	int max_connections;
	int messages_per_connection; /* at most; fewer after the server has refused more */
	SmtpRefusal (*judge)(const SmtpEvent *refusal); /* NULL: each is an SMTP_REFUSAL_OF_MAIL */
} SmtpOptions;

/* One mail. The caller owns it, and must not free it or what it points to while a pool has it. */
typedef struct SmtpMail
{
	const char *sender; /* envelope addresses, validated, without angle brackets */
	const char *recipient;
	const char *data; /* dot-stuffed, with the final CRLF . CRLF */
	size_t data_length;
	void *cookie; /* for the caller */

	/*
	 * The outcome, set when the mail is finished. If the kind is not a reply, event.text is a
	 * message for people, mostly libcurl's. The texts are valid until SmtpMailClear().
	 */
	SmtpEvent event;

	/* for the pool */
	struct SmtpMail *next;
	char enhanced[12];
	char *text;
} SmtpMail;

typedef struct SmtpPool SmtpPool;

typedef struct SmtpPoolStatus
{
	int connections; /* open, or being opened */
	int in_flight;	 /* mails that were submitted and are not finished */
	bool stalled;	 /* a connection could not be opened: see SmtpPoolResume() */
	uint64 connects; /* connections that have become ready since the pool was made */
} SmtpPoolStatus;

/* The number of login mechanisms that are known. */
#define SMTP_MECHANISMS 7

/*
 * Parse a list of mechanisms into order[SMTP_MECHANISMS], and set *count. The names are separated
 * by commas or blanks, in upper or lower case. list may be NULL. Returns false if a name occurs
 * twice, or is not one of a mechanism that needs a password only.
 */
extern bool SmtpParseMechanisms(const char *list, int *order, int *count);

/*
 * Initialize libcurl for this process, and check its version and features. Returns NULL, or what is
 * wrong with libcurl (static text).
 */
extern const char *SmtpInitialize(void);

/*
 * Returns a new pool, which has copies of the options. Returns NULL if no pool can be made, and
 * sets *problem to the reason (static text).
 */
extern SmtpPool *SmtpPoolCreate(const SmtpOptions *options, const char **problem);

/*
 * Close all connections at once, without QUIT. The mails that were being sent are finished with
 * SMTP_EVENT_ABORTED. SmtpTakeBack() returns the mails that still waited. The pool is stalled then.
 */
extern void SmtpPoolAbort(SmtpPool *pool);

/*
 * Close, without QUIT, the ready connections on which no mail awaits the reply to its final dot.
 * Their mails were certainly not sent, and are finished with SMTP_EVENT_ABORTED. Connections that
 * are being opened stay.
 */
extern void SmtpPoolAbortUnsent(SmtpPool *pool);

/*
 * Abort the pool, and free it. The caller must free the mails that it did not collect before. NULL
 * is allowed.
 */
extern void SmtpPoolDestroy(SmtpPool *pool);

/*
 * Returns the descriptor that is readable when SmtpRun() has something to do. A pool has the same
 * descriptor until its end.
 */
extern int SmtpPoolDescriptor(const SmtpPool *pool);

/*
 * Returns how many more mails the pool can use to keep all connections busy. Each connection needs
 * three: one that awaits its reply, one that is being written, and one that waits, so that its
 * envelope goes out together with the end of the mail before. A stalled pool counts only the
 * connections that it has.
 */
extern int SmtpPoolCapacity(const SmtpPool *pool);

/*
 * Queue a mail; the next SmtpRun() begins to send it. If an address cannot stand in a command, the
 * mail is finished at once, as refused.
 */
extern void SmtpSubmit(SmtpPool *pool, SmtpMail *mail);

/* Use at most this many connections from now on. */
extern void SmtpPoolLimit(SmtpPool *pool, int connections);

/* Use this password for the connections that are opened from now on. */
extern void SmtpPoolSetPassword(SmtpPool *pool, const char *password);

/* Make all progress that is possible without waiting. */
extern void SmtpRun(SmtpPool *pool);

/*
 * Returns the next finished mail; NULL if there is none. If a connection could not be opened, one
 * of the waiting mails is finished with that event. The others stay queued, and the pool is
 * stalled.
 */
extern SmtpMail *SmtpNextFinished(SmtpPool *pool);

/*
 * Let a stalled pool open connections again. A stalled pool opens none, because the server may be
 * overloaded. Its open connections go on.
 */
extern void SmtpPoolResume(SmtpPool *pool);

/*
 * Take a mail of which no byte was written out of the pool. Returns one mail for each call; NULL if
 * there is none.
 */
extern SmtpMail *SmtpTakeBack(SmtpPool *pool);

/*
 * Send QUIT on idle connections, and close them. SmtpRun() does so for a connection that was idle
 * for some seconds.
 */
extern void SmtpCloseIdle(SmtpPool *pool);

/*
 * Begins to note the dialogue if wanted, and else stops. While a connection is opened that was begun
 * before, only its replies are noted. The text has the addresses of mails, but neither the data of a
 * login nor the content of a mail.
 */
extern void SmtpPoolTrace(SmtpPool *pool, bool wanted);

/*
 * Returns the dialogue since the last call, in printable ASCII, each line with "\n"; NULL if nothing
 * was said. The text is valid until the next call that gets the pool.
 */
extern const char *SmtpTakeTrace(SmtpPool *pool);

extern void SmtpPoolGetStatus(const SmtpPool *pool, SmtpPoolStatus *status);

/* Free the texts of the event. The mail and what the caller has put into it are not freed. */
extern void SmtpMailClear(SmtpMail *mail);

/*
 * A probe for check_smtp(): connect, log in, MAIL FROM, RCPT TO, RSET and QUIT on a connection of
 * its own. The caller calls SmtpRun() until the probe is done. Then the steps up to the first
 * failed one are reached. event is that of the failed step, or the reply to RCPT. Nothing in a
 * probe needs to be freed.
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
	char helo[256];	   /* the name that EHLO gave */
	bool done;
} SmtpProbe;

/*
 * Start a probe. The addresses and the probe must stay valid until the probe is done, or the pool
 * is freed.
 */
extern void
SmtpPoolStartProbe(SmtpPool *pool, const char *sender, const char *recipient, SmtpProbe *probe);

/* SmtpOwnsDescriptor() knows the answer for descriptors below this number. */
#define SMTP_DESCRIPTORS_KNOWN 4096

/*
 * Returns true if the descriptor is a connection to a mail server, or if that is not known. A
 * signal handler may call this.
 */
extern bool SmtpOwnsDescriptor(int descriptor);

#endif

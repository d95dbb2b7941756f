/*
 * smtp_internal.h - what the files of src/smtp share. No other folder includes it.
 *
 * A file calls files further down in this list, and never a file above it:
 *
 *	smtp_pool.c			make a pool from its options, abort it, free it
 *	smtp.c				run a pool: sockets, time-outs, connections for the waiting mails
 *	smtp_connection.c	one connection: libcurl opens it, the dialogue uses it, it is closed
 *	smtp_transaction.c	the dialogue on an open connection
 *	smtp_probe.c		the steps of check_smtp's probe
 *	smtp_auth.c			the login mechanism that a connection tries
 *	smtp_mails.c		the mails that wait and the mails that are finished
 *	smtp_timer.c		the clock and the timer of a pool
 *	smtp_trace.c		the dialogue as text, for the log
 *
 * smtp_reply.c, smtp_event.c and multiplexer.c are at the bottom. They do not know what a pool is.
 *
 * The comments of the functions are at their definitions.
 *
 * All memory comes from malloc. Nothing here may raise an error: libcurl's frames may be on the
 * stack, and a pool must not stay half changed.
 */
#ifndef RHESIS_SMTP_INTERNAL_H
#define RHESIS_SMTP_INTERNAL_H

#include <curl/curl.h>

#include "smtp/multiplexer.h"
#include "smtp/smtp.h"
#include "smtp/smtp_reply.h"

/*
 * The output is no longer than one TLS record. A record is written as a whole or not at all, so it
 * is always known whether the final dot was written.
 */
#define SMTP_OUTPUT_SIZE 16384

/* An address and the words around it. RFC 5321 limits an address to 254 bytes. */
#define SMTP_LONGEST_ADDRESS 320
#define SMTP_LONGEST_ENVELOPE (2 * SMTP_LONGEST_ADDRESS + 128)

/* An idle connection sends QUIT after SMTP_IDLE_MS, and waits SMTP_QUIT_MS for the reply. */
#define SMTP_IDLE_MS 3000
#define SMTP_QUIT_MS 5000

/*
 * How many replies a connection can await. It must hold four for the mail that is being sent, four
 * for the mail after it, two for RSET and one for QUIT.
 */
#define SMTP_MAX_EXPECTED 16

typedef enum SmtpCommand
{
	SMTP_COMMAND_MAIL,
	SMTP_COMMAND_RCPT,
	SMTP_COMMAND_DATA,
	SMTP_COMMAND_DOT,
	SMTP_COMMAND_RSET,
	SMTP_COMMAND_QUIT
} SmtpCommand;

/* A reply that is awaited. */
typedef struct SmtpExpected
{
	SmtpCommand command;
	SmtpMail *mail; /* NULL: the command belongs to no mail, or its mail is finished */
	uint64 end;		/* where the command ends, in bytes appended on this connection */
} SmtpExpected;

/* What is appended to the output next. */
typedef enum SmtpStep
{
	SMTP_STEP_IDLE, /* no mail has been begun: the next one, RSET or QUIT */
	SMTP_STEP_MAIL,
	SMTP_STEP_RCPT,
	SMTP_STEP_DATA,
	SMTP_STEP_GO_AHEAD, /* nothing until DATA is answered */
	SMTP_STEP_BODY,
	SMTP_STEP_LONE_DOT,	 /* the final dot alone: DATA was accepted, but the envelope was not */
	SMTP_STEP_QUIT_SENT, /* nothing: QUIT was the last command */
	SMTP_STEP_ENDED		 /* nothing: the dialogue is over */
} SmtpStep;

/* What SmtpFlush() returns: how far the dialogue has come. */
typedef enum SmtpProgress
{
	SMTP_PROGRESS_ENDED,   /* the dialogue is over: the connection must be closed */
	SMTP_PROGRESS_BLOCKED, /* the socket takes no more bytes now */
	SMTP_PROGRESS_PENDING, /* a reply is awaited */
	SMTP_PROGRESS_IDLE	   /* no reply is awaited, and no mail was there to begin */
} SmtpProgress;

typedef enum SmtpConnectionState
{
	SMTP_CONNECTION_OPENING, /* libcurl uses the socket */
	SMTP_CONNECTION_READY,	 /* the dialogue uses the socket */
	SMTP_CONNECTION_DEAD	 /* SmtpReapConnections closes and frees it */
} SmtpConnectionState;

typedef struct SmtpConnection
{
	SmtpPool *pool;
	unsigned int number; /* for the trace: 1 for the first one of the pool */
	SmtpConnectionState state;
	CURL *easy;
	int fd;			 /* -1 until it is ready */
	int descriptors; /* reserved by AcquireExternalFD() */

	/* opening */
	uint32 mechanisms;		 /* bits: the login mechanisms that it may use */
	SmtpStage opening_stage; /* what libcurl waits for, as the replies show */
	bool over_tls;
	char problem[CURL_ERROR_SIZE]; /* libcurl's message */

	SmtpReplyParser parser;
	SmtpCapabilities capabilities;

	/* the dialogue */
	SmtpStep step;
	SmtpMail *mail;		  /* the mail that is being sent, until its final dot is appended */
	size_t data_appended; /* bytes of mail->data that were appended to the output */
	bool reset_needed;	  /* the server may still be in a transaction: send RSET first */
	bool leaving;		  /* begin no mail; send QUIT as soon as no mail is being sent */
	bool served;		  /* a mail was begun, or it was idle: see SmtpEvent.reused */
	int begun;			  /* mails that were begun */
	int ended;			  /* mails that were finished */

	SmtpExpected expected[SMTP_MAX_EXPECTED]; /* the oldest first */
	int expected_count;

	uint64 appended; /* bytes ever appended to the output */
	uint64 written;	 /* bytes of them that libcurl has taken */
	size_t output_length;
	size_t output_done;
	char output[SMTP_OUTPUT_SIZE];

	/* what the pool needs to know of the dialogue */
	bool idle;			/* see SMTP_PROGRESS_IDLE */
	bool write_blocked; /* see SMTP_PROGRESS_BLOCKED */
	int64 deadline;		/* until when it must make progress, or may be idle */

	/* the probe that it was opened for, or NULL */
	SmtpProbe *probe;
	SmtpMail probe_mail;
	int64 opened_us;
	int64 ready_us;	 /* 0: not yet */
	int64 sender_us; /* when MAIL was accepted */
} SmtpConnection;

typedef struct SmtpMailList
{
	SmtpMail *head;
	SmtpMail *tail;
	int length;
} SmtpMailList;

typedef struct SmtpTrace SmtpTrace;

#define SMTP_NO_MECHANISM (-1)

/* What is known about the server's login mechanisms. A set of mechanisms is a mask of bits. */
typedef struct SmtpAuth
{
	int order[SMTP_MECHANISMS]; /* the order in which they are tried */
	int count;
	bool may_fall_back; /* after a refusal, another mechanism may be tried */
	bool offers_known;	/* a failed login has shown what the server offers */
	uint32 offered;
	uint32 refused;
	bool exhausted; /* all were refused: each connection now tries only one */
	int chosen;		/* the mechanism that has succeeded, or SMTP_NO_MECHANISM */
} SmtpAuth;

struct SmtpPool
{
	/* options; the strings come from malloc */
	char *url;
	char *user;
	char *password;
	char *ca_file;
	char *helo;
	SmtpAuth auth;
	bool tls;		   /* implicit or STARTTLS */
	bool implicit_tls; /* TLS from the first byte */
	int connect_timeout_ms;
	int send_timeout_ms;
	int max_connections;
	int messages_per_connection;
	SmtpRefusal (*judge)(const SmtpEvent *refusal);

	/* How many mails the server takes on a connection, used until learned_until; 0: unknown. */
	int learned_messages;
	int64 learned_until;

	CURLM *multi;
	Multiplexer *mux;
	int descriptors; /* reserved by AcquireExternalFD() */

	SmtpMailList waiting;
	SmtpMailList finished;
	int in_flight; /* waiting or on a connection */

	SmtpConnection **connections;
	int connection_count;
	int opening_count;
	int idle_count;
	int limit;
	bool stalled;
	uint64 connects;
	unsigned int numbered; /* connections that have a number */
	SmtpTrace *trace;	   /* NULL: the dialogue is not noted */

	SmtpConnection **by_fd; /* ready connections, by their sockets */
	int by_fd_length;

	int64 now;			 /* milliseconds; see SmtpReadClock */
	int64 curl_deadline; /* -1: none */
	int64 deadline;		 /* not later than the deadline of any connection */
	int64 timer;		 /* the time that the multiplexer's timer is set to; -1: it is not set */
};

#define SMTP_NEVER PG_INT64_MAX

/* How long learned_messages is used. */
#define SMTP_LEARNED_MS (3600 * 1000)

/* smtp_connection.c */
extern bool SmtpSetUpCurl(SmtpPool *pool);
extern void SmtpTearDownCurl(SmtpPool *pool);
extern bool SmtpOpenConnection(SmtpPool *pool, SmtpProbe *probe, const SmtpMail *probe_mail);
extern void SmtpCurlAction(SmtpPool *pool, curl_socket_t fd, int events);
extern void SmtpCollectOpened(SmtpPool *pool);
extern SmtpConnection *SmtpConnectionByFd(const SmtpPool *pool, int fd);
extern void SmtpServe(SmtpConnection *connection);
extern void SmtpContinue(SmtpConnection *connection);
extern void SmtpAbandon(SmtpConnection *connection, SmtpEventKind kind, const char *text);
extern void SmtpKill(SmtpConnection *connection);
extern void SmtpReapConnections(SmtpPool *pool);

/* smtp_transaction.c */
extern void SmtpBeginMail(SmtpConnection *connection, SmtpMail *mail);
extern bool SmtpReadReplies(SmtpConnection *connection);
extern SmtpProgress SmtpFlush(SmtpConnection *connection);
extern bool SmtpMayHaveSent(const SmtpConnection *connection);
extern void SmtpGiveUp(SmtpConnection *connection, SmtpEventKind kind, const SmtpReply *reply,
					   const char *text);

/* smtp_probe.c */
extern void SmtpProbeSenderAccepted(SmtpConnection *connection, const SmtpEvent *event);
extern void SmtpProbeFinished(SmtpConnection *connection, const SmtpEvent *event);

/* smtp_auth.c */
extern void SmtpSetMechanisms(SmtpPool *pool, const char *list);
extern void SmtpLoginOptions(SmtpConnection *connection, char *options, size_t size);
extern const char *SmtpMechanismName(const SmtpConnection *connection);
extern void SmtpLoginSucceeded(SmtpConnection *connection);
extern bool SmtpTriesNextMechanism(SmtpConnection *connection, const SmtpEvent *event);
extern void SmtpForgetRefusals(SmtpPool *pool);

/* smtp_mails.c */
extern bool SmtpIsSafeWord(const char *word);
extern SmtpMail *SmtpTakeWaiting(SmtpPool *pool);
extern SmtpMail *SmtpNextMail(SmtpConnection *connection);
extern void SmtpFinishMail(SmtpPool *pool, SmtpMail *mail, const SmtpEvent *event);

/* smtp_timer.c */
extern int64 SmtpNowUs(void);
extern void SmtpReadClock(SmtpPool *pool);
extern void SmtpSetDeadline(SmtpConnection *connection, int milliseconds);
extern void SmtpArmTimer(SmtpPool *pool);

/* smtp_trace.c */
extern void SmtpTraceSent(const SmtpConnection *connection, const char *line, size_t length);
extern void SmtpTraceReceived(const SmtpConnection *connection, const char *line, size_t length);
extern void SmtpTraceReply(const SmtpConnection *connection, const SmtpReply *reply);
extern void SmtpTraceNote(const SmtpConnection *connection, const char *note);
extern int
SmtpTraceOpening(CURL *easy, curl_infotype type, char *data, size_t size, void *connection);

#endif

/*
 * smtp_internal.h - what the files of the SMTP room share; nobody else includes it.
 *
 *	smtp.c				the pool at work: who gets which mail, time-outs, the one place that runs things
 *	smtp_pool.c			making a pool, its options, and its end
 *	smtp_connection.c	libcurl opens and closes connections
 *	smtp_auth.c			which login mechanism is tried, and which one after a refusal
 *	smtp_transaction.c	the dialogue on an open connection
 *	smtp_probe.c		check_smtp's probe
 *
 * Memory is malloc's: nothing here may raise an error (libcurl's frames are below us, and a pool must not
 * be left half-way).
 */
#ifndef RHESIS_SMTP_INTERNAL_H
#define RHESIS_SMTP_INTERNAL_H

#include <curl/curl.h>

#include "smtp/multiplexer.h"
#include "smtp/smtp.h"
#include "smtp/smtp_reply.h"

/*
 * One write is one TLS record, at most: so it has gone out as a whole or not at all, and we always know
 * whether the final dot was in it.
 */
#define SMTP_OUTPUT_SIZE 16384

/* An address and the words around it; RFC 5321 limits addresses to 254 bytes. */
#define SMTP_LONGEST_ADDRESS 320
#define SMTP_LONGEST_ENVELOPE (2 * SMTP_LONGEST_ADDRESS + 128)

/* A connection without work says QUIT after this; then it waits so long for the answer. */
#define SMTP_IDLE_MS 3000
#define SMTP_QUIT_MS 5000

/* For a mail on the wire, one behind it, their RSETs and QUIT. */
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
	SmtpMail *mail; /* NULL: its fate is known already, or there is none */
	uint64 end;		/* the command ends here, counted in bytes said on this connection */
} SmtpExpected;

/* What is to be said next on a connection. */
typedef enum SmtpStep
{
	SMTP_STEP_REST, /* no transaction is being begun */
	SMTP_STEP_MAIL,
	SMTP_STEP_RCPT,
	SMTP_STEP_DATA,
	SMTP_STEP_GO_AHEAD, /* nothing, before DATA is answered */
	SMTP_STEP_BODY,
	SMTP_STEP_LONE_DOT, /* DATA was accepted although the envelope was not */
	SMTP_STEP_GONE		/* nothing any more: QUIT was said */
} SmtpStep;

typedef enum SmtpConnectionState
{
	SMTP_CONNECTION_OPENING, /* libcurl's */
	SMTP_CONNECTION_READY,	 /* ours */
	SMTP_CONNECTION_DEAD	 /* to be closed and freed */
} SmtpConnectionState;

typedef struct SmtpConnection
{
	SmtpPool *pool;
	SmtpConnectionState state;
	CURL *easy;
	int fd;			 /* once ready, else -1 */
	int descriptors; /* accounted for */

	/* opening */
	uint32 mechanisms;		 /* that it may use, bits */
	SmtpStage opening_stage; /* what is awaited */
	bool over_tls;
	char problem[CURL_ERROR_SIZE]; /* libcurl's message */

	SmtpReplyParser parser;
	SmtpCapabilities capabilities;

	/* the dialogue */
	SmtpStep step;
	SmtpMail *mail;	   /* whose transaction is being made, up to its final dot */
	size_t data_said;  /* bytes of mail->data that are in the output or written */
	bool reset_needed; /* the server may think that it is in a transaction */
	bool leaving;	   /* QUIT as soon as nothing is under way */
	bool idle;		   /* ready, and nothing is under way or awaited */
	bool served;	   /* it was ready before the mail that is being sent came to it */
	bool write_blocked;
	int transactions; /* begun */
	int ended;		  /* of them, those whose fate is known */
	int64 deadline;	  /* for progress, or until idle for too long */

	SmtpExpected expected[SMTP_MAX_EXPECTED]; /* oldest first */
	int expected_count;

	uint64 said;	/* bytes put into the output, ever */
	uint64 written; /* of them, taken by libcurl */
	size_t output_length;
	size_t output_done;
	char output[SMTP_OUTPUT_SIZE];

	/* the probe, if the connection is one's */
	SmtpProbe *probe;
	SmtpMail probe_mail;
	int64 opened_us;
	int64 ready_us;	 /* 0: not yet */
	int64 sender_us; /* MAIL was accepted */
} SmtpConnection;

typedef struct SmtpMailList
{
	SmtpMail *head;
	SmtpMail *tail;
	int length;
} SmtpMailList;

#define SMTP_NO_MECHANISM (-1)

/* What is known of the server's login mechanisms; sets are bits. */
typedef struct SmtpAuth
{
	int order[SMTP_MECHANISMS]; /* in which they are tried */
	int count;
	bool may_fall_back; /* after a refusal to another one */
	bool offers_known;	/* from a connection whose login failed */
	uint32 offered;
	uint32 refused;
	bool exhausted; /* all were refused: now one for each connection */
	int chosen;		/* it has succeeded; or SMTP_NO_MECHANISM */
} SmtpAuth;

struct SmtpPool
{
	/* options; the strings are malloc'd */
	char *url;
	char *user;
	char *password;
	char *ca_file;
	char *helo;
	SmtpAuth auth;
	bool tls;		   /* any */
	bool implicit_tls; /* from the first byte */
	int connect_timeout_ms;
	int send_timeout_ms;
	int max_connections;
	int messages_per_connection;
	SmtpRefusal (*judge)(const SmtpEvent *refusal);

	/* What connections were seen to take, if that is less; 0: nothing is known, or it is too long ago. */
	int learned_messages;
	int64 learned_until;

	CURLM *multi;
	Multiplexer *mux;
	int descriptors; /* accounted for */

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

	SmtpConnection **by_fd; /* ready connections */
	int by_fd_length;

	int64 now;			 /* milliseconds, when SmtpRun began */
	int64 curl_deadline; /* -1: none */
	int64 deadline;		 /* no connection's is earlier */
	int64 timer;		 /* what the multiplexer's timer is set to; -1: nothing */
};

#define SMTP_NEVER PG_INT64_MAX

/* For so long it is remembered how many messages a connection takes. */
#define SMTP_LEARNED_MS (3600 * 1000)

/* smtp.c */
extern int64 SmtpNowUs(void);
extern void SmtpWake(SmtpPool *pool);
extern void SmtpArmTimer(SmtpPool *pool);
extern void SmtpReapConnections(SmtpPool *pool);
extern SmtpMail *SmtpNextMail(SmtpConnection *connection);
extern SmtpMail *SmtpTakeWaiting(SmtpPool *pool);
extern void SmtpFinishMail(SmtpPool *pool, SmtpMail *mail, const SmtpEvent *event);
extern void SmtpSetDeadline(SmtpConnection *connection, int milliseconds);
extern SmtpConnection *SmtpConnectionByFd(const SmtpPool *pool, int fd);
extern bool SmtpRegisterFd(SmtpConnection *connection);
extern bool SmtpIsSafeWord(const char *word);

/* smtp_connection.c */
extern bool SmtpSetUpCurl(SmtpPool *pool);
extern void SmtpTearDownCurl(SmtpPool *pool);
extern bool SmtpOpenConnection(SmtpPool *pool, SmtpProbe *probe, const SmtpMail *probe_mail);
extern void SmtpCurlAction(SmtpPool *pool, curl_socket_t fd, int events);
extern void SmtpCollectOpened(SmtpPool *pool);
extern void SmtpKill(SmtpConnection *connection);
extern void SmtpFreeConnection(SmtpConnection *connection);

/* smtp_auth.c */
extern void SmtpSetMechanisms(SmtpPool *pool, const char *list);
extern void SmtpLoginOptions(SmtpConnection *connection, char *options, size_t size);
extern const char *SmtpMechanismName(const SmtpConnection *connection);
extern void SmtpLoginSucceeded(SmtpConnection *connection);
extern bool SmtpTriesNextMechanism(SmtpConnection *connection, const SmtpEvent *event);
extern void SmtpForgetRefusals(SmtpPool *pool);

/* smtp_transaction.c */
extern void SmtpBegin(SmtpConnection *connection);
extern void SmtpListen(SmtpConnection *connection);
extern void SmtpSpeak(SmtpConnection *connection);
extern bool SmtpMayHaveSent(const SmtpConnection *connection);
extern void SmtpGiveUp(SmtpConnection *connection, SmtpEventKind kind, const SmtpReply *reply,
					   const char *text);

/* smtp_probe.c */
extern void SmtpProbeSenderAccepted(SmtpConnection *connection, const SmtpEvent *event);
extern void SmtpProbeFinished(SmtpConnection *connection, const SmtpEvent *event);

#endif

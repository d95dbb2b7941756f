/*
 * sink.c - a mail server that throws all mails away, at full speed or as a server far away.
 *
 * It listens on the loopback interface only, has one thread, and prints its port when it is ready.
 * control.c has the commands that ask for its counts.
 */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "loop.h"
#include "session.h"
#include "smtp.h"
#include "stream.h"
#include "tally.h"

static const char usage[] =
	"usage: sink --control PATH [OPTION...]\n"
	"\n"
	"  --control PATH       a Unix socket that answers \"counts\", \"wait N\", \"reset\" and \"stamps\"\n"
	"  --port PORT          of 127.0.0.1; any free one if it is not given\n"
	"  --reply-delay MS     from a command to its reply\n"
	"  --accept-delay MS    more before a mail is accepted\n"
	"  --stamps             keep the moment of each acceptance, by the recipient's local part\n"
	"  --certificate FILE   offer STARTTLS with this certificate\n"
	"  --key FILE           its key\n"
	"  --user NAME          ask for this login (PLAIN or LOGIN)\n"
	"  --password PASSWORD\n";

typedef struct Arguments
{
	const char *control;
	const char *certificate;
	const char *key;
	int port;
} Arguments;

static int listen_fd;

static void
Refuse(void)
{
	fputs(usage, stderr);
	exit(2);
}

static void
TakeOption(Arguments *arguments, int option)
{
	switch (option)
	{
		case 'c':
			arguments->control = optarg;
			break;
		case 'p':
			arguments->port = atoi(optarg);
			break;
		case 'r':
			session_options.reply_delay = (int64_t) (atof(optarg) * 1000000);
			break;
		case 'a':
			session_options.accept_delay = (int64_t) (atof(optarg) * 1000000);
			break;
		case 's':
			TallyKeepStamps(true);
			break;
		case 't':
			arguments->certificate = optarg;
			break;
		case 'k':
			arguments->key = optarg;
			break;
		case 'u':
			smtp_offers.user = optarg;
			break;
		case 'w':
			smtp_offers.password = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			Refuse();
	}
}

static Arguments
ReadArguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 'c'},
		{"port", required_argument, NULL, 'p'},
		{"reply-delay", required_argument, NULL, 'r'},
		{"accept-delay", required_argument, NULL, 'a'},
		{"stamps", no_argument, NULL, 's'},
		{"certificate", required_argument, NULL, 't'},
		{"key", required_argument, NULL, 'k'},
		{"user", required_argument, NULL, 'u'},
		{"password", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	Arguments arguments = {0};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		TakeOption(&arguments, option);
	if (arguments.control == NULL || optind < argc || !arguments.certificate != !arguments.key ||
		!smtp_offers.user != !smtp_offers.password)
		Refuse();
	return arguments;
}

static void
Accept(void *owner, uint32_t events)
{
	int fd;
	int on = 1;

	(void) owner;
	(void) events;
	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		SessionStart(fd);
	}
}

/* Listen on this port of the loopback interface; 0: on any free port. Returns the port. */
static int
Listen(int port)
{
	static Watch watch = {.ready = Accept};
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	int on = 1;

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listen_fd < 0 || setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(listen_fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listen_fd, 1024) != 0 ||
		getsockname(listen_fd, (struct sockaddr *) &address, &size) != 0)
		err(1, "port %d", port);
	LoopAdd(listen_fd, &watch, EPOLLIN);
	return ntohs(address.sin_port);
}

static void
AfterBatch(void)
{
	SessionFreeEnded();
	ControlAnswerWaiting();
}

/* Raise the limit of descriptors, because each client takes up to two. */
static void
RaiseLimits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
main(int argc, char **argv)
{
	Arguments arguments = ReadArguments(argc, argv);

	if (arguments.certificate != NULL)
	{
		session_options.tls = TlsContext(arguments.certificate, arguments.key);
		smtp_offers.tls = true;
	}
	RaiseLimits();
	ControlListen(arguments.control);
	printf("%d\n", Listen(arguments.port));
	fflush(stdout);
	LoopRun(AfterBatch);
}

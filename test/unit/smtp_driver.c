/*
 * smtp_driver.c - the SMTP client as a program: sends mails through a pool, and prints one line for
 * each outcome.
 *
 * It is for smtp_test, for benchmarks, and for trying a server by hand. See usage() for the
 * options.
 */
#include "postgres_fe.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "policy/outcome.h"
#include "smtp/smtp.h"

/* A driver without progress for this long has found an error in the pool. */
#define WATCHDOG_MS 600000

typedef struct DriverOptions
{
	SmtpOptions smtp;
	const char *sender;
	char **recipients;
	int recipient_count;
	int count;
	size_t size;
	int resumes;	 /* how often a stalled pool may try again */
	bool one_by_one; /* submit a mail when the one before is done */
	bool quiet;
	bool probe;
	bool trace; /* print the dialogue */
	bool
		retry_fresh; /* submit a mail again where the policy says: at once, over another connection */
	bool close_idle; /* at the end, wait until the server has answered QUIT */
	int abort_after; /* abort the pool after so many outcomes */
} DriverOptions;

static void
usage(void)
{
	fputs("usage: smtp_driver [OPTION]... [RECIPIENT]...\n"
		  "  --host NAME (127.0.0.1)  --port N  --user NAME  --password TEXT  --auth MECHANISMS\n"
		  "  --tls auto|starttls|implicit|none (auto)  --ca-file FILE  --helo NAME\n"
		  "  --connect-timeout MS (60000)  --send-timeout MS (60000)\n"
		  "  --connections N (1)  --messages-per-connection N (500)\n"
		  "  --count N (1)  --size BYTES (1000)  --sender ADDRESS  --one-by-one\n"
		  "  --resumes N (0)  --abort-after N  --close-idle  --retry-fresh  --quiet  --probe\n"
		  "  --trace\n"
		  "Mail number i goes to the i-th recipient, round and round.\n",
		  stderr);
	exit(2);
}

static SmtpTls
ParseTls(const char *word)
{
	if (strcmp(word, "starttls") == 0)
		return SMTP_TLS_STARTTLS;
	if (strcmp(word, "implicit") == 0)
		return SMTP_TLS_IMPLICIT;
	if (strcmp(word, "none") == 0)
		return SMTP_TLS_NONE;
	if (strcmp(word, "auto") != 0)
		usage();
	return SMTP_TLS_AUTO;
}

static DriverOptions
ParseOptions(int argc, char **argv)
{
	static const struct option names[] = {{"host", required_argument, NULL, 'h'},
										  {"port", required_argument, NULL, 'p'},
										  {"user", required_argument, NULL, 'u'},
										  {"password", required_argument, NULL, 'w'},
										  {"auth", required_argument, NULL, 'A'},
										  {"tls", required_argument, NULL, 't'},
										  {"ca-file", required_argument, NULL, 'c'},
										  {"helo", required_argument, NULL, 'e'},
										  {"connect-timeout", required_argument, NULL, 'C'},
										  {"send-timeout", required_argument, NULL, 'S'},
										  {"connections", required_argument, NULL, 'n'},
										  {"messages-per-connection", required_argument, NULL, 'm'},
										  {"count", required_argument, NULL, 'N'},
										  {"size", required_argument, NULL, 's'},
										  {"sender", required_argument, NULL, 'f'},
										  {"one-by-one", no_argument, NULL, '1'},
										  {"resumes", required_argument, NULL, 'r'},
										  {"abort-after", required_argument, NULL, 'a'},
										  {"close-idle", no_argument, NULL, 'i'},
										  {"retry-fresh", no_argument, NULL, 'F'},
										  {"quiet", no_argument, NULL, 'q'},
										  {"probe", no_argument, NULL, 'P'},
										  {"trace", no_argument, NULL, 'T'},
										  {NULL, 0, NULL, 0}};
	static char *default_recipients[] = {"recipient@example.test"};
	DriverOptions options = {.smtp = {.host = "127.0.0.1",
									  .port = 25,
									  .connect_timeout_ms = 60000,
									  .send_timeout_ms = 60000,
									  .max_connections = 1,
									  .messages_per_connection = 500,
									  .judge = RefusalForEvent},
							 .sender = "sender@example.test",
							 .recipients = default_recipients,
							 .recipient_count = 1,
							 .count = 1,
							 .size = 1000};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
	{
		switch (c)
		{
			case 'h':
				options.smtp.host = optarg;
				break;
			case 'p':
				options.smtp.port = atoi(optarg);
				break;
			case 'u':
				options.smtp.user = optarg;
				break;
			case 'w':
				options.smtp.password = optarg;
				break;
			case 'A':
				options.smtp.auth = optarg;
				break;
			case 't':
				options.smtp.tls = ParseTls(optarg);
				break;
			case 'c':
				options.smtp.ca_file = optarg;
				break;
			case 'e':
				options.smtp.helo_name = optarg;
				break;
			case 'C':
				options.smtp.connect_timeout_ms = atoi(optarg);
				break;
			case 'S':
				options.smtp.send_timeout_ms = atoi(optarg);
				break;
			case 'n':
				options.smtp.max_connections = atoi(optarg);
				break;
			case 'm':
				options.smtp.messages_per_connection = atoi(optarg);
				break;
			case 'N':
				options.count = atoi(optarg);
				break;
			case 's':
				options.size = atol(optarg);
				break;
			case 'f':
				options.sender = optarg;
				break;
			case '1':
				options.one_by_one = true;
				break;
			case 'r':
				options.resumes = atoi(optarg);
				break;
			case 'a':
				options.abort_after = atoi(optarg);
				break;
			case 'i':
				options.close_idle = true;
				break;
			case 'F':
				options.retry_fresh = true;
				break;
			case 'q':
				options.quiet = true;
				break;
			case 'P':
				options.probe = true;
				break;
			case 'T':
				options.trace = true;
				break;
			default:
				usage();
		}
	}
	if (optind < argc)
	{
		options.recipients = argv + optind;
		options.recipient_count = argc - optind;
	}
	return options;
}

static double
Now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Makes a mail of about that size, with its final dot. Some lines begin with a stuffed dot. */
static char *
MakeData(size_t size, size_t *length)
{
	static const char header[] = "From: sender@example.test\r\nSubject: driver\r\n\r\n";
	static const char line[] = "..a line of the mail that is long enough to look like one\r\n";
	size_t lines = size / strlen(line) + 1;
	char *data = pg_malloc(strlen(header) + lines * strlen(line) + 4);
	char *end = data + strlen(strcpy(data, header));

	for (size_t i = 0; i < lines; i++)
		end += strlen(strcpy(end, line));
	end += strlen(strcpy(end, ".\r\n"));
	*length = end - data;
	return data;
}

static void
PrintOutcome(const SmtpMail *mail)
{
	const SmtpEvent *event = &mail->event;

	printf("mail %d: %s %s code=%d enhanced=%s dot=%d reused=%d text=%s\n",
		   (int) (intptr_t) mail->cookie, SmtpStageName(event->stage),
		   SmtpEventKindName(event->kind), event->code,
		   event->enhanced[0] != '\0' ? event->enhanced : "-", event->dot_written, event->reused,
		   event->text != NULL ? event->text : "");
}

static void
PrintTrace(SmtpPool *pool)
{
	const char *trace = SmtpTakeTrace(pool);

	while (trace != NULL && *trace != '\0')
	{
		int length = strcspn(trace, "\n");

		printf("trace: %.*s\n", length, trace);
		trace += length + 1;
	}
}

static void
RunOnce(SmtpPool *pool)
{
	struct pollfd wait = {.fd = SmtpPoolDescriptor(pool), .events = POLLIN};

	if (poll(&wait, 1, WATCHDOG_MS) == 0)
	{
		printf("stuck: nothing happened for %d ms\n", WATCHDOG_MS);
		exit(3);
	}
	SmtpRun(pool);
	PrintTrace(pool);
}

static void
WaitForNoConnection(SmtpPool *pool)
{
	SmtpPoolStatus status;

	for (SmtpPoolGetStatus(pool, &status); status.connections > 0; SmtpPoolGetStatus(pool, &status))
		RunOnce(pool);
}

static void
Probe(SmtpPool *pool, const DriverOptions *options)
{
	SmtpProbe probe;

	SmtpPoolStartProbe(pool, options->sender, options->recipients[0], &probe);
	while (!probe.done)
		RunOnce(pool);
	for (int i = 0; i < SMTP_PROBE_STEPS; i++)
	{
		const SmtpProbeStep *step = &probe.steps[i];

		if (step->reached)
			printf("step %s: %s, %.3f ms: %s\n", step->step, step->ok ? "ok" : "failed",
				   step->elapsed_ms, step->detail);
	}
	printf("probe: %s %s code=%d\n", SmtpStageName(probe.event.stage),
		   SmtpEventKindName(probe.event.kind), probe.event.code);
	WaitForNoConnection(pool);
}

typedef struct Progress
{
	int submitted;
	int done; /* with an outcome, or taken back */
	int sent;
	int taken_back;
} Progress;

static void
Submit(SmtpPool *pool, const DriverOptions *options, SmtpMail *mails, Progress *progress)
{
	while (progress->submitted < options->count && SmtpPoolCapacity(pool) > 0 &&
		   (!options->one_by_one || progress->submitted == progress->done))
	{
		SmtpMail *mail = &mails[progress->submitted];

		mail->recipient = options->recipients[progress->submitted % options->recipient_count];
		mail->cookie = (void *) (intptr_t) progress->submitted++;
		SmtpSubmit(pool, mail);
	}
}

static void
Collect(SmtpPool *pool, const DriverOptions *options, Progress *progress)
{
	SmtpMail *mail;

	while ((mail = SmtpNextFinished(pool)) != NULL)
	{
		if (options->retry_fresh && OutcomeForEvent(&mail->event).action == OUTCOME_RETRY_FRESH)
		{
			printf("again: ");
			PrintOutcome(mail);
			SmtpMailClear(mail);
			SmtpSubmit(pool, mail);
			continue;
		}
		progress->done++;
		if (mail->event.kind == SMTP_EVENT_REPLY && mail->event.code / 100 == 2)
			progress->sent++;
		if (!options->quiet)
			PrintOutcome(mail);
		SmtpMailClear(mail);
	}
}

/* Takes back the remaining mails: the pool opens no more connections, so they cannot be sent. */
static void
TakeBackAll(SmtpPool *pool, const DriverOptions *options, Progress *progress)
{
	progress->taken_back += options->count - progress->submitted;
	while (SmtpTakeBack(pool) != NULL)
		progress->taken_back++;
	progress->submitted = options->count;
	progress->done = options->count;
}

static void
SendAll(SmtpPool *pool, const DriverOptions *options, SmtpMail *mails, Progress *progress)
{
	int resumes = options->resumes;
	bool aborted = false;

	while (progress->done < options->count)
	{
		SmtpPoolStatus status;

		if (!aborted)
			Submit(pool, options, mails, progress);
		SmtpRun(pool);
		Collect(pool, options, progress);
		if (options->abort_after > 0 && progress->done >= options->abort_after)
		{
			SmtpPoolAbort(pool);
			aborted = true;
			Collect(pool, options, progress);
		}

		SmtpPoolGetStatus(pool, &status);
		if (status.stalled && resumes > 0)
		{
			SmtpPoolResume(pool);
			resumes--;
		}
		else if (status.stalled && status.connections == 0)
			TakeBackAll(pool, options, progress);
		else if (status.in_flight > 0)
			RunOnce(pool);
		Collect(pool, options, progress);
	}
}

/* Returns the number of mails that were not sent. */
static int
Send(SmtpPool *pool, const DriverOptions *options)
{
	SmtpMail *mails = pg_malloc0(options->count * sizeof(SmtpMail));
	SmtpPoolStatus status;
	Progress progress = {0};
	double start = Now();
	double seconds;
	size_t length;
	char *data = MakeData(options->size, &length);

	for (int i = 0; i < options->count; i++)
	{
		mails[i].sender = options->sender;
		mails[i].data = data;
		mails[i].data_length = length;
	}
	SendAll(pool, options, mails, &progress);
	seconds = Now() - start;
	if (options->close_idle)
	{
		SmtpCloseIdle(pool);
		WaitForNoConnection(pool);
	}
	SmtpPoolGetStatus(pool, &status);
	printf("sent %d of %d, taken back %d, connections opened %d, %.3f s, %.0f mails/s\n",
		   progress.sent, options->count, progress.taken_back, (int) status.connects, seconds,
		   progress.sent / seconds);
	free(data);
	free(mails);
	return options->count - progress.sent;
}

int
main(int argc, char **argv)
{
	DriverOptions options = ParseOptions(argc, argv);
	const char *problem = SmtpInitialize();
	SmtpPool *pool = NULL;
	int unsent = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (problem == NULL)
		pool = SmtpPoolCreate(&options.smtp, &problem);
	if (pool == NULL)
	{
		printf("no pool: %s\n", problem);
		return 2;
	}
	SmtpPoolTrace(pool, options.trace);
	if (options.probe)
		Probe(pool, &options);
	else
		unsent = Send(pool, &options);
	SmtpPoolDestroy(pool);
	return unsent > 0 ? 1 : 0;
}

/*
 * libcurl.c - libcurl as a peer: it sends ready mails over permanent connections, without a queue
 * or rendering.
 *
 * As all peers do, it starts when it reads a line. Until then it has no connection.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcurl.h"

static const char usage[] =
	"usage: libcurl MODE OPTION...\n"
	"\n"
	"MODE is upload, libcurl's own SMTP, or pipelined: libcurl connects (CONNECT_ONLY), the rest is done here.\n"
	"\n"
	"  --port PORT          of 127.0.0.1, which is called localhost in its certificate\n"
	"  --connections N\n"
	"  --count N            mails in all\n"
	"  --message FILE       the mail, with CRLF at the end of each line and without a dot at the beginning of one\n"
	"  --ca FILE            use STARTTLS, with a server that this authority has signed\n"
	"  --user NAME          log in\n"
	"  --password PASSWORD\n";

/* A way to send all mails. */
typedef void (*Way)(void);

Options options;

static void
Refuse(void)
{
	fputs(usage, stderr);
	exit(2);
}

void
Check(CURLcode result)
{
	if (result != CURLE_OK)
		errx(1, "%s", curl_easy_strerror(result));
}

void
CheckMulti(CURLMcode result)
{
	if (result != CURLM_OK)
		errx(1, "%s", curl_multi_strerror(result));
}

/* ---- What both ways share ---- */

CURLM *
NewMulti(void)
{
	CURLM *multi = curl_multi_init();

	if (multi == NULL)
		errx(1, "curl_multi_init");
	CheckMulti(curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) options.connections));
	return multi;
}

CURL *
NewHandle(void *connection)
{
	CURL *easy = curl_easy_init();
	char url[64];

	if (easy == NULL)
		errx(1, "curl_easy_init");
	snprintf(url, sizeof(url), "smtp://localhost:%d", options.port);
	Check(curl_easy_setopt(easy, CURLOPT_URL, url));
	Check(curl_easy_setopt(easy, CURLOPT_PRIVATE, connection));
	Check(curl_easy_setopt(easy, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4));
	Check(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
	if (options.ca != NULL)
	{
		Check(curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) CURLUSESSL_ALL));
		Check(curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca));
	}
	if (options.user != NULL)
	{
		Check(curl_easy_setopt(easy, CURLOPT_USERNAME, options.user));
		Check(curl_easy_setopt(easy, CURLOPT_PASSWORD, options.password));
	}
	return easy;
}

void
WriteRecipient(char recipient[RECIPIENT_SIZE], int n)
{
	snprintf(recipient, RECIPIENT_SIZE, "<user%d@bench.example>", 1 + n % 1000);
}

/* ---- Starting ---- */

static void
ReadMessage(const char *path)
{
	FILE *file = fopen(path, "rb");
	long length;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0)
		err(1, "%s", path);
	rewind(file);
	options.message = malloc(length + 1);
	if (options.message == NULL || fread(options.message, 1, length, file) != (size_t) length)
		err(1, "%s", path);
	fclose(file);
	options.message[length] = '\0';
	options.message_length = length;

	if (length < 2 || strcmp(&options.message[length - 2], "\r\n") != 0 ||
		strstr(options.message, "\n.") != NULL)
		errx(1, "%s can't be sent as it is", path);
}

static void
TakeOption(int option)
{
	switch (option)
	{
		case 'p':
			options.port = atoi(optarg);
			break;
		case 'n':
			options.connections = atoi(optarg);
			break;
		case 'c':
			options.count = atoi(optarg);
			break;
		case 'm':
			ReadMessage(optarg);
			break;
		case 'a':
			options.ca = optarg;
			break;
		case 'u':
			options.user = optarg;
			break;
		case 'w':
			options.password = optarg;
			break;
		default:
			Refuse();
	}
}

static Way
ReadArguments(int argc, char **argv)
{
	static const struct option known[] = {
		{"port", required_argument, NULL, 'p'},
		{"connections", required_argument, NULL, 'n'},
		{"count", required_argument, NULL, 'c'},
		{"message", required_argument, NULL, 'm'},
		{"ca", required_argument, NULL, 'a'},
		{"user", required_argument, NULL, 'u'},
		{"password", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		TakeOption(option);
	if (optind + 1 != argc || options.connections < 1 || options.count < 1 ||
		options.message == NULL || !options.user != !options.password)
		Refuse();
	if (strcmp(argv[optind], "upload") == 0)
		return SendByUpload;
	if (strcmp(argv[optind], "pipelined") != 0)
		Refuse();
	return SendPipelined;
}

int
main(int argc, char **argv)
{
	Way send_all = ReadArguments(argc, argv);

	Check(curl_global_init(CURL_GLOBAL_DEFAULT));
	puts("ready");
	fflush(stdout);
	if (getchar() != EOF)
		send_all();
	return 0;
}

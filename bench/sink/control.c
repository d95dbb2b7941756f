/*
 * control.c - the socket on which a benchmark asks for the counts.
 *
 * Each line is a command:
 *
 *	counts	answers with the counts, as a line of JSON
 *	wait N	answers with the counts as soon as N mails have been accepted
 *	reset	answers with the counts, and sets them to zero
 *	stamps	answers with a line "nanoseconds key" for each mail, and an empty line
 *
 * One client can be connected at a time. No mail is taken while an answer is written, so ask for
 * the stamps when the measurement is over.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "loop.h"
#include "tally.h"

static int listen_fd;
static int client_fd = -1;
static FILE *client;	 /* the same descriptor, for output */
static int64_t wait_for; /* the N of "wait N"; 0: no command waits */

static void Ask(void *owner, uint32_t events);

static Watch client_watch = {.ready = Ask};

static void
Hang(void)
{
	fclose(client);
	client = NULL;
	client_fd = -1;
	wait_for = 0;
}

/* Accepts a client, which replaces the one before. */
static void
Accept(void *owner, uint32_t events)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	(void) owner;
	(void) events;
	if (fd < 0)
		return;
	if (client != NULL)
		Hang();
	client_fd = fd;
	client = fdopen(fd, "w");
	if (client == NULL)
		err(1, "fdopen");
	LoopAdd(fd, &client_watch, EPOLLIN);
}

static void
Answer(const char *question)
{
	if (strcmp(question, "counts") == 0)
		TallyPrint(client);
	else if (strcmp(question, "reset") == 0)
	{
		TallyPrint(client);
		TallyReset();
	}
	else if (strcmp(question, "stamps") == 0)
		TallyPrintStamps(client);
	else if (strncmp(question, "wait ", 5) == 0)
		wait_for = atoll(question + 5);
	else
		fprintf(client, "what?\n");
	fflush(client);
	ControlAnswerWaiting();
}

/* Commands are short, and each is sent by one write, so a read returns a whole command. */
static void
Ask(void *owner, uint32_t events)
{
	char question[64];
	ssize_t length = client_fd < 0 ? 0 : recv(client_fd, question, sizeof(question) - 1, 0);

	(void) owner;
	(void) events;
	if (client_fd >= 0 && length <= 0)
		Hang();
	if (length <= 0)
		return;
	question[length] = '\0';
	question[strcspn(question, "\r\n")] = '\0';
	Answer(question);
}

void
ControlAnswerWaiting(void)
{
	if (wait_for == 0 || tally.mails < wait_for)
		return;
	wait_for = 0;
	TallyPrint(client);
	fflush(client);
}

void
ControlListen(const char *path)
{
	static Watch watch = {.ready = Accept};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		errx(1, "the path of the control socket is too long");
	strcpy(address.sun_path, path);
	unlink(path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listen_fd, 4) != 0)
		err(1, "%s", path);
	LoopAdd(listen_fd, &watch, EPOLLIN);
}

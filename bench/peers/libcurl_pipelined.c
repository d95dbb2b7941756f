/*
 * libcurl_pipelined.c - libcurl connects, starts TLS and logs in (CONNECT_ONLY); this file sends
 * the mails.
 *
 * MAIL, RCPT and DATA are sent together, after the final dot of the previous mail. So a mail takes
 * one round trip. The worker of the extension does the same.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "libcurl.h"

#define END_OF_MAIL ".\r\n"
#define ENVELOPE_ROOM 256
#define EVENTS_PER_ROUND 64

typedef struct Connection
{
	CURL *easy;
	curl_socket_t socket;
	bool waits_to_write;

	/*
	 * The message and its end, which are the same for each mail, then the next envelope. The other
	 * fields say which of these bytes are still to be sent.
	 */
	char *output;
	size_t sent;
	size_t length;

	/* The number of replies to the current mail, and the beginning of an incomplete line. */
	int replies;
	char line[4];
	size_t line_length;
} Connection;

/* The expected replies to MAIL, RCPT, DATA and the message. */
static const char *const expected[] = {"250", "250", "354", "250"};
#define REPLY_TO_DATA 2
#define REPLY_TO_MESSAGE 3

static int epoll_fd;
static int started;
static int accepted;

static void
Watch(Connection *connection, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	if (epoll_ctl(epoll_fd, operation, connection->socket, &event) != 0)
		err(1, "epoll_ctl");
}

/* ---- Output ---- */

static void
WriteOn(Connection *connection)
{
	CURLcode result = CURLE_OK;
	bool waits;

	while (connection->sent < connection->length && result == CURLE_OK)
	{
		size_t count = 0;

		result = curl_easy_send(connection->easy, connection->output + connection->sent,
								connection->length - connection->sent, &count);
		connection->sent += count;
	}
	if (result != CURLE_AGAIN)
		Check(result);
	waits = result == CURLE_AGAIN;
	if (waits != connection->waits_to_write)
		Watch(connection, EPOLL_CTL_MOD, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
	connection->waits_to_write = waits;
}

/*
 * Sends the message and the next envelope. Before the first mail it sends only the envelope, and
 * after the last mail only the message.
 */
static void
SendNext(Connection *connection, bool with_message)
{
	size_t message_length = options.message_length + strlen(END_OF_MAIL);

	connection->sent = with_message ? 0 : message_length;
	connection->length = message_length;
	if (started < options.count)
	{
		char recipient[RECIPIENT_SIZE];

		WriteRecipient(recipient, started++);
		connection->length += snprintf(connection->output + message_length, ENVELOPE_ROOM,
									   "MAIL FROM:" SENDER "\r\nRCPT TO:%s\r\nDATA\r\n", recipient);
	}
	WriteOn(connection);
}

/* ---- Input ---- */

static void
TakeReply(Connection *connection)
{
	const char *wanted = expected[connection->replies];

	if (memcmp(connection->line, wanted, 3) != 0)
		errx(1, "%.3s was expected, not %.3s", wanted, connection->line);
	if (connection->replies == REPLY_TO_DATA)
		SendNext(connection, true);
	if (connection->replies == REPLY_TO_MESSAGE)
	{
		accepted++;
		connection->replies = 0;
	}
	else
		connection->replies++;
}

/* Takes one byte of a reply. A line that starts with "250-" belongs to a reply that continues. */
static void
TakeByte(Connection *connection, char byte)
{
	if (byte != '\n')
	{
		if (connection->line_length < sizeof(connection->line))
			connection->line[connection->line_length++] = byte;
		return;
	}
	if (connection->line_length < sizeof(connection->line))
		errx(1, "the server sent a line that is no reply");
	if (connection->line[3] != '-')
		TakeReply(connection);
	connection->line_length = 0;
}

/* Reads until there is no more: TLS may hold decrypted bytes, which epoll does not report. */
static void
ReadOn(Connection *connection)
{
	char buffer[4096];
	size_t count;
	CURLcode result;

	while ((result = curl_easy_recv(connection->easy, buffer, sizeof(buffer), &count)) == CURLE_OK)
	{
		if (count == 0)
			errx(1, "the server has closed a connection");
		for (size_t i = 0; i < count; i++)
			TakeByte(connection, buffer[i]);
	}
	if (result != CURLE_AGAIN)
		Check(result);
}

/* ---- Connections ---- */

static void
Prepare(CURLM *multi, Connection *connection)
{
	connection->easy = NewHandle(connection);
	Check(curl_easy_setopt(connection->easy, CURLOPT_CONNECT_ONLY, 1L));
	CheckMulti(curl_multi_add_handle(multi, connection->easy));

	connection->output = malloc(options.message_length + strlen(END_OF_MAIL) + ENVELOPE_ROOM);
	if (connection->output == NULL)
		err(1, "malloc");
	memcpy(connection->output, options.message, options.message_length);
	memcpy(connection->output + options.message_length, END_OF_MAIL, strlen(END_OF_MAIL));
}

/* Connects and logs in on each connection. */
static void
ConnectAll(CURLM *multi)
{
	CURLMsg *message;
	int running;

	do
	{
		CheckMulti(curl_multi_poll(multi, NULL, 0, 1000, NULL));
		CheckMulti(curl_multi_perform(multi, &running));
	} while (running > 0);
	while ((message = curl_multi_info_read(multi, &running)) != NULL)
		Check(message->data.result);
}

static void
Begin(Connection *connection)
{
	Check(curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &connection->socket));
	Watch(connection, EPOLL_CTL_ADD, EPOLLIN);
	if (started < options.count)
		SendNext(connection, false);
}

void
SendPipelined(void)
{
	CURLM *multi = NewMulti();
	Connection *connections = calloc(options.connections, sizeof(Connection));
	struct epoll_event events[EVENTS_PER_ROUND];

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (connections == NULL || epoll_fd < 0)
		err(1, "could not begin");
	for (int i = 0; i < options.connections; i++)
		Prepare(multi, &connections[i]);
	ConnectAll(multi);
	for (int i = 0; i < options.connections; i++)
		Begin(&connections[i]);
	while (accepted < options.count)
	{
		int count = epoll_wait(epoll_fd, events, EVENTS_PER_ROUND, -1);

		for (int i = 0; i < count; i++)
		{
			Connection *connection = events[i].data.ptr;

			WriteOn(connection);
			ReadOn(connection);
		}
	}
}

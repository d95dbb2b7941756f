/*
 * libcurl.h - what libcurl's two ways of sending have in common.
 */
#ifndef PEERS_LIBCURL_H
#define PEERS_LIBCURL_H

#include <stddef.h>

#include <curl/curl.h>

#define SENDER "<noreply@bench.example>"
#define RECIPIENT_SIZE 40

typedef struct Options
{
	int port;
	int connections;
	int count;		/* of mails, over all connections */
	const char *ca; /* verify the server by it, over STARTTLS; NULL: in the clear */
	const char *user;
	const char *password;
	char *message; /* ends with CRLF, and has no line that begins with a dot */
	size_t message_length;
} Options;

extern Options options;

/* A handle whose CURLINFO_PRIVATE is the connection. */
extern CURL *NewHandle(void *connection);

/* A multi handle that closes none of the connections. */
extern CURLM *NewMulti(void);

/* "<user1@bench.example>" and so on: of the n-th mail, from 0. */
extern void WriteRecipient(char recipient[RECIPIENT_SIZE], int n);

/* End the program with libcurl's words, unless all is well. */
extern void Check(CURLcode result);
extern void CheckMulti(CURLMcode result);

/* Return when all mails are accepted. */
extern void SendByUpload(void);
extern void SendPipelined(void);

#endif

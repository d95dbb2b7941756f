/* libcurl.h - what the two ways of sending with libcurl share. */
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
	const char *ca; /* file of the CA, for STARTTLS; NULL: no TLS */
	const char *user;
	const char *password;
	char *message; /* ends with CRLF, and has no line that begins with a dot */
	size_t message_length;
} Options;

extern Options options;

/* Returns a handle; its CURLINFO_PRIVATE is the connection. */
extern CURL *NewHandle(void *connection);

/* Returns a multi handle that keeps all connections open. */
extern CURLM *NewMulti(void);

/* Writes the recipient of the n-th mail, "<user1@bench.example>" for n = 0, and so on. */
extern void WriteRecipient(char recipient[RECIPIENT_SIZE], int n);

/* Exits with libcurl's message if the result is an error. */
extern void Check(CURLcode result);
extern void CheckMulti(CURLMcode result);

/* Both send all mails, and return when all are accepted. */
extern void SendByUpload(void);
extern void SendPipelined(void);

#endif

/*
 * stream.h - the bytes of a connection, with or without TLS. Nothing here blocks.
 */
#ifndef SINK_STREAM_H
#define SINK_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

typedef struct Stream
{
	int fd;
	SSL *ssl; /* NULL: without TLS */
	bool keeps_arrivals;
	int64_t arrived; /* when the last bytes came, or with TLS when they were read, by Now() */
} Stream;

/*
 * Read or write what is possible now. Returns the number of bytes; 0: none at the moment; -1: the
 * connection has ended.
 */
extern ssize_t StreamRead(Stream *stream, void *buffer, size_t size);
extern ssize_t StreamWrite(Stream *stream, const void *bytes, size_t size);

/* From now on note when bytes come, even if they are read later. */
extern void StreamKeepArrivals(Stream *stream);

/* Does StreamRead() have bytes that it did not return yet? epoll does not report them. */
extern bool StreamPending(const Stream *stream);

/* Use TLS from now on, as the server. The next reads do the handshake. */
extern void StreamStartTls(Stream *stream, SSL_CTX *context);

extern void StreamClose(Stream *stream);

/* A context with this certificate. If it cannot be made, the program ends. */
extern SSL_CTX *TlsContext(const char *certificate_file, const char *key_file);

#endif

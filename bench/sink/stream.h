/*
 * stream.h - the bytes of a connection, in the clear or in TLS; never blocks.
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
	SSL *ssl; /* NULL: in the clear */
	bool keeps_arrivals;
	int64_t arrived; /* when the last that was read had come, by Now(); in TLS when it was read */
} Stream;

/* Read or write what is possible now: the number of bytes, 0 for nothing at the moment, -1 for the end of the connection. */
extern ssize_t StreamRead(Stream *stream, void *buffer, size_t size);
extern ssize_t StreamWrite(Stream *stream, const void *bytes, size_t size);

/* From now on say when what is read had come, however late it is read. */
extern void StreamKeepArrivals(Stream *stream);

/* Whether bytes have been taken from the socket that StreamRead has not handed out: epoll does not tell of them. */
extern bool StreamPending(const Stream *stream);

/* From now on in TLS, as the server; the handshake is done by the reads that follow. */
extern void StreamStartTls(Stream *stream, SSL_CTX *context);

extern void StreamClose(Stream *stream);

/* A context with this certificate; ends the program when that can't be had. */
extern SSL_CTX *TlsContext(const char *certificate_file, const char *key_file);

#endif

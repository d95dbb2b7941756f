/*
 * stream.c - the bytes of a connection, with or without TLS. Nothing here blocks.
 */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "loop.h"
#include "stream.h"

static ssize_t
PlainResult(ssize_t count)
{
	if (count > 0)
		return count;
	return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t
TlsResult(SSL *ssl, int count)
{
	int problem = SSL_get_error(ssl, count);

	if (count > 0)
		return count;
	ERR_clear_error();
	return problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/*
 * Returns the time when the kernel received the bytes, by the clock of Now(). The kernel's time
 * stamp is by the wall clock, which may be set back.
 */
static int64_t
Arrival(struct msghdr *message)
{
	struct cmsghdr *stamp = CMSG_FIRSTHDR(message);
	struct timespec arrived, now;
	int64_t age;

	if (stamp == NULL || stamp->cmsg_level != SOL_SOCKET || stamp->cmsg_type != SO_TIMESTAMPNS)
		return Now();
	memcpy(&arrived, CMSG_DATA(stamp), sizeof(arrived));
	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - arrived.tv_sec) * INT64_C(1000000000) + now.tv_nsec - arrived.tv_nsec;
	return Now() - (age > 0 ? age : 0);
}

void
StreamKeepArrivals(Stream *stream)
{
	int on = 1;

	if (setsockopt(stream->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0)
		err(1, "SO_TIMESTAMPNS");
	stream->keeps_arrivals = true;
}

/* The same as recv(), but note when the bytes came. */
static ssize_t
Receive(Stream *stream, void *buffer, size_t size)
{
	char control[CMSG_SPACE(sizeof(struct timespec))] __attribute__((aligned(8)));
	struct iovec target = {buffer, size};
	struct msghdr message = {.msg_iov = &target,
							 .msg_iovlen = 1,
							 .msg_control = control,
							 .msg_controllen = sizeof(control)};
	ssize_t count = recvmsg(stream->fd, &message, MSG_DONTWAIT);

	if (count > 0)
		stream->arrived = Arrival(&message);
	return count;
}

ssize_t
StreamRead(Stream *stream, void *buffer, size_t size)
{
	if (stream->ssl != NULL)
	{
		stream->arrived = stream->keeps_arrivals ? Now() : 0;
		return TlsResult(stream->ssl, SSL_read(stream->ssl, buffer, size));
	}
	if (stream->keeps_arrivals)
		return PlainResult(Receive(stream, buffer, size));
	return PlainResult(recv(stream->fd, buffer, size, MSG_DONTWAIT));
}

ssize_t
StreamWrite(Stream *stream, const void *bytes, size_t size)
{
	if (stream->ssl != NULL)
		return TlsResult(stream->ssl, SSL_write(stream->ssl, bytes, size));
	return PlainResult(send(stream->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool
StreamPending(const Stream *stream)
{
	return stream->ssl != NULL && SSL_has_pending(stream->ssl);
}

void
StreamStartTls(Stream *stream, SSL_CTX *context)
{
	stream->ssl = SSL_new(context);
	if (stream->ssl == NULL || SSL_set_fd(stream->ssl, stream->fd) != 1)
		errx(1, "could not start TLS");
	SSL_set_accept_state(stream->ssl);
}

void
StreamClose(Stream *stream)
{
	if (stream->ssl != NULL)
		SSL_free(stream->ssl);
	close(stream->fd);
}

SSL_CTX *
TlsContext(const char *certificate_file, const char *key_file)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate_file) != 1 ||
		SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
		errx(1, "could not use %s with %s", certificate_file, key_file);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	return context;
}

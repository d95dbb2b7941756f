/*
 * foreign_sockets.c - see foreign_sockets.h.
 *
 * dblink and postgres_fdw of PostgreSQL 15 connect with a call of libpq that waits in poll() and goes on after every signal: a host
 * that accepts and says nothing keeps the process for ever. No error may be raised in a signal handler. But shutdown() may be called
 * there: libpq reads the end of the connection, reports an error, and PostgreSQL sees the cancellation.
 *
 * A worker has no client. Its other sockets are libcurl's: those to the mail server are known by their number, and pairs without a
 * name connect libcurl to threads of its own.
 */
#include "postgres.h"

#include "foreign_sockets.h"

#include <sys/socket.h>

#include "smtp.h"

#define FIRST_DESCRIPTOR 3

static bool
LeadsElsewhere(int descriptor)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(descriptor, (struct sockaddr *) &address, &length) != 0)
		return false;
	if (address.ss_family == AF_INET || address.ss_family == AF_INET6)
		return true;
	length = sizeof(address);
	return address.ss_family == AF_UNIX &&
		   getpeername(descriptor, (struct sockaddr *) &address, &length) == 0 &&
		   length > sizeof(address.ss_family);
}

void
CutForeignSockets(void)
{
	int saved_errno = errno;

	for (int descriptor = FIRST_DESCRIPTOR; descriptor < SMTP_DESCRIPTORS_KNOWN; descriptor++)
	{
		if (!SmtpOwnsDescriptor(descriptor) && LeadsElsewhere(descriptor))
			(void) shutdown(descriptor, SHUT_RDWR);
	}
	errno = saved_errno;
}

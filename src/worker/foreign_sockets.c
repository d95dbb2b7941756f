/*
 * foreign_sockets.c - see foreign_sockets.h.
 *
 * In PostgreSQL 15, dblink and postgres_fdw connect with a function of libpq that waits in poll(),
 * and continues to wait after every signal. A host that accepts the connection and sends nothing
 * blocks the process for ever. From PostgreSQL 16 on, only the cancellation of a remote query waits
 * like that. A signal handler cannot raise an error, but it may call shutdown(). Then libpq reads
 * the end of the connection and reports an error, and PostgreSQL sees the cancellation.
 *
 * Other sockets stay as they are:
 *
 * - sockets that the process was started with, which it may share with the postmaster
 * - sockets to the mail server, whose numbers are known
 * - datagrams (name look-ups, syslog), listening sockets and pairs
 * - streams to a name server, and Unix sockets whose names libpq would not use
 */
#include "postgres.h"

#include "worker/foreign_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "smtp/smtp.h"

#define FIRST_DESCRIPTOR 3
#define NAME_SERVER_PORT 53
#define DATABASE_SOCKET ".s.PGSQL."

static bool spared[SMTP_DESCRIPTORS_KNOWN];

/* Returns true if the descriptor is a stream socket that does not listen. */
static bool
IsConnection(int descriptor)
{
	int type;
	int listens;
	socklen_t length = sizeof(int);

	if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM)
		return false;
	length = sizeof(int);
	return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && !listens;
}

/*
 * Returns true if the path is that of a PostgreSQL server's socket. The path may begin with a zero
 * byte, and may end without one.
 */
static bool
IsDatabaseSocket(const struct sockaddr_un *address, socklen_t length)
{
	int name_length = strlen(DATABASE_SOCKET);
	int path_length = (int) length - (int) offsetof(struct sockaddr_un, sun_path);

	for (int i = 0; i + name_length <= path_length; i++)
	{
		if (memcmp(address->sun_path + i, DATABASE_SOCKET, name_length) == 0)
			return true;
	}
	return false;
}

/*
 * Returns true if the connection may be to a database server. A connection that is still being made
 * has no peer: then its kind of address decides.
 */
static bool
MayLeadToDatabase(int descriptor)
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} address;
	socklen_t length = sizeof(address);

	if (getpeername(descriptor, &address.any, &length) != 0)
	{
		length = sizeof(address);
		return getsockname(descriptor, &address.any, &length) == 0 &&
			   (address.any.sa_family == AF_INET || address.any.sa_family == AF_INET6);
	}
	switch (address.any.sa_family)
	{
		case AF_INET:
			return address.in.sin_port != htons(NAME_SERVER_PORT);
		case AF_INET6:
			return address.in6.sin6_port != htons(NAME_SERVER_PORT);
		case AF_UNIX:
			return IsDatabaseSocket(&address.un, Min(length, (socklen_t) sizeof(address)));
		default:
			return false;
	}
}

void
SpareSockets(void)
{
	for (int descriptor = 0; descriptor < SMTP_DESCRIPTORS_KNOWN; descriptor++)
		spared[descriptor] = IsConnection(descriptor);
}

void
CutForeignSockets(void)
{
	int saved_errno = errno;

	for (int descriptor = FIRST_DESCRIPTOR; descriptor < SMTP_DESCRIPTORS_KNOWN; descriptor++)
	{
		if (!spared[descriptor] && !SmtpOwnsDescriptor(descriptor) && IsConnection(descriptor) &&
			MayLeadToDatabase(descriptor))
			(void) shutdown(descriptor, SHUT_RDWR);
	}
	errno = saved_errno;
}

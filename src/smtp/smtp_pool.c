/*
 * smtp_pool.c - makes a pool from its options, aborts it and frees it.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <unistd.h>

#include "smtp/smtp_internal.h"

#include "base/compat.h"

#ifndef FRONTEND
#include "storage/fd.h"
#endif

static bool SetUpMultiplexer(SmtpPool *pool);
static char *HeloName(const SmtpOptions *options);
static char *ServerUrl(const SmtpOptions *options, const char *helo, bool implicit_tls);
static char *SystemBundle(void);

const char *
SmtpInitialize(void)
{
	static bool initialized = false;
	const curl_version_info_data *version;
	bool speaks_smtp = false;

	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return "libcurl cannot be initialized";
	initialized = true;

	version = curl_version_info(CURLVERSION_NOW);
	for (const char *const *protocol = version->protocols; *protocol != NULL; protocol++)
		speaks_smtp = speaks_smtp || strcmp(*protocol, "smtps") == 0;
	if (version->version_num < OLDEST_LIBCURL_NUM)
		return "libcurl is older than " OLDEST_LIBCURL;
	if (!speaks_smtp)
		return "libcurl was built without SMTP or without TLS";
	if ((version->features & CURL_VERSION_ASYNCHDNS) == 0)
		return "libcurl was built without asynchronous name lookup";
	return NULL;
}

/* strdup() for a string that may be NULL. */
static char *
CopyString(const char *string)
{
	return string != NULL ? strdup(string) : NULL;
}

/* Returns true for a letter, a digit, or one of the others, independent of the locale. */
static bool
IsPlain(char c, const char *others)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   strchr(others, c) != NULL;
}

/* Returns true if the host's name can stand in a URL without changing its meaning. */
static bool
IsSafeHost(const char *host)
{
	for (const char *c = host; *c != '\0'; c++)
		if (!IsPlain(*c, ".-_:[]"))
			return false;
	return host[0] != '\0';
}

SmtpPool *
SmtpPoolCreate(const SmtpOptions *options, const char **problem)
{
	SmtpPool *pool = calloc(1, sizeof(SmtpPool));

	*problem = "out of memory";
	if (pool == NULL)
		return NULL;

	pool->implicit_tls = options->tls == SMTP_TLS_IMPLICIT ||
						 (options->tls == SMTP_TLS_AUTO && options->port == 465);
	pool->tls = options->tls != SMTP_TLS_NONE;
	SmtpSetMechanisms(pool, options->auth);
	pool->helo = HeloName(options);
	pool->url = ServerUrl(options, pool->helo, pool->implicit_tls);
	pool->user = CopyString(options->user);
	pool->password = strdup(options->password != NULL ? options->password : "");
	pool->ca_file = options->ca_file != NULL ? strdup(options->ca_file) : SystemBundle();
	pool->connect_timeout_ms = options->connect_timeout_ms;
	pool->send_timeout_ms = options->send_timeout_ms;
	pool->max_connections = Max(options->max_connections, 1);
	pool->messages_per_connection = Max(options->messages_per_connection, 1);
	pool->judge = options->judge;
	pool->limit = pool->max_connections;
	pool->connections = calloc(pool->max_connections + 1, sizeof(SmtpConnection *));
	SmtpReadClock(pool);
	pool->curl_deadline = -1;
	pool->deadline = SMTP_NEVER;
	pool->timer = -1;

	if (!IsSafeHost(options->host))
		*problem = "the server's name has a character that is not allowed there";
	else if (options->helo_name != NULL && !SmtpIsSafeWord(options->helo_name))
		*problem = "the HELO name has a character that is not allowed there";
	else if (!SetUpMultiplexer(pool))
		*problem = "out of file descriptors";
	else if (SmtpSetUpCurl(pool) && pool->url != NULL && pool->helo != NULL &&
			 pool->connections != NULL && pool->password != NULL &&
			 (pool->user != NULL || options->user == NULL))
		return pool;

	SmtpPoolDestroy(pool);
	return NULL;
}

static bool
SetUpMultiplexer(SmtpPool *pool)
{
#ifndef FRONTEND
	while (pool->descriptors < MUX_DESCRIPTORS)
	{
		if (!AcquireExternalFD())
			return false;
		pool->descriptors++;
	}
#endif
	pool->mux = MuxCreate();
	return pool->mux != NULL;
}

/*
 * Returns the name for EHLO: the one that is set, else the machine's whole name. (libcurl would cut
 * it at its first dot, and some servers refuse a name without a dot.) The caller frees it.
 */
static char *
HeloName(const SmtpOptions *options)
{
	char name[256];

	if (options->helo_name != NULL)
		return strdup(options->helo_name);
	if (gethostname(name, sizeof(name)) != 0)
		return strdup("localhost");
	name[sizeof(name) - 1] = '\0';
	return strdup(SmtpIsSafeWord(name) ? name : "localhost");
}

/*
 * Returns smtp://host:port/helo-name; NULL if there is no memory. An IPv6 address gets brackets,
 * and the name for EHLO is escaped. The caller frees the URL.
 */
static char *
ServerUrl(const SmtpOptions *options, const char *helo, bool implicit_tls)
{
	const char *host = options->host;
	bool bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
	size_t size = strlen(host) + 3 * (helo != NULL ? strlen(helo) : 0) + 32;
	char *url = malloc(size);
	char *end;

	if (url == NULL || helo == NULL)
	{
		free(url);
		return NULL;
	}
	end = url + snprintf(url, size, "%s://%s%s%s:%d/", implicit_tls ? "smtps" : "smtp",
						 bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", options->port);
	for (const char *c = helo; *c != '\0'; c++)
	{
		if (IsPlain(*c, "-._"))
			*end++ = *c;
		else
			end += sprintf(end, "%%%02X", (unsigned char) *c);
	}
	*end = '\0';
	return url;
}

/*
 * Returns the path of the system's file of certificate authorities; NULL if none was found, so that
 * libcurl's defaults apply. It must be a file: libcurl reads a directory of certificates again for
 * each connection, which costs fifteen times the handshake. The caller frees the path.
 */
static char *
SystemBundle(void)
{
	const char *candidates[] = {
		curl_version_info(CURLVERSION_NOW)->cainfo,
		"/etc/ssl/certs/ca-certificates.crt",				 /* Debian, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",					 /* Fedora, Red Hat */
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Red Hat, without the link */
		"/etc/ssl/ca-bundle.pem",							 /* SUSE */
		"/etc/ssl/cert.pem",								 /* BSD, macOS */
	};

	for (int i = 0; i < (int) lengthof(candidates); i++)
		if (candidates[i] != NULL && access(candidates[i], R_OK) == 0)
			return strdup(candidates[i]);
	return NULL;
}

void
SmtpPoolAbortUnsent(SmtpPool *pool)
{
	for (int i = 0; i < pool->connection_count; i++)
	{
		if (!SmtpMayHaveSent(pool->connections[i]))
			SmtpAbandon(pool->connections[i], SMTP_EVENT_ABORTED, "aborted");
	}
	SmtpReapConnections(pool);
	SmtpArmTimer(pool);
}

void
SmtpPoolAbort(SmtpPool *pool)
{
	pool->stalled = true;
	for (int i = 0; i < pool->connection_count; i++)
	{
		SmtpAbandon(pool->connections[i], SMTP_EVENT_ABORTED, "aborted");
		SmtpKill(pool->connections[i]);
	}
	SmtpReapConnections(pool);
	SmtpArmTimer(pool);
}

void
SmtpPoolDestroy(SmtpPool *pool)
{
	if (pool == NULL)
		return;
	if (pool->mux != NULL)
		SmtpPoolAbort(pool);
	Assert(pool->connection_count == 0 && pool->opening_count == 0 && pool->idle_count == 0);
	SmtpTearDownCurl(pool);
	MuxDestroy(pool->mux);
#ifndef FRONTEND
	while (pool->descriptors-- > 0)
		ReleaseExternalFD();
#endif
	SmtpPoolSetPassword(pool, NULL);
	free(pool->url);
	free(pool->helo);
	free(pool->user);
	free(pool->ca_file);
	free(pool->connections);
	free(pool->by_fd);
	free(pool->trace);
	free(pool);
}

int
SmtpPoolDescriptor(const SmtpPool *pool)
{
	return MuxDescriptor(pool->mux);
}

void
SmtpPoolLimit(SmtpPool *pool, int connections)
{
	pool->limit = Min(Max(connections, 1), pool->max_connections);
}

void
SmtpPoolSetPassword(SmtpPool *pool, const char *password)
{
	char *copy = CopyString(password);

	if (pool->password != NULL && password != NULL && strcmp(pool->password, password) != 0)
		SmtpForgetRefusals(pool);
	if (pool->password != NULL)
		explicit_bzero(pool->password, strlen(pool->password));
	free(pool->password);
	pool->password = copy;
}

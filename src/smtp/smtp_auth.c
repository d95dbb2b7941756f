/*
 * smtp_auth.c - which login mechanism a connection tries, and which one comes after a refusal.
 *
 * libcurl uses the strongest mechanism that the server offers and that libcurl may use. If the
 * server refuses it, libcurl tries no other. But some servers offer mechanisms that can never
 * succeed there (CRAM-MD5, if they keep only hashes of passwords). So the pool remembers which
 * mechanisms were offered, refused and successful, and allows each connection the next one.
 *
 * Each mechanism is tried once. After all were refused, each later connection tries only one of
 * them, because a server allows only a number of failed logins.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "base/ascii.h"
#include "smtp/smtp_internal.h"

/* In the order in which libcurl prefers them. Each of them needs a password and nothing else. */
static const char *const mechanisms[] = {"SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5",
										 "NTLM",		  "PLAIN",		 "LOGIN"};

StaticAssertDecl(lengthof(mechanisms) == SMTP_MECHANISMS,
				 "an order has a place for each mechanism");

/*
 * With TLS each of them keeps the password secret. PLAIN and LOGIN succeed with every kind of
 * password store.
 */
static const char default_order_tls[] =
	"PLAIN,LOGIN,SCRAM-SHA-256,SCRAM-SHA-1,CRAM-MD5,DIGEST-MD5,NTLM";

/* Without TLS, the strongest comes first. */
static const char default_order_plain[] =
	"SCRAM-SHA-256,SCRAM-SHA-1,DIGEST-MD5,CRAM-MD5,NTLM,PLAIN,LOGIN";

/* Returns the number of the mechanism with this name; -1 if no mechanism has it. */
static int
FindMechanism(const char *name, size_t length)
{
	for (int i = 0; i < (int) lengthof(mechanisms); i++)
	{
		if (strlen(mechanisms[i]) == length && BeginsAlike(mechanisms[i], name, length))
			return i;
	}
	return -1;
}

bool
SmtpParseMechanisms(const char *list, int *order, int *count)
{
	*count = 0;
	while (list != NULL && *list != '\0')
	{
		size_t length;
		int mechanism;

		list += strspn(list, ", \t");
		length = strcspn(list, ", \t");
		if (length == 0)
			break;
		mechanism = FindMechanism(list, length);
		if (mechanism < 0)
			return false;
		for (int i = 0; i < *count; i++)
		{
			if (order[i] == mechanism)
				return false;
		}
		Assert(*count < SMTP_MECHANISMS);
		order[(*count)++] = mechanism;
		list += length;
	}
	return true;
}

/*
 * Set the pool's order of mechanisms. If list is NULL, empty or wrong, the default order is used.
 */
void
SmtpSetMechanisms(SmtpPool *pool, const char *list)
{
	SmtpAuth *auth = &pool->auth;

	auth->chosen = SMTP_NO_MECHANISM;
	if (!SmtpParseMechanisms(list, auth->order, &auth->count) || auth->count == 0)
		(void) SmtpParseMechanisms(pool->tls ? default_order_tls : default_order_plain, auth->order,
								   &auth->count);
	/* Without TLS, a weaker mechanism exposes more: do not fall back to it unless it is listed. */
	auth->may_fall_back = pool->tls || (list != NULL && *list != '\0');
}

static uint32
WantedMechanisms(const SmtpAuth *auth)
{
	uint32 wanted = 0;

	for (int i = 0; i < auth->count; i++)
		wanted |= 1u << auth->order[i];
	return wanted;
}

/*
 * Returns the mechanisms that may be tried now: wanted, not refused, and offered if that is known.
 */
static uint32
Candidates(const SmtpAuth *auth)
{
	uint32 wanted = WantedMechanisms(auth);

	if (auth->offers_known)
		wanted &= auth->offered;
	return wanted & ~auth->refused;
}

/*
 * Returns the mechanisms that a new connection may use. That is at least one, because without any
 * libcurl would choose freely. If it is known what the server offers, it is the next one alone.
 * Otherwise it is the beginning of our order, as long as libcurl prefers them in the same order.
 */
static uint32
NextMechanisms(SmtpAuth *auth)
{
	uint32 candidates = Candidates(auth);
	uint32 next = 0;
	int last = -1;

	if (auth->chosen != SMTP_NO_MECHANISM)
		return 1u << auth->chosen;
	if (candidates == 0)
	{
		/* All were refused. */
		auth->refused = 0;
		auth->exhausted = true;
		candidates = Candidates(auth);
		if (candidates == 0)
			candidates = WantedMechanisms(auth); /* none was offered, but that may change */
	}
	for (int i = 0; i < auth->count; i++)
	{
		int mechanism = auth->order[i];

		if ((candidates & (1u << mechanism)) == 0)
			continue;
		if (mechanism < last || (next != 0 && auth->offers_known))
			break;
		next |= 1u << mechanism;
		last = mechanism;
	}
	Assert(next != 0);
	return next;
}

/*
 * Choose the mechanisms that a new connection may use, and write them to options as
 * CURLOPT_LOGIN_OPTIONS needs them.
 */
void
SmtpLoginOptions(SmtpConnection *connection, char *options, size_t size)
{
	uint32 allowed = NextMechanisms(&connection->pool->auth);
	size_t length = 0;

	connection->mechanisms = allowed;
	options[0] = '\0';
	for (int i = 0; i < (int) lengthof(mechanisms); i++)
	{
		if (allowed & (1u << i))
			length += snprintf(options + length, size - length, "%sAUTH=%s", length > 0 ? ";" : "",
							   mechanisms[i]);
	}
	Assert(length < size);
}

/*
 * Returns the mechanisms that the server's last answer to EHLO offers. Unknown names are ignored.
 */
static uint32
OfferedMechanisms(const SmtpConnection *connection)
{
	const char *list = connection->capabilities.auth_mechanisms;
	uint32 offered = 0;

	while (*list != '\0')
	{
		size_t length;
		int mechanism;

		list += strspn(list, " ");
		length = strcspn(list, " ");
		mechanism = FindMechanism(list, length);
		if (mechanism >= 0)
			offered |= 1u << mechanism;
		list += length;
	}
	return offered;
}

/*
 * Returns the mechanism that a connection has used, or SMTP_NO_MECHANISM: libcurl uses the first
 * one that is offered.
 */
static int
UsedMechanism(const SmtpConnection *connection)
{
	uint32 usable = connection->mechanisms & OfferedMechanisms(connection);

	for (int i = 0; i < (int) lengthof(mechanisms); i++)
	{
		if (usable & (1u << i))
			return i;
	}
	return SMTP_NO_MECHANISM;
}

/*
 * Returns the name of the mechanism that a connection has used; an empty text if it is not known.
 */
const char *
SmtpMechanismName(const SmtpConnection *connection)
{
	int used = UsedMechanism(connection);

	return used != SMTP_NO_MECHANISM ? mechanisms[used] : "";
}

/* Note that the login has succeeded: later connections use the same mechanism. */
void
SmtpLoginSucceeded(SmtpConnection *connection)
{
	SmtpAuth *auth = &connection->pool->auth;

	auth->chosen = UsedMechanism(connection);
	auth->refused = 0;
	auth->exhausted = false;
}

/*
 * Returns true if another mechanism may succeed after this refusal. It may not if the server is
 * busy or has closed the account.
 */
static bool
RefusesMechanism(const SmtpEvent *event)
{
	if (event->stage != SMTP_STAGE_AUTH)
		return false;
	if (event->kind == SMTP_EVENT_LOGIN_FAILED)
		return true;
	return event->kind == SMTP_EVENT_REPLY &&
		   ((event->code >= 500 && event->code <= 504) || event->code == 534 ||
			event->code == 535 || event->code == 538 || strcmp(event->enhanced, "5.7.8") == 0);
}

/*
 * Note that a connection failed with this event. Returns true if the next connection will try
 * another mechanism, so that the failure need not be reported.
 */
bool
SmtpTriesNextMechanism(SmtpConnection *connection, const SmtpEvent *event)
{
	SmtpAuth *auth = &connection->pool->auth;
	int used = UsedMechanism(connection);
	bool was_exhausted = auth->exhausted;

	if (connection->pool->user == NULL || !RefusesMechanism(event))
		return false;
	/* Another connection has found a mechanism in the meantime. */
	if (auth->chosen != SMTP_NO_MECHANISM && used != auth->chosen)
		return true;

	auth->chosen = SMTP_NO_MECHANISM;
	if (!auth->may_fall_back)
		return false;
	auth->offered = OfferedMechanisms(connection);
	auth->offers_known = true;
	auth->refused |= used != SMTP_NO_MECHANISM ? 1u << used : connection->mechanisms;
	return !was_exhausted && Candidates(auth) != 0;
}

/* Let all mechanisms be tried again, for example because the password has changed. */
void
SmtpForgetRefusals(SmtpPool *pool)
{
	pool->auth.refused = 0;
	pool->auth.exhausted = false;
}

/*
 * worker_backoff.c - see worker_backoff.h.
 *
 * An error of the server is not an error of the mail. All mails that have not been sent return to
 * the queue, and no attempt counts. After a while one mail is sent alone, as a probe. This is for
 * errors that every mail would meet. If a connection is refused while others work, the worker uses
 * the others, and tries one more after a while.
 */
#include "postgres.h"

#include "worker/worker_backoff.h"

#include "common/pg_prng.h"
#include "delivery/delivery_log.h"
#include "miscadmin.h"
#include "server/pace.h"
#include "settings/settings.h"
#include "utils/timestamp.h"
#include "worker/worker_drain.h"
#include "worker/worker_error.h"
#include "worker/worker_outbox.h"
#include "worker/worker_record.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

#define FIRST_GROWTH_MS 10000
#define SLOWEST_GROWTH_MS 320000
#define CAUSES_KEPT 8
#define FIRST_TRY_GAP_MS 1000
#define LONGEST_TRY_GAP_MS 10000
#define TRIES_FORGOTTEN_MS 60000

static int failures = 0;					/* back-offs since the server last worked */
static MonotonicTime backing_off_until = 0; /* 0: the worker does not back off */
static bool is_firm = false;				/* only a probe shows that the server works again */
static bool probing = false;				/* the next mail is the probe */

/* How many requests of operators to retry now were granted, each soon after the one before. */
static int tries = 0;
static MonotonicTime next_try_at = 0; /* when the next request is granted */

/* The causes that were logged since the server last worked. */
static char logged_causes[CAUSES_KEPT][64];
static int logged_count;

/* How many connections the server allows. */
static int connection_limit; /* 0: as many as our setting, as far as it is known */
static int logged_limit;
static bool limit_grew; /* since a connection was refused */
static MonotonicTime growth_at;
static int growth_ms;

/*
 * Remembers the cause. Returns true if it was not known. If there are too many causes, the oldest
 * is forgotten.
 */
static bool
IsNewCause(const char *cause)
{
	for (int i = 0; i < Min(logged_count, CAUSES_KEPT); i++)
	{
		if (strncmp(logged_causes[i], cause, sizeof(logged_causes[i]) - 1) == 0)
			return false;
	}
	strlcpy(logged_causes[logged_count++ % CAUSES_KEPT], cause, sizeof(logged_causes[0]));
	return true;
}

static void
LimitConnections(int connections)
{
	int allowed = connection_limit > 0 ? connection_limit : rhesis_smtp_connections;

	SmtpPoolLimit(MailPool(), Min(connections, allowed));
}

/* ---- Back-off ---- */

void
GetServerCircumstances(ServerCircumstances *server)
{
	SmtpPoolStatus status;

	SmtpPoolGetStatus(MailPool(), &status);
	server->is_draining = IsDraining();
	server->is_shutting_down = shutdown_was_requested;
	server->is_backing_off = backing_off_until > 0;
	server->backoff_left_ms = server->is_backing_off ? MillisecondsUntil(backing_off_until) : 0;
	server->failures = failures;
	server->connections = status.connections;
	server->jitter = pg_prng_double(&pg_global_prng_state);
}

void
BackOff(const char *cause, const char *trouble, const char *hint, int64 delay_ms, bool firm)
{
	if (shutdown_was_requested)
		return;
	ShowError(trouble);
	if (backing_off_until == 0)
		failures++;
	/* The worker may back off already, because another connection has had the same error. */
	backing_off_until = Max(backing_off_until, DeadlineAfter(delay_ms));
	is_firm |= firm;
	probing = false;
	ShowBackoff(WallClockAt(backing_off_until));
	if (hint)
		ShowHint(hint);
	if (IsNewCause(cause))
		ereport(
			WARNING,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("SMTP server \"%s\" port %d is in trouble: %s", rhesis_smtp_host,
					rhesis_smtp_port, trouble),
			 errdetail("Mail waits; the next try is in %ld ms.",
					   (long) MillisecondsUntil(backing_off_until)),
			 errhint("%s", hint ? hint : "SELECT * FROM rhesis_notify.check_smtp() tells more.")));
	ReturnUnsent();
}

static void
SlowDown(const Delivery *delivery)
{
	double pace = PaceSlowDown(MyDatabaseId, rhesis_max_rate, GetCurrentTimestamp());

	if (pace > 0)
		ereport(LOG, (errmsg("SMTP server \"%s\" port %d asks for a slower pace: now at most %.1f "
							 "mails per second, growing again",
							 rhesis_smtp_host, rhesis_smtp_port, pace),
					  errdetail("The server said: %s", delivery->record.smtp_reply)));
}

static void
BackOffFor(const Delivery *delivery, const Disposition *disposition)
{
	const SmtpEvent *event = &delivery->mail.event;
	char cause[64];

	/* Leave out the text: it may contain the time, or the session. */
	snprintf(cause, sizeof(cause), "%s %s %d %s", SmtpStageName(event->stage),
			 SmtpEventKindName(event->kind), event->code, event->enhanced ? event->enhanced : "");
	if (disposition->forgets_limit)
		connection_limit = 0;
	BackOff(cause, delivery->record.smtp_reply, disposition->hint, disposition->backoff_ms,
			disposition->backoff_is_firm);
	if (disposition->needs_person)
		ShowNeedOfPerson();
}

/*
 * Logs how many connections the server allows: once for each number, and not while the worker tries
 * one more.
 */
static void
LogConnectionLimit(void)
{
	if (connection_limit == 0 || limit_grew || connection_limit == logged_limit)
		return;
	logged_limit = connection_limit;
	ereport(LOG, (errmsg_plural("SMTP server \"%s\" port %d allows %d connection at a time",
								"SMTP server \"%s\" port %d allows %d connections at a time",
								connection_limit, rhesis_smtp_host, rhesis_smtp_port,
								connection_limit)));
}

/*
 * The server works: ends the back-off. After a firm back-off, only the probe shows that the server
 * works.
 */
static void
EndFailures(const Delivery *delivery)
{
	LogConnectionLimit();
	if (failures == 0 || (is_firm && !delivery->is_probe))
		return;
	ereport(LOG,
			(errmsg("SMTP server \"%s\" port %d is back", rhesis_smtp_host, rhesis_smtp_port)));
	logged_count = 0;
	failures = 0;
	backing_off_until = 0;
	is_firm = false;
	probing = false;
	ShowBackoff(0);
	LimitConnections(rhesis_smtp_connections);
	ClaimNow();
}

void
EndBackoff(void)
{
	SmtpPoolStatus status;

	if (backing_off_until == 0 || MonotonicNow() < backing_off_until)
		return;
	backing_off_until = 0;
	probing = true;
	ShowBackoff(0);

	/* The probe must not wait for a connection that hangs. */
	SmtpPoolGetStatus(MailPool(), &status);
	LimitConnections(status.connections + 1);
	ClaimNow();
}

MonotonicTime
BackoffUntil(void)
{
	return backing_off_until;
}

bool
IsProbing(void)
{
	return probing;
}

/* ---- An operator's request ---- */

/*
 * Counts a request that is granted at try_at, and sets when the next one can be granted: the time
 * in between grows. In a firm back-off it is the longest at once, because the server has named a
 * delay or a limit.
 */
static void
CountTry(MonotonicTime try_at)
{
	int64 gap = is_firm ? LONGEST_TRY_GAP_MS
						: Min((int64) FIRST_TRY_GAP_MS << Min(tries, 8), LONGEST_TRY_GAP_MS);

	tries++;
	next_try_at = MonotonicPlusMs(try_at, gap);
}

void
RetryNow(void)
{
	MonotonicTime now = MonotonicNow();
	MonotonicTime try_at = Max(now, next_try_at);
	bool shortened = backing_off_until > try_at;

	if (now >= MonotonicPlusMs(next_try_at, TRIES_FORGOTTEN_MS))
		tries = 0;
	if (shortened)
	{
		backing_off_until = try_at;
		ShowBackoff(WallClockAt(backing_off_until));
	}
	shortened |= ShortenErrorWaits(try_at);
	if (shortened)
		CountTry(try_at);
}

/* ---- As many connections as are allowed ---- */

/*
 * The server has refused one more connection: uses no more than are open now, and sets when to try
 * one more.
 */
static void
UseFewerConnections(const SmtpEvent *event)
{
	SmtpPoolStatus status;
	char *text = EventInOneLine(event);

	SmtpPoolGetStatus(MailPool(), &status);
	growth_ms =
		Min(Max(limit_grew ? 2 * growth_ms : growth_ms, FIRST_GROWTH_MS), SLOWEST_GROWTH_MS);
	growth_at = DeadlineAfter(growth_ms);
	limit_grew = false;
	Assert(status.connections > 0);
	connection_limit = status.connections;
	LimitConnections(rhesis_smtp_connections);
	ShowError(text);
	pfree(text);
}

void
TryMoreConnections(void)
{
	if (connection_limit == 0 || probing || MonotonicNow() < growth_at)
		return;
	if (limit_grew)
		growth_ms = Max(growth_ms / 2, FIRST_GROWTH_MS); /* the server did not refuse */
	growth_at = DeadlineAfter(growth_ms);
	limit_grew = true;
	connection_limit = connection_limit + 1 < rhesis_smtp_connections ? connection_limit + 1 : 0;
	LimitConnections(rhesis_smtp_connections);
}

/* ---- What was decided ---- */

void
TreatServer(const Delivery *delivery, const Disposition *disposition)
{
	switch (disposition->server)
	{
		case SERVER_ACTION_NONE:
			break;
		case SERVER_ACTION_CLEAR:
			EndFailures(delivery);
			if (disposition->state != DELIVERY_SENT)
				ShowError(delivery->record.smtp_reply);
			break;
		case SERVER_ACTION_FEWER_CONNECTIONS:
			UseFewerConnections(&delivery->mail.event);
			break;
		case SERVER_ACTION_SLOW_DOWN:
			SlowDown(delivery);
			BackOffFor(delivery, disposition);
			break;
		case SERVER_ACTION_BACK_OFF:
			BackOffFor(delivery, disposition);
			break;
	}
}

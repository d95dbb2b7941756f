/*
 * worker_backoff.c - see worker_backoff.h.
 *
 * An error of the server is not an error of the mail. All that has not been sent returns to the
 * queue, and no attempt counts. After a while one mail goes first, as a probe. This is for errors
 * that every mail would meet. If a connection is refused while others work, the worker uses the
 * others, and tries one more after a while.
 */
#include "postgres.h"

#include "worker/worker_backoff.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "policy/disposition.h"
#include "policy/smtp_hint.h"
#include "server/pace.h"
#include "settings/settings.h"
#include "utils/timestamp.h"
#include "worker/worker_error.h"
#include "worker/worker_outbox.h"
#include "worker/worker_record.h"
#include "worker/worker_schedule.h"
#include "worker/worker_session.h"
#include "worker/worker_slot.h"

#define FIRST_GROWTH_MS 10000
#define SLOWEST_GROWTH_MS 320000
#define LONG_LIMIT_SECONDS 60
#define CAUSES_KEPT 8
#define FIRST_TRY_GAP_MS 1000
#define LONGEST_TRY_GAP_MS 10000
#define TRIES_FORGOTTEN_MS 60000

static int failures = 0;					/* of the server, since it worked */
static MonotonicTime backing_off_until = 0; /* 0: the worker does not back off */
static bool is_firm = false;				/* only a probe can end it */
static bool probing = false; /* the next mail goes first, to a server that had an error */

/* Requests of operators to retry now, one soon after the other. */
static int tries = 0;
static MonotonicTime next_try_at = 0; /* when the next of them is granted */

/* Since the server worked. */
static char logged_causes[CAUSES_KEPT][64];
static int logged_count;

/* How many connections the server allows. */
static int connection_limit; /* 0: as many as our setting, as far as it is known */
static int logged_limit;
static bool limit_grew; /* since a connection was refused */
static MonotonicTime growth_at;
static int growth_ms;

/*
 * Remember the cause. True: it is a new one. If there are too many causes, the oldest is forgotten.
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
BackOff(const char *cause, const char *trouble, const char *hint, int delay_seconds, bool firm)
{
	int64 named = delay_seconds * INT64CONST(1000);
	int64 delay = named;

	if (shutdown_was_requested)
		return;
	ShowError(trouble);
	if (backing_off_until == 0)
	{
		failures++;
		delay = BackoffDelayMs(failures, pg_prng_double(&pg_global_prng_state));
		delay = Max(delay, named);
	}
	/* Otherwise another connection has had the same error. */
	backing_off_until = Max(backing_off_until, DeadlineAfter(delay));
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

/*
 * Reduce the rate only for short-term limits: a daily quota has nothing to do with the rate, and a
 * single probe cannot have been too fast.
 */
static void
SlowDown(const Delivery *delivery, const Outcome *outcome)
{
	double pace = 0;

	if (outcome->delay_seconds < LONG_LIMIT_SECONDS && !delivery->is_probe)
		pace = PaceSlowDown(MyDatabaseId, rhesis_max_rate, GetCurrentTimestamp());
	if (pace > 0)
		ereport(LOG, (errmsg("SMTP server \"%s\" port %d asks for a slower pace: now at most %.1f "
							 "mails per second, growing again",
							 rhesis_smtp_host, rhesis_smtp_port, pace),
					  errdetail("The server said: %s", delivery->record.smtp_reply)));
}

void
BackOffFor(const Delivery *delivery, const Outcome *outcome)
{
	const SmtpEvent *event = &delivery->mail.event;
	bool is_quota = outcome->scope == OUTCOME_SCOPE_QUOTA;
	char cause[64];

	/* Leave out the text: it may contain the time, or the session. */
	snprintf(cause, sizeof(cause), "%s %s %d %s", SmtpStageName(event->stage),
			 SmtpEventKindName(event->kind), event->code, event->enhanced ? event->enhanced : "");
	if (is_quota)
		SlowDown(delivery, outcome);
	/* If no connection could be opened, the limit of connections is not known any more. */
	if (event->stage <= SMTP_STAGE_AUTH)
		connection_limit = 0;
	BackOff(cause, delivery->record.smtp_reply, SmtpHint(event, outcome), outcome->delay_seconds,
			is_quota || outcome->delay_seconds > 0);
	/* A temporary refusal of the login passes without a person. */
	if (outcome->scope == OUTCOME_SCOPE_ACCOUNT &&
		(event->kind != SMTP_EVENT_REPLY || event->code >= 500))
		ShowNeedOfPerson();
}

/* Log it once, and not each time that one more connection was refused. */
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

void
ServerIsWell(const Delivery *delivery)
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
 * When the next requests are granted: later each time. A server that has named a delay is not tried
 * often.
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

bool
UseFewerConnections(const Delivery *delivery, const Outcome *outcome)
{
	SmtpPoolStatus status;

	if (outcome->scope != OUTCOME_SCOPE_CONNECTION || outcome->action != OUTCOME_RETURN ||
		delivery->mail.event.stage > SMTP_STAGE_AUTH)
		return false;
	SmtpPoolGetStatus(MailPool(), &status);
	if (status.connections == 0)
		return false;

	growth_ms =
		Min(Max(limit_grew ? 2 * growth_ms : growth_ms, FIRST_GROWTH_MS), SLOWEST_GROWTH_MS);
	growth_at = DeadlineAfter(growth_ms);
	limit_grew = false;
	connection_limit = status.connections;
	LimitConnections(rhesis_smtp_connections);
	ShowError(delivery->record.smtp_reply);
	return true;
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

/*
 * health.c - tells whether mail is sent, and if not, why: rhesis_notify.health().
 *
 * The function returns one row per check, with advice if the check fails. It opens no connection:
 * it reports what the workers know about the mail server, and how old that knowledge is. SECURITY
 * DEFINER: the figures include all rows, for every caller.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/call_check.h"
#include "base/count_text.h"
#include "base/time_text.h"
#include "delivery/smtp_settings.h"
#include "fmgr.h"
#include "postmaster/autovacuum.h"
#include "queue/queue_copy.h"
#include "queue/queue_figures.h"
#include "queue/queue_rules.h"
#include "server/service.h"
#include "settings/settings.h"
#include "settings/settings_links.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define COLUMNS 4

/*
 * Normally mail goes out within a second. A back-off, a long queue or a pause is reported only
 * after this time.
 */
#define LONG_DUE_MINUTES 5

/* A look-up needs milliseconds. */
#define LONG_LOOK_UP_MS 2000

/*
 * Autovacuum begins at a tenth of the rows, as the tables' definitions say. At three times that, it
 * cannot keep up.
 */
#define DEAD_ROWS_ALLOWED 10000
#define DEAD_SHARE_ALLOWED 0.3

/* If more than one mail in so many has failed, the cause probably concerns all mails. */
#define MANY_FAILURES 20

/*
 * Autovacuum freezes rows at the age autovacuum_freeze_max_age. If a row is so many times older,
 * that has failed for a long time.
 */
#define FREEZE_ALLOWANCE 2

PG_FUNCTION_INFO_V1(rhesis_notify_health);

/* Appends a row. The advice is omitted if the check is ok. */
static void
AppendCheck(ReturnSetInfo *result, const char *name, bool ok, const char *value, const char *advice)
{
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS] = {0};

	values[0] = CStringGetTextDatum(name);
	values[1] = BoolGetDatum(ok);
	values[2] = CStringGetTextDatum(value);
	nulls[3] = ok;
	if (!ok)
		values[3] = CStringGetTextDatum(advice);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Appends a row for a check of the queue's tables. Only the primary can change them, so on a
 * standby the advice is to ask there.
 */
static void
AppendQueueCheck(ReturnSetInfo *result, const char *name, bool ok, const char *value,
				 const char *advice)
{
	AppendCheck(result, name, ok, value,
				RecoveryInProgress()
					? "This is a standby: mail is sent by the primary. Ask health() "
					  "there, and do there what it says."
					: advice);
}

static void
CheckVersions(ReturnSetInfo *result)
{
	InstalledVersions versions;
	bool objects_fit;
	bool files_fit;

	ReadInstalledVersions(CurrentMemoryContext, &versions);
	objects_fit = versions.objects && strcmp(versions.objects, RHESIS_NOTIFY_VERSION) == 0;
	files_fit = versions.files && strcmp(versions.files, RHESIS_NOTIFY_VERSION) == 0;
	AppendCheck(result, "versions", objects_fit && files_fit,
				psprintf("library %s, objects %s, files %s", RHESIS_NOTIFY_VERSION,
						 versions.objects ? versions.objects : "unknown",
						 versions.files ? versions.files : "not found"),
				files_fit
					? "If the objects are older: ALTER EXTENSION rhesis_notify UPDATE; if the "
					  "library is older: restart the server."
					: "Another version was installed than the server has loaded: restart the "
					  "server, then ALTER EXTENSION rhesis_notify UPDATE.");
}

static void
CheckSettings(ReturnSetInfo *result, const Service *service)
{
	const char *problem = SmtpSettingsProblem();

	if (problem == NULL && service->mail_off)
		problem = service->mail_off->last_error;
	AppendCheck(result, "settings", problem == NULL,
				problem ? problem : psprintf("%s:%d", rhesis_smtp_host, rhesis_smtp_port),
				"Set it in postgresql.conf, with ALTER SYSTEM or ALTER DATABASE ... SET, or in the "
				"server's environment; reload, or restart for the environment.");
}

/* Somebody may want mails without links. So a missing setting is ok, but is mentioned. */
static void
CheckLinks(ReturnSetInfo *result)
{
	bool was_refused;
	const char *problem = LinksProblem(&was_refused);

	AppendCheck(result, "links", problem == NULL || !was_refused,
				problem ? psprintf("mails go without links: %s", problem)
						: psprintf("links begin with %s", FrontendUrl()),
				LINKS_ADVICE " Reload, or restart for the environment.");
}

static void
CheckWorkers(ReturnSetInfo *result, const Service *service)
{
	bool ok = service->running > 0 && service->running >= service->wanted;
	char *value;

	if (RecoveryInProgress())
	{
		AppendCheck(result, "workers", true, "none: a standby sends nothing until it is promoted",
					NULL);
		return;
	}
	if (service->running > 0)
		value = psprintf("%d of %d running, since %s", service->running,
						 Max(service->wanted, service->running), TimeText(service->running_since));
	else
		value = psprintf("none is running, the launcher %s",
						 service->has_launcher ? "is" : "is not either");
	AppendCheck(result, "workers", ok, value,
				"See the server's log. max_worker_processes must have one for the launcher and one "
				"for each worker; a database has no worker while it is dropped, renamed, moved or "
				"copied.");
}

/*
 * Reports a worker whose commit waits for a standby that does not answer: nothing is mailed then.
 */
static void
CheckReplication(ReturnSetInfo *result, const Service *service)
{
	const WorkerSlot *waiting = service->waiting_for_standby;

	AppendCheck(result, "replication", waiting == NULL,
				waiting ? psprintf("worker %d waits for a synchronous standby, since %s",
								   waiting->number + 1, TimeText(StandbySince(waiting)))
						: "no worker waits for one",
				"No standby of synchronous_standby_names answers: see pg_stat_replication. "
				"Start the standby, or remove it from synchronous_standby_names and reload. "
				"Mail waits meanwhile, as every commit does.");
}

static void
CheckServer(ReturnSetInfo *result, const Service *service)
{
	const WorkerSlot *troubled = service->backing_off;
	const char *last = service->last_sent_at
						   ? psprintf("the last mail was sent %s", TimeText(service->last_sent_at))
						   : "no mail was sent since the start of the server";

	if (troubled)
		AppendCheck(
			result, "mail server", false,
			psprintf("backing off until %s, after %s: %s; %s",
					 TimeText(troubled->backing_off_until), TimeText(troubled->last_error_at),
					 troubled->last_error, last),
			psprintf(
				"%s%s%s", troubled->hint, *troubled->hint ? " " : "",
				troubled->needs_person
					? "SELECT * FROM rhesis_notify.check_smtp() tries it step by step, and says "
					  "what has to be corrected: this does not pass by itself. Mail waits, and "
					  "no attempt is used up."
					: "SELECT * FROM rhesis_notify.check_smtp() tries it step by step. Mail "
					  "waits, no attempt is used up, and the worker tries again by itself."));
	else if (service->running == 0 || service->mail_off)
		AppendCheck(result, "mail server", service->running == 0 && RecoveryInProgress(),
					psprintf("not asked; %s", last),
					"No worker is connected: see settings and workers.");
	else
		AppendCheck(result, "mail server", true,
					psprintf("%s, %s on them; %s",
							 CountText(service->connections, "connection", "connections"),
							 CountText(service->in_flight, "mail", "mails"), last),
					NULL);
}

static void
CheckRecipients(ReturnSetInfo *result, const Service *service)
{
	const WorkerSlot *waiting = service->waiting_for_recipients;
	const WorkerSlot *looking = service->looking_up;
	const WorkerSlot *culprit = service->found_culprit;

	if (looking && MonotonicNow() >= MonotonicPlusMs(looking->looking_up_since, LONG_LOOK_UP_MS))
	{
		AppendCheck(
			result, "recipients", false,
			psprintf("being read since %s", TimeText(WallClockAt(looking->looking_up_since))),
			"The relation with the users' addresses does not answer. See what its "
			"view reads (perhaps a foreign server), and its plan with EXPLAIN. Mail "
			"waits meanwhile.");
		return;
	}
	if (waiting == NULL && culprit != NULL)
	{
		AppendCheck(result, "recipients", false,
					psprintf("a worker ended while it prepared notification " INT64_FORMAT ", %s",
							 culprit->culprit_id, TimeText(culprit->culprit_at)),
					"See the log before that time, and the functions that the recipients "
					"relation calls for this user. Other mail goes on. This check reports it "
					"for an hour.");
		return;
	}
	AppendCheck(
		result, "recipients", waiting == NULL,
		waiting ? psprintf("%s, %s", waiting->last_error, TimeText(waiting->last_error_at))
				: "they can be read",
		"The application's tables cannot be read; explain() of a row that waits says what to "
		"do. Mail waits meanwhile.");
}

/*
 * Reports rows that triggers, rules, constraints or foreign keys of the application keep as they
 * are. Returns true if there are any.
 */
static bool
AppendRefusals(ReturnSetInfo *result, const Service *service)
{
	const Refusal *claim = &service->refusals[REFUSED_CLAIM];
	const Refusal *record = &service->refusals[REFUSED_RECORD];
	const Refusal *removal = &service->refusals[REFUSED_REMOVAL];
	const Refusal *first = claim->count > 0 ? claim : record;
	QueueRules rules;

	if (first->count > 0)
		AppendCheck(result, "queue", false,
					psprintf("refused: %s, %s; notification " INT64_FORMAT ": %s, since %s",
							 CountText(claim->count, "claim", "claims"),
							 CountText(record->count, "outcome", "outcomes"), first->id,
							 first->text, TimeText(first->since)),
					ReadQueueRules(&rules)
						? rules.advice
						: "A trigger, a rule or a constraint that was added to "
						  "rhesis_notify.task_notifications or delivery_events refuses these "
						  "rows: correct or drop it. The worker tries again automatically. "
						  "Other mail goes on.");
	else if (removal->count > 0)
		AppendCheck(
			result, "queue", false,
			psprintf(
				"%s older than rhesis_notify.retention and cannot be removed; "
				"notification " INT64_FORMAT ": %s, since %s",
				CountText(removal->count, "finished notification is", "finished notifications are"),
				removal->id, removal->text, TimeText(removal->since)),
			"A foreign key to rhesis_notify.task_notifications needs ON DELETE CASCADE or SET NULL "
			"and an index on its columns; a trigger or a rule must not refuse the deletion. Mail "
			"goes on, and other rows are removed.");
	return first->count > 0 || removal->count > 0;
}

/*
 * Reports sequences that give ids that rows already have, as after logical replication. Then tasks
 * cannot report. Returns true if there are such sequences.
 */
static bool
AppendSequenceLags(ReturnSetInfo *result)
{
	char *advice;
	char *lags = ReadSequenceLags(CurrentMemoryContext, &advice);

	if (lags != NULL)
		AppendQueueCheck(result, "queue", false, lags, advice);
	return lags != NULL;
}

static void
CheckStatements(ReturnSetInfo *result, const Service *service)
{
	const WorkerSlot *troubled = service->in_trouble;

	if (AppendSequenceLags(result) || AppendRefusals(result, service))
		return;
	AppendCheck(result, "queue", troubled == NULL,
				troubled
					? psprintf("%s, %s", troubled->last_error, TimeText(troubled->last_error_at))
					: "its tables can be read and written",
				"A statement on the queue fails: a full disk, a lock that a session keeps, or row "
				"security that also binds the tables' owner (ALTER TABLE ... NO FORCE ROW LEVEL "
				"SECURITY). The worker tries again automatically.");
}

static void
CheckPause(ReturnSetInfo *result, const QueueFigures *figures)
{
	bool paused = figures->paused_since != 0;

	AppendQueueCheck(
		result, "pause", !paused,
		paused ? psprintf("paused by %s, %s", figures->paused_by, TimeText(figures->paused_since))
			   : "not paused",
		"SELECT rhesis_notify.resume();");
}

static void
CheckCopy(ReturnSetInfo *result)
{
	CopyFigures figures;
	CopySign sign = FindCopySign(&figures);

	AppendQueueCheck(result, "copy", sign == NO_COPY,
					 sign == NO_COPY
						 ? "this database is itself"
						 : psprintf("%s; %s", CopySignText(sign), CopyWaitingText(&figures)),
					 ADOPT_HINT);
}

/*
 * Reports a standby with another rhesis_notify.instance than its primary: after a promotion, the
 * worker would take the database for a copy.
 */
static void
CheckStandby(ReturnSetInfo *result)
{
	const char *remembered;
	bool same;

	if (!RecoveryInProgress())
	{
		AppendCheck(result, "standby", true, "this is no standby", NULL);
		return;
	}
	remembered = RememberedInstance(CurrentMemoryContext);
	same = remembered == NULL || strcmp(remembered, rhesis_instance) == 0;
	AppendCheck(result, "standby", same,
				same ? "its rhesis_notify.instance is the primary's"
					 : psprintf("its rhesis_notify.instance is \"%s\", the primary's \"%s\"",
								rhesis_instance, remembered),
				"After a promotion, it would take this database for a copy and mail nothing. "
				"Set RHESIS_NOTIFY_INSTANCE in this server's environment to the primary's, "
				"and restart it.");
}

static void
CheckDue(ReturnSetInfo *result, const QueueFigures *figures)
{
	int64 waiting =
		figures->due_since ? MicrosecondsBetween(figures->due_since, GetCurrentTimestamp()) : 0;
	int64 open = figures->pending + figures->deferred + figures->sending + figures->held;

	AppendQueueCheck(
		result, "oldest due", waiting < LONG_DUE_MINUTES * SECS_PER_MINUTE * USECS_PER_SEC,
		figures->due == 0 ? psprintf("nothing is due; deferred: %s" INT64_FORMAT,
									 open < MOST_COUNTED ? "" : "at least ", figures->deferred)
						  : psprintf("%s due, the oldest for %s",
									 CountText(figures->due, "is", "are"), SpanText(waiting)),
		"If the other checks are ok, there is more mail than can be sent: raise "
		"rhesis_notify.smtp_connections, or max_rate if the provider allows it.");
}

static void
CheckDoubt(ReturnSetInfo *result, const QueueFigures *figures, const Service *service)
{
	AppendQueueCheck(
		result, "in doubt", figures->held == 0,
		psprintf(INT64_FORMAT " held; " UINT64_FORMAT " in doubt since the start of the server",
				 figures->held, service->in_doubt),
		"It is not known whether these were delivered. Look for their Message-IDs in the "
		"mail server's log, then retry(id) or cancel(id).");
}

static void
CheckFailures(ReturnSetInfo *result)
{
	QueueFailures failures;
	int64 span;

	ReadQueueFailures(&failures);
	span = MicrosecondsBetween(failures.since, GetCurrentTransactionStartTimestamp());
	AppendQueueCheck(
		result, "failed", failures.failed * MANY_FAILURES <= failures.ended,
		psprintf(INT64_FORMAT " of " INT64_FORMAT " in the last %s", failures.failed,
				 failures.ended, span < USECS_PER_HOUR ? SpanText(span) : "hour"),
		"More than one mail in 20: SELECT * FROM rhesis_notify.delivery_status WHERE state = "
		"'failed' shows the replies; retry_failed(since) tries them again.");
}

static void
CheckVacuum(ReturnSetInfo *result, const TableFigures *tables)
{
	bool keeps_up;

	if (RecoveryInProgress())
	{
		AppendCheck(result, "autovacuum", true, "a standby needs none of its own", NULL);
		return;
	}
	keeps_up = tables->dead_rows <= DEAD_ROWS_ALLOWED + DEAD_SHARE_ALLOWED * tables->live_rows;

	AppendCheck(
		result, "autovacuum", tables->is_vacuumed && keeps_up,
		psprintf("%s%s beside " INT64_FORMAT "; %s", tables->is_vacuumed ? "" : "switched off; ",
				 CountText(tables->dead_rows, "dead row", "dead rows"), tables->live_rows,
				 tables->vacuumed_at ? psprintf("last run %s", TimeText(tables->vacuumed_at))
									 : "it has not run yet"),
		tables->is_vacuumed
			? "It cannot keep up: look for old transactions, SELECT pid, xact_start, query FROM "
			  "pg_stat_activity WHERE backend_xmin IS NOT NULL ORDER BY xact_start, for "
			  "replication slots and prepared transactions."
			: "The queue's tables need it: turn on autovacuum and track_counts, and remove "
			  "autovacuum_enabled = false from them.");
}

static void
CheckWraparound(ReturnSetInfo *result, const TableFigures *tables)
{
	bool ok =
		tables->frozen_age < (int64) autovacuum_freeze_max_age * FREEZE_ALLOWANCE &&
		tables->multixact_age < (int64) autovacuum_multixact_freeze_max_age * FREEZE_ALLOWANCE;

	AppendQueueCheck(
		result, "wraparound", ok,
		psprintf("oldest row %s and %s ago",
				 CountText(tables->frozen_age, "transaction", "transactions"),
				 CountText(tables->multixact_age, "multixact", "multixacts")),
		ok ? NULL
		   : psprintf("Run VACUUM (FREEZE) %s; then find out what keeps autovacuum from it.",
					  tables->unfrozen));
}

/* rhesis_notify.health() returns setof (check_name, ok, value, advice) */
Datum
rhesis_notify_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	Service service;
	QueueFigures figures;
	TableFigures tables;

	RequirePreload();
	RequireStrictArguments(fcinfo, 0);
	result = BeginRows(fcinfo, COLUMNS);
	ReadService(&service);
	ReadQueueFigures(CurrentMemoryContext, &figures);
	ReadTableFigures(CurrentMemoryContext, &tables);

	CheckVersions(result);
	CheckSettings(result, &service);
	CheckLinks(result);
	CheckWorkers(result, &service);
	CheckPause(result, &figures);
	CheckCopy(result);
	CheckStandby(result);
	CheckReplication(result, &service);
	CheckServer(result, &service);
	CheckRecipients(result, &service);
	CheckStatements(result, &service);
	CheckDue(result, &figures);
	CheckDoubt(result, &figures, &service);
	CheckFailures(result);
	CheckVacuum(result, &tables);
	CheckWraparound(result, &tables);
	return (Datum) 0;
}

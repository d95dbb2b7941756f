/*
 * metrics.c - figures for monitoring: rhesis_notify.metrics(), in Prometheus' text format, and
 * metric_samples(), the same as rows.
 *
 * Names follow Prometheus' conventions: base units, and _total for counters. The counters are in
 * shared memory, so they begin at the start of the server. The figures contain no address, reply or
 * setting, because a monitoring role must not read those.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/call_check.h"
#include "base/time_text.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "queue/queue_copy.h"
#include "queue/queue_figures.h"
#include "server/service.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define COLUMNS 5
#define MAX_LABELS 2

PG_FUNCTION_INFO_V1(rhesis_notify_metrics);
PG_FUNCTION_INFO_V1(rhesis_notify_metric_samples);

/* The word after rhesis_notify_ in a metric's name says what the metric is about. */
#define ABOUT_WORKER "worker"
#define ABOUT_QUEUE "queue"
#define ABOUT_DATABASE "database"

/* In the order of both functions' results. Samples of one metric are next to each other. */
typedef enum MetricId
{
	WORKER_UP,
	WORKER_START_TIME,
	WORKER_BACKS_OFF,
	WORKER_CONNECTIONS,
	WORKER_IN_FLIGHT,
	WORKER_SENT,
	WORKER_DEFERRED,
	WORKER_FAILED,
	WORKER_IN_DOUBT,
	QUEUE_NOTIFICATIONS,
	DATABASE_INFO,
	DATABASE_IN_RECOVERY,
	DATABASE_WORKERS_WANTED,
	DATABASE_PAUSED,
	DATABASE_COPY,
	DATABASE_DUE,
	DATABASE_OLDEST_DUE,
	DATABASE_LAST_SENT,
	DATABASE_LIVE_ROWS,
	DATABASE_DEAD_ROWS,
	METRIC_COUNT
} MetricId;

typedef struct Metric
{
	const char *name;
	const char *type;
	const char *help; /* without backslashes and line breaks */
} Metric;

static const Metric metrics[METRIC_COUNT] = {
	[WORKER_UP] = {"rhesis_notify_worker_up", "gauge", "Whether the worker process is running."},
	[WORKER_START_TIME] =
		{"rhesis_notify_worker_start_time_seconds", "gauge",
		 "When the worker process started, in Unix time; absent while there is none."},
	[WORKER_BACKS_OFF] = {"rhesis_notify_worker_backing_off", "gauge",
						  "Whether the worker is backing off from the mail server after an "
						  "error."},
	[WORKER_CONNECTIONS] = {"rhesis_notify_worker_connections", "gauge",
							"Connections of the worker to the mail server."},
	[WORKER_IN_FLIGHT] = {"rhesis_notify_worker_in_flight_mails", "gauge",
						  "Mails that the worker is sending."},
	[WORKER_SENT] = {"rhesis_notify_worker_sent_total", "counter",
					 "Mails that the mail server has accepted, since the start of the server."},
	[WORKER_DEFERRED] = {"rhesis_notify_worker_deferred_total", "counter",
						 "Attempts that will be repeated, since the start of the server."},
	[WORKER_FAILED] = {"rhesis_notify_worker_failed_total", "counter",
					   "Mails that were given up, since the start of the server."},
	[WORKER_IN_DOUBT] =
		{"rhesis_notify_worker_in_doubt_total", "counter",
		 "Mails that may or may not have been accepted, since the start of the server."},
	[QUEUE_NOTIFICATIONS] =
		{"rhesis_notify_queue_notifications", "gauge",
		 "Notifications in a state that is not final; all that are held, and the others among "
		 "the first " CppAsString2(MOST_COUNTED) "."},
	[DATABASE_INFO] = {"rhesis_notify_database_info", "gauge",
					   "Always 1; the version of the library that the server has loaded."},
	[DATABASE_IN_RECOVERY] = {"rhesis_notify_database_in_recovery", "gauge",
							  "Whether this is a standby: it sends nothing until it is promoted."},
	[DATABASE_WORKERS_WANTED] = {"rhesis_notify_database_workers_wanted", "gauge",
								 "Worker processes that should run; 0 until one has run."},
	[DATABASE_PAUSED] = {"rhesis_notify_database_paused", "gauge", "Whether pause() was called."},
	[DATABASE_COPY] = {"rhesis_notify_database_copy", "gauge",
					   "Whether it is a copy of another database: it mails nothing until "
					   "adopt_database() is called."},
	[DATABASE_DUE] = {"rhesis_notify_database_due_notifications", "gauge",
					  "Notifications that should be sent now."},
	[DATABASE_OLDEST_DUE] = {"rhesis_notify_database_oldest_due_seconds", "gauge",
							 "For how long the oldest of them has been due; 0 if none is due."},
	[DATABASE_LAST_SENT] =
		{"rhesis_notify_database_last_sent_timestamp_seconds", "gauge",
		 "When a mail was last sent, in Unix time; absent before the first one."},
	[DATABASE_LIVE_ROWS] = {"rhesis_notify_database_live_rows", "gauge",
							"Rows of the queue and its events, as the statistics have them."},
	[DATABASE_DEAD_ROWS] = {"rhesis_notify_database_dead_rows", "gauge",
							"Dead rows of the queue and its events, as the statistics have them."},
};

typedef struct Label
{
	const char *name;
	const char *value; /* any text */
} Label;

typedef struct Sample
{
	Label labels[MAX_LABELS];
	int label_count;
	double value;
} Sample;

typedef struct Samples
{
	const char *database;
	List *of[METRIC_COUNT]; /* lists of Sample * */
} Samples;

/*
 * Adds a sample. Every sample has the label "database". label is a further label; it may be NULL.
 */
static void
AddSample(Samples *samples, MetricId metric, const char *label, const char *value_of_label,
		  double value)
{
	Sample *sample = palloc0_object(Sample);

	sample->labels[sample->label_count++] = (Label){"database", samples->database};
	if (label)
		sample->labels[sample->label_count++] = (Label){label, value_of_label};
	sample->value = value;
	samples->of[metric] = lappend(samples->of[metric], sample);
}

static double
UnixTime(TimestampTz time)
{
	return time / (double) USECS_PER_SEC +
		   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
}

static void
CollectWorker(Samples *samples, const WorkerSlot *slot)
{
	char *worker = psprintf("%d", slot->number + 1);
	bool running = slot->state == SLOT_RUNNING;

	AddSample(samples, WORKER_UP, "worker", worker, running);
	if (running)
		AddSample(samples, WORKER_START_TIME, "worker", worker, UnixTime(slot->started_at));
	AddSample(samples, WORKER_BACKS_OFF, "worker", worker, running && slot->backing_off_until != 0);
	AddSample(samples, WORKER_CONNECTIONS, "worker", worker, CopiedNumber(&slot->connections));
	AddSample(samples, WORKER_IN_FLIGHT, "worker", worker, CopiedNumber(&slot->in_flight));
	AddSample(samples, WORKER_SENT, "worker", worker, CopiedCounter(&slot->sent));
	AddSample(samples, WORKER_DEFERRED, "worker", worker, CopiedCounter(&slot->deferred));
	AddSample(samples, WORKER_FAILED, "worker", worker, CopiedCounter(&slot->failed));
	AddSample(samples, WORKER_IN_DOUBT, "worker", worker, CopiedCounter(&slot->in_doubt));
}

static void
CollectQueue(Samples *samples, const QueueFigures *figures)
{
	AddSample(samples, QUEUE_NOTIFICATIONS, "state", "pending", figures->pending);
	AddSample(samples, QUEUE_NOTIFICATIONS, "state", "deferred", figures->deferred);
	AddSample(samples, QUEUE_NOTIFICATIONS, "state", "sending", figures->sending);
	AddSample(samples, QUEUE_NOTIFICATIONS, "state", "held", figures->held);
}

/* Returns true if the identity shows a copy, or a worker has found rows of a copy. */
static bool
IsCopy(const Service *service)
{
	DatabaseState state;

	ReadDatabaseState(&state);
	for (int i = 0; i < service->count; i++)
	{
		if (service->slots[i].state == SLOT_RUNNING && service->slots[i].activity == WORKER_IN_COPY)
			return true;
	}
	return state.copy != NO_COPY;
}

static void
CollectDatabase(Samples *samples, const Service *service, const QueueFigures *figures)
{
	TableFigures tables;
	TimestampTz now = GetCurrentTimestamp();

	ReadTableFigures(CurrentMemoryContext, &tables);
	AddSample(samples, DATABASE_INFO, "version", RHESIS_NOTIFY_VERSION, 1);
	AddSample(samples, DATABASE_IN_RECOVERY, NULL, NULL, RecoveryInProgress());
	AddSample(samples, DATABASE_WORKERS_WANTED, NULL, NULL, service->wanted);
	AddSample(samples, DATABASE_PAUSED, NULL, NULL, figures->paused_since != 0);
	AddSample(samples, DATABASE_COPY, NULL, NULL, IsCopy(service));
	AddSample(samples, DATABASE_DUE, NULL, NULL, figures->due);
	AddSample(samples, DATABASE_OLDEST_DUE, NULL, NULL,
			  figures->due_since
				  ? Max(MicrosecondsBetween(figures->due_since, now), 0) / (double) USECS_PER_SEC
				  : 0);
	if (service->last_sent_at)
		AddSample(samples, DATABASE_LAST_SENT, NULL, NULL, UnixTime(service->last_sent_at));
	AddSample(samples, DATABASE_LIVE_ROWS, NULL, NULL, tables.live_rows);
	AddSample(samples, DATABASE_DEAD_ROWS, NULL, NULL, tables.dead_rows);
}

static bool
IsAbout(const char *asked, const char *about)
{
	return asked == NULL || strcmp(asked, about) == 0;
}

/* Collects the samples about what asked names (ABOUT_WORKER and others); NULL: all samples. */
static void
Collect(Samples *samples, const char *asked)
{
	bool about_queue = IsAbout(asked, ABOUT_QUEUE);
	bool about_database = IsAbout(asked, ABOUT_DATABASE);
	Service service;
	QueueFigures figures;

	memset(samples, 0, sizeof(*samples));
	samples->database = get_database_name(MyDatabaseId);
	ReadService(&service);
	for (int i = 0; IsAbout(asked, ABOUT_WORKER) && i < service.count; i++)
		CollectWorker(samples, &service.slots[i]);
	if (about_queue || about_database)
		ReadQueueFigures(CurrentMemoryContext, &figures);
	if (about_queue)
		CollectQueue(samples, &figures);
	if (about_database)
		CollectDatabase(samples, &service, &figures);
}

/* ---- As text ---- */

/* The text format needs backslash, quote and line feed escaped. */
static void
AppendLabelValue(StringInfo out, const char *value)
{
	for (const char *byte = value; *byte; byte++)
	{
		if (*byte == '\n')
			appendStringInfoString(out, "\\n");
		else
		{
			if (*byte == '\\' || *byte == '"')
				appendStringInfoChar(out, '\\');
			appendStringInfoChar(out, *byte);
		}
	}
}

/* Returns the shortest text that keeps the exact value. */
static char *
ValueText(double value)
{
	return DatumGetCString(DirectFunctionCall1(float8out, Float8GetDatum(value)));
}

static void
AppendSample(StringInfo out, const Metric *metric, const Sample *sample)
{
	appendStringInfo(out, "%s{", metric->name);
	for (int i = 0; i < sample->label_count; i++)
	{
		appendStringInfo(out, "%s%s=\"", i > 0 ? "," : "", sample->labels[i].name);
		AppendLabelValue(out, sample->labels[i].value);
		appendStringInfoChar(out, '"');
	}
	appendStringInfo(out, "} %s\n", ValueText(sample->value));
}

/* rhesis_notify.metrics() returns text */
Datum
rhesis_notify_metrics(PG_FUNCTION_ARGS)
{
	Samples samples;
	StringInfoData out;

	RequirePreload();
	RequireStrictArguments(fcinfo, 0);
	Collect(&samples, NULL);
	initStringInfo(&out);
	for (int i = 0; i < METRIC_COUNT; i++)
	{
		ListCell *cell;

		if (samples.of[i] == NIL)
			continue;
		appendStringInfo(&out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name, metrics[i].help,
						 metrics[i].name, metrics[i].type);
		foreach(cell, samples.of[i])
			AppendSample(&out, &metrics[i], lfirst(cell));
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* ---- As rows ---- */

static Datum
LabelsAsJsonb(const Sample *sample)
{
	StringInfoData json;

	initStringInfo(&json);
	for (int i = 0; i < sample->label_count; i++)
	{
		appendStringInfoChar(&json, i > 0 ? ',' : '{');
		escape_json(&json, sample->labels[i].name);
		appendStringInfoChar(&json, ':');
		escape_json(&json, sample->labels[i].value);
	}
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static void
PutSample(ReturnSetInfo *result, const Metric *metric, const Sample *sample)
{
	Datum values[COLUMNS];
	bool nulls[COLUMNS] = {0};

	values[0] = CStringGetTextDatum(metric->name);
	values[1] = CStringGetTextDatum(metric->type);
	values[2] = CStringGetTextDatum(metric->help);
	values[3] = LabelsAsJsonb(sample);
	values[4] = Float8GetDatum(sample->value);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* rhesis_notify.metric_samples(about text) returns setof (name, type, help, labels, value) */
Datum
rhesis_notify_metric_samples(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	const char *about;
	Samples samples;

	RequirePreload();
	RequireArguments(fcinfo, 1);
	about = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (about && strcmp(about, ABOUT_WORKER) != 0 && strcmp(about, ABOUT_QUEUE) != 0 &&
		strcmp(about, ABOUT_DATABASE) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there are no metrics about \"%s\"", about),
						errhint("Use \"worker\", \"queue\" or \"database\", or null for all "
								"of them.")));
	result = BeginRows(fcinfo, COLUMNS);
	Collect(&samples, about);
	for (int i = 0; i < METRIC_COUNT; i++)
	{
		ListCell *cell;

		foreach(cell, samples.of[i])
			PutSample(result, &metrics[i], lfirst(cell));
	}
	return (Datum) 0;
}

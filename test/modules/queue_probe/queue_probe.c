/*
 * queue_probe.c - the functions of queue.h as SQL functions.
 */
#include "postgres.h"

#include <limits.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "queue/queue.h"
#include "queue/queue_purge.h"
#include "queue/result_excerpt.h"
#include "settings/settings.h"
#include "template/variable_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_MODULE_MAGIC;

void _PG_init(void);
PG_FUNCTION_INFO_V1(queue_probe_claim);
PG_FUNCTION_INFO_V1(queue_probe_claim_from_first);
PG_FUNCTION_INFO_V1(queue_probe_note_rows_due_since);
PG_FUNCTION_INFO_V1(queue_probe_last_claim);
PG_FUNCTION_INFO_V1(queue_probe_fetch);
PG_FUNCTION_INFO_V1(queue_probe_record);
PG_FUNCTION_INFO_V1(queue_probe_record_unlocked);
PG_FUNCTION_INFO_V1(queue_probe_adopt_orphans);
PG_FUNCTION_INFO_V1(queue_probe_next_due_time);
PG_FUNCTION_INFO_V1(queue_probe_purge_finished);
PG_FUNCTION_INFO_V1(queue_probe_is_paused);
PG_FUNCTION_INFO_V1(queue_probe_next_epoch);

/* The settings that src/queue reads. */
int rhesis_expire_after = 0;
int rhesis_retention = 0;
int rhesis_max_attempts = 0;
int rhesis_in_doubt = IN_DOUBT_RESEND;
char *rhesis_instance = "";

static const struct config_enum_entry in_doubt_policies[] = {
	{"resend", IN_DOUBT_RESEND, false},
	{"hold", IN_DOUBT_HOLD, false},
	{NULL, 0, false},
};

static ClaimResult last_claim;
static ArrayType *live_epochs;

void
_PG_init(void)
{
	KeepResultKeys(IsListedVariable);
	DefineCustomIntVariable("queue_probe.expire_after", "As rhesis_notify.expire_after.", NULL,
							&rhesis_expire_after, 3 * 24 * 3600, 0, INT_MAX, PGC_USERSET,
							GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("queue_probe.retention", "As rhesis_notify.retention.", NULL,
							&rhesis_retention, 30 * 24 * 3600, 0, INT_MAX, PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("queue_probe.max_attempts", "As rhesis_notify.max_attempts.", NULL,
							&rhesis_max_attempts, 12, 1, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("queue_probe.in_doubt", "As rhesis_notify.in_doubt.", NULL,
							 &rhesis_in_doubt, IN_DOUBT_RESEND, in_doubt_policies, PGC_USERSET, 0,
							 NULL, NULL, NULL);
}

static void
PutText(Datum *value, bool *is_null, const char *text)
{
	*is_null = text == NULL;
	*value = text != NULL ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
PutNotification(ReturnSetInfo *result, const Notification *notification)
{
	Datum values[16];
	bool nulls[16] = {false};

	values[0] = Int64GetDatum(notification->id);
	PutText(&values[1], &nulls[1], notification->task_id);
	PutText(&values[2], &nulls[2], notification->task_name);
	values[3] = BoolGetDatum(notification->is_success);
	PutText(&values[4], &nulls[4], notification->user_id);
	PutText(&values[5], &nulls[5], notification->organization_id);
	PutText(&values[6], &nulls[6], notification->template_name);
	PutText(&values[7], &nulls[7], notification->subject_template);
	PutText(&values[8], &nulls[8], notification->display_name);
	nulls[9] = notification->result == NULL;
	values[9] = nulls[9] ? (Datum) 0 : JsonbPGetDatum(notification->result);
	values[10] = BoolGetDatum(notification->result_remark != NULL);
	PutText(&values[11], &nulls[11], notification->error_message);
	nulls[12] = !notification->has_started_at;
	values[12] = TimestampTzGetDatum(notification->started_at);
	values[13] = TimestampTzGetDatum(notification->completed_at);
	values[14] = TimestampTzGetDatum(notification->created_at);
	values[15] = Int32GetDatum(notification->attempts);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
Claim(FunctionCallInfo fcinfo, ClaimStart start)
{
	DatabaseState state;

	InitMaterializedSRF(fcinfo, 0);
	ReadDatabaseState(&state);
	ClaimDueNotifications(PG_GETARG_INT64(0), PG_GETARG_INT32(1), start, &state.bounds,
						  CurrentMemoryContext, &last_claim);
	for (int i = 0; i < last_claim.count; i++)
		PutNotification((ReturnSetInfo *) fcinfo->resultinfo, last_claim.notifications[i]);
	return (Datum) 0;
}

Datum
queue_probe_claim(PG_FUNCTION_ARGS)
{
	return Claim(fcinfo, PG_GETARG_BOOL(2) ? CLAIM_FROM_START : CLAIM_ONWARDS);
}

Datum
queue_probe_claim_from_first(PG_FUNCTION_ARGS)
{
	return Claim(fcinfo, CLAIM_FROM_FIRST);
}

Datum
queue_probe_note_rows_due_since(PG_FUNCTION_ARGS)
{
	RewindClaimPosition(PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_VOID();
}

Datum
queue_probe_last_claim(PG_FUNCTION_ARGS)
{
	Datum values[2];
	bool nulls[2] = {false};
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum(last_claim.settled);
	values[1] = BoolGetDatum(last_claim.full);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

Datum
queue_probe_fetch(PG_FUNCTION_ARGS)
{
	Notification *notification;

	InitMaterializedSRF(fcinfo, 0);
	notification = FetchNotification(PG_GETARG_INT64(0), CurrentMemoryContext);
	if (notification != NULL)
		PutNotification((ReturnSetInfo *) fcinfo->resultinfo, notification);
	return (Datum) 0;
}

static DeliveryState
StateFromName(const char *name)
{
	static const char *const names[] = {
		[DELIVERY_PENDING] = "pending", [DELIVERY_DEFERRED] = "deferred",
		[DELIVERY_HELD] = "held",		[DELIVERY_SENT] = "sent",
		[DELIVERY_FAILED] = "failed",	[DELIVERY_SKIPPED] = "skipped",
	};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strcmp(names[i], name) == 0)
			return (DeliveryState) i;
	}
	elog(ERROR, "no such state: %s", name);
}

/* Returns an argument of type bytea as a C string. It may contain any bytes. */
static const char *
Bytes(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring((text *) PG_GETARG_BYTEA_PP(argument));
}

Datum
queue_probe_record(PG_FUNCTION_ARGS)
{
	DeliveryRecord sample = {0};
	DeliveryRecord *records;
	Datum *ids;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &ids, NULL, &count);
	sample.state = StateFromName(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	sample.reason = Bytes(fcinfo, 3);
	sample.counts_attempt = PG_GETARG_BOOL(4);
	sample.delay_ms = PG_GETARG_INT64(5);
	sample.recipient_email = Bytes(fcinfo, 6);
	sample.message_id = Bytes(fcinfo, 7);
	sample.smtp_reply = Bytes(fcinfo, 8);
	sample.event = Bytes(fcinfo, 9);
	sample.smtp_code = PG_GETARG_INT32(10);
	sample.enhanced_code = Bytes(fcinfo, 11);
	sample.event_reply = Bytes(fcinfo, 12);
	sample.event_detail = Bytes(fcinfo, 13);

	records = palloc_array(DeliveryRecord, count);
	for (int i = 0; i < count; i++)
	{
		records[i] = sample;
		records[i].id = DatumGetInt64(ids[i]);
	}
	PG_RETURN_INT32(RecordOutcomes(PG_GETARG_INT64(0), records, count));
}

Datum
queue_probe_record_unlocked(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	DeliveryRecord *records;
	int64 *locked;
	int locked_count;
	Datum *ids;
	int count;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &ids, NULL, &count);
	records = palloc0(count * sizeof(DeliveryRecord));
	locked = palloc(count * sizeof(int64));
	for (int i = 0; i < count; i++)
	{
		records[i].id = DatumGetInt64(ids[i]);
		records[i].state = StateFromName(text_to_cstring(PG_GETARG_TEXT_PP(2)));
		records[i].counts_attempt = true;
	}
	locked_count = RecordUnlockedOutcomes(PG_GETARG_INT64(0), records, count, locked);
	for (int i = 0; i < locked_count; i++)
	{
		Datum values[1] = {Int64GetDatum(locked[i])};
		bool nulls[1] = {false};

		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

static bool
EpochIsLive(int64 epoch)
{
	Datum *epochs;
	int count;

	deconstruct_array(live_epochs, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &epochs, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		if (DatumGetInt64(epochs[i]) == epoch)
			return true;
	}
	return false;
}

Datum
queue_probe_adopt_orphans(PG_FUNCTION_ARGS)
{
	live_epochs = PG_GETARG_ARRAYTYPE_P(0);
	PG_RETURN_INT32(AdoptOrphans(EpochIsLive));
}

Datum
queue_probe_next_due_time(PG_FUNCTION_ARGS)
{
	TimestampTz due;

	if (!NextDueTime(&due))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(due);
}

Datum
queue_probe_purge_finished(PG_FUNCTION_ARGS)
{
	int limit = PG_GETARG_INT32(0);
	PurgeResult result;

	PurgeBatch(limit, &result);
	if (result.failed)
		RaiseProblem(&result.problem);
	if (result.picked < limit)
		RestartPurge();
	PG_RETURN_INT32(result.removed);
}

Datum
queue_probe_is_paused(PG_FUNCTION_ARGS)
{
	DatabaseState state;

	ReadDatabaseState(&state);
	PG_RETURN_BOOL(state.is_paused);
}

Datum
queue_probe_next_epoch(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(QueueNextEpoch());
}

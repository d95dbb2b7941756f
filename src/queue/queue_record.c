/*
 * queue_record.c - writes the outcomes of claimed notifications, a batch in one statement.
 *
 * A mail server's reply is foreign text. It is made printable here, whatever its bytes are, before
 * it is stored.
 */
#include "postgres.h"

#include "queue/queue.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "queue/queue_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/timestamp.h"

#define MAX_STORED_CHARACTERS 1000

/* $2 to $14: the fields of the records, one array each */
#define OUTCOMES                                                                                                      \
	"WITH outcome AS MATERIALIZED ("                                                                                  \
	" SELECT o.id, o.state::rhesis_notify.delivery_state AS state, o.reason, o.attempts, o.delay, o.recipient_email," \
	"  o.message_id, o.smtp_reply, o.event, o.smtp_code, o.enhanced_code, o.event_reply, o.event_detail"              \
	" FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5),"    \
	"  pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9),"                   \
	"  pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12), pg_catalog.unnest($13),"               \
	"  pg_catalog.unnest($14))"                                                                                       \
	" AS o (id, state, reason, attempts, delay, recipient_email, message_id, smtp_reply, event, smtp_code,"           \
	"  enhanced_code, event_reply, event_detail)"                                                                     \
	")"

/*
 * $1 epoch
 *
 * A claimed row is always `sending` (a constraint ensures it), so comparing the epoch is enough.
 */
#define RECORDED_FROM(outcomes)                                                                             \
	", recorded AS ("                                                                                       \
	" UPDATE rhesis_notify.task_notifications AS n"                                                         \
	" SET delivery_status = o.state, delivery_reason = o.reason, claimed_by = NULL,"                        \
	"  attempts = n.attempts OPERATOR(pg_catalog.+) o.attempts,"                                            \
	"  next_attempt_at = CASE WHEN o.state::text OPERATOR(pg_catalog.=) ANY ('{pending,deferred}'::text[])" \
	"   THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) o.delay ELSE n.next_attempt_at END,"       \
	"  recipient_email = COALESCE(o.recipient_email, n.recipient_email),"                                   \
	"  message_id = COALESCE(o.message_id, n.message_id),"                                                  \
	"  smtp_reply = COALESCE(o.smtp_reply, n.smtp_reply),"                                                  \
	"  finished_at = CASE WHEN o.state::text OPERATOR(pg_catalog.=) ANY ('{sent,failed,skipped}'::text[])"  \
	"   THEN pg_catalog.clock_timestamp() END"                                                              \
	" FROM " outcomes                                                                                       \
	" WHERE n.id OPERATOR(pg_catalog.=) o.id AND n.claimed_by OPERATOR(pg_catalog.=) $1"                    \
	" RETURNING n.id, n.claimed_by, n.finished_at IS NULL"                                                  \
	"  AND o.state::text OPERATOR(pg_catalog.<>) ALL ('{pending,deferred}'::text[])"                        \
	"  AND n.delivery_status::text OPERATOR(pg_catalog.=) ANY ('{pending,deferred}'::text[]) AS is_due"     \
	"), event AS ("                                                                                         \
	" INSERT INTO rhesis_notify.delivery_events"                                                            \
	"  (notification_id, event, smtp_code, enhanced_code, reply, detail)"                                   \
	" SELECT o.id, o.event, o.smtp_code, o.enhanced_code, o.event_reply,"                                   \
	"  CASE WHEN o.event_detail IS NOT NULL"                                                                \
	"   THEN pg_catalog.jsonb_build_object('message', o.event_detail) END"                                  \
	" FROM outcome AS o JOIN recorded AS r ON r.id OPERATOR(pg_catalog.=) o.id"                             \
	" WHERE o.event IS NOT NULL"                                                                            \
	")"

#define RECORDED_ROWS "SELECT r.id, r.is_due FROM recorded AS r WHERE r.claimed_by IS NULL"

/* The claimed rows that no other session has locked, and their outcomes. */
#define UNLOCKED                                              \
	", unlocked AS MATERIALIZED ("                            \
	" SELECT n.id FROM rhesis_notify.task_notifications AS n" \
	"  JOIN outcome AS o ON n.id OPERATOR(pg_catalog.=) o.id" \
	" WHERE n.claimed_by OPERATOR(pg_catalog.=) $1"           \
	" FOR NO KEY UPDATE OF n SKIP LOCKED"                     \
	")"
#define UNLOCKED_OUTCOMES "outcome AS o JOIN unlocked AS u ON u.id OPERATOR(pg_catalog.=) o.id"

/*
 * Returns the rows that were not recorded, or that a trigger has made due again. This SELECT sees
 * the rows as they were before the statement: all of them look claimed.
 */
#define CLAIMED_ROWS                                                                         \
	"SELECT n.id, r.is_due FROM rhesis_notify.task_notifications AS n"                       \
	" JOIN outcome AS o ON n.id OPERATOR(pg_catalog.=) o.id"                                 \
	" LEFT JOIN recorded AS r ON r.id OPERATOR(pg_catalog.=) n.id AND r.claimed_by IS NULL " \
	"WHERE n.claimed_by OPERATOR(pg_catalog.=) $1 AND r.is_due IS NOT FALSE"

#define PARAMETERS                                                                                \
	.parameter_count = 14,                                                                        \
	.parameter_types = {INT8OID,		  INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, \
						INTERVALARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, \
						INT4ARRAYOID,	  TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}

static QueueStatement record_outcomes = {
	.sql = OUTCOMES RECORDED_FROM("outcome AS o") RECORDED_ROWS,
	PARAMETERS,
};

/* Records the rows that no other session has locked. Returns the rows that are still claimed. */
static QueueStatement record_unlocked_outcomes = {
	.sql = OUTCOMES UNLOCKED RECORDED_FROM(UNLOCKED_OUTCOMES) CLAIMED_ROWS,
	PARAMETERS,
};

/* $1 epoch, $2 ids */
static QueueStatement still_claimed = {
	.sql = "SELECT n.id FROM rhesis_notify.task_notifications AS n "
		   "WHERE n.id OPERATOR(pg_catalog.=) ANY ($2) AND n.claimed_by OPERATOR(pg_catalog.=) $1 "
		   "FOR NO KEY UPDATE SKIP LOCKED",
	.parameter_count = 2,
	.parameter_types = {INT8OID, INT8ARRAYOID},
};

/* $1 ids of rows that must not be due: their outcome is neither pending nor deferred */
static QueueStatement due_again = {
	.sql =
		"SELECT FROM rhesis_notify.task_notifications AS n "
		"WHERE n.id OPERATOR(pg_catalog.=) ANY ($1) AND n.finished_at IS NULL"
		" AND n.delivery_status::text OPERATOR(pg_catalog.=) ANY ('{pending,deferred}'::text[]) LIMIT 1",
	.parameter_count = 1,
	.parameter_types = {INT8ARRAYOID},
};

static QueueStatement skip_used_event_ids = {
	.sql =
		"SELECT pg_catalog.setval('rhesis_notify.delivery_events_id_seq', last.id) FROM"
		" (SELECT e.id FROM rhesis_notify.delivery_events AS e ORDER BY e.id DESC LIMIT 1) AS last"
		" CROSS JOIN rhesis_notify.delivery_events_id_seq AS s"
		" WHERE last.id OPERATOR(pg_catalog.>)"
		"  CASE WHEN s.is_called THEN s.last_value ELSE s.last_value OPERATOR(pg_catalog.-) 1 END",
};

/* The values of one field of all records, from which an array is made. */
typedef struct Field
{
	Datum *values;
	bool *nulls;
	int count;
	int capacity;
} Field;

static Field
EmptyField(int capacity)
{
	Field field = {palloc_array(Datum, capacity), palloc_array(bool, capacity), 0, capacity};

	return field;
}

static void
AppendValue(Field *field, Datum value, bool is_null)
{
	Assert(field->count < field->capacity);
	field->values[field->count] = value;
	field->nulls[field->count] = is_null;
	field->count++;
}

static Datum
FieldArray(const Field *field, Oid type, int length, bool by_value, char alignment)
{
	int count = field->count;
	int lower_bound = 1;

	return PointerGetDatum(construct_md_array(field->values, field->nulls, 1, &count, &lower_bound,
											  type, length, by_value, alignment));
}

/*
 * Returns any bytes as text: without control characters, valid in the database's encoding, at most
 * MAX_STORED_CHARACTERS long.
 */
static text *
PrintableText(const char *bytes)
{
	/* No encoding has longer characters. */
	int limit = strnlen(bytes, MAX_STORED_CHARACTERS * MAX_MULTIBYTE_CHAR_LEN);
	int length = Min(pg_mbcliplen(bytes, limit, limit), limit);
	bool valid = pg_verify_mbstr(GetDatabaseEncoding(), bytes, length, true);
	char *printable = pnstrdup(bytes, length);

	for (char *byte = printable; *byte != '\0'; byte++)
	{
		if ((unsigned char) *byte < ' ' || *byte == '\x7f')
			*byte = ' ';
		else if (!valid && IS_HIGHBIT_SET(*byte))
			*byte = '?';
	}
	return cstring_to_text_with_len(
		printable, pg_mbcharcliplen(printable, strlen(printable), MAX_STORED_CHARACTERS));
}

/* Returns the strings at that offset of each record, as a text[]. */
static Datum
TextArray(const DeliveryRecord *records, int count, size_t offset)
{
	Field field = EmptyField(count);

	for (int i = 0; i < count; i++)
	{
		const char *value = *(const char *const *) ((const char *) &records[i] + offset);

		AppendValue(&field, value ? PointerGetDatum(PrintableText(value)) : (Datum) 0,
					value == NULL);
	}
	return FieldArray(&field, TEXTOID, -1, false, TYPALIGN_INT);
}

static Datum
IntervalFromMilliseconds(int64 milliseconds)
{
	Interval *interval = palloc0_object(Interval);

	interval->time = milliseconds * 1000;
	return IntervalPGetDatum(interval);
}

/* Puts each field of the records into values, as an array, from values[1] on. */
static void
CollectFields(const DeliveryRecord *records, int count, Datum *values)
{
	Field ids = EmptyField(count);
	Field states = EmptyField(count);
	Field attempts = EmptyField(count);
	Field delays = EmptyField(count);
	Field codes = EmptyField(count);

	for (int i = 0; i < count; i++)
	{
		const DeliveryRecord *record = &records[i];

		Assert(record->delay_ms >= 0);
		AppendValue(&ids, Int64GetDatum(record->id), false);
		AppendValue(&states, CStringGetTextDatum(DeliveryStateName(record->state)), false);
		AppendValue(&attempts, Int32GetDatum(record->counts_attempt ? 1 : 0), false);
		AppendValue(&delays, IntervalFromMilliseconds(record->delay_ms), false);
		AppendValue(&codes, Int32GetDatum(record->smtp_code), record->smtp_code == 0);
	}

	values[1] = FieldArray(&ids, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	values[2] = FieldArray(&states, TEXTOID, -1, false, TYPALIGN_INT);
	values[3] = TextArray(records, count, offsetof(DeliveryRecord, reason));
	values[4] = FieldArray(&attempts, INT4OID, sizeof(int32), true, TYPALIGN_INT);
	values[5] = FieldArray(&delays, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE);
	values[6] = TextArray(records, count, offsetof(DeliveryRecord, recipient_email));
	values[7] = TextArray(records, count, offsetof(DeliveryRecord, message_id));
	values[8] = TextArray(records, count, offsetof(DeliveryRecord, smtp_reply));
	values[9] = TextArray(records, count, offsetof(DeliveryRecord, event));
	values[10] = FieldArray(&codes, INT4OID, sizeof(int32), true, TYPALIGN_INT);
	values[11] = TextArray(records, count, offsetof(DeliveryRecord, enhanced_code));
	values[12] = TextArray(records, count, offsetof(DeliveryRecord, event_reply));
	values[13] = TextArray(records, count, offsetof(DeliveryRecord, event_detail));
}

/*
 * Raises an error: a trigger of the application has made a row due again that is sent or given up.
 * Otherwise the row would be mailed again and again.
 */
static void
RaiseDueAgain(void)
{
	ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					errmsg("a trigger or a rule of table \"task_notifications\" makes "
						   "finished notifications due again")));
}

/*
 * Raises an error if one of the count rows that the statement returned is due again. This notices
 * what BEFORE triggers did.
 */
static void
RequireNoneIsDue(uint64 count)
{
	for (uint64 row = 0; row < count; row++)
	{
		bool is_null;

		if (DatumGetBool(QueueValue(row, 2, &is_null)) && !is_null)
			RaiseDueAgain();
	}
}

/*
 * Returns true if the application has a trigger on this table of ours that fires AFTER this kind of
 * change (TRIGGER_TYPE_UPDATE, for example).
 */
static bool
HasTriggerAfter(const char *table, int16 change)
{
	Oid schema = get_namespace_oid("rhesis_notify", false);
	Relation relation = table_open(get_relname_relid(table, schema), AccessShareLock);
	int count = relation->trigdesc ? relation->trigdesc->numtriggers : 0;
	bool found = false;

	for (int i = 0; i < count && !found; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		found = !trigger->tgisinternal && TRIGGER_FOR_AFTER(trigger->tgtype) &&
				(trigger->tgtype & change) != 0;
	}
	table_close(relation, AccessShareLock);
	return found;
}

/*
 * Runs deferred constraint triggers now. Otherwise they would run at COMMIT, after the last check.
 */
static void
RunDeferredTriggers(void)
{
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);

	immediate->constraints = NIL; /* all */
	immediate->deferred = false;
	AfterTriggerSetState(immediate);
}

/*
 * Raises an error if an AFTER trigger has made a row due again that must not be. If there are such
 * triggers, reads the rows once more.
 */
static void
RequireNoneBecameDue(const DeliveryRecord *records, int count)
{
	Field ids;
	Datum value;

	if (!HasTriggerAfter("task_notifications", TRIGGER_TYPE_UPDATE) &&
		!HasTriggerAfter("delivery_events", TRIGGER_TYPE_INSERT))
		return;
	RunDeferredTriggers();
	ids = EmptyField(count);
	for (int i = 0; i < count; i++)
	{
		if (records[i].state != DELIVERY_PENDING && records[i].state != DELIVERY_DEFERRED)
			AppendValue(&ids, Int64GetDatum(records[i].id), false);
	}
	value = FieldArray(&ids, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	if (QueueExecute(&due_again, &value, NULL) > 0)
		RaiseDueAgain();
}

int
RecordOutcomes(int64 epoch, const DeliveryRecord *records, int count)
{
	Datum values[14];
	uint64 recorded;
	int nest_level;

	if (count == 0)
		return 0;
	nest_level = QueueBegin();
	values[0] = Int64GetDatum(epoch);
	CollectFields(records, count, values);
	recorded = QueueExecute(&record_outcomes, values, NULL);
	RequireNoneIsDue(recorded);
	RequireNoneBecameDue(records, count);
	QueueEnd(nest_level);
	return (int) recorded;
}

int
RecordUnlockedOutcomes(int64 epoch, const DeliveryRecord *records, int count, int64 *locked)
{
	Datum values[14];
	uint64 locked_count;
	int nest_level;

	if (count == 0)
		return 0;
	nest_level = QueueBegin();
	values[0] = Int64GetDatum(epoch);
	CollectFields(records, count, values);
	locked_count = QueueExecute(&record_unlocked_outcomes, values, NULL);
	RequireNoneIsDue(locked_count);
	for (uint64 row = 0; row < locked_count; row++)
	{
		bool is_null;

		locked[row] = DatumGetInt64(QueueValue(row, 1, &is_null));
	}
	RequireNoneBecameDue(records, count);
	QueueEnd(nest_level);
	return (int) locked_count;
}

int
StillClaimed(int64 epoch, const DeliveryRecord *records, int count, int64 *claimed)
{
	int nest_level = QueueBegin();
	Field ids = EmptyField(count);
	Datum values[2] = {Int64GetDatum(epoch)};
	int claimed_count;

	for (int i = 0; i < count; i++)
		AppendValue(&ids, Int64GetDatum(records[i].id), false);
	values[1] = FieldArray(&ids, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	claimed_count = (int) QueueExecute(&still_claimed, values, NULL);
	for (int row = 0; row < claimed_count; row++)
	{
		bool is_null;

		claimed[row] = DatumGetInt64(QueueValue(row, 1, &is_null));
	}
	QueueEnd(nest_level);
	return claimed_count;
}

void
SkipUsedEventIds(void)
{
	int nest_level = QueueBegin();
	uint64 count = QueueExecute(&skip_used_event_ids, NULL, NULL);

	QueueEnd(nest_level);
	if (count > 0)
		ereport(LOG, (errmsg("the sequence of rhesis_notify.delivery_events.id was behind the rows "
							 "and now goes on after them")));
}

typedef struct RecordStep
{
	int64 epoch;
	const DeliveryRecord *record;
	bool is_locked;
} RecordStep;

static void
RecordOne(void *argument)
{
	RecordStep *step = argument;
	int64 id;

	step->is_locked = RecordUnlockedOutcomes(step->epoch, step->record, 1, &id) > 0;
	if (step->is_locked && StillClaimed(step->epoch, step->record, 1, &id) > 0)
		RaiseRowIsKept("update");
}

bool
RecordOutcome(int64 epoch, const DeliveryRecord *record, QueueProblem *problem)
{
	RecordStep step = {epoch, record, false};

	memset(problem, 0, sizeof(*problem));
	return QueueTry(RecordOne, &step, problem) && !step.is_locked;
}

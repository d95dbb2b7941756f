/*
 * queue_copy.c - tells whether this database is a copy of another one.
 *
 * A dump contains database_identity, but not its twin database_birth. So the identity of a restored
 * database has another token than its birth. A copy of files has both tables; it is recognised by
 * the oid of the database or by rhesis_notify.instance. During a restore, the queue's rows may be
 * there before the identity. Such rows are older than the birth, or have ids that no sequence has
 * given here.
 */
#include "postgres.h"

#include "queue/queue_copy.h"

#include "access/xlog.h"
#include "base/time_text.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "queue/queue_internal.h"
#include "settings/settings.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

typedef enum StateColumn
{
	STATE_IS_PAUSED = 1,
	STATE_BORN,
	STATE_LAST_ID,
	STATE_SAME_TOKEN,
	STATE_SAME_SYSTEM,
	STATE_SAME_DATABASE,
	STATE_SAME_INSTANCE
} StateColumn;

/*
 * $1 system identifier, $2 the database's oid, $3 rhesis_notify.instance. Columns in the order of
 * StateColumn. One row for each identity; usually there is one.
 */
static QueueStatement database_state = {
	.sql = "SELECT EXISTS (SELECT FROM rhesis_notify.database_pause), b.born,"
		   " CASE WHEN s.is_called THEN s.last_value ELSE 0 END,"
		   " i.token OPERATOR(pg_catalog.=) b.token, i.system_identifier OPERATOR(pg_catalog.=) $1,"
		   " i.database_oid OPERATOR(pg_catalog.=) $2, i.instance OPERATOR(pg_catalog.=) $3 "
		   "FROM rhesis_notify.task_notifications_id_seq AS s"
		   " LEFT JOIN rhesis_notify.database_birth AS b ON true"
		   " LEFT JOIN rhesis_notify.database_identity AS i ON true",
	.parameter_count = 3,
	.parameter_types = {INT8OID, OIDOID, TEXTOID},
};

/* $1 the database's oid. Used only if the queue's sequence has given no id. */
static QueueStatement has_subscription = {
	.sql =
		"SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription AS u WHERE u.subdbid OPERATOR(pg_catalog.=) $1)",
	.parameter_count = 1,
	.parameter_types = {OIDOID},
};

/* For the objects of version 1.0, which have no identity. */
static QueueStatement is_paused = {
	.sql = "SELECT EXISTS (SELECT FROM rhesis_notify.database_pause)",
};

/*
 * $1 the database's oid
 *
 * True if the queue has row 1, and no row is older than the database's row of pg_database. Rows
 * that come with a template are older. So the sequence of the template's queue had given no id.
 */
static QueueStatement grew_from_nothing = {
	.sql =
		"SELECT EXISTS (SELECT FROM rhesis_notify.task_notifications AS n WHERE n.id OPERATOR(pg_catalog.=) 1)"
		" AND NOT EXISTS (SELECT FROM rhesis_notify.task_notifications AS n"
		"  JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) $1"
		"  WHERE pg_catalog.age(n.xmin) OPERATOR(pg_catalog.>) pg_catalog.age(d.xmin))",
	.parameter_count = 1,
	.parameter_types = {OIDOID},
};

/* $1 system identifier */
static QueueStatement renew_after_upgrade = {
	.sql = "UPDATE rhesis_notify.database_identity SET system_identifier = $1",
	.parameter_count = 1,
	.parameter_types = {INT8OID},
};

/*
 * $1 system identifier, $2 the database's oid, $3 instance. The new token distinguishes this
 * database from others that are created from the same template.
 */
static QueueStatement adopt_itself = {
	.sql = "WITH new AS MATERIALIZED (SELECT pg_catalog.gen_random_uuid() AS token), birth AS ("
		   " UPDATE rhesis_notify.database_birth AS b SET token = new.token FROM new"
		   ")"
		   "UPDATE rhesis_notify.database_identity AS i"
		   " SET token = new.token, system_identifier = $1, database_oid = $2, instance = $3,"
		   "  adopted_at = pg_catalog.now() FROM new",
	.parameter_count = 3,
	.parameter_types = {INT8OID, OIDOID, TEXTOID},
};

#define N_IS_COPIED ROW_IS_COPIED("n", "$1", "$2", "$3")

/* $1 to $3 the bounds, $4 limit */
static QueueStatement copy_figures = {
	.sql = "SELECT pg_catalog.count(*), pg_catalog.min(n.created_at),"
		   " pg_catalog.max(n.created_at) FILTER (WHERE n.is_copied) "
		   "FROM"
		   " (SELECT n.created_at,"
		   "   n.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now() AND " N_IS_COPIED
		   "    AS is_copied"
		   "  FROM rhesis_notify.task_notifications AS n"
		   "  WHERE n.finished_at IS NULL"
		   "   AND pg_catalog.enum_ne(n.delivery_status, 'held'::rhesis_notify.delivery_state)"
		   "  ORDER BY n.next_attempt_at, n.id LIMIT $4) AS n",
	.parameter_count = 4,
	.parameter_types = {TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT4OID},
};

/* $1 creation time of the newest row that came with a copy */
static QueueStatement remember_old_rows = {
	.sql =
		"UPDATE rhesis_notify.database_birth SET born = $1 OPERATOR(pg_catalog.+) '1 microsecond'::interval",
	.parameter_count = 1,
	.parameter_types = {TIMESTAMPTZOID},
};

/* $1 birth: rows that were created since then are this database's own */
static QueueStatement set_birth = {
	.sql = "UPDATE rhesis_notify.database_birth SET born = $1",
	.parameter_count = 1,
	.parameter_types = {TIMESTAMPTZOID},
};

static QueueStatement remembered_instance = {
	.sql = "SELECT i.instance FROM rhesis_notify.database_identity AS i",
};

/* Returns false for the objects of version 1.0, which have no identity. */
static bool
IdentityIsKept(void)
{
	Oid schema = get_namespace_oid("rhesis_notify", true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid("database_birth", schema));
}

static void
FillIdentity(Datum *values)
{
	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = CStringGetTextDatum(rhesis_instance ? rhesis_instance : "");
}

/* Returns true if the column is true; false if it is false or null. */
static bool
IsTrue(uint64 row, StateColumn column)
{
	bool is_null;
	Datum value = QueueValue(row, column, &is_null);

	return !is_null && DatumGetBool(value);
}

static bool
IsNull(uint64 row, StateColumn column)
{
	bool is_null;

	(void) QueueValue(row, column, &is_null);
	return is_null;
}

/*
 * Returns the sign of a copy that this row of the identity has, or NO_COPY. A standby has its
 * primary's identity, but may have an instance of its own for the time after its promotion: that is
 * no sign, and health() reports it.
 */
static CopySign
SignOfIdentity(uint64 row)
{
	if (IsNull(row, STATE_BORN) || IsNull(row, STATE_SAME_DATABASE))
		return COPY_WITHOUT_IDENTITY;
	if (!IsTrue(row, STATE_SAME_TOKEN))
		return COPY_OF_TOKEN;
	if (!IsTrue(row, STATE_SAME_DATABASE))
		return COPY_OF_DATABASE;
	if (!IsTrue(row, STATE_SAME_INSTANCE) && !RecoveryInProgress())
		return COPY_OF_INSTANCE;
	return NO_COPY;
}

/*
 * Sets the bounds that follow from the birth. If the sequence has given no id and there is no
 * subscription, all rows came with a copy.
 */
static void
SetBirth(CopyBounds *bounds, TimestampTz born, bool has_subscription)
{
	bounds->born = born;
	if (TIMESTAMP_NOT_FINITE(bounds->born))
		bounds->unnumbered_until = bounds->born;
	else if (bounds->last_id == 0 && !has_subscription)
		bounds->unnumbered_until = DT_NOEND;
	else
		bounds->unnumbered_until = bounds->born + BIRTH_ALLOWANCE;
}

/* Runs a statement about this database that answers true or false. */
static bool
IsTrueOfDatabase(QueueStatement *statement)
{
	Datum database = ObjectIdGetDatum(MyDatabaseId);

	QueueExecute(statement, &database, NULL);
	return IsTrue(0, 1);
}

static void
ReadIdentity(DatabaseState *state)
{
	Datum values[3];
	uint64 count;
	TimestampTz born;
	bool is_null;

	FillIdentity(values);
	count = QueueExecute(&database_state, values, NULL);
	state->is_paused = IsTrue(0, STATE_IS_PAUSED);
	state->bounds.last_id = DatumGetInt64(QueueValue(0, STATE_LAST_ID, &is_null));
	born = DatumGetTimestampTz(QueueValue(0, STATE_BORN, &is_null));
	if (is_null)
		born = DT_NOBEGIN;
	/* If there are several identities, one has another database's token. */
	for (uint64 row = 0; row < count && state->copy != COPY_OF_TOKEN; row++)
		state->copy = SignOfIdentity(row);
	state->is_upgraded = state->copy == NO_COPY && !IsTrue(0, STATE_SAME_SYSTEM);
	SetBirth(&state->bounds, born,
			 state->bounds.last_id == 0 && IsTrueOfDatabase(&has_subscription));
	if (state->copy == COPY_OF_DATABASE &&
		(state->bounds.last_id == 0 || IsTrueOfDatabase(&grew_from_nothing)))
	{
		state->copy = NO_COPY;
		state->is_from_empty_template = true;
	}
}

void
ReadDatabaseState(DatabaseState *state)
{
	int nest_level = QueueBegin();

	memset(state, 0, sizeof(*state));
	state->bounds.born = state->bounds.unnumbered_until = DT_NOBEGIN;
	if (IdentityIsKept())
		ReadIdentity(state);
	else
	{
		QueueExecute(&is_paused, NULL, NULL);
		state->is_paused = IsTrue(0, STATE_IS_PAUSED);
	}
	QueueEnd(nest_level);
}

void
RenewIdentity(const DatabaseState *state)
{
	int nest_level = QueueBegin();
	Datum values[3];

	FillIdentity(values);
	if (state->is_from_empty_template)
		QueueExecute(&adopt_itself, values, NULL);
	else if (state->is_upgraded)
		QueueExecute(&renew_after_upgrade, values, NULL);
	QueueEnd(nest_level);
}

void
MoveBirthBack(DatabaseState *state)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	CopyBounds *bounds = &state->bounds;
	int nest_level;
	Datum born;

	if (TIMESTAMP_NOT_FINITE(bounds->born) || now >= bounds->born)
		return;
	nest_level = QueueBegin();
	SetBirth(bounds, now - CLOCK_ALLOWANCE, bounds->unnumbered_until != DT_NOEND);
	born = TimestampTzGetDatum(bounds->born);
	QueueExecute(&set_birth, &born, NULL);
	QueueEnd(nest_level);
}

void
FillCopyBounds(const CopyBounds *bounds, Datum *values)
{
	values[0] = TimestampTzGetDatum(bounds->born);
	values[1] = Int64GetDatum(bounds->last_id);
	values[2] = TimestampTzGetDatum(bounds->unnumbered_until);
}

void
ReadCopyFigures(const DatabaseState *state, CopyFigures *figures)
{
	int nest_level = QueueBegin();
	Datum values[4];
	bool is_null;

	FillCopyBounds(&state->bounds, values);
	values[3] = Int32GetDatum(MOST_COPIED);
	QueueExecute(&copy_figures, values, NULL);
	figures->waiting = DatumGetInt64(QueueValue(0, 1, &is_null));
	figures->since = DatumGetTimestampTz(QueueValue(0, 2, &is_null));
	if (is_null)
		figures->since = 0;
	figures->newest_copied = DatumGetTimestampTz(QueueValue(0, 3, &is_null));
	figures->has_old_rows = !is_null;
	QueueEnd(nest_level);
}

void
RememberOldRows(const DatabaseState *state, const CopyFigures *figures)
{
	int nest_level = QueueBegin();
	Datum newest = TimestampTzGetDatum(figures->newest_copied);

	if (figures->has_old_rows && figures->newest_copied >= state->bounds.born &&
		figures->newest_copied < state->bounds.born + BIRTH_ALLOWANCE)
		QueueExecute(&remember_old_rows, &newest, NULL);
	QueueEnd(nest_level);
}

CopySign
FindCopySign(CopyFigures *figures)
{
	DatabaseState state;
	CopyFigures unused;

	if (figures == NULL)
		figures = &unused;
	ReadDatabaseState(&state);
	ReadCopyFigures(&state, figures);
	if (state.copy == NO_COPY && figures->has_old_rows)
		return COPY_WITH_OLD_ROWS;
	return state.copy;
}

const char *
CopySignText(CopySign sign)
{
	switch (sign)
	{
		case NO_COPY:
			return "it is itself";
		case COPY_WITHOUT_IDENTITY:
			return "its row in database_identity or database_birth is missing";
		case COPY_OF_TOKEN:
			return "it has the identity of another database, as after a restore";
		case COPY_OF_DATABASE:
			return "it was made from another database, by CREATE DATABASE ... TEMPLATE";
		case COPY_OF_INSTANCE:
			return "rhesis_notify.instance is not the one that it was adopted with";
		case COPY_WITH_OLD_ROWS:
			return "a notification that is due is older than the database, as during a restore";
	}
	return "";
}

char *
RememberedInstance(MemoryContext context)
{
	int nest_level = QueueBegin();
	char *instance = NULL;

	if (IdentityIsKept() && QueueExecute(&remembered_instance, NULL, NULL) == 1)
		instance = QueueText(0, 1);
	if (instance != NULL)
		instance = MemoryContextStrdup(context, instance);
	QueueEnd(nest_level);
	return instance;
}

const char *
CopyWaitingText(const CopyFigures *figures)
{
	if (figures->waiting == 0)
		return "nothing waits";
	return psprintf("%s" INT64_FORMAT " %s, the oldest since %s",
					figures->waiting < MOST_COPIED ? "" : "at least ", figures->waiting,
					figures->waiting == 1 ? "notification waits" : "notifications wait",
					TimeText(figures->since));
}

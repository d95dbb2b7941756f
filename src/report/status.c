/*
 * status.c - returns the workers' slots in shared memory as rows: rhesis_notify.worker_slots().
 */
#include "postgres.h"

#include "base/call_check.h"
#include "base/compat.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "server/shared_state.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define COLUMNS 16

PG_FUNCTION_INFO_V1(rhesis_notify_worker_slots);

static void
PutTime(Datum *values, bool *nulls, int column, TimestampTz time)
{
	values[column] = TimestampTzGetDatum(time);
	nulls[column] = time == 0;
}

/*
 * Returns a copy of a text that a worker has written. The worker's database may have another
 * encoding, so bytes that are not valid in ours become question marks.
 */
static char *
InThisEncoding(const char *text)
{
	char *copy = pstrdup(text);

	if (pg_verify_mbstr(GetDatabaseEncoding(), copy, strlen(copy), true))
		return copy;
	for (char *byte = copy; *byte; byte++)
	{
		if (IS_HIGHBIT_SET(*byte))
			*byte = '?';
	}
	return copy;
}

/*
 * Returns only the code and the enhanced code of a mail server's reply: its words may contain any
 * user's address. For another error, returns only that there is one.
 */
static char *
WithoutWords(const char *error)
{
	size_t code = strspn(error, "0123456789");
	size_t enhanced = error[code] == ' ' ? strspn(error + code + 1, "0123456789.") : 0;

	if (code != 3 || (error[code] != ' ' && error[code] != '\0'))
		return pstrdup("an error, whose text is shown to operators");
	if (enhanced < strlen("5.0.0") ||
		(error[code + 1 + enhanced] != ' ' && error[code + 1 + enhanced] != '\0'))
		return pnstrdup(error, code);
	return pnstrdup(error, code + 1 + enhanced);
}

/* Fills in the columns of a row. with_words: last_error is shown as it is. */
static void
PutSlot(const WorkerSlot *slot, bool with_words, Datum *values, bool *nulls)
{
	Oid database = pg_atomic_read_u32((pg_atomic_uint32 *) &slot->database);
	char *name = get_database_name(database);
	uint64 epoch = pg_atomic_read_u64((pg_atomic_uint64 *) &slot->epoch);
	bool running = slot->state == SLOT_RUNNING;

	values[0] = Int32GetDatum(slot->pid);
	nulls[0] = !running;
	nulls[1] = name == NULL;
	if (name)
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(name));
	values[2] = Int32GetDatum(slot->number + 1);
	values[3] = Int64GetDatum((int64) epoch);
	nulls[3] = epoch == 0;
	values[4] = CStringGetTextDatum(WorkerActivityName(slot->activity));
	values[5] = Int32GetDatum(pg_atomic_read_u32((pg_atomic_uint32 *) &slot->in_flight));
	values[6] = Int32GetDatum(pg_atomic_read_u32((pg_atomic_uint32 *) &slot->connections));
	values[7] = Int64GetDatum(pg_atomic_read_u64((pg_atomic_uint64 *) &slot->sent));
	values[8] = Int64GetDatum(pg_atomic_read_u64((pg_atomic_uint64 *) &slot->deferred));
	values[9] = Int64GetDatum(pg_atomic_read_u64((pg_atomic_uint64 *) &slot->failed));
	values[10] = Int64GetDatum(pg_atomic_read_u64((pg_atomic_uint64 *) &slot->in_doubt));
	nulls[11] = slot->last_error[0] == '\0';
	if (!nulls[11])
		values[11] = CStringGetTextDatum(with_words ? InThisEncoding(slot->last_error)
													: WithoutWords(slot->last_error));
	PutTime(values, nulls, 12, slot->last_error_at);
	values[13] = BoolGetDatum(slot->activity == WORKER_PAUSED);
	PutTime(values, nulls, 14, slot->backing_off_until);
	PutTime(values, nulls, 15, running ? slot->started_at : 0);
}

static bool
IsOfThisDatabase(const WorkerSlot *slot)
{
	return pg_atomic_read_u32((pg_atomic_uint32 *) &slot->database) == MyDatabaseId;
}

static bool
MayBeSeen(const WorkerSlot *slot)
{
	return IsOfThisDatabase(slot) || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

/*
 * Returns true if the user may read the notifications of every organization in this database, by
 * the queue's policies. Operators of other databases are not known here.
 */
static bool
ReadsEveryOrganization(void)
{
	Oid schema = get_namespace_oid("rhesis_notify", true);
	Oid queue = get_relname_relid("task_notifications", schema);
	Oid bigint = INT8OID;
	Oid retry =
		GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("retry"),
						PointerGetDatum(buildoidvector(&bigint, 1)), ObjectIdGetDatum(schema));

	if (!OidIsValid(queue) || pg_class_aclcheck(queue, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return false;
	return check_enable_rls(queue, InvalidOid, true) != RLS_ENABLED ||
		   (OidIsValid(retry) && RhesisMayExecute(retry));
}

/*
 * rhesis_notify.worker_slots() returns one row for each slot that has a database. Only
 * pg_read_all_stats gets rows of other databases. The words of an error are shown only to
 * superusers, and to users who may read all notifications of the database that the error comes
 * from.
 */
Datum
rhesis_notify_worker_slots(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	WorkerSlot *slots;
	bool is_operator;
	int count;

	RequirePreload();
	RequireStrictArguments(fcinfo, 0);
	result = BeginRows(fcinfo, COLUMNS);
	is_operator = ReadsEveryOrganization();
	slots = CopySlots(InvalidOid, &count);
	for (int i = 0; i < count; i++)
	{
		Datum values[COLUMNS] = {0};
		bool nulls[COLUMNS] = {0};

		if (!MayBeSeen(&slots[i]))
			continue;
		PutSlot(&slots[i], superuser() || (is_operator && IsOfThisDatabase(&slots[i])), values,
				nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* pace_test.c - the pace, with a clock of the test, for test/pgtap/pace.sql. */
#include "postgres.h"

#include "fmgr.h"
#include "server/pace.h"
#include "server/shared_state.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

#define DATABASE ((Oid) 1)

extern PGDLLEXPORT Datum pace_begin(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(pace_begin);
extern PGDLLEXPORT Datum pace_leave(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(pace_leave);
extern PGDLLEXPORT Datum pace_slow_down(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(pace_slow_down);
extern PGDLLEXPORT Datum pace_limit(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(pace_limit);

/* The shared state of this module, with the slot of one worker. */
SharedState *rhesis_shared = NULL;

/* pace_begin(): starts anew, before the first mail. */
Datum
pace_begin(PG_FUNCTION_ARGS)
{
	static union
	{
		SharedState state;
		char memory[offsetof(SharedState, slots) + sizeof(WorkerSlot)];
	} shared;

	memset(&shared, 0, sizeof(shared));
	rhesis_shared = &shared.state;
	rhesis_shared->slot_count = 1;
	pg_atomic_init_u32(&rhesis_shared->slots[0].database, DATABASE);
	SpinLockInit(&rhesis_shared->slots[0].pace.mutex);
	PG_RETURN_VOID();
}

/*
 * pace_leave(rate float8, since timestamptz, until timestamptz) returns integer: the number of
 * mails that leave between these times, if each of them waits as long as the pace demands.
 */
Datum
pace_leave(PG_FUNCTION_ARGS)
{
	double rate = PG_GETARG_FLOAT8(0);
	TimestampTz now = PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(2);
	int count = 0;

	while (now < until)
	{
		int64 wait = PaceNext(DATABASE, rate, now);

		if (wait == 0)
			count++;
		now += wait;
	}
	PG_RETURN_INT32(count);
}

/* pace_slow_down(rate float8, at timestamptz) returns float8: the new pace after a slow-down. */
Datum
pace_slow_down(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(PaceSlowDown(DATABASE, PG_GETARG_FLOAT8(0), PG_GETARG_TIMESTAMPTZ(1)));
}

/* pace_limit(rate float8, at timestamptz) returns float8: the pace at this time. */
Datum
pace_limit(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(PaceLimit(DATABASE, PG_GETARG_FLOAT8(0), PG_GETARG_TIMESTAMPTZ(1)));
}

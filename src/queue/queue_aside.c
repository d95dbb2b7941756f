/*
 * queue_aside.c - see queue_aside.h.
 */
#include "postgres.h"

#include "queue/queue_aside.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/memutils.h"

#define MAX_ASIDE 10000
#define SHORTEST_WAIT_MS 2000
#define LONGEST_BRIEF_MS 10000
#define LONGEST_WAIT_MS (10 * 60 * 1000)

typedef struct AsideRow
{
	int64 id;
	int failures;
	MonotonicTime until;
} AsideRow;

static AsideRow *rows = NULL;
static int count = 0;
static int capacity = 0;

int
AsideCount(void)
{
	return count;
}

MonotonicTime
AsideUntil(void)
{
	MonotonicTime until = MONOTONIC_NEVER;

	for (int i = 0; i < count; i++)
		until = Min(until, rows[i].until);
	return until;
}

static AsideRow *
FindAside(int64 id)
{
	for (int i = 0; i < count; i++)
	{
		if (rows[i].id == id)
			return &rows[i];
	}
	return NULL;
}

bool
SetAside(int64 id, MonotonicTime now, bool briefly)
{
	AsideRow *row = FindAside(id);

	if (row == NULL && count == MAX_ASIDE)
		return false;
	if (row == NULL)
	{
		if (count == capacity)
		{
			capacity = Max(64, 2 * capacity);
			rows = rows == NULL ? MemoryContextAlloc(TopMemoryContext, capacity * sizeof(AsideRow))
								: repalloc(rows, capacity * sizeof(AsideRow));
		}
		Assert(count < capacity);
		row = &rows[count++];
		*row = (AsideRow){.id = id};
	}
	row->until = MonotonicPlusMs(now, Min((int64) SHORTEST_WAIT_MS << Min(row->failures, 20),
										  briefly ? LONGEST_BRIEF_MS : LONGEST_WAIT_MS));
	row->failures++;
	return true;
}

void
TakeFromAside(int64 id)
{
	AsideRow *row = FindAside(id);

	if (row != NULL)
		*row = rows[--count];
}

void
ForgetUntried(MonotonicTime now)
{
	for (int i = count - 1; i >= 0; i--)
	{
		if (rows[i].until <= now)
			rows[i] = rows[--count];
	}
}

/* Returns, as a bigint[], the ids of the rows that are not to be tried until after time. */
static Datum
IdsAsideAfter(MonotonicTime time)
{
	Datum *ids = palloc_array(Datum, count + 1);
	int found = 0;

	for (int i = 0; i < count; i++)
	{
		if (rows[i].until > time)
			ids[found++] = Int64GetDatum(rows[i].id);
	}
	return PointerGetDatum(
		construct_array(ids, found, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
AllAside(void)
{
	return IdsAsideAfter(-1);
}

Datum
StillAside(MonotonicTime now)
{
	return IdsAsideAfter(now);
}

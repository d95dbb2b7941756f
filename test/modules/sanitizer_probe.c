/*
 * sanitizer_probe.c - deliberate mistakes. test/run uses them to check that the sanitizers are
 * active and that it finds their reports.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(read_beyond);
PG_FUNCTION_INFO_V1(shift_too_far);

/* Volatile, so that the compiler does not see the mistake. */
static volatile int thirty_two = 32;

Datum
read_beyond(PG_FUNCTION_ARGS)
{
	char *memory = calloc(thirty_two, 1);
	int value = memory[thirty_two];

	free(memory);
	PG_RETURN_INT32(value);
}

Datum
shift_too_far(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(1 << thirty_two);
}

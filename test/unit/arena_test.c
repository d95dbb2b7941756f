/* arena_test.c - the allocator that all other unit tests use. */
#include "postgres_fe.h"

#include "arena.h"
#include "lib/stringinfo.h"
#include "tap.h"

int
main(void)
{
	StringInfoData string;
	char *first;
	char *second;

	first = pstrdup("first");
	second = pnstrdup("second", 3);
	is_str(second, "sec", "pnstrdup copies no more than it is told");
	is_int(ArenaLiveAllocations(), 2, "allocations are counted");
	first = repalloc(first, 100000);
	is_str(first, "first", "repalloc keeps the content");
	is_int(ArenaLiveAllocations(), 2, "repalloc is no new allocation");
	pfree(first);
	is_int(ArenaLiveAllocations(), 1, "pfree frees one");

	initStringInfo(&string);
	for (int i = 0; i < 5000; i++)
		appendStringInfo(&string, "%d ", i);
	is_int(ArenaLiveAllocations(), 2, "StringInfo lives in the arena");

	ArenaReset();
	is_int(ArenaLiveAllocations(), 0, "a reset frees all");
	return done_testing();
}

/*
 * arena.c - palloc and friends over a list of mallocs that can be reset.
 *
 * It replaces libpgcommon's fe_memutils.c when pure modules run without the server. Each allocation
 * is a separate malloc, so a sanitizer sees every overrun and use after free. A reset frees all of
 * them, so a fuzzer does not run out of memory. If memory runs out, the process exits.
 */
#include "postgres_fe.h"

#include "arena.h"

typedef struct Allocation
{
	struct Allocation *previous;
	struct Allocation *next;
	char data[] pg_attribute_aligned(16);
} Allocation;

static Allocation *live = NULL;
static long live_count = 0;

static void
Link(Allocation *allocation)
{
	allocation->previous = NULL;
	allocation->next = live;
	if (live)
		live->previous = allocation;
	live = allocation;
	live_count++;
}

static void
Unlink(Allocation *allocation)
{
	if (allocation->previous)
		allocation->previous->next = allocation->next;
	else
		live = allocation->next;
	if (allocation->next)
		allocation->next->previous = allocation->previous;
	live_count--;
}

static Allocation *
AllocationOf(void *pointer)
{
	return (Allocation *) ((char *) pointer - offsetof(Allocation, data));
}

void
ArenaReset(void)
{
	while (live)
		pfree(live->data);
}

long
ArenaLiveAllocations(void)
{
	return live_count;
}

void *
palloc_extended(Size size, int flags)
{
	Allocation *allocation = malloc(offsetof(Allocation, data) + size);

	if (allocation == NULL)
	{
		if (flags & MCXT_ALLOC_NO_OOM)
			return NULL;
		fprintf(stderr, "out of memory\n");
		abort();
	}
	Link(allocation);
	if (flags & MCXT_ALLOC_ZERO)
		memset(allocation->data, 0, size);
	return allocation->data;
}

void *
palloc(Size size)
{
	return palloc_extended(size, 0);
}

void *
palloc0(Size size)
{
	return palloc_extended(size, MCXT_ALLOC_ZERO);
}

void *
repalloc(void *pointer, Size size)
{
	Allocation *allocation = AllocationOf(pointer);

	Unlink(allocation);
	allocation = realloc(allocation, offsetof(Allocation, data) + size);
	if (allocation == NULL)
	{
		fprintf(stderr, "out of memory\n");
		abort();
	}
	Link(allocation);
	return allocation->data;
}

void
pfree(void *pointer)
{
	Allocation *allocation = AllocationOf(pointer);

	Unlink(allocation);
	free(allocation);
}

char *
pnstrdup(const char *in, Size size)
{
	Size length = strnlen(in, size);
	char *copy = palloc(length + 1);

	memcpy(copy, in, length);
	copy[length] = '\0';
	return copy;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

/* The same functions under the names that other files of libpgcommon use. */
void *
pg_malloc_extended(size_t size, int flags)
{
	return palloc_extended(size, flags);
}

void *
pg_malloc(size_t size)
{
	return palloc(size);
}

void *
pg_malloc0(size_t size)
{
	return palloc0(size);
}

void *
pg_realloc(void *pointer, size_t size)
{
	return pointer ? repalloc(pointer, size) : palloc(size);
}

void
pg_free(void *pointer)
{
	if (pointer)
		pfree(pointer);
}

char *
pg_strdup(const char *in)
{
	return pstrdup(in);
}

/* arena.h - replaces memory contexts for pure modules that run without the server. */
#ifndef RHESIS_NOTIFY_ARENA_H
#define RHESIS_NOTIFY_ARENA_H

/*
 * Frees everything that was allocated since the last reset. A test calls it at its end, and a fuzz
 * target after each input.
 */
extern void ArenaReset(void);

/* The number of live allocations, for tests that everything is freed. */
extern long ArenaLiveAllocations(void);

#endif /* RHESIS_NOTIFY_ARENA_H */

/*
 * arena.h - what a memory context is to the server, for pure rooms outside it.
 */
#ifndef RHESIS_NOTIFY_ARENA_H
#define RHESIS_NOTIFY_ARENA_H

/*
 * Frees everything allocated since the last reset.  A test calls it before it
 * ends, a fuzz target after each input.
 */
extern void ArenaReset(void);

/* How many allocations live at the moment; a test of "frees what it takes". */
extern long ArenaLiveAllocations(void);

#endif /* RHESIS_NOTIFY_ARENA_H */

/*
 * result_excerpt.h - the small keys of a result that is too large to be read whole.
 */
#ifndef RHESIS_RESULT_EXCERPT_H
#define RHESIS_RESULT_EXCERPT_H

#include "utils/jsonb.h"

/* A key that mails read: an excerpt keeps its value, however many other keys there are. */
typedef bool (*ResultKeyTest)(const char *key, size_t length);

/* For the load of the library. Until then no key is kept for its name. */
extern void KeepResultKeys(ResultKeyTest is_needed);

/*
 * The ids, counts, names and other small values of the result's top level, in the current memory context; NULL where it is too
 * large even for that, or has none. *remark says what was left out, palloc'd. The datum may be toasted; reading it takes as much
 * memory as it has bytes, until this returns.
 */
extern Jsonb *ExcerptOfResult(Datum result, char **remark);

#endif

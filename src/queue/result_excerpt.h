/*
 * result_excerpt.h - the small keys of a result that is too large to be read whole.
 */
#ifndef RHESIS_RESULT_EXCERPT_H
#define RHESIS_RESULT_EXCERPT_H

#include "utils/jsonb.h"

/*
 * Returns true for a key that mails read. An excerpt keeps the value of such a key, if it is small,
 * however many other keys there are.
 */
typedef bool (*ResultKeyTest)(const char *key, size_t length);

/* Sets the test for needed keys. _PG_init() calls this. Before that, no key counts as needed. */
extern void KeepResultKeys(ResultKeyTest is_needed);

/*
 * Returns the ids, counts, names and other small values of the result's top level, in the current
 * memory context. Returns NULL if the result is larger than 16 MB. Sets *remark to what was left
 * out, palloc'd. The datum may be toasted. Meanwhile this takes as much memory as the result has
 * bytes.
 */
extern Jsonb *ExcerptOfResult(Datum result, char **remark);

#endif

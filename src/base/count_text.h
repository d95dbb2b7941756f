/*
 * count_text.h - a number with its noun, as an operator reads it.
 */
#ifndef RHESIS_COUNT_TEXT_H
#define RHESIS_COUNT_TEXT_H

/* Returns "1 mail" or "2 mails", palloc'd. one is the noun in the singular, many in the plural. */
static inline char *
CountText(int64 count, const char *one, const char *many)
{
	return psprintf(INT64_FORMAT " %s", count, count == 1 ? one : many);
}

#endif

/*
 * tap.h - the part of the Test Anything Protocol that unit tests in C need.
 *
 * A test program calls ok(), is_int() and is_str(), and returns done_testing(). Each call prints
 * one line. A failure also prints the expected value. Include this file only in the source file
 * that has main().
 */
#ifndef RHESIS_NOTIFY_TAP_H
#define RHESIS_NOTIFY_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_tests;
static int tap_failures;

/* Prints a value as comment lines, so that no line looks like a result. */
static inline void
tap_show(const char *label, const char *value)
{
	printf("# %s: ", label);
	if (value == NULL)
		printf("(null)");
	else
		for (const char *p = value; *p; p++)
		{
			putchar(*p);
			if (*p == '\n')
				printf("# ");
		}
	putchar('\n');
}

/* Reports one test. The name is a printf format. Returns "passed". */
static inline int __attribute__((format(printf, 2, 3))) ok(int passed, const char *name, ...)
{
	va_list args;

	tap_tests++;
	if (!passed)
		tap_failures++;
	printf("%sok %d - ", passed ? "" : "not ", tap_tests);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	return passed;
}

static inline int
is_int(long long got, long long expected, const char *name)
{
	if (ok(got == expected, "%s", name))
		return 1;
	printf("# expected: %lld\n# got: %lld\n", expected, got);
	return 0;
}

/* Both may be NULL. NULL equals only NULL. */
static inline int
is_str(const char *got, const char *expected, const char *name)
{
	int same = (got && expected) ? strcmp(got, expected) == 0 : got == expected;

	if (ok(same, "%s", name))
		return 1;
	tap_show("expected", expected);
	tap_show("got", got);
	return 0;
}

/*
 * Prints the plan. Returns the exit status for main(). A program that dies earlier has printed no
 * plan, so it fails, too.
 */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures == 0 ? 0 : 1;
}

#endif /* RHESIS_NOTIFY_TAP_H */

/*
 * shifted_clock.c - preloaded into a server: shifts its wall clock by the number of seconds in the
 * file SHIFTED_CLOCK.
 *
 * The file has eight bytes and is mapped. A write to it sets the clock of all processes at once.
 * Clocks that cannot be set, such as CLOCK_MONOTONIC, are not changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void
MapShift(void)
{
	int file = open(getenv("SHIFTED_CLOCK"), O_RDONLY | O_CLOEXEC);

	shift = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, file, 0);
	if (shift == MAP_FAILED)
		abort();
	close(file);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int) syscall(SYS_clock_gettime, clock, now);

	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += *shift;
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;
	int result = clock_gettime(CLOCK_REALTIME, &precise);

	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return result;
}

time_t
time(time_t *result)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_REALTIME, &now);
	if (result)
		*result = now.tv_sec;
	return now.tv_sec;
}

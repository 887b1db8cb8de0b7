/*
 * A wall clock that can be set, for the programs that preload it (tests/support/clocks.py): the real one,
 * and what SLOTD_TEST_CLOCK, a file of one int64_t, says in microseconds. What counts since boot is as it
 * is, timers as well. (libfaketime moves timers of CLOCK_BOOTTIME together with the wall clock.)
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static volatile int64_t *moved_usec;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SLOTD_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*moved_usec), PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		abort();
	moved_usec = map;
	close(fd);
}

EXPORT int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);
	int64_t usec;

	if (r < 0 || id != CLOCK_REALTIME || !moved_usec)
		return r;
	usec = ts->tv_nsec / 1000 + *moved_usec % 1000000 + 1000000;
	ts->tv_sec += *moved_usec / 1000000 - 1 + usec / 1000000;
	ts->tv_nsec = usec % 1000000 * 1000 + ts->tv_nsec % 1000;
	return 0;
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;
	int r = clock_gettime(CLOCK_REALTIME, &ts);

	(void)zone;
	*tv = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
	return r;
}

EXPORT time_t time(time_t *ret)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

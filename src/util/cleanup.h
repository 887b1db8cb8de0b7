/**
 * DOC: cleanup - release what a scope holds, in every way out of it
 *
 * Declare with _cleanup_(fn); give away with TAKE(). Every fn accepts what an
 * initialised but empty variable holds.
 */
#ifndef UTIL_CLEANUP_H
#define UTIL_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((__cleanup__(fn)))

/* moves a pointer out of its variable, which becomes NULL */
#define TAKE(ptr)                               \
	({                                      \
		__typeof__(ptr) taken_ = (ptr); \
		(ptr) = NULL;                   \
		taken_;                         \
	})

/* moves a descriptor out of its variable, which becomes -1 */
#define TAKE_FD(fd)                  \
	({                           \
		int taken_fd_ = (fd); \
		(fd) = -1;           \
		taken_fd_;           \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* an allocated pointer to anything: char *, struct x * */
static inline void freep(void *p)
{
	free(*(void **)p);
}

/* closes a descriptor that may be negative; keeps errno */
static inline void closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#endif

/**
 * DOC: reflog - where HEAD has been
 *
 * Lines as git writes them. Read bounded, appended through no link.
 */
#ifndef GIT_REFLOG_H
#define GIT_REFLOG_H

#include <stdbool.h>
#include <stdint.h>

#include <git2.h>

#include "util/fault.h"

/**
 * reflog_append - one line at the end of a log
 * @dirfd: handle of an admin or git directory
 * @path: below it, "logs/HEAD"; directories on the way are made
 * @why: what happened; one line
 *
 * Written by "slotd <slotd@localhost>". A log that is no regular file is replaced; one with
 * several hard links is copied first.
 */
int reflog_append(int dirfd, const char *path, const git_oid *from, const git_oid *to,
		  const char *why, struct fault *f);

/* the same by somebody else, "name <address>", so that it does not count as ours */
int reflog_append_as(int dirfd, const char *path, const char *who, const git_oid *from,
		     const git_oid *to, const char *why, struct fault *f);

/* the log is a regular file of its own name only, made if there is none, as reflog_append() leaves it */
int reflog_put_right(int dirfd, const char *path, struct fault *f);

struct reflog_entry {
	git_oid from, to; /* zero: nothing */
	int64_t time;	  /* seconds since 1970; 0: it cannot be read */
	bool is_ours;	  /* written by reflog_append() */
	const char *message; /* without newline */
};

/**
 * reflog_foreach_entry - the lines of a log, oldest first
 *
 * Bounded as reflog_foreach(). What @fn is given is valid during the call.
 */
int reflog_foreach_entry(int dirfd, const char *path,
			 int (*fn)(const struct reflog_entry *entry, void *userdata), void *userdata,
			 struct fault *f);

/**
 * reflog_foreach - every commit that a log names, oldest first, repeated as they come
 *
 * Lines that are none are passed over; null ids too. Of a log beyond 16 MiB the end is read. No log:
 * no call. A negative return of @fn ends it.
 */
int reflog_foreach(int dirfd, const char *path, int (*fn)(const git_oid *oid, void *userdata),
		   void *userdata, struct fault *f);

#endif

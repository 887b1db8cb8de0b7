/**
 * DOC: admin - the small files of a worktree's administration
 *
 * Agents can write all of them, so each is read bounded and without blocking, and written
 * beside and renamed over: through no link, symbolic or hard.
 *
 * Errors
 * ------
 * -ENOENT; -EUCLEAN for what cannot be such a file (a link, a directory, a FIFO, too large);
 * -ENOSPC, -EIO, ...
 */
#ifndef GIT_ADMIN_H
#define GIT_ADMIN_H

#include <stddef.h>

#include "util/fault.h"

#define ADMIN_FILE_BYTES 4096 /* of gitdir, HEAD and the like */

/* the content without newlines at its end; allocated */
int admin_read_at(int dirfd, const char *name, char **ret, struct fault *f);

/**
 * admin_write_at - replace a file, or whatever has its name, with text
 *
 * On disk when it returns, its name when the caller has synced the directory.
 */
int admin_write_at(int dirfd, const char *name, const char *text, struct fault *f);

/* the same with any bytes */
int admin_write_bytes_at(int dirfd, const char *name, const void *data, size_t len,
			 struct fault *f);

/* as admin_write_at(), only when it says something else; 1: it did */
int admin_put_right_at(int dirfd, const char *name, const char *text, struct fault *f);

/* removes a name, whatever it is; one that is not there is fine */
int admin_remove_at(int dirfd, const char *name, struct fault *f);

/* opens a directory below, made if there is none; what is there instead of one is removed */
int admin_open_dir_at(int dirfd, const char *name, struct fault *f);

/**
 * admin_lock_at - take a lock as git does: "index.lock", "HEAD.lock"
 *
 * A descriptor for admin_unlock_at(). -EBUSY: somebody has it.
 */
int admin_lock_at(int dirfd, const char *name, struct fault *f);

/* the lock goes, unless it was renamed since; below 0 as @fd is fine */
void admin_unlock_at(int dirfd, const char *name, int fd);

/**
 * admin_foreach_at - the names in a directory, but "." and ".."
 *
 * A negative return of @fn ends it and is returned. No directory: no names.
 */
int admin_foreach_at(int dirfd, const char *name,
		     int (*fn)(int dirfd, const char *name, void *userdata), void *userdata,
		     struct fault *f);

/* fsync of the directory itself */
int admin_sync(int dirfd, struct fault *f);

#endif

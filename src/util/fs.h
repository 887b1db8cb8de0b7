/**
 * DOC: fs - the file system, carefully
 *
 * Nothing here follows a symbolic link in the last component, and everything
 * opened is CLOEXEC. Functions return 0 (or a descriptor) or a negative errno with
 * a fault.
 */
#ifndef UTIL_FS_H
#define UTIL_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/fault.h"

/**
 * fs_open_beneath - open below a directory, through no link and no mount
 * @dirfd: the directory
 * @path: relative; may have several components, and be longer than PATH_MAX
 * @flags: as open(2); O_CLOEXEC is added
 * @mode: for O_CREAT
 *
 * openat2(2) with RESOLVE_BENEATH, _NO_SYMLINKS, _NO_MAGICLINKS and _NO_XDEV.
 * Returns a descriptor that the caller closes, or a negative errno: -ELOOP for a
 * link on the way, -EXDEV for a mount or an escape.
 */
int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/**
 * fs_read_file - a whole regular file into memory
 * @max: bytes at most; more is -EFBIG
 * @ret, @ret_len: allocated, NUL-terminated behind @ret_len bytes; the caller frees
 *
 * Does not block on a FIFO; what is not a regular file is -EINVAL. @ret_len may be NULL.
 */
int fs_read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);

/**
 * fs_write_file_at - replace a file atomically
 *
 * Writes beside it, syncs, renames over, syncs the directory. On failure the old
 * file is there unchanged, but for a directory that cannot be synced: then either is.
 */
int fs_write_file_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode);

/* reads until it has @len bytes or the end is reached; returns how many, or a negative errno */
ssize_t fs_read_up_to(int fd, void *data, size_t len);

/* writes all or returns a negative errno */
int fs_write_all(int fd, const void *data, size_t len);

/* makes a directory and its parents; one that is there already is fine; links are followed */
int fs_mkdir_all(const char *path, mode_t mode, struct fault *f);

/**
 * fs_spread_children - a hint that what is below a directory has nothing to do with each other
 *
 * ext4 then looks for a part of the disk for each directory made in it, as for a home directory,
 * where it would put all of them beside their parent. There, inodes that were deleted in the last
 * minutes are passed over one by one (a slot made after others were removed took ten times as
 * long), and those who make files at the same time wait for each other. Other file systems, and
 * a directory of somebody else, have no such hint; that is no error.
 * Source: chattr(1), attribute T; fs/ext4/ialloc.c, find_group_orlov() and recently_deleted().
 */
void fs_spread_children(const char *path);

/* fsync of a directory by descriptor and name; name "." for the directory itself */
int fs_sync_dir_at(int dirfd, const char *path);

/**
 * fs_remove_tree_at - delete a file or a whole directory below @dirfd
 *
 * Relative to descriptors all the way, following no link and crossing no mount;
 * read-only directories are made writable, @dirfd's among them; depth is not limited by PATH_MAX.
 * Something that is not there is fine. On failure part of it may be gone.
 */
int fs_remove_tree_at(int dirfd, const char *name, struct fault *f);

/* the same by path; the directories above it are followed as they are */
int fs_remove_tree(const char *path, struct fault *f);

enum fs_hold {
	FS_HOLD_UNKNOWN, /* its kind, its owner or the file system have no leases */
	FS_HOLD_TAKEN,
	FS_HOLD_WRITTEN, /* somebody has it open for writing, or mapped so */
};

/**
 * fs_hold - a lease on a file, for as long as it is not opened for writing
 * @fd: open for reading only
 *
 * Whoever opens it for writing meanwhile waits until it is let go of, or
 * /proc/sys/fs/lease-break-time has passed. What is written through a mapping shows in no time of
 * the file but the first: that nobody has one is known by this alone.
 * Source: fcntl(2), F_SETLEASE.
 */
enum fs_hold fs_hold(int fd);

/* of one that was taken: nobody has wanted to write since */
bool fs_is_held(int fd);

void fs_let_go(int fd);

/* free bytes for unprivileged users on the file system of path; negative errno */
int fs_free_bytes(const char *path, uint64_t *ret);

#endif

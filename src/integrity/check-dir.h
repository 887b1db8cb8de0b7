/**
 * DOC: check-dir - the files of a git directory, each read or told of
 *
 * The common directory or the administration of a worktree, with the name under which it is told
 * and the slot that it concerns. Files are opened below it, through no link and without blocking; what
 * cannot be read is a finding (unreadable-file).
 */
#ifndef INTEGRITY_CHECK_DIR_H
#define INTEGRITY_CHECK_DIR_H

#include <sys/stat.h>

#include "integrity/check.h"

struct check_dir {
	struct check *c;
	int fd;
	const char *where; /* "worktrees/x"; "": the common directory */
	const char *slot;  /* or NULL */
};

/* a file as it is told: "worktrees/x/HEAD", with ":<line>" unless @line is 0; allocated */
char *check_dir_name(const struct check_dir *dir, const char *path, size_t line);

/* finding_add() of a file in it; 0 or -ENOMEM */
__attribute__((format(printf, 5, 6))) int check_dir_tell(const struct check_dir *dir,
							 const char *id, const char *path,
							 size_t line, const char *fmt, ...);

/* finding_add_as() likewise */
__attribute__((format(printf, 6, 7))) int check_dir_tell_as(const struct check_dir *dir,
							    const char *id,
							    enum finding_severity severity,
							    const char *path, size_t line,
							    const char *fmt, ...);

enum check_load {
	CHECK_LOAD_ABSENT = 1, /* there is none, or a directory */
	CHECK_LOAD_TOLD,       /* it cannot be read, which was told */
};

/**
 * check_dir_load - a whole file
 * @path: below it
 * @max: bytes; more cannot be read
 * @ret, @ret_len: allocated, with a NUL behind
 *
 * 0, enum check_load, or a negative errno that is no damage.
 */
int check_dir_load(const struct check_dir *dir, const char *path, size_t max, char **ret,
		   size_t *ret_len);

/* the same of a file that git writes in place: one that was emptied just now is waited for, a little */
int check_dir_load_written(const struct check_dir *dir, const char *path, size_t max, char **ret,
			   size_t *ret_len);

/* without findings; -ENOENT, -EISDIR, -ELOOP (a link), -EINVAL (no file), -EFBIG, -EACCES, ... */
int file_load(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);

/* of a negative errno of file_load(): tells of it, or hands on what is no damage (no memory, no descriptors) */
int check_dir_tell_unreadable(const struct check_dir *dir, const char *path, int error);

/* @mode: S_IFREG, S_IFLNK, ...; of directories only those that are not gone into */
typedef int (*check_walk_fn)(const struct check_dir *dir, const char *path, mode_t mode,
			     void *userdata);

/**
 * check_dir_walk - all that is below a directory
 * @path: of the directory, below @dir; none is fine
 *
 * Directories whose name begins with "." are told to @fn and not gone into.
 */
int check_dir_walk(const struct check_dir *dir, const char *path, check_walk_fn fn, void *userdata);

/* the names in a directory itself, files and directories */
int check_dir_list(const struct check_dir *dir, const char *path, check_walk_fn fn, void *userdata);

#endif

/**
 * DOC: refs-private - what the files of refs-check share
 */
#ifndef INTEGRITY_REFS_PRIVATE_H
#define INTEGRITY_REFS_PRIVATE_H

#include <sys/stat.h>

#include "integrity/check-dir.h"
#include "integrity/packed-refs.h"
#include "integrity/refs-check.h"
#include "integrity/roots.h"

/* looks refs up; packed-refs is read when it is first asked for */
struct ref_lookup {
	struct check *c;
	const struct check_dir *own; /* where refs of one worktree alone are */
	char *packed;
	size_t packed_len;
	struct stat packed_st; /* from before it was read */
};

void ref_lookup_deinit(struct ref_lookup *lookup);

enum ref_resolved {
	REF_E_MISSING = 1,
	REF_E_BROKEN, /* the last name's file says nothing */
	REF_E_LOOP,
};

/**
 * ref_resolve - what a ref leads to
 * @name: a valid one
 * @ret_name: of the ref at the end, in any outcome but a negative one; allocated
 *
 * 0; enum ref_resolved; or a negative errno.
 */
int ref_resolve(struct ref_lookup *lookup, const char *name, git_oid *ret, char **ret_name);

/* HEAD of a git directory or administration */
int head_check(const struct check_dir *dir);

/* refs/ of the store and packed-refs */
int refs_check(const struct check_dir *dir);

/* refs/ of a worktree's administration */
int refs_check_own(const struct check_dir *dir);

/* logs/; @is_own: of a worktree's administration */
int reflogs_check(const struct check_dir *dir, bool is_own);

/* MERGE_HEAD, rebase-merge/, FETCH_HEAD, ... */
int operations_check(const struct check_dir *dir);

/* locks and what is left behind in the directory itself and in those below it that have no check of their own */
int locks_check(const struct check_dir *dir);

/* is this the name of a lock? */
bool lock_name_is(const char *path);
int lock_tell(const struct check_dir *dir, const char *path);

struct store_format {
	bool is_sha1;
	bool has_ref_files;	/* else the refs are in tables that cannot be read */
	bool has_worktree_config; /* worktrees have a config.worktree */
};

/* config and what it says of the format */
int config_check(const struct check_dir *dir, const char *path, struct store_format *ret);

#endif

/**
 * DOC: salvage-apply - the goal of a salvage becomes files
 *
 * Nothing is overwritten that is not known: a name is free, or it has what a list says was there before,
 * or it already has what the goal wants (a killed try wrote it). Anything else stays, and is -EBUSY by
 * name. So the same call may be made again after it was killed, also when somebody has worked in the
 * directory since. Everything is written beside and renamed, relative to handles, through no link and no
 * mount.
 */
#ifndef GIT_SALVAGE_APPLY_H
#define GIT_SALVAGE_APPLY_H

#include "git/salvage-goal.h"
#include "git/tree-check.h"

struct salvage_apply {
	const struct tree_slot *slot; /* @admin_fd is not looked at */
	struct repo *repo;
	struct salvage_goal *goal; /* stat data of what is there is filled in */
	struct tree_list *before;  /* what is there now; may be empty */
	struct tree_checker
		checker; /* of @before; its convert is that of the files that are there now */
	unsigned threads;
};

/* would it work? -EBUSY names what is in the way; nothing is changed */
int salvage_apply_check(const struct salvage_apply *a, struct fault *f);

/* removes, writes and makes directories; their permissions are for salvage_apply_dirs() */
int salvage_apply_run(const struct salvage_apply *a, struct tree_stats *stats, struct fault *f);

/* the last step: what has been made read-only cannot be written to again */
int salvage_apply_dirs(const struct salvage_apply *a, struct fault *f);

/**
 * salvage_put_file - a blob as a file, beside and renamed
 * @mode: TREE_MODE_FILE, _EXEC or _LINK
 * @perm: 0: as the mode says
 * @replace: what has the name is replaced, if it is no directory; else -EEXIST
 * @ret: what lstat(2) says about it now
 *
 * -EEXIST and others without a sentence, -EUCLEAN with one.
 */
int salvage_put_file(struct repo *repo, int dir_fd, const char *name, uint32_t mode, uint32_t perm,
		     const git_oid *oid, bool replace, struct stat *ret, struct fault *f);

#endif

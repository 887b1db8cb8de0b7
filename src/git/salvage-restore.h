/**
 * DOC: salvage-restore - everything as the agent left it
 *
 * Into a directory, into a slot, or as a branch. A salvage may have been written by anybody
 * (salvage-read.h): whatever is in it, nothing is written outside of what was asked for, and nothing that
 * is there is lost.
 *
 * Errors
 * ------
 * -EUCLEAN: the salvage, or an object that it needs, is damaged or missing. -EBUSY: something is in the
 * way, by name; -EEXIST likewise for what is asked to be made. -EOPNOTSUPP: made by a newer slotd.
 * -ENOSPC, -EACCES, ...
 */
#ifndef GIT_SALVAGE_RESTORE_H
#define GIT_SALVAGE_RESTORE_H

#include "git/salvage-read.h"
#include "git/worktree.h"
#include "util/text.h"

/* in the administration while a restore is under way: "<W> <the commit before>" */
#define SALVAGE_RESTORING "slotd-restoring"

/**
 * salvage_restore_dir - the files of a salvage in a directory
 * @dir_fd: a directory that is empty, else -EEXIST
 *
 * On a failure part of them may be there.
 */
int salvage_restore_dir(struct repo *repo, const git_oid *commit, int dir_fd, unsigned threads,
			struct tree_stats *ret, struct fault *f);

struct salvage_restored {
	char *branch;	   /* that HEAD is on; NULL: detached */
	git_oid head;	   /* zero: the branch has no commit, as it was */
	struct text notes; /* what is not as it was, a sentence a line */
};

void salvage_restored_deinit(struct salvage_restored *r);

/**
 * salvage_restore_slot - worktree, index, HEAD and operation in progress, in a clean slot
 * @w: opened; may stand at any commit
 * @keep: patterns of what stays in the pool's slots; NULL: none
 * @ret: the caller deinits it, on success only
 *
 * -EBUSY when the slot is not clean, names what was found, and nothing was changed; ignored files, seeds and
 * what stays may be there, unless they are in the way. HEAD is on the branch again if that is free and where it was
 * (made again if it is gone), else detached at the same commit, and a note says why.
 *
 * A restore that was killed or failed is taken up by the next call with the same commit: the slot has a
 * mark until then. What somebody has written in it meanwhile is not overwritten.
 */
int salvage_restore_slot(struct worktree *w, const git_oid *commit, const struct ignore *keep,
			 unsigned threads, struct salvage_restored *ret, struct fault *f);

/**
 * salvage_branch - an ordinary commit of what is in a salvage, on a new branch
 * @ret: the commit: the files of W on top of B; the same each time
 *
 * -EEXIST: there is a branch of that name elsewhere.
 */
int salvage_branch(struct repo *repo, const git_oid *commit, const char *branch, git_oid *ret,
		   struct fault *f);

#endif

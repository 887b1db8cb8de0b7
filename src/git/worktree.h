/**
 * DOC: worktree - the administration of a slot: worktrees/slotd-<slot>/ and the .git file
 *
 * A half-made admin directory disables the whole repository for everybody, so it is built
 * in <common>/slotd/ and appears in <common>/worktrees/ by one rename, after the slot's
 * directory and .git file exist. It carries "locked" from birth. Paths come from the caller,
 * that is from the ledger; what the repository says about itself is compared and put right.
 */
#ifndef GIT_WORKTREE_H
#define GIT_WORKTREE_H

#include <stdbool.h>
#include <stdint.h>

#include "git/repo.h"
#include "git/tree.h"

struct worktree; /* an opened slot: handles of its directory and administration */

/**
 * worktree_create - make a slot
 * @slots_fd: handle of <slots_dir>/<pool>; @slots_path: its absolute path
 * @name: of the slot
 * @commit: where its HEAD stands, detached
 *
 * Whatever an earlier, killed try left under this name is cleared first (the ledger says that nobody
 * has it). On return directory, .git file, admin directory, index and files are in place.
 */
int worktree_create(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		    const git_oid *commit, unsigned threads, uint64_t *ret_dev, uint64_t *ret_ino,
		    struct tree_stats *ret_stats, struct fault *f);

/**
 * worktree_open - open a slot that the ledger knows
 * @dev, @ino: of its directory; 0: not known
 *
 * -EUCLEAN when the directory is not that one, is a link, or is gone. The .git file and the
 * admin directory's gitdir, commondir and locked are put right when they are not what they must be.
 * A missing admin directory is -EUCLEAN too.
 */
int worktree_open(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		  uint64_t dev, uint64_t ino, struct worktree **ret, struct fault *f);
void worktree_close(struct worktree *w); /* accepts NULL */
const struct tree_slot *worktree_tree(const struct worktree *w);

/* HEAD as it is: @ret_branch (allocated, short name; NULL: detached), @ret_commit zero: unborn */
int worktree_head(struct worktree *w, char **ret_branch, git_oid *ret_commit, struct fault *f);

/* HEAD becomes detached at a commit, or the branch; with a reflog line */
int worktree_set_head(struct worktree *w, const char *branch, const git_oid *commit,
		      const char *why, struct fault *f);

/**
 * worktree_unsaved - what cleaning would lose
 * @fn: told each in one sentence for people ("3 untracked files: a, b, c")
 *
 * Changes against HEAD, untracked files, commits reachable from HEAD but from no ref,
 * operations in progress (merge, rebase, cherry-pick, revert, bisect). 0 and no call: nothing.
 * @target: whose ignore rules decide.
 */
int worktree_unsaved(struct worktree *w, const git_oid *target,
		     int (*fn)(const char *sentence, void *userdata), void *userdata,
		     struct fault *f);

/* back to a commit, detached, clean; state files of operations and stale locks of the slot removed */
int worktree_clean(struct worktree *w, const git_oid *commit, bool keep_ignored, unsigned threads,
		   struct tree_stats *ret, struct fault *f);

/* directory and administration go; what is not there is fine */
int worktree_remove(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		    uint64_t dev, uint64_t ino, struct fault *f);

#endif

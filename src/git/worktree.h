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
 * -ENOTUNIQ: what lies there is no slot of this repository, and was left alone.
 */
int worktree_create(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		    const git_oid *commit, unsigned threads, uint64_t *ret_dev, uint64_t *ret_ino,
		    struct tree_stats *ret_stats, struct fault *f);

/**
 * worktree_open - open a slot that the ledger knows
 * @slots_fd: borrowed until it is closed
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
 * worktree_switch - move a clean slot to a commit and HEAD to it, or to a branch that stands there
 * @branch: short name, or NULL: detached
 *
 * A try that was killed is taken up: until the slot has been moved whole it carries a mark, by which
 * the next worktree_switch() resets instead, and worktree_is_switching() tells that what it finds was
 * written here. (worktree_clean() does the same.) -EBUSY when the slot is not clean: then nothing was changed.
 */
int worktree_switch(struct worktree *w, const char *branch, const git_oid *commit,
		    unsigned threads, struct tree_stats *ret, struct fault *f);

enum worktree_outcome {
	WORKTREE_E_UNSAVED = 1,
};

struct worktree_clean_options {
	struct tree_policy policy;
	unsigned threads;
	bool prove_content; /* stat data is not believed: the machine has crashed */
	bool forget;	    /* HEAD's log and submodules' stores go as well; always with @saved */
	const struct tree_saved *saved; /* as for tree_reset() */
	const git_oid *held;
	bool locks_are_stale; /* a clean before this one was killed, and may have left them; else a young one is somebody's */
};

/**
 * worktree_clean - back to a commit, detached, clean
 *
 * State files of operations and locks of the slot are removed: nobody works in it any more. At the end
 * a sweep proves it: -EBUSY, with the name of what it found, when somebody wrote meanwhile. @ret's
 * disk_bytes are all that the slot uses, ignored files included.
 *
 * The slot carries a mark meanwhile, with the set in it (see worktree_read_saved()).
 *
 * WORKTREE_E_UNSAVED (only with @saved): something is there that may not go, and is still there; the
 * fault names it. Either nothing was changed, or the files are at the commit, and HEAD too, but for what is
 * told and what comes after it. Save again, into the same set, and call again.
 */
int worktree_clean(struct worktree *w, const git_oid *commit,
		   const struct worktree_clean_options *options, struct tree_stats *ret,
		   struct fault *f);

/* was a worktree_switch() or worktree_clean() of this slot killed half-way? 1, 0 or a negative errno */
int worktree_is_switching(struct worktree *w, struct fault *f);

/**
 * worktree_read_saved - what a clean that was killed knew to be saved
 * @ret: a set, to go on with; NULL: none was under way, or one that discards. The caller frees it
 *
 * What the killed clean had in its hands is where it was again afterwards, or is gone if it was saved: so
 * call this before the slot is looked at. 0 or a fault.
 */
int worktree_read_saved(struct worktree *w, struct tree_saved **ret, struct fault *f);

/**
 * worktree_is_unfinished - was a slot's creation or removal killed half-way?
 *
 * Then nobody has it and nothing in it is anybody's work. 1, 0 or a negative errno.
 */
int worktree_is_unfinished(struct repo *repo, const char *name, struct fault *f);

struct worktree_observation {
	const char *operation; /* "merge", "rebase", ..., "unmerged paths"; "": none; NULL: it cannot be told */
	uint64_t written_usec; /* wall clock; the latest change of a file or directory that was seen; 0: none was */
	uint64_t to_come_usec; /* likewise, of those whose time is still to come: the clock was set back; 0: none */
	bool saw_all; /* else a later one may have been missed */
};

/**
 * worktree_observe - is somebody at work in a slot?
 * @usec: how long looking for what was written last may take
 *
 * Reads only, and beside whoever works there. What cannot be told is said so in @ret, with the reason in
 * @f if it is the operation; the return is negative when nothing could be looked at.
 */
int worktree_observe(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		     uint64_t dev, uint64_t ino, uint64_t usec, struct worktree_observation *ret,
		     struct fault *f);

/* is anything in the slot's place, or left of it in the hands of a clean that was killed? */
bool worktree_exists(int slots_fd, const char *name);

/*
 * Directory and administration go; what is not there is fine. With @ino 0 the slot may never have been
 * made: then a directory without an administration is not the slot's, and stays.
 */
int worktree_remove(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		    uint64_t dev, uint64_t ino, struct fault *f);

#endif

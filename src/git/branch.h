/**
 * DOC: branch - local branches: where they are checked out, and how one is made
 *
 * The worktrees of a store are read by our own bounded readers, since one broken entry in
 * worktrees/ makes libgit2 and git answer wrongly or not at all.
 */
#ifndef GIT_BRANCH_H
#define GIT_BRANCH_H

#include <stdbool.h>

#include "git/repo.h"

enum branch_outcome {
	BRANCH_E_ABSENT = 1, /* there is no such branch */
	BRANCH_E_IN_USE,     /* checked out, or being rebased or bisected, somewhere */
};

/* -EINVAL with a sentence when git would not take it as a branch's name */
int branch_check_name(const char *name, struct fault *f);

/* where it stands; 0, BRANCH_E_ABSENT, or -EUCLEAN when it is no commit */
int branch_find(struct repo *repo, const char *name, git_oid *ret, struct fault *f);

/**
 * branch_find_user - is it free to be checked out?
 * @name: short
 * @except_slot: a slot that does not count, or NULL
 * @ret_path: of the worktree that has it, allocated; only with BRANCH_E_IN_USE
 *
 * Looks at the main worktree and at all linked ones, whoever made them: HEAD, stopped rebases
 * and bisections. 0: nobody has it.
 */
int branch_find_user(struct repo *repo, const char *name, const char *except_slot, char **ret_path,
		     struct fault *f);

/**
 * branch_create - make a branch at a commit
 * @slot: for whom; names what a killed try leaves
 * @ret_created: false when it was there, at that very commit
 *
 * Compare and swap: -EEXIST when it stands elsewhere or its name is in the way of another branch,
 * -EAGAIN while somebody's git has it locked. No tracking is set up: the shared configuration is
 * not written.
 */
int branch_create(struct repo *repo, const char *slot, const char *name, const git_oid *commit,
		  bool *ret_created, struct fault *f);

/* refs/slotd/pin/<slot>: what the slot has checked out is kept from maintenance */
int branch_pin(struct repo *repo, const char *slot, const git_oid *commit, struct fault *f);
int branch_unpin(struct repo *repo, const char *slot, struct fault *f);

#endif

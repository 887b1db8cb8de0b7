/**
 * DOC: worktrees-private - what the files of worktrees-check share
 */
#ifndef INTEGRITY_WORKTREES_PRIVATE_H
#define INTEGRITY_WORKTREES_PRIVATE_H

#include "integrity/check-dir.h"
#include "integrity/worktrees-check.h"

/* the worktrees that administrations claim to be of */
struct worktree_claim {
	char *where; /* of the administration */
	uint64_t dev, ino; /* of the worktree's directory */
	bool is_mutual; /* and it leads back */
};

struct worktree_claims {
	struct worktree_claim *v;
	size_t n, size;
};

void worktree_claims_deinit(struct worktree_claims *claims);

/* tells of each worktree that is claimed twice */
int worktree_claims_check(struct check *c, const struct worktree_claims *claims);

/* commondir of an administration: does it lead to the store? */
int worktree_check_commondir(const struct check_dir *dir);

/**
 * worktree_check_gitdir - does an administration lead to its worktree, and that back?
 * @dir: the administration
 * @slot: that it must be of; NULL: it is no slot's
 * @slot_fd: handle of the slot's directory; below 0: it is not there, which was told
 * @claims: or NULL
 */
int worktree_check_gitdir(const struct check_dir *dir, const struct check_slot *slot, int slot_fd,
			  struct worktree_claims *claims);

/* directories beside slots that are none */
int worktree_check_neighbours(struct check *c);

/* is a slot of this name being made or removed right now (or was, when slotd was killed)? */
bool worktree_is_in_transit(const struct check *c, const char *slot);

#endif

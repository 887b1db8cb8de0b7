/**
 * DOC: worktrees-check - worktrees and their administration, both ways
 *
 * worktrees/<id> with gitdir, commondir, HEAD and locked; the .git file there; the index (index-check.h); for a slot
 * also the directory itself: is it the one that the ledger knows, whose is it, does it lead here? Judged by reading
 * files: no repository is opened, and no path that they name is followed but to look at the .git file there.
 */
#ifndef INTEGRITY_WORKTREES_CHECK_H
#define INTEGRITY_WORKTREES_CHECK_H

#include "integrity/check.h"

/* all of them, by c->spec->slots and by what is in worktrees/; the main worktree of an adopted repository too */
int worktrees_check(struct check *c);

/* one slot, files and pointers alone: the first half of CHECK_QUICK */
int worktree_check_slot(struct check *c, const struct check_slot *slot);

#endif

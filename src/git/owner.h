/**
 * DOC: owner - whose slots are in a store
 *
 * Two slotd with state directories of their own must not serve one repository: they would give the
 * same worktrees away. <common>/slotd/owner names the state directory that the store is
 * served from. A mark whose state directory is gone counts for nothing.
 */
#ifndef GIT_OWNER_H
#define GIT_OWNER_H

#include "git/repo.h"

/**
 * owner_claim - mark a store as ours
 * @state_dir: absolute path of the state directory
 *
 * 0, or -EUSERS with a sentence that names the other one and what to do.
 */
int owner_claim(struct repo *repo, const char *state_dir, struct fault *f);

/* takes our mark away; somebody else's stays, and none is fine */
int owner_release(struct repo *repo, const char *state_dir, struct fault *f);

#endif

/**
 * DOC: ref-write - refs written so that a killed try is told from somebody's git at work
 *
 * A ref is written under its ref.lock, and packed-refs under packed-refs.lock; a process
 * killed in between leaves the lock, which would keep everybody out for ever. So the locks
 * taken here are hard links to a file of ours, <common>/slotd/<slot>.ref, and <slot>.ref-name
 * says where they are: whoever works on the slot next finds both, knows a lock by its inode, and
 * takes it away. Locks of others are waited for as long as git does, one second.
 *
 * Only one process at a time may write for a slot.
 */
#ifndef GIT_REF_WRITE_H
#define GIT_REF_WRITE_H

#include <stdbool.h>

#include "git/repo.h"

enum ref_write_outcome {
	REF_E_EXISTS = 1,
};

/**
 * ref_write - a ref points to an object
 * @slot: for whom
 * @name: full and valid, "refs/heads/agent/x"
 * @only_new: REF_E_EXISTS when there is one of that name
 *
 * -EAGAIN: locked by somebody; -EEXIST: something else has its place.
 */
int ref_write(struct repo *repo, const char *slot, const char *name, const git_oid *to,
	      bool only_new, struct fault *f);

/* loose and packed; one that is not there is fine */
int ref_delete(struct repo *repo, const char *slot, const char *name, struct fault *f);

/* takes away what a killed ref_write() or ref_delete() for this slot left; they begin with it */
int ref_recover(struct repo *repo, const char *slot, struct fault *f);

#endif

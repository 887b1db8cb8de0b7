/**
 * DOC: salvage-admin - a slot's administration, as far as it is put back
 *
 * Only what git keeps there for one worktree: state of operations, refs and logs of its own, its
 * settings. Never what says where the slot belongs, HEAD, the index, locks, or what is slotd's.
 */
#ifndef GIT_SALVAGE_ADMIN_H
#define GIT_SALVAGE_ADMIN_H

#include "git/salvage-read.h"
#include "util/text.h"

/**
 * salvage_admin_restore - puts state/ into an administration
 * @slot: whose it is
 * @notes: sentences about what was left out, or what should be looked at
 *
 * Files that are there are replaced, but for logs/HEAD: what it says stays, and the salvage's lines come
 * after it, once; and for stores of submodules, which may hold other work: -EBUSY when one is there that is
 * not the same. Through no link. Killed in between, it may be called again.
 */
int salvage_admin_restore(struct salvage *s, int admin_fd, const char *slot, struct text *notes,
			  struct fault *f);

#endif

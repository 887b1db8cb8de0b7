/**
 * DOC: op-state - operations that git has begun in a worktree and not ended
 *
 * A merge with conflicts, a rebase that stopped, a bisection. Told by the names in the
 * administration, as git status does.
 */
#ifndef GIT_OP_STATE_H
#define GIT_OP_STATE_H

#include "util/fault.h"

enum op_state {
	OP_STATE_MERGE = 1 << 0,
	OP_STATE_REBASE = 1 << 1, /* git am too */
	OP_STATE_CHERRY_PICK = 1 << 2,
	OP_STATE_REVERT = 1 << 3,
	OP_STATE_BISECT = 1 << 4,
	OP_STATE_SEQUENCE = 1 << 5, /* a cherry-pick or revert of several commits */
};

/* "merge", "rebase", ...; of one bit */
const char *op_state_to_string(enum op_state op);

/* the operations in progress, as bits of enum op_state; 0: none; or a negative errno */
int op_state_find(int admin_fd, struct fault *f);

#endif

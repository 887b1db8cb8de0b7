/* What git has begun and not ended. */
#include "git/op-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "util/cleanup.h"

static const struct {
	const char *name;
	unsigned op;
} op_files[] = {
	{ "MERGE_HEAD", OP_STATE_MERGE },
	{ "MERGE_AUTOSTASH", OP_STATE_MERGE },
	{ "rebase-merge", OP_STATE_REBASE },
	{ "rebase-apply", OP_STATE_REBASE },
	{ "CHERRY_PICK_HEAD", OP_STATE_CHERRY_PICK },
	{ "REVERT_HEAD", OP_STATE_REVERT },
	{ "BISECT_LOG", OP_STATE_BISECT },
	{ "BISECT_START", OP_STATE_BISECT },
	{ "sequencer", OP_STATE_SEQUENCE },
};

const char *op_state_to_string(enum op_state op)
{
	switch (op) {
	case OP_STATE_MERGE:
		return "merge";
	case OP_STATE_REBASE:
		return "rebase";
	case OP_STATE_CHERRY_PICK:
		return "cherry-pick";
	case OP_STATE_REVERT:
		return "revert";
	case OP_STATE_BISECT:
		return "bisect";
	case OP_STATE_SEQUENCE:
		return "sequence of cherry-picks or reverts";
	}
	return "operation";
}

int op_state_find(int admin_fd, struct fault *f)
{
	int ops = 0;

	for (size_t i = 0; i < ARRAY_SIZE(op_files); i++) {
		if (faccessat(admin_fd, op_files[i].name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			ops |= (int)op_files[i].op;
		else if (errno != ENOENT)
			return fault_errno(f, -errno, "cannot look at %s", op_files[i].name);
	}
	/* git keeps the sequencer's directory for one stopped pick of many: say it once */
	if (ops & (OP_STATE_CHERRY_PICK | OP_STATE_REVERT))
		ops &= ~OP_STATE_SEQUENCE;
	return ops;
}

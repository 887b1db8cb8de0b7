/* What git has begun and not ended. */
#include "git/op-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "git/admin.h"
#include "util/cleanup.h"

/* op 0: goes with the others, says nothing by itself */
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
	{ "MERGE_MSG", 0 },
	{ "MERGE_MODE", 0 },
	{ "MERGE_RR", 0 },
	{ "AUTO_MERGE", 0 },
	{ "SQUASH_MSG", 0 },
	{ "REBASE_HEAD", 0 },
	{ "BISECT_ANCESTORS_OK", 0 },
	{ "BISECT_EXPECTED_REV", 0 },
	{ "BISECT_FIRST_PARENT", 0 },
	{ "BISECT_HEAD", 0 },
	{ "BISECT_NAMES", 0 },
	{ "BISECT_RUN", 0 },
	{ "BISECT_TERMS", 0 },
	{ "slotd-restoring", 0 }, /* salvage-restore.h: a slot that was cleaned has nothing to take up */
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

int op_state_clear(int admin_fd, struct fault *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(op_files); i++) {
		int r = admin_remove_at(admin_fd, op_files[i].name, f);

		if (r < 0)
			return r;
	}
	return 0;
}

/* From one clean state to another. */
#include "git/worktree-private.h"

#include <errno.h>
#include <string.h>

#include "git/tree-saved.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/text.h"

/* of a clean that was killed, only what that had saved may go */
static int move_again(struct worktree *w, const git_oid *commit, const struct tree_saved *saved,
		      unsigned threads, struct tree_stats *ret, struct fault *f)
{
	struct tree_reset_options options = { .threads = threads,
					      .saved = saved,
					      .trash_dir_fd = w->slots_fd,
					      .trash = w->trash };
	int r = tree_reset(&w->tree, commit, &options, ret, f);

	return r == TREE_E_UNSAVED || r == TREE_E_LEFT ? -EBUSY : r;
}

/* moves the files; the mark stays only when they may be half moved */
static int move_files(struct worktree *w, const git_oid *commit, unsigned threads,
		      struct tree_stats *ret, struct fault *f)
{
	int r = tree_switch(&w->tree, commit, threads, ret, f);

	if (r == -EBUSY) {
		int u = worktree_unmark(w, NULL);

		return u < 0 ? u : r;
	}
	return r;
}

int worktree_switch(struct worktree *w, const char *branch, const git_oid *commit,
		    unsigned threads, struct tree_stats *ret, struct fault *f)
{
	_cleanup_(freep) char *why = text_printf("slotd: prepared%s%s", branch ? " on " : "",
						 branch ? branch : "");
	_cleanup_(tree_saved_freep) struct tree_saved *saved = NULL;
	struct tree_stats stats = { 0 };
	int r, again;

	if (!why)
		return fault_oom(f);
	again = worktree_is_switching(w, f);
	r = again < 0 ? again : worktree_remove_locks(w, f);
	if (r == 0 && again > 0)
		r = worktree_read_saved(w, &saved, f);
	if (r == 0)
		r = worktree_mark(w, commit, saved, f);
	if (r == 0 && again > 0)
		r = move_again(w, commit, saved, threads, &stats, f);
	else if (r == 0)
		r = move_files(w, commit, threads, &stats, f);
	CRASH_POINT("worktree.switch.moved");
	if (r == 0)
		r = worktree_set_head(w, branch, commit, why, f);
	CRASH_POINT("worktree.switch.head");
	if (r == 0)
		r = worktree_unmark(w, f);
	if (r == 0)
		*ret = stats;
	return r;
}

/* From one clean state to another. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/op-state.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

/*
 * In the administration, from before the first file is moved until HEAD has followed: in
 * between files, index and HEAD disagree, and what looks like somebody's changes is ours.
 */
#define SWITCHING "slotd-switching"

int worktree_is_switching(struct worktree *w, struct fault *f)
{
	if (faccessat(w->tree.admin_fd, SWITCHING, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s", SWITCHING);
}

static int mark(struct worktree *w, const git_oid *commit, struct fault *f)
{
	char hex[GIT_OID_HEXSZ + 1];
	int r;

	r = admin_write_at(w->tree.admin_fd, SWITCHING,
			   git_oid_tostr(hex, sizeof(hex), commit), f);
	if (r == 0)
		r = admin_sync(w->tree.admin_fd, f);
	CRASH_POINT("worktree.marked");
	return r;
}

/* on disk before the reply: a mark that came back would belie the next holder's work */
static int unmark(struct worktree *w, struct fault *f)
{
	int r = admin_remove_at(w->tree.admin_fd, SWITCHING, f);

	return r == 0 ? admin_sync(w->tree.admin_fd, f) : r;
}

/* every lock in the administration is stale by now: nobody works in the slot */
static int remove_lock(int dirfd, const char *name, void *userdata)
{
	return text_has_suffix(name, ".lock") ? admin_remove_at(dirfd, name, userdata) : 0;
}

static int remove_locks(struct worktree *w, struct fault *f)
{
	return admin_foreach_at(w->tree.admin_fd, ".", remove_lock, f, f);
}

/* moves the files; the mark stays only when they may be half moved */
static int move_files(struct worktree *w, const git_oid *commit, bool again, unsigned threads,
		      struct tree_stats *ret, struct fault *f)
{
	int r;

	if (again)
		return tree_reset(&w->tree, commit, true, threads, ret, f);
	r = tree_switch(&w->tree, commit, threads, ret, f);
	if (r == -EBUSY) {
		int u = unmark(w, NULL);

		return u < 0 ? u : r;
	}
	return r;
}

int worktree_switch(struct worktree *w, const char *branch, const git_oid *commit,
		    unsigned threads, struct tree_stats *ret, struct fault *f)
{
	_cleanup_(freep) char *why = text_printf("slotd: prepared%s%s", branch ? " on " : "",
						 branch ? branch : "");
	struct tree_stats stats = { 0 };
	int r, again;

	if (!why)
		return fault_oom(f);
	again = worktree_is_switching(w, f);
	r = again < 0 ? again : remove_locks(w, f);
	if (r == 0)
		r = mark(w, commit, f);
	if (r == 0)
		r = move_files(w, commit, again > 0, threads, &stats, f);
	CRASH_POINT("worktree.switch.moved");
	if (r == 0)
		r = worktree_set_head(w, branch, commit, why, f);
	CRASH_POINT("worktree.switch.head");
	if (r == 0)
		r = unmark(w, f);
	if (r == 0)
		*ret = stats;
	return r;
}

/* what agents may have set up for this worktree alone; HEAD's log and submodules' stores stay */
static int forget_settings(struct worktree *w, struct fault *f)
{
	static const char *const names[] = { "config.worktree", "refs", "NOTES_MERGE_REF",
					     "NOTES_MERGE_PARTIAL", "NOTES_MERGE_WORKTREE" };
	_cleanup_(closep) int info = -1;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = admin_remove_at(w->tree.admin_fd, names[i], f);
	if (r < 0)
		return r;
	info = fs_open_beneath(w->tree.admin_fd, "info", O_RDONLY | O_DIRECTORY, 0);
	if (info < 0)
		return info == -ENOENT ? 0 : admin_remove_at(w->tree.admin_fd, "info", f);
	r = admin_remove_at(info, "sparse-checkout", f);
	return r == 0 ? admin_remove_at(info, "sparse-checkout.lock", f) : r;
}

static int found_something(enum tree_change change, const char *path, void *userdata)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault(userdata, -EBUSY, "after cleaning there is something again: %s (%s)",
		     quoted ? quoted : "?", tree_change_to_string(change));
}

/* the index is where stat data is: without it every file is read */
static int reset(struct worktree *w, const git_oid *commit, unsigned flags, unsigned threads,
		 struct tree_stats *ret, struct fault *f)
{
	int r = 0;

	if (flags & WORKTREE_PROVE_CONTENT)
		r = admin_remove_at(w->tree.admin_fd, "index", f);
	return r == 0 ? tree_reset(&w->tree, commit, flags & WORKTREE_KEEP_IGNORED, threads, ret,
				   f) :
			r;
}

int worktree_forget_log(struct worktree *w, struct fault *f)
{
	_cleanup_(closep) int logs = openat(w->tree.admin_fd, "logs",
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* a slot without a log has nothing to forget; git begins a new one */
	return logs < 0 ? 0 : admin_remove_at(logs, "HEAD", f);
}

int worktree_clean(struct worktree *w, const git_oid *commit, unsigned flags, unsigned threads,
		   struct tree_stats *ret, struct fault *f)
{
	struct tree_stats stats = { 0 };
	int r = mark(w, commit, f);

	if (r == 0)
		r = remove_locks(w, f);
	CRASH_POINT("worktree.clean.unlocked");
	if (r == 0)
		r = reset(w, commit, flags, threads, &stats, f);
	CRASH_POINT("worktree.clean.reset");
	if (r == 0)
		r = op_state_clear(w->tree.admin_fd, f);
	if (r == 0)
		r = forget_settings(w, f);
	CRASH_POINT("worktree.clean.cleared");
	if (r == 0)
		r = worktree_set_head(w, NULL, commit, "slotd: cleaned", f);
	if (r == 0)
		r = unmark(w, f);
	if (r == 0)
		r = tree_sweep(&w->tree, commit, false, threads, found_something, f,
			       &stats.disk_bytes, f);
	if (r == 0)
		*ret = stats;
	return r;
}

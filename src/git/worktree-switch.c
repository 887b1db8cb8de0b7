/* From one clean state to another. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/op-state.h"
#include "git/tree-saved.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

/*
 * In the administration, from before the first file is moved until HEAD has followed: in
 * between files, index and HEAD disagree, and what looks like somebody's changes is ours. The commit
 * is in it; and when the slot is being cleaned of what was saved, the set of that, for then only
 * what is in the set is ours.
 */
#define SWITCHING "slotd-switching"
#define SWITCHING_MAX_BYTES (TREE_SAVED_MAX_BYTES + GIT_OID_HEXSZ + 1)

int worktree_is_switching(struct worktree *w, struct fault *f)
{
	if (faccessat(w->tree.admin_fd, SWITCHING, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s", SWITCHING);
}

/* a set that is too large is as good as an empty one: after a kill all is saved again */
static int encode_saved(const struct tree_saved *saved, struct text *out)
{
	_cleanup_(tree_saved_freep) struct tree_saved *none = NULL;
	int r = tree_saved_encode(saved, out);

	if (r != -EFBIG)
		return r;
	none = tree_saved_new();
	return none ? tree_saved_encode(none, out) : -ENOMEM;
}

static int mark(struct worktree *w, const git_oid *commit, const struct tree_saved *saved,
		struct fault *f)
{
	_cleanup_(text_deinit) struct text t = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	int r;

	text_addf(&t, "%s\n", git_oid_tostr(hex, sizeof(hex), commit));
	if ((saved && encode_saved(saved, &t) < 0) || t.failed)
		return fault_oom(f);
	r = admin_write_bytes_at(w->tree.admin_fd, SWITCHING, t.data, t.len, f);
	if (r == 0)
		r = admin_sync(w->tree.admin_fd, f);
	CRASH_POINT("worktree.marked");
	return r;
}

int worktree_read_saved(struct worktree *w, struct tree_saved **ret, struct fault *f)
{
	_cleanup_(freep) char *data = NULL;
	size_t len = 0, line;
	int r;

	*ret = NULL;
	r = fs_read_file_at(w->tree.admin_fd, SWITCHING, SWITCHING_MAX_BYTES, &data, &len);
	if (r == -ENOENT)
		return 0;
	if (r == -ENOMEM)
		return fault_oom(f);
	line = r == 0 ? strcspn(data, "\n") : 0;
	if (r == 0 && line + 1 >= len)
		return 0;
	if (r == 0)
		r = tree_saved_decode(data + line + 1, len - line - 1, ret);
	if (r == -ENOMEM)
		return fault_oom(f);
	if (r == 0)
		return 0;
	log_warning("what had been saved of a slot is not known any more slot=%s", w->name);
	*ret = tree_saved_new();
	return *ret ? 0 : fault_oom(f);
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
		return tree_reset(&w->tree, commit,
				  &(struct tree_reset_options){ .threads = threads }, ret, f);
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
		r = mark(w, commit, NULL, f);
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
static int reset(struct worktree *w, const git_oid *commit,
		 const struct worktree_clean_options *options, struct tree_stats *ret,
		 struct fault *f)
{
	struct tree_reset_options how = { .policy = options->policy, .threads = options->threads };
	int r = 0;

	if (options->prove_content)
		r = admin_remove_at(w->tree.admin_fd, "index", f);
	return r == 0 ? tree_reset(&w->tree, commit, &how, ret, f) : r;
}

static int forget_log(struct worktree *w, struct fault *f)
{
	_cleanup_(closep) int logs = openat(w->tree.admin_fd, "logs",
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* a slot without a log has nothing to forget; git begins a new one */
	return logs < 0 ? 0 : admin_remove_at(logs, "HEAD", f);
}

int worktree_clean(struct worktree *w, const git_oid *commit,
		   const struct worktree_clean_options *options, struct tree_stats *ret,
		   struct fault *f)
{
	struct tree_sweep_options proof = { .policy = options->policy, .threads = options->threads };
	struct tree_stats stats = { 0 };
	int r = mark(w, commit, options->saved, f);

	if (r == 0)
		r = remove_locks(w, f);
	CRASH_POINT("worktree.clean.unlocked");
	if (r == 0)
		r = reset(w, commit, options, &stats, f);
	CRASH_POINT("worktree.clean.reset");
	if (r == 0)
		r = op_state_clear(w->tree.admin_fd, f);
	if (r == 0)
		r = forget_settings(w, f);
	CRASH_POINT("worktree.clean.cleared");
	if (r == 0)
		r = worktree_set_head(w, NULL, commit, "slotd: cleaned", f);
	if (r == 0 && options->forget)
		r = forget_log(w, f);
	if (r == 0)
		r = unmark(w, f);
	if (r == 0)
		r = tree_sweep(&w->tree, commit, &proof, found_something, f, &stats.disk_bytes, f);
	if (r == 0)
		*ret = stats;
	return r;
}

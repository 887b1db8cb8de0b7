/* As if nobody had ever been here. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/admin-work.h"
#include "git/index-write.h"
#include "git/index-read.h"
#include "git/reflog.h"
#include "git/tree-saved.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define CLEANED "slotd: cleaned" /* in the log of HEAD */
#define HEAD_LOCK "HEAD.lock"
#define LOCK_STALE_USEC USEC_PER_SEC /* after so long */

/* --- locks --- */

/* every lock in the administration is stale by now: nobody works in the slot */
static int remove_lock(int dirfd, const char *name, void *userdata)
{
	return text_has_suffix(name, ".lock") ? admin_remove_at(dirfd, name, userdata) : 0;
}

int worktree_remove_locks(struct worktree *w, struct fault *f)
{
	return admin_foreach_at(w->tree.admin_fd, ".", remove_lock, f, f);
}

/* of a clock that was set back nothing is believed */
static bool is_fresh(const struct stat *st)
{
	uint64_t now = clock_wall_usec();
	uint64_t changed = (uint64_t)st->st_ctim.tv_sec * USEC_PER_SEC + (uint64_t)st->st_ctim.tv_nsec / 1000;

	return changed <= now && now - changed < LOCK_STALE_USEC;
}

/*
 * A git that has a lock renames it in the end, whoever's it is by then: without its lock it would take ours,
 * and what it wrote were lost.
 */
static int remove_stale_lock(int dirfd, const char *name, void *userdata)
{
	struct stat st;

	if (!text_has_suffix(name, ".lock"))
		return 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_fresh(&st))
		return fault(userdata, -EBUSY, "%s is there: git is at work", name);
	return admin_remove_at(dirfd, name, userdata);
}

static int remove_locks(struct worktree *w, const struct worktree_clean_options *options, struct fault *f)
{
	int r;

	if (!admin_work_is_noted(options->saved) || options->locks_are_stale)
		return worktree_remove_locks(w, f);
	r = admin_foreach_at(w->tree.admin_fd, ".", remove_stale_lock, f, f);
	return r == -EBUSY ? WORKTREE_E_UNSAVED : r;
}

/* -EBUSY: somebody was faster */
static int lock_index(struct worktree *w, const struct tree_saved *saved, struct fault *f)
{
	return admin_work_is_noted(saved) ? admin_lock_at(w->tree.admin_fd, INDEX_LOCK, f) :
					    index_lock(w->tree.admin_fd, f);
}

/* --- what a try that was killed has done --- */

static bool is_of_commit(const struct tree_list *index, const struct tree_list *tree)
{
	if (index->n != tree->n)
		return false;
	for (size_t i = 0; i < index->n; i++) {
		const struct tree_entry *a = &index->entries[i], *b = &tree->entries[i];

		if (a->flags != 0 || a->mode != b->mode || !git_oid_equal(&a->oid, &b->oid) ||
		    strcmp(a->path, b->path) != 0)
			return false;
	}
	return true;
}

static bool is_our_index(struct worktree *w, const git_oid *commit)
{
	_cleanup_(index_deinit) struct index index = { 0 };
	_cleanup_(tree_list_deinit) struct tree_list tree = { 0 };

	return index_read(w->tree.admin_fd, &index, NULL) == 0 &&
	       tree_list_load(w->repo, commit, &tree, NULL) == 0 &&
	       is_of_commit(&index.list, &tree);
}

static bool is_our_head(struct worktree *w, const git_oid *commit)
{
	_cleanup_(freep) char *branch = NULL;
	git_oid head;

	return worktree_head(w, &branch, &head, NULL) == 0 && !branch &&
	       git_oid_equal(&head, commit);
}

struct last_line {
	const git_oid *commit;
	bool is_ours;
};

static int read_line(const struct reflog_entry *e, void *userdata)
{
	struct last_line *l = userdata;

	l->is_ours = e->is_ours && git_oid_equal(&e->to, l->commit) && strcmp(e->message, CLEANED) == 0;
	return 0;
}

/* forgotten, or nobody has moved HEAD since we did */
static bool is_our_log(struct worktree *w, const git_oid *commit)
{
	struct last_line l = { commit, true };

	return reflog_foreach_entry(w->tree.admin_fd, "logs/HEAD", read_line, &l, NULL) == 0 && l.is_ours;
}

static const struct {
	const char *name;
	bool (*is_ours)(struct worktree *w, const git_oid *commit);
} admin_files[] = {
	{ "index", is_our_index },
	{ "HEAD", is_our_head },
	{ "logs/HEAD", is_our_log },
};

static bool is_ours(struct worktree *w, const char *name, const git_oid *commit)
{
	for (size_t i = 0; i < ARRAY_SIZE(admin_files); i++)
		if (strcmp(admin_files[i].name, name) == 0)
			return admin_files[i].is_ours(w, commit);
	return false;
}

/* --- the administration --- */

/*
 * Is a file of it still the one that was saved, or still absent? What the set does not know is fine, and
 * so is what an earlier try has made of it on the way to a commit: @tried, NULL when there was none.
 */
static int check_file(struct worktree *w, const struct tree_saved *saved, const char *name,
		      const git_oid *tried, struct fault *f)
{
	char path[32] = ".git/";
	struct stat st = { 0 };

	strncat(path, name, sizeof(path) - strlen(path) - 1);
	if (!tree_saved_knows(saved, path))
		return 0;
	if (fstatat(w->tree.admin_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT &&
	    errno != ENOTDIR)
		return fault_errno(f, -errno, "cannot look at %s", path);
	if (tree_saved_has(saved, path, &st) || (tried && is_ours(w, name, tried)))
		return 0;
	return fault(f, WORKTREE_E_UNSAVED, "%s is not what was saved", path);
}

static int check_work(struct worktree *w, const struct tree_saved *saved, struct fault *f)
{
	int r = admin_work_check(w->tree.admin_fd, saved, f);

	return r == -EBUSY ? WORKTREE_E_UNSAVED : r;
}

/* whoever commits or checks out something changes one of these */
static int check_head(struct worktree *w, const struct tree_saved *saved, const git_oid *tried,
		      struct fault *f)
{
	int r = check_file(w, saved, "HEAD", tried, f);

	return r == 0 ? check_file(w, saved, "logs/HEAD", tried, f) : r;
}

static int check_admin(struct worktree *w, const struct tree_saved *saved, const git_oid *tried,
		       struct fault *f)
{
	int r = check_file(w, saved, "index", tried, f);

	if (r == 0)
		r = check_head(w, saved, tried, f);
	return r == 0 ? check_work(w, saved, f) : r;
}

struct clearing {
	const char *const *kept;
	size_t n_kept;
	bool spares_work; /* what has come since that was cleared */
	struct fault *f;
};

static int clear_name(int dirfd, const char *name, void *userdata)
{
	const struct clearing *c = userdata;

	for (size_t i = 0; i < c->n_kept; i++)
		if (strcmp(c->kept[i], name) == 0)
			return 0;
	if (c->spares_work && admin_work_is(name))
		return 0;
	return admin_remove_at(dirfd, name, c->f);
}

/*
 * All goes but what makes it a worktree: operations in progress, settings, refs of this worktree
 * alone, sparse-checkout, parts of a split index. The stores of submodules and the logs stay until they
 * are forgotten, for they may hold commits.
 */
static int clear_all(struct worktree *w, bool forget, struct fault *f)
{
	static const char *const kept[] = { "HEAD",   "index", "commondir",   "gitdir",
					    "locked", "logs",  WORKTREE_MARK, "modules" };
	static const char *const logs[] = { "HEAD" };
	struct clearing admin = { kept, ARRAY_SIZE(kept) - forget, false, f };
	struct clearing log = { logs, ARRAY_SIZE(logs), false, f };
	int r = admin_foreach_at(w->tree.admin_fd, ".", clear_name, &admin, f);

	return r == 0 ? admin_foreach_at(w->tree.admin_fd, "logs", clear_name, &log, f) : r;
}

/* the same, but of what is somebody's work only what was saved; WORKTREE_E_UNSAVED: there is more */
static int clear_saved(struct worktree *w, const struct tree_saved *saved, struct fault *f)
{
	static const char *const kept[] = { "HEAD",   "index", "commondir",   "gitdir",
					    "locked", "logs",  WORKTREE_MARK, HEAD_LOCK };
	struct clearing rest = { kept, ARRAY_SIZE(kept), true, f };
	int r = admin_work_clear(w->tree.admin_fd, saved, f);

	if (r == 0)
		r = admin_foreach_at(w->tree.admin_fd, ".", clear_name, &rest, f);
	return r == -EBUSY ? WORKTREE_E_UNSAVED : r == 0 ? check_work(w, saved, f) : r;
}

static int forget_log(struct worktree *w, struct fault *f)
{
	_cleanup_(closep) int logs =
		openat(w->tree.admin_fd, "logs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* a slot without a log has nothing to forget; git begins a new one */
	return logs < 0 ? 0 : admin_remove_at(logs, "HEAD", f);
}

/* --- all of it --- */

/* the index says what may be there, so it stays until it is replaced */
static int reset(struct worktree *w, const git_oid *commit,
		 const struct worktree_clean_options *options, int lock, struct tree_stats *ret,
		 struct fault *f)
{
	struct tree_reset_options how = { .policy = options->policy,
					  .threads = options->threads,
					  .prove_content = options->prove_content,
					  .saved = options->saved,
					  .held = options->held,
					  .index_lock = lock,
					  .trash_dir_fd = w->slots_fd,
					  .trash = w->trash };

	return tree_reset(&w->tree, commit, &how, ret, f);
}

/* nothing was changed: a slot that had no mark before has none now */
static int give_up(struct worktree *w, bool again)
{
	int r = again ? 0 : worktree_unmark(w, NULL);

	return r < 0 ? r : WORKTREE_E_UNSAVED;
}

static int clear_admin(struct worktree *w, const struct worktree_clean_options *options, struct fault *f)
{
	int r = admin_work_is_noted(options->saved) ?
			clear_saved(w, options->saved, f) :
			clear_all(w, options->forget || options->saved, f);

	CRASH_POINT("worktree.clean.cleared");
	return r;
}

static int move_head(struct worktree *w, const git_oid *commit, const struct worktree_clean_options *options,
		     const git_oid *tried, struct fault *f)
{
	int r = check_head(w, options->saved, tried, f);

	if (r == 0)
		r = worktree_set_head(w, NULL, commit, CLEANED, f);
	if (r == 0 && (options->forget || options->saved))
		r = forget_log(w, f);
	CRASH_POINT("worktree.clean.forgotten");
	return r;
}

/* with its lock from before HEAD and its log are compared: what is committed in between were forgotten */
static int move_head_locked(struct worktree *w, const git_oid *commit,
			    const struct worktree_clean_options *options, const git_oid *tried, struct fault *f)
{
	int lock, r;

	if (!admin_work_is_noted(options->saved))
		return move_head(w, commit, options, tried, f);
	lock = admin_lock_at(w->tree.admin_fd, HEAD_LOCK, f);
	if (lock < 0)
		return lock == -EBUSY ? WORKTREE_E_UNSAVED : lock;
	r = move_head(w, commit, options, tried, f);
	admin_unlock_at(w->tree.admin_fd, HEAD_LOCK, lock);
	return r;
}

static int settle_admin(struct worktree *w, const git_oid *commit, const struct worktree_clean_options *options,
			const git_oid *tried, struct fault *f)
{
	int r = check_head(w, options->saved, tried, f);

	if (r == 0)
		r = check_work(w, options->saved, f);
	if (r == 0)
		r = clear_admin(w, options, f);
	return r == 0 ? move_head_locked(w, commit, options, tried, f) : r;
}

static int found_something(enum tree_change change, const char *path, void *userdata)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);
	const char *name = quoted ? quoted : "?";

	if (change == TREE_CHANGE_MOUNT)
		return fault(userdata, -EXDEV, "something is mounted on %s", name);
	return fault(userdata, -EBUSY, "after cleaning there is something again: %s (%s)", name,
		     tree_change_to_string(change));
}

static int prove(struct worktree *w, const git_oid *commit,
		 const struct worktree_clean_options *options, struct tree_stats *stats,
		 struct fault *f)
{
	struct tree_sweep_options how = { .policy = options->policy, .threads = options->threads };
	int r = tree_sweep(&w->tree, commit, &how, found_something, f, &stats->disk_bytes, f);

	return r == -EBUSY && options->saved ? WORKTREE_E_UNSAVED : r;
}

/* the slot is at the commit, or what is left in it was told in @why */
static int finish(struct worktree *w, const git_oid *commit, const struct worktree_clean_options *options,
		  const git_oid *tried, const struct fault *why, struct tree_stats *stats, struct fault *f)
{
	int r = settle_admin(w, commit, options, tried, f);

	if (r == 0 && why)
		return fault(f, WORKTREE_E_UNSAVED, "%s", why->text);
	if (r == 0)
		r = worktree_unmark(w, f);
	/* what was reset has been looked at, and nothing was to be done: that is the proof */
	return r == 0 && !stats->untouched ? prove(w, commit, options, stats, f) : r;
}

/*
 * From before it is made sure that the index is what was saved until it is replaced, its lock is ours: what
 * git would stage in between were staged nowhere.
 */
static int clean_locked(struct worktree *w, const git_oid *commit, const struct worktree_clean_options *options,
			int again, int lock, struct tree_stats *stats, struct fault *f)
{
	const git_oid *tried = again ? commit : NULL;
	struct fault why = FAULT_NONE;
	int moved, r = check_admin(w, options->saved, tried, f);

	if (r == 0)
		r = worktree_mark(w, commit, options->saved, f);
	CRASH_POINT("worktree.clean.unlocked");
	if (r != 0)
		return r;
	moved = reset(w, commit, options, lock, stats, f);
	CRASH_POINT("worktree.clean.reset");
	if (moved == TREE_E_UNSAVED)
		return give_up(w, again > 0);
	if (moved < 0)
		return moved;
	if (f)
		why = *f;
	return finish(w, commit, options, tried, moved == TREE_E_LEFT ? &why : NULL, stats, f);
}

int worktree_clean(struct worktree *w, const git_oid *commit,
		   const struct worktree_clean_options *options, struct tree_stats *ret,
		   struct fault *f)
{
	struct tree_stats stats = { 0 };
	int again = worktree_is_switching(w, f), lock = -1, r;

	r = again < 0 ? again : remove_locks(w, options, f);
	if (r != 0)
		return r;
	lock = lock_index(w, options->saved, f);
	if (lock < 0)
		return lock == -EBUSY ? WORKTREE_E_UNSAVED : lock;
	r = clean_locked(w, commit, options, again, lock, &stats, f);
	index_unlock(w->tree.admin_fd, lock);
	if (r == 0)
		*ret = stats;
	return r;
}

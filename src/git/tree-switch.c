/* From one clean commit to another: only the difference, and only if nobody is in its way. */
#include "git/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/index-write.h"
#include "git/tree-apply.h"
#include "git/tree-check.h"
#include "git/tree-walk.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define MAX_LEVELS 64

struct turn {
	struct repo *repo;
	struct index index;	 /* where the slot stands */
	struct tree_list commit; /* where it goes; unchanged entries take their stat data along */
	struct convert *before, *after;
	struct tree_checker checker;
	struct tree_picks check;  /* entries of the index that will be overwritten or removed */
	struct tree_picks remove; /* of the index */
	struct tree_picks write;  /* of the commit */
	struct tree_picks added;  /* those of write that the index does not have */
};

static void turn_deinit(struct turn *t)
{
	tree_picks_deinit(&t->check);
	tree_picks_deinit(&t->remove);
	tree_picks_deinit(&t->write);
	tree_picks_deinit(&t->added);
	convert_free(t->before);
	convert_free(t->after);
	tree_list_deinit(&t->commit);
	index_deinit(&t->index);
	repo_close(t->repo);
}

static int busy(struct fault *f, const char *path, const char *why)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault(f, -EBUSY, "\"%s\" %s", quoted ? quoted : path, why);
}

static bool is_unchanged(const struct turn *t, const struct tree_entry *old,
			 const struct tree_entry *e)
{
	return old->mode == e->mode && git_oid_equal(&old->oid, &e->oid) &&
	       convert_is_same(t->before, t->after, e->path);
}

/*
 * The new index is younger than an entry that was racy against the old one, and would make it look
 * proven. A size of zero never fits a file that has content, so that its content is looked at.
 */
static void keep_stat(const struct turn *t, const struct tree_entry *old, struct tree_entry *e)
{
	e->stat = old->stat;
	if (index_is_racy(&t->index, &old->stat))
		e->stat = (struct tree_stat){ 0 };
}

/* one pass over both sorted lists */
static int turn_compare(struct turn *t)
{
	size_t i = 0, c = 0;
	int r = 0;

	while (r == 0 && (i < t->index.list.n || c < t->commit.n)) {
		struct tree_entry *old = i < t->index.list.n ? &t->index.list.entries[i] : NULL;
		struct tree_entry *e = c < t->commit.n ? &t->commit.entries[c] : NULL;
		int order = tree_entry_order(old, e);

		i += order <= 0;
		c += order >= 0;
		if (order == 0 && is_unchanged(t, old, e)) {
			keep_stat(t, old, e);
			continue;
		}
		if (order <= 0)
			r = tree_picks_add(&t->check, old);
		if (r == 0 && order < 0)
			r = tree_picks_add(&t->remove, old);
		if (r == 0 && order >= 0)
			r = tree_picks_add(&t->write, e);
		if (r == 0 && order > 0)
			r = tree_picks_add(&t->added, e);
	}
	return r;
}

/* only a plain index can be followed: nothing unmerged, hidden or half added */
static int check_index(const struct turn *t, struct fault *f)
{
	for (size_t i = 0; i < t->index.list.n; i++)
		if (t->index.list.entries[i].flags)
			return busy(f, t->index.list.entries[i].path,
				    "is unmerged, hidden or half added in the index");
	return 0;
}

/* a submodule's directory may only go when nothing is in it; not there is fine */
static int check_gitlink(struct tree_worker *w, int dir_fd, const char *name,
			 const struct tree_entry *e)
{
	int fd = fs_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	struct dirent *entry;
	bool empty = true;
	DIR *dir;

	if (fd == -ENOENT)
		return 0;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return busy(w->f, e->path, "is no submodule's directory any more");
	}
	while (empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(dir);
	return empty ? 0 : busy(w->f, e->path, "has a submodule's files in it");
}

static int check_one(struct tree_worker *w, size_t i, void *userdata)
{
	struct turn *t = userdata;
	struct tree_entry *e = t->check.entries[i];
	size_t dir_len = tree_path_dir(e->path, e->path_len);
	const char *name = e->path + dir_len + (dir_len > 0);
	int dir_fd = tree_worker_dir(w, e->path, dir_len);
	int r;

	if (dir_fd < 0)
		return busy(w->f, e->path, "is not where the index has it");
	if (e->mode == TREE_MODE_GITLINK)
		return check_gitlink(w, dir_fd, name, e);
	r = tree_check(w, &t->checker, dir_fd, name, e, NULL);
	if (r < 0)
		return r;
	return r == TREE_CHECK_SAME ? 0 : busy(w->f, e->path, "is not what the index says");
}

/* is everything in a directory tracked, and so going to be removed? -EBUSY names what is not */
static int check_covered(struct tree_worker *w, const struct turn *t, int dir_fd, const char *name,
			 const char *path, unsigned level)
{
	int fd = fs_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return busy(w->f, path, "is in the way");
	}
	while (r == 0 && (entry = readdir(dir))) {
		_cleanup_(freep) char *below = text_printf("%s/%s", path, entry->d_name);
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!below)
			r = fault_oom(w->f);
		else if (tree_list_find(&t->index.list, below, strlen(below)))
			continue;
		else if (level < MAX_LEVELS &&
			 fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			 S_ISDIR(st.st_mode))
			r = check_covered(w, t, dirfd(dir), entry->d_name, below, level + 1);
		else
			r = busy(w->f, below, "is in the way");
	}
	closedir(dir);
	return r;
}

/* a file of ours that goes may stand where a directory will */
static bool is_below_removed_file(const struct turn *t, const char *path, size_t len)
{
	while ((len = tree_path_dir(path, len)) > 0)
		if (tree_list_find(&t->index.list, path, len))
			return true;
	return false;
}

/* nothing may be there yet, but for what is going to be removed */
static int check_added(struct tree_worker *w, const struct turn *t, const struct tree_entry *e)
{
	size_t dir_len = tree_path_dir(e->path, e->path_len);
	const char *name = e->path + dir_len + (dir_len > 0);
	int dir_fd = tree_worker_dir(w, e->path, dir_len);
	struct stat st;

	if (dir_fd == -ENOENT)
		return 0;
	if (dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return is_below_removed_file(t, e->path, e->path_len)
			       ? 0
			       : busy(w->f, e->path, "has something in its way");
	if (dir_fd < 0)
		return fault_errno(w->f, dir_fd, "cannot open the directory of %s", e->path);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : fault_errno(w->f, -errno, "cannot look at %s", e->path);
	if (S_ISDIR(st.st_mode))
		return check_covered(w, t, dir_fd, name, e->path, 0);
	return busy(w->f, e->path, "is in the way");
}

static int check_all(struct turn *t, const struct tree_slot *slot, struct tree_worker *w,
		     unsigned threads)
{
	int r;

	if (faccessat(slot->admin_fd, "index.lock", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return fault(w->f, -EBUSY, "the index is locked (index.lock)");
	r = tree_work(slot, t->repo, t->check.n, 16, threads, check_one, t, NULL, w->f);
	for (size_t i = 0; i < t->added.n && r == 0; i++)
		r = check_added(w, t, t->added.entries[i]);
	return r < 0 ? r : tree_apply_verify(t->repo, &t->write, w->f);
}

/* removed files first: a directory may have to become a file, or a file a directory */
static int apply(struct turn *t, const struct tree_slot *slot, struct tree_worker *w,
		 unsigned threads, struct tree_stats *stats)
{
	struct tree_apply_how how = { t->after, threads, -1, 0 };
	int r = 0;

	tree_worker_forget_dir(w);
	for (size_t i = 0; i < t->remove.n && r == 0; i++) {
		r = tree_apply_remove(w, t->remove.entries[i]->path);
		CRASH_POINT("tree.switch.unlink");
	}
	for (size_t i = t->remove.n; i-- > 0 && r == 0;)
		tree_apply_prune(w, t->remove.entries[i]->path);
	if (r == 0)
		r = tree_apply_write(slot, t->repo, &t->write, &how, stats, w->f);
	if (r == 0)
		r = tree_apply_gitlinks(w, &t->commit, &how.blocked);
	CRASH_POINT("tree.switch.index");
	return r < 0 ? r : index_write(slot->admin_fd, &t->commit, &t->commit, w->f);
}

static int turn_load(struct turn *t, const struct tree_slot *slot, const git_oid *commit,
		     struct fault *f)
{
	int r;

	r = repo_open(slot->common_dir, &t->repo, f);
	if (r == 0)
		r = index_read(slot->admin_fd, &t->index, f);
	if (r == -ENOENT)
		r = fault(f, -EUCLEAN, "the slot has no index");
	if (r == 0)
		r = check_index(t, f);
	if (r == 0)
		r = tree_list_load(t->repo, commit, &t->commit, f);
	if (r == 0)
		r = convert_load(t->repo, &t->index.list, &t->before, f);
	if (r == 0)
		r = convert_load(t->repo, &t->commit, &t->after, f);
	if (r < 0)
		return r;
	t->checker = (struct tree_checker){ .index = &t->index,
					    .convert = t->before,
					    .trust_filemode = tree_trust_filemode(t->repo) };
	return turn_compare(t) < 0 ? fault_oom(f) : 0;
}

int tree_switch(const struct tree_slot *slot, const git_oid *commit, unsigned threads,
		struct tree_stats *ret, struct fault *f)
{
	_cleanup_(turn_deinit) struct turn t = { 0 };
	struct tree_stats stats = { 0 };
	struct tree_worker w;
	int r;

	r = turn_load(&t, slot, commit, f);
	if (r < 0)
		return r;
	tree_worker_init(&w, slot, t.repo, f);
	r = check_all(&t, slot, &w, threads);
	if (r == 0)
		r = apply(&t, slot, &w, threads, &stats);
	stats.removed = w.stats.removed;
	tree_worker_deinit(&w);
	if (r < 0)
		return r;
	stats.files = t.commit.n;
	*ret = stats;
	return 0;
}

/* What nobody committed. */
#include "git/tree-walker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-file.h"
#include "util/cleanup.h"
#include "util/text.h"

/*
 * One descriptor a level. Deeper than this an untracked directory is not told apart any more: it
 * is untracked as a whole, ignored files in it included.
 */
#define MAX_LEVELS 64

static int judge(struct tree_walker *w, const char *dir, int dir_fd, const char *name, unsigned fate,
		 bool in_the_way, unsigned level);

static bool is_mount(const struct tree_walker *w, uint64_t mount_id)
{
	uint64_t own = w->walk->checker.mount_id;

	return mount_id && own && mount_id != own;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* all that is below a directory; what was found is reported one by one */
static int judge_entries(struct tree_walker *w, const char *path, DIR *dir, unsigned fate,
			 bool in_the_way, unsigned level)
{
	struct dirent *entry;
	int r = 0;

	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (!is_dots(entry->d_name))
			r = judge(w, path, dirfd(dir), entry->d_name, fate, in_the_way, level + 1);
	return r == 0 && errno ? fault_errno(&w->fault, -errno, "cannot list %s", path) : r;
}

/* can these reports be said as one, of the directory? false: some are of another kind */
static bool are_plain(const struct tree_walker *w, size_t from, bool *ret_any_file)
{
	*ret_any_file = false;
	for (size_t i = from; i < w->n_found; i++) {
		if (w->found[i].change == TREE_CHANGE_UNTRACKED)
			*ret_any_file = true;
		else if (w->found[i].change != TREE_FOUND_EMPTY_DIR)
			return false;
	}
	return true;
}

static int judge_dir(struct tree_walker *w, const char *path, int dir_fd, const char *name,
		     unsigned fate, bool in_the_way, unsigned level)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	size_t before = w->n_found;
	bool any_file;
	int r;

	if (level >= MAX_LEVELS)
		return tree_walker_report(w, TREE_CHANGE_UNTRACKED, path, true, NULL);
	r = tree_walker_open(w, dir_fd, name, &dir);
	if (r == -ENOENT)
		return 0;
	if (r == -EXDEV)
		return tree_walker_report(w, TREE_CHANGE_MOUNT, path, true, NULL);
	if (r == -ELOOP || r == -ENOTDIR)
		return tree_walker_report(w, TREE_CHANGE_UNTRACKED, path, false, NULL);
	if (r == -EACCES)
		return tree_walker_report(w, TREE_CHANGE_UNREADABLE, path, true, NULL);
	if (r < 0)
		return fault_errno(&w->fault, r, "cannot open %s", path);
	if (faccessat(dirfd(dir), ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return tree_walker_report(w, TREE_CHANGE_NESTED, path, true, NULL);
	r = judge_entries(w, path, dir, fate, in_the_way, level);
	if (r < 0 || !are_plain(w, before, &any_file))
		return r;
	tree_walker_forget(w, before);
	return tree_walker_report(w, any_file ? TREE_CHANGE_UNTRACKED : TREE_FOUND_EMPTY_DIR, path,
				  true, NULL);
}

static int judge_leaf(struct tree_walker *w, const char *path, const struct stat *st)
{
	bool special = !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode);

	return tree_walker_report(w, special ? TREE_CHANGE_SPECIAL : TREE_CHANGE_UNTRACKED, path,
				  false, NULL);
}

static int judge(struct tree_walker *w, const char *dir, int dir_fd, const char *name, unsigned fate,
		 bool in_the_way, unsigned level)
{
	_cleanup_(freep) char *path = tree_walker_path(dir, name);
	uint64_t mount_id = 0;
	struct stat st;
	bool is_dir;
	int r;

	if (!path)
		return fault_oom(&w->fault);
	r = tree_stat_at(dir_fd, name, &st, &mount_id);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return fault_errno(&w->fault, r, "cannot look at %s", path);
	is_dir = S_ISDIR(st.st_mode);
	if (is_mount(w, mount_id))
		return tree_walker_report(w, TREE_CHANGE_MOUNT, path, is_dir, NULL);
	if (text_has_prefix(name, TREE_TMP_PREFIX) || (is_dir && !*dir && text_has_prefix(name, TREE_ASIDE_PREFIX)))
		fate = 0;
	else if (!in_the_way)
		fate |= tree_fate(w->walk, path, is_dir);
	if (fate & TREE_FATE_WIPED) {
		if (fate & TREE_FATE_IGNORED)
			return tree_walker_report(w, TREE_FOUND_WIPED, path, is_dir, NULL);
	} else if (fate) {
		r = tree_walker_report(w, TREE_CHANGE_IGNORED, path, is_dir, NULL);
		return r < 0 ? r : tree_look_through(w, dir_fd, name, path, fate);
	}
	w->disk_bytes += (uint64_t)st.st_blocks * 512;
	return is_dir ? judge_dir(w, path, dir_fd, name, fate, in_the_way, level)
		      : judge_leaf(w, path, &st);
}

int tree_untracked(struct tree_walker *w, const char *dir, int dir_fd, const char *name,
		   unsigned fate, bool in_the_way)
{
	return judge(w, dir, dir_fd, name, fate, in_the_way, 0);
}

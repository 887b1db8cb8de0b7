/* What was removed goes first, what is written comes after it. */
#include "git/salvage-apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git/tree-apply.h"
#include "util/cleanup.h"
#include "util/crash.h"

/* --- removing --- */

static int remove_gitlink(struct tree_worker *w, int dir_fd, const struct tree_entry *e)
{
	if (unlinkat(dir_fd, salvage_name_of(e), AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	return errno == ENOTEMPTY ? salvage_busy(w->f, e->path, "has a submodule's files in it")
				  : salvage_path_fault(w->f, -errno, "remove", e->path);
}

static int remove_one(struct tree_worker *w, const struct salvage_apply *a,
		      const struct tree_entry *e)
{
	int dir_fd = salvage_open_dir(w, e->path, tree_path_dir(e->path, e->path_len));
	struct stat st;
	int r;

	if (dir_fd == -ENOENT || dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return 0; /* so it is gone */
	if (dir_fd < 0)
		return salvage_path_fault(w->f, dir_fd, "open the directory of", e->path);
	if (e->mode == TREE_MODE_GITLINK)
		return remove_gitlink(w, dir_fd, e);
	if (fstatat(dir_fd, salvage_name_of(e), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : salvage_path_fault(w->f, -errno, "look at", e->path);
	/* a directory of the goal may be there by now; another one is in nobody's way yet */
	if (S_ISDIR(st.st_mode))
		return 0;
	r = salvage_is_before(w, a, dir_fd, e->path, e->path_len);
	if (r <= 0)
		return r < 0 ? r
			     : salvage_busy(w->f, e->path,
				    "is not in the salvage, and has changed: move it away");
	if (unlinkat(dir_fd, salvage_name_of(e), 0) < 0 && errno != ENOENT)
		return salvage_path_fault(w->f, -errno, "remove", e->path);
	w->stats.removed++;
	CRASH_POINT("salvage.file.removed");
	return 0;
}

static int remove_all(const struct salvage_apply *a, struct tree_worker *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->before->n; i++) {
		struct tree_entry *e = &a->before->entries[i];

		if (!salvage_is_replaced(a, e))
			r = remove_one(w, a, e);
	}
	/* now that the files are gone */
	for (size_t i = a->before->n; r == 0 && i-- > 0;) {
		struct tree_entry *e = &a->before->entries[i];

		if (!salvage_is_replaced(a, e))
			tree_apply_prune(w, e->path);
	}
	return r;
}

/* --- writing --- */

static bool is_converted(const struct salvage_apply *a, const struct tree_entry *e)
{
	return e->mode != TREE_MODE_LINK && !(e->flags & SALVAGE_ENTRY_VERBATIM) &&
	       !convert_is_plain(a->goal->convert, e->path);
}

/* B's file as a checkout of B writes it. 1: done; 0: nothing is to be converted in it */
static int put_converted(struct repo *repo, const struct salvage_apply *a, int dir_fd,
			 const struct tree_entry *e, uint32_t perm, bool replace, struct stat *ret,
			 struct fault *f)
{
	_cleanup_(text_deinit) struct text converted = { 0 };
	git_odb_object *o = NULL;
	int r, rc = git_odb_read(&o, repo_odb(repo), &e->oid);

	if (rc < 0)
		return git_fault(f, rc, "the blob %s cannot be read", git_oid_tostr_s(&e->oid));
	r = convert_to_slot(a->goal->convert, e->path, &e->oid, git_odb_object_data(o),
			    git_odb_object_size(o), &converted);
	git_odb_object_free(o);
	if (r <= 0)
		return r < 0 ? fault_oom(f) : 0;
	r = salvage_put_text(dir_fd, salvage_name_of(e), e->mode, perm, &converted, replace, ret);
	return r < 0 ? r : 1;
}

static int put(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
	       struct tree_entry *e, bool replace)
{
	uint32_t perm = salvage_goal_mode(a->goal, e->path, false);
	struct fault why = FAULT_NONE;
	struct repo *repo;
	struct stat st;
	int r = tree_worker_repo(w, &repo);

	if (r < 0)
		return r;
	if (is_converted(a, e))
		r = put_converted(repo, a, dir_fd, e, perm, replace, &st, &why);
	if (r == 0)
		r = salvage_put_file(repo, dir_fd, salvage_name_of(e), e->mode, perm, &e->oid, replace, &st,
				     &why);
	if (r == -EEXIST || r == -EISDIR || r == -ENOTEMPTY)
		return salvage_busy(w->f, e->path, SALVAGE_IN_THE_WAY);
	if (r < 0)
		return why.text[0] ? fault(w->f, r, "%s", why.text)
				   : salvage_path_fault(w->f, r, "write", e->path);
	tree_stat_fill(&e->stat, &st);
	w->stats.written++;
	CRASH_POINT("salvage.file.written");
	return 0;
}

/* it has the right content already */
static int put_mode(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
		    struct tree_entry *e, struct stat *st)
{
	uint32_t perm = salvage_goal_mode(a->goal, e->path, false);

	if (perm && S_ISREG(st->st_mode) && (st->st_mode & 07777) != perm &&
	    (fchmodat(dir_fd, salvage_name_of(e), perm, AT_SYMLINK_NOFOLLOW) < 0 ||
	     fstatat(dir_fd, salvage_name_of(e), st, AT_SYMLINK_NOFOLLOW) < 0))
		return salvage_path_fault(w->f, -errno, "change the permissions of", e->path);
	tree_stat_fill(&e->stat, st);
	return 0;
}

static int write_one(struct tree_worker *w, size_t i, void *userdata)
{
	const struct salvage_apply *a = userdata;
	struct tree_entry *e = &a->goal->files.entries[i];
	size_t len =
		e->mode == TREE_MODE_GITLINK ? e->path_len : tree_path_dir(e->path, e->path_len);
	struct stat st;
	int dir_fd, r;

	if (salvage_is_kept(a, e))
		return 0;
	dir_fd = salvage_make_dir(w, e->path, len);
	if (dir_fd == -ENOTDIR || dir_fd == -ELOOP || dir_fd == -EXDEV)
		return salvage_busy(w->f, e->path, "has a file, a link or a mount in its way");
	if (dir_fd < 0)
		return salvage_path_fault(w->f, dir_fd, "make the directory of", e->path);
	if (e->mode == TREE_MODE_GITLINK)
		return 0;
	r = salvage_look(w, a, dir_fd, e, &st);
	if (r == SALVAGE_FOUND_GOAL)
		return put_mode(w, a, dir_fd, e, &st);
	if (r == SALVAGE_FOUND_NOTHING || r == SALVAGE_FOUND_BEFORE)
		return put(w, a, dir_fd, e, r == SALVAGE_FOUND_BEFORE);
	return r < 0 ? r : salvage_busy(w->f, e->path, SALVAGE_IN_THE_WAY);
}

static int make_empty_dirs(const struct salvage_apply *a, struct tree_worker *w)
{
	for (size_t i = 0; i < a->goal->dirs.n; i++) {
		const struct tree_entry *e = &a->goal->dirs.entries[i];
		int r = salvage_make_dir(w, e->path, e->path_len);

		if (r < 0)
			return salvage_path_fault(w->f, r, "make the directory", e->path);
	}
	return 0;
}

/* a submodule's entry needs its stat data in the index, once all is written below it */
static void stat_gitlinks(const struct salvage_apply *a, struct tree_worker *w)
{
	for (size_t i = 0; i < a->goal->files.n; i++) {
		struct tree_entry *e = &a->goal->files.entries[i];
		struct stat st;
		int fd;

		if (e->mode != TREE_MODE_GITLINK)
			continue;
		fd = salvage_open_dir(w, e->path, e->path_len);
		if (fd >= 0 && fstat(fd, &st) == 0)
			tree_stat_fill(&e->stat, &st);
	}
}

int salvage_apply_run(const struct salvage_apply *a, struct tree_stats *stats, struct fault *f)
{
	struct tree_worker w;
	int r;

	tree_worker_init(&w, a->slot, a->repo, f);
	r = remove_all(a, &w);
	stats->removed += w.stats.removed;
	tree_worker_forget_dir(&w);
	if (r == 0)
		r = tree_work(a->slot, a->repo, a->goal->files.n, SALVAGE_CHUNK, a->threads, write_one,
			      (void *)a, stats, f);
	CRASH_POINT("salvage.files");
	if (r == 0)
		r = make_empty_dirs(a, &w);
	if (r == 0)
		stat_gitlinks(a, &w);
	tree_worker_deinit(&w);
	return r;
}

/* the deepest first: a directory without the right to search hides what is below it */
int salvage_apply_dirs(const struct salvage_apply *a, struct fault *f)
{
	struct tree_worker w;
	int r = 0;

	tree_worker_init(&w, a->slot, a->repo, f);
	for (size_t i = a->goal->modes.n; r == 0 && i-- > 0;) {
		const struct tree_entry *e = &a->goal->modes.entries[i];
		uint32_t perm = salvage_goal_mode(a->goal, e->path, true);
		int fd = perm ? salvage_open_dir(&w, e->path, e->path_len) : -ENOENT;

		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			continue;
		if (fd < 0 || fchmod(fd, perm) < 0)
			r = salvage_path_fault(f, fd < 0 ? fd : -errno, "change the permissions of",
				       e->path);
	}
	tree_worker_deinit(&w);
	return r;
}

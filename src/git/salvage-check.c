/* Only over what is known. */
#include "git/salvage-apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "git/blob-stream.h"
#include "git/sha1.h"
#include "util/cleanup.h"
#include "util/fs.h"

/* --- what is there --- */

static int link_is(int dir_fd, const char *name, const git_oid *oid)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));
	git_oid is;

	if (n < 0)
		return -errno;
	return sha1_object(GIT_OBJECT_BLOB, target, (size_t)n, &is) < 0 ? -ENOMEM
									: git_oid_equal(&is, oid);
}

/* byte for byte: 1, 0 or a negative errno */
static int is_verbatim(int dir_fd, const char *name, const struct tree_entry *e,
		       const struct stat *st)
{
	_cleanup_(closep) int fd = -1;

	if (e->mode == TREE_MODE_LINK)
		return S_ISLNK(st->st_mode) ? link_is(dir_fd, name, &e->oid) : 0;
	if (!S_ISREG(st->st_mode) || (e->mode == TREE_MODE_EXEC) != ((st->st_mode & S_IXUSR) != 0))
		return 0;
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	return blob_is_fd(&e->oid, fd, (uint64_t)st->st_size);
}

static int is_goal(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
		   struct tree_entry *e, const struct stat *st)
{
	struct tree_checker checker = a->checker;
	int r;

	if (e->flags & SALVAGE_ENTRY_VERBATIM) {
		r = is_verbatim(dir_fd, salvage_name_of(e), e, st);
		return r < 0 ? salvage_path_fault(w->f, r, "read", e->path) : r;
	}
	checker.index = NULL;
	checker.convert = a->goal->convert;
	r = tree_check(w, &checker, dir_fd, salvage_name_of(e), e, NULL);
	return r < 0 ? r : r == TREE_CHECK_SAME;
}

int salvage_is_before(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
		     const char *path, size_t len)
{
	struct tree_entry *e = tree_list_find(a->before, path, len);
	int r;

	if (!e || e->mode == TREE_MODE_GITLINK)
		return 0;
	r = tree_check(w, &a->checker, dir_fd, salvage_name_of(e), e, NULL);
	return r < 0 ? r : r == TREE_CHECK_SAME;
}

int salvage_look(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
		struct tree_entry *e, struct stat *st)
{
	int r;

	if (fstatat(dir_fd, salvage_name_of(e), st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? SALVAGE_FOUND_NOTHING
				       : salvage_path_fault(w->f, -errno, "look at", e->path);
	if (S_ISDIR(st->st_mode))
		return SALVAGE_FOUND_DIR;
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return SALVAGE_FOUND_OTHER;
	r = is_goal(w, a, dir_fd, e, st);
	if (r != 0)
		return r < 0 ? r : SALVAGE_FOUND_GOAL;
	r = salvage_is_before(w, a, dir_fd, e->path, e->path_len);
	return r < 0 ? r : r > 0 ? SALVAGE_FOUND_BEFORE : SALVAGE_FOUND_OTHER;
}

bool salvage_is_kept(const struct salvage_apply *a, struct tree_entry *e)
{
	const struct tree_entry *old = tree_list_find(a->before, e->path, e->path_len);

	if (!old || old->mode != e->mode || !git_oid_equal(&old->oid, &e->oid) ||
	    (e->flags & SALVAGE_ENTRY_VERBATIM) || salvage_goal_mode(a->goal, e->path, false) ||
	    !convert_is_same(a->checker.convert, a->goal->convert, e->path))
		return false;
	/* what is racy against the old index would look proven in a younger one */
	if (a->checker.index && !index_is_racy(a->checker.index, &old->stat))
		e->stat = old->stat;
	return true;
}

bool salvage_is_replaced(const struct salvage_apply *a, const struct tree_entry *old)
{
	const struct tree_entry *e = tree_list_find(&a->goal->files, old->path, old->path_len);

	return e && (e->mode == TREE_MODE_GITLINK) == (old->mode == TREE_MODE_GITLINK);
}

/* --- checking --- */

/* is some directory of a path a file that will be removed? */
static bool is_below_removed(const struct salvage_apply *a, const char *path, size_t len)
{
	while ((len = tree_path_dir(path, len)) > 0) {
		const struct tree_entry *old = tree_list_find(a->before, path, len);

		if (old && !salvage_is_replaced(a, old))
			return true;
	}
	return false;
}

/* a directory in the place of a file: whether it is empty in the end is seen then */
static bool may_go(const struct salvage_apply *a, const struct tree_entry *e)
{
	return tree_list_has_below(a->before, e) || tree_list_find(a->before, e->path, e->path_len);
}

static int check_one(struct tree_worker *w, size_t i, void *userdata)
{
	const struct salvage_apply *a = userdata;
	struct tree_entry *e = &a->goal->files.entries[i];
	struct stat st;
	int dir_fd, r;

	if (e->mode == TREE_MODE_GITLINK || salvage_is_kept(a, e))
		return 0;
	dir_fd = salvage_open_dir(w, e->path, tree_path_dir(e->path, e->path_len));
	if (dir_fd == -ENOENT)
		return 0;
	if (dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return is_below_removed(a, e->path, e->path_len)
			       ? 0
			       : salvage_busy(w->f, e->path, "has a file or a link in its way");
	if (dir_fd < 0)
		return salvage_path_fault(w->f, dir_fd, "open the directory of", e->path);
	r = salvage_look(w, a, dir_fd, e, &st);
	if (r == SALVAGE_FOUND_OTHER || (r == SALVAGE_FOUND_DIR && !may_go(a, e)))
		return salvage_busy(w->f, e->path, SALVAGE_IN_THE_WAY);
	return r < 0 ? r : 0;
}

int salvage_apply_check(const struct salvage_apply *a, struct fault *f)
{
	return tree_work(a->slot, a->repo, a->goal->files.n, SALVAGE_CHUNK, a->threads, check_one,
			 (void *)a, NULL, f);
}

/* Only over what is known. */
#include "git/salvage-apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "git/blob-stream.h"
#include "git/sha1.h"
#include "git/tree-descent.h"
#include "git/tree-file.h"
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

static bool is_removed(const struct salvage_apply *a, const char *path, size_t len)
{
	const struct tree_entry *old = tree_list_find(a->before, path, len);

	return old && !salvage_is_replaced(a, old);
}

/* is some directory of a path a file that will be removed? */
static bool is_below_removed(const struct salvage_apply *a, const char *path, size_t len)
{
	while ((len = tree_path_dir(path, len)) > 0)
		if (is_removed(a, path, len))
			return true;
	return false;
}

static bool may_go(const struct salvage_apply *a, const struct tree_entry *e)
{
	return tree_list_has_below(a->before, e) || tree_list_find(a->before, e->path, e->path_len);
}

struct emptying {
	const struct salvage_apply *apply;
	struct fault *f;
};

/* what a killed try was writing goes as well */
static int check_below(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	const struct emptying *x = userdata;

	switch (event) {
	case TREE_DESCENT_FILE:
		return text_has_prefix(item->name, TREE_TMP_PREFIX) ||
				       tree_list_find(x->apply->before, item->path, strlen(item->path)) ?
			       0 :
			       salvage_busy(x->f, item->path, "is where the salvage has no directory: move it away");
	case TREE_DESCENT_MOUNT:
		return salvage_busy(x->f, item->path, "is a mount, where the salvage has no directory");
	case TREE_DESCENT_UNREADABLE:
		return salvage_path_fault(x->f, -EACCES, "look into", item->path);
	default:
		return TREE_DESCENT_GO_ON;
	}
}

/* a directory in the place of a file: all that is in it has to go */
static int check_emptied(struct tree_worker *w, const struct salvage_apply *a, const struct tree_entry *e)
{
	struct emptying x = { a, w->f };
	int fd;

	if (!may_go(a, e))
		return salvage_busy(w->f, e->path, SALVAGE_IN_THE_WAY);
	fd = salvage_open_dir(w, e->path, e->path_len);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* it is none any more: who writes there will see */
	if (fd < 0)
		return salvage_path_fault(w->f, fd, "look into", e->path);
	return tree_descent(fd, e->path, false, check_below, &x, w->f);
}

/* is there, or can be made there, a directory? */
static int check_dir(struct tree_worker *w, const struct salvage_apply *a, const char *path, size_t len,
		     const struct tree_entry *e)
{
	int fd = salvage_open_dir(w, path, len);

	if (fd >= 0 || fd == -ENOENT)
		return 0;
	if (fd == -EXDEV)
		return salvage_busy(w->f, e->path, "has a mount in its way");
	if (fd != -ENOTDIR && fd != -ELOOP)
		return salvage_path_fault(w->f, fd, "open the directory of", e->path);
	return is_removed(a, path, len) || is_below_removed(a, path, len) ?
		       0 :
		       salvage_busy(w->f, e->path, "has a file or a link in its way");
}

static int check_one(struct tree_worker *w, size_t i, void *userdata)
{
	const struct salvage_apply *a = userdata;
	struct tree_entry *e = &a->goal->files.entries[i];
	size_t len = e->mode == TREE_MODE_GITLINK ? e->path_len : tree_path_dir(e->path, e->path_len);
	struct stat st;
	int dir_fd, r;

	if (salvage_is_kept(a, e))
		return 0;
	r = check_dir(w, a, e->path, len, e);
	if (r < 0 || e->mode == TREE_MODE_GITLINK)
		return r;
	dir_fd = salvage_open_dir(w, e->path, len);
	if (dir_fd < 0)
		return 0; /* it is yet to be made */
	r = salvage_look(w, a, dir_fd, e, &st);
	if (r == SALVAGE_FOUND_OTHER)
		return salvage_busy(w->f, e->path, SALVAGE_IN_THE_WAY);
	return r == SALVAGE_FOUND_DIR ? check_emptied(w, a, e) : r < 0 ? r : 0;
}

static int check_empty_dirs(const struct salvage_apply *a, struct fault *f)
{
	struct tree_worker w;
	int r = 0;

	tree_worker_init(&w, a->slot, a->repo, f);
	for (size_t i = 0; r == 0 && i < a->goal->dirs.n; i++) {
		const struct tree_entry *e = &a->goal->dirs.entries[i];

		r = check_dir(&w, a, e->path, e->path_len, e);
	}
	tree_worker_deinit(&w);
	return r;
}

int salvage_apply_check(const struct salvage_apply *a, struct fault *f)
{
	int r = tree_work(a->slot, a->repo, a->goal->files.n, SALVAGE_CHUNK, a->threads, check_one,
			  (void *)a, NULL, f);

	return r == 0 ? check_empty_dirs(a, f) : r;
}

/* Out of everybody's sight first; then one more look; then away. */
#include "git/tree-trash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/ignore.h"
#include "git/tree-check.h"
#include "git/tree-descent.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

#define OLD	     "old"
#define NEW	     "new"
#define MAX_PATIENCE 64 /* times that a directory is looked through again */
#define MAX_PLACES   100

static int path_fault(struct tree_trash *t, int r, const char *what, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault_errno(t->f, r, "cannot %s \"%s\"", what, quoted ? quoted : path);
}

/* the first one is told */
static int leave(struct tree_trash *t, const char *path)
{
	_cleanup_(freep) char *quoted = t->left == 0 ? text_quote_path(path) : NULL;

	if (t->left++ == 0)
		(void)fault(t->f, 0, "%s is not what was saved", quoted ? quoted : path);
	return 0;
}

/* --- directories by path, of any length --- */

static void dir_forget(struct tree_trash_dir *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	d->path.len = 0;
}

/* opens one directory below, made if there is none; nothing that is in the way goes */
static int step(int fd, const char *name, unsigned mode)
{
	if (mkdirat(fd, name, mode) < 0 && errno != EEXIST)
		return -errno;
	return fs_open_beneath(fd, name, O_RDONLY | O_DIRECTORY, 0);
}

/* borrowed descriptor of a directory of @len bytes of @path, or a negative errno */
static int dir_open(struct tree_trash_dir *d, const char *path, size_t len)
{
	_cleanup_(freep) char *copy = NULL;
	_cleanup_(closep) int fd = -1;
	char *save = NULL;

	if (len == 0)
		return d->top_fd;
	if (d->fd >= 0 && d->path.len == len && memcmp(d->path.data, path, len) == 0)
		return d->fd;
	dir_forget(d);
	copy = strndup(path, len);
	if (!copy)
		return -ENOMEM;
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next = step(fd < 0 ? d->top_fd : fd, name, d->mode);

		if (next < 0)
			return next;
		closep(&fd);
		fd = next;
	}
	text_add(&d->path, path, len);
	if (d->path.failed)
		return -ENOMEM;
	d->fd = TAKE_FD(fd);
	return d->fd;
}

/* --- opening and closing --- */

static int open_part(int fd, const char *name, struct fault *f)
{
	int r = step(fd, name, 0700);

	return r < 0 ? fault_errno(f, r, "cannot make the trash of the slot (%s)", name) : r;
}

int tree_trash_open(struct tree_trash *t, const struct tree_slot *slot, int dir_fd,
		    const char *name, struct fault *f)
{
	t->slot = slot;
	t->dir_fd = dir_fd;
	t->name = name;
	t->f = f;
	t->patience = MAX_PATIENCE;
	t->in_old.mode = 0700;
	t->in_slot.mode = 0777;
	t->in_slot.top_fd = slot->slot_fd;
	t->moved = tree_saved_new();
	if (!t->moved)
		return fault_oom(f);
	t->fd = open_part(dir_fd, name, f);
	CRASH_POINT("tree.trash.made");
	if (t->fd < 0)
		return t->fd;
	t->old_fd = t->in_old.top_fd = open_part(t->fd, OLD, f);
	if (t->old_fd < 0)
		return t->old_fd;
	t->new_fd = open_part(t->fd, NEW, f);
	return t->new_fd < 0 ? t->new_fd : 0;
}

void tree_trash_close(struct tree_trash *t)
{
	dir_forget(&t->in_old);
	dir_forget(&t->in_slot);
	text_deinit(&t->in_old.path);
	text_deinit(&t->in_slot.path);
	closep(&t->old_fd);
	closep(&t->new_fd);
	if (t->fd >= 0) {
		(void)unlinkat(t->fd, OLD, AT_REMOVEDIR);
		(void)unlinkat(t->fd, NEW, AT_REMOVEDIR);
		(void)unlinkat(t->dir_fd, t->name, AT_REMOVEDIR);
	}
	closep(&t->fd);
	tree_saved_free(t->moved);
	for (size_t i = 0; i < t->n_free; i++)
		free(t->free[i]);
	free(t->free);
}

/* --- out of the slot --- */

static int add_free(struct tree_trash *t, const char *path, size_t len)
{
	if (t->n_free == t->free_size) {
		size_t size = t->free_size ? t->free_size * 2 : 16;
		char **more = realloc(t->free, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->free = more;
		t->free_size = size;
	}
	t->free[t->n_free] = strndup(path, len);
	if (!t->free[t->n_free])
		return -ENOMEM;
	t->n_free++;
	return 0;
}

/* a directory's link to its parent changes, so it has to be writable; a mount is noticed here */
static int prepare_dir(int dir_fd, const char *name)
{
	int fd = tree_open_dir(dir_fd, name, true);

	if (fd >= 0)
		close(fd);
	return fd < 0 && fd != -ENOENT ? fd : 0;
}

static int prepare(struct tree_trash *t, int dir_fd, const char *name, const char *path)
{
	uint64_t mount_id;
	struct stat st;
	int r = tree_stat_at(dir_fd, name, &st, &mount_id);

	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return prepare_dir(dir_fd, name);
	if (tree_proof_by_stat(t->proof, path, &st) ||
	    (t->links_changed && tree_saved_has_moved(t->saved, path, &st)))
		r = tree_saved_add(t->moved, path, &st);
	t->links_changed |= st.st_nlink > 1;
	return r;
}

static int move(struct tree_trash *t, int dir_fd, const char *name, const char *path,
		size_t dir_len)
{
	int to_fd, r = prepare(t, dir_fd, name, path);

	if (r < 0)
		return r;
	to_fd = dir_open(&t->in_old, path, dir_len);
	if (to_fd < 0)
		return to_fd;
	return renameat2(dir_fd, name, to_fd, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int tree_trash_move(struct tree_trash *t, const char *path, bool free)
{
	struct tree_worker *w = t->proof->worker;
	size_t len = strlen(path), dir_len;
	_cleanup_(freep) char *copy = NULL;
	int dir_fd, r;

	while (len > 0 && path[len - 1] == '/')
		len--;
	copy = strndup(path, len);
	if (!copy || (free && add_free(t, path, len) < 0))
		return fault_oom(t->f);
	dir_len = tree_path_dir(copy, len);
	dir_fd = tree_worker_dir(w, copy, dir_len);
	if (dir_fd == -ENOENT || dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return 0; /* its directory is gone, or is none: so is the name */
	r = dir_fd < 0 ? dir_fd : move(t, dir_fd, copy + dir_len + (dir_len > 0), copy, dir_len);
	CRASH_POINT("tree.trash.moved");
	if (r == -ENOENT)
		return 0;
	if (r == -EXDEV || r == -EBUSY)
		return fault(t->f, -EXDEV, "something is mounted on %s", copy);
	if (r == -EEXIST || r == -ENOTDIR || r == -ELOOP)
		return leave(t, copy); /* what it is has changed in the meantime */
	return r < 0 ? path_fault(t, r, "take away", copy) : 0;
}

/* --- back into it --- */

static int put_at(struct tree_trash *t, int dir_fd, const char *name, const char *path)
{
	size_t len = strlen(path), dir_len = tree_path_dir(path, len);
	int to_fd = dir_open(&t->in_slot, path, dir_len);

	if (to_fd < 0)
		return to_fd;
	if (renameat2(dir_fd, name, to_fd, path + dir_len + (dir_len > 0), RENAME_NOREPLACE) == 0)
		return 0;
	dir_forget(&t->in_slot); /* it may have gone away with us in it */
	return -errno;
}

static bool is_place_taken(int r)
{
	return r == -EEXIST || r == -ENOTDIR || r == -ELOOP || r == -ENOENT || r == -EXDEV;
}

/* where it was; or, when somebody is there now, below a directory that nobody has */
static int put_back(struct tree_trash *t, int dir_fd, const char *name, const char *path)
{
	int r = put_at(t, dir_fd, name, path);

	for (int i = 1; is_place_taken(r) && i < MAX_PLACES; i++) {
		_cleanup_(freep) char *other = text_printf(TREE_TRASH_PUT_BACK "%d/%s", i, path);

		r = other ? put_at(t, dir_fd, name, other) : -ENOMEM;
	}
	CRASH_POINT("tree.trash.back");
	return r < 0 ? r : leave(t, path);
}

/* --- away --- */

/* of one that cannot be leased the stat data has to do */
static enum fs_hold hold(int fd)
{
	return fd < 0 ? FS_HOLD_UNKNOWN : fs_hold(fd);
}

/* somebody who had found the file before it was renamed may be waiting for our lease to end */
static bool is_wanted(int fd, enum fs_hold hold)
{
	return hold == FS_HOLD_TAKEN && !fs_is_held(fd);
}

static bool is_free(const struct tree_trash *t, const char *path)
{
	for (size_t i = 0; i < t->n_free; i++) {
		size_t len = strlen(t->free[i]);

		if (strncmp(t->free[i], path, len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return !ignore_is_ignored(t->precious, path, false);
	}
	return false;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int is_proved(struct tree_trash *t, const struct tree_descent_item *item,
		     const struct stat *st)
{
	if (tree_saved_has_moved(t->moved, item->path, st) ||
	    tree_saved_has_moved(t->counts_as_moved, item->path, st) ||
	    tree_saved_has(t->saved, item->path, st) ||
	    (t->links_changed && tree_saved_has_moved(t->saved, item->path, st)))
		return 1;
	return t->proof ? tree_proof_by_content(t->proof, item->dir_fd, item->name, item->path) : 0;
}

/* 1: nobody loses anything by it, as far as can be told now */
static int may_go(struct tree_trash *t, const struct tree_descent_item *item, int fd,
		  enum fs_hold hold)
{
	struct stat before, after;
	uint64_t mount_id;
	int r = tree_stat_at(item->dir_fd, item->name, &before, &mount_id);

	if (r < 0 || hold == FS_HOLD_WRITTEN)
		return 0;
	r = is_proved(t, item, &before);
	if (r <= 0)
		return r;
	r = tree_stat_at(item->dir_fd, item->name, &after, &mount_id);
	return r == 0 && is_same(&before, &after) && !is_wanted(fd, hold);
}

static int delete_file(struct tree_trash *t, const struct tree_descent_item *item)
{
	t->links_changed |= item->st.st_nlink > 1;
	if (unlinkat(item->dir_fd, item->name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	CRASH_POINT("tree.trash.unlinked");
	if (t->stats)
		t->stats->removed++;
	return 0;
}

/* what can neither be deleted nor put back stays, and is told at the end */
static int keep_fault(struct tree_trash *t, int r, const char *what, const char *path)
{
	if (r == -ENOMEM)
		return fault_oom(t->f);
	if (t->r == 0)
		t->r = path_fault(t, r, what, path);
	return 0;
}

static int settle_file(struct tree_trash *t, const struct tree_descent_item *item)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (is_free(t, item->path)) {
		r = 1;
	} else {
		if (S_ISREG(item->st.st_mode))
			fd = openat(item->dir_fd, item->name,
				    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		r = may_go(t, item, fd, hold(fd));
	}
	if (r < 0)
		return r;
	if (r == 1) {
		r = delete_file(t, item);
		return r < 0 ? keep_fault(t, r, "delete", item->path) : 0;
	}
	r = put_back(t, item->dir_fd, item->name, item->path);
	return r < 0 && r != -ENOENT ? keep_fault(t, r, "put back", item->path) : 0;
}

/* somebody who is in it may go on making names */
static int settle_dir(struct tree_trash *t, const struct tree_descent_item *item)
{
	if (unlinkat(item->dir_fd, item->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return TREE_DESCENT_GO_ON;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return keep_fault(t, -errno, "delete", item->path);
	if (t->r < 0 || t->patience == 0)
		return keep_fault(t, -EBUSY, "delete", item->path);
	t->patience--;
	return TREE_DESCENT_AGAIN;
}

static int on_item(enum tree_descent_event event, const struct tree_descent_item *item,
		   void *userdata)
{
	struct tree_trash *t = userdata;

	switch (event) {
	case TREE_DESCENT_FILE:
		return settle_file(t, item);
	case TREE_DESCENT_LEAVE:
		return settle_dir(t, item);
	case TREE_DESCENT_MOUNT:
		return keep_fault(t, -EXDEV, "delete", item->path);
	case TREE_DESCENT_UNREADABLE:
		return keep_fault(t, -EACCES, "look into", item->path);
	case TREE_DESCENT_ENTER:
		break;
	}
	return TREE_DESCENT_GO_ON;
}

/* all that is left goes back, directories as a whole where nothing has their name */
static int on_rest(enum tree_descent_event event, const struct tree_descent_item *item,
		   void *userdata)
{
	struct tree_trash *t = userdata;

	switch (event) {
	case TREE_DESCENT_ENTER:
		(void)prepare_dir(item->dir_fd, item->name);
		return put_at(t, item->dir_fd, item->name, item->path) == 0 ? TREE_DESCENT_SKIP
									    : TREE_DESCENT_GO_ON;
	case TREE_DESCENT_LEAVE:
		(void)unlinkat(item->dir_fd, item->name, AT_REMOVEDIR);
		break;
	case TREE_DESCENT_FILE:
		(void)put_back(t, item->dir_fd, item->name, item->path);
		break;
	case TREE_DESCENT_MOUNT:
	case TREE_DESCENT_UNREADABLE:
		break;
	}
	return TREE_DESCENT_GO_ON;
}

int tree_trash_settle(struct tree_trash *t)
{
	struct fault f = FAULT_NONE;
	int r;

	dir_forget(&t->in_old);
	r = tree_descent(t->old_fd, "", true, on_item, t, t->f);
	if (r == 0)
		r = t->r;
	CRASH_POINT("tree.trash.settled");
	if (r == 0)
		return 0;
	if (t->f)
		f = *t->f;
	(void)tree_descent(t->old_fd, "", true, on_rest, t, NULL);
	return fault(t->f, r, "%s", f.text);
}

int tree_trash_recover(const struct tree_slot *slot, int dir_fd, const char *name,
		       const struct tree_saved *saved, struct fault *f)
{
	struct tree_trash t = TREE_TRASH_NONE;
	int r;

	if (faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s", name);
	t.counts_as_moved = saved;
	r = tree_trash_open(&t, slot, dir_fd, name, f);
	if (r == 0)
		r = fs_remove_tree_at(t.fd, NEW, f);
	if (r == 0)
		r = tree_trash_settle(&t);
	tree_trash_close(&t);
	return r;
}

/* Down without end, and the same way back. */
#include "git/tree-descent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/tree-check.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define OPEN_LEVELS 24 /* descriptors that one descent holds at most, or two more */

struct level {
	int fd; /* -1: closed meanwhile; the top's is borrowed */
	dev_t dev;
	ino_t ino;
	struct text names; /* each with its NUL */
	size_t at;	   /* the next of them */
	size_t path_len;
	struct stat st; /* of this directory, as its parent told it */
};

struct descent {
	struct level *levels; /* the top first */
	size_t n, size;
	struct text path;
	bool make_writable;
	uint64_t mount_id;
	tree_descent_fn fn;
	void *userdata;
	struct fault *f;
};

/* gives its owner all rights, through a handle: never through a link that takes its place */
static int make_accessible(int dir_fd, const char *name)
{
	_cleanup_(closep) int fd = fs_open_beneath(dir_fd, name, O_PATH | O_DIRECTORY, 0);
	char link[32];
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return chmod(link, (st.st_mode & 07777) | 0700) < 0 ? -errno : 0;
}

static int make_fd_writable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) == 0700)
		return 0;
	return fchmod(fd, (st.st_mode & 07777) | 0700) < 0 ? -errno : 0;
}

int tree_open_dir(int dir_fd, const char *name, bool make_writable)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
	int fd = fs_open_beneath(dir_fd, name, flags, 0);
	int r;

	if (fd == -EACCES && make_writable) {
		r = make_accessible(dir_fd, name);
		fd = r < 0 ? r : fs_open_beneath(dir_fd, name, flags, 0);
	}
	if (fd < 0 || !make_writable)
		return fd;
	r = make_fd_writable(fd);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

static void level_deinit(struct level *level, bool is_top)
{
	if (!is_top)
		closep(&level->fd);
	text_deinit(&level->names);
}

static void descent_deinit(struct descent *d)
{
	while (d->n > 0) {
		d->n--;
		level_deinit(&d->levels[d->n], d->n == 0);
	}
	free(d->levels);
	text_deinit(&d->path);
}

static struct level *nearest(struct descent *d)
{
	return &d->levels[d->n - 1];
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* all names at once; whatever is done to them then disturbs no reading */
static int read_names(struct descent *d, struct level *level)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	level->names.len = 0;
	level->at = 0;
	if (fd < 0)
		return errno == ENOENT ? 0
				       : fault_errno(d->f, -errno, "cannot list %s", d->path.data);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return fault_oom(d->f);
	}
	while ((errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			text_add(&level->names, entry->d_name, strlen(entry->d_name) + 1);
	if (errno)
		return fault_errno(d->f, -errno, "cannot list %s", d->path.data);
	return level->names.failed ? fault_oom(d->f) : 0;
}

/* one that is open has its own descriptor; the far ones give theirs up */
static int push(struct descent *d, int fd, const struct stat *as_found)
{
	struct level *level;
	struct stat st;

	if (d->n == d->size) {
		size_t size = d->size ? d->size * 2 : 16;
		struct level *more = realloc(d->levels, size * sizeof(*more));

		if (!more)
			return fault_oom(d->f);
		d->levels = more;
		d->size = size;
	}
	if (fstat(fd, &st) < 0)
		return fault_errno(d->f, -errno, "cannot look at %s", d->path.data);
	level = &d->levels[d->n++];
	*level = (struct level){ .fd = fd,
				 .dev = st.st_dev,
				 .ino = st.st_ino,
				 .path_len = d->path.len,
				 .st = as_found ? *as_found : st };
	if (d->n > OPEN_LEVELS + 1) {
		struct level *far = &d->levels[d->n - OPEN_LEVELS - 1];

		closep(&far->fd);
		far->fd = -1;
	}
	return read_names(d, level);
}

/* the directory above is open afterwards */
static int reopen_parent(struct descent *d)
{
	struct level *level = nearest(d), *parent = level - 1;
	_cleanup_(closep) int fd = -1;
	struct stat st;

	if (parent->fd >= 0)
		return 0;
	fd = openat(level->fd, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(d->f, -errno, "cannot go back up from %s", d->path.data);
	if (st.st_dev != parent->dev || st.st_ino != parent->ino)
		return fault(d->f, -EAGAIN, "%s was moved away while it was looked through",
			     d->path.data);
	parent->fd = TAKE_FD(fd);
	return 0;
}

static void set_path(struct descent *d, size_t dir_len, const char *name)
{
	d->path.len = dir_len;
	if (dir_len > 0)
		text_add(&d->path, "/", 1);
	text_add_string(&d->path, name);
}

static int tell(struct descent *d, enum tree_descent_event event, const struct level *in,
		const char *name, const struct stat *st)
{
	struct tree_descent_item item = { in->fd, name, d->path.data, *st };

	return d->fn(event, &item, d->userdata);
}

static int enter(struct descent *d, struct level *level, const char *name, const struct stat *st)
{
	int fd, r = tell(d, TREE_DESCENT_ENTER, level, name, st);

	if (r != TREE_DESCENT_GO_ON)
		return r < 0 ? r : 0;
	fd = tree_open_dir(level->fd, name, d->make_writable);
	if (fd == -EXDEV)
		return tell(d, TREE_DESCENT_MOUNT, level, name, st);
	if (fd == -EACCES || fd == -EPERM)
		return tell(d, TREE_DESCENT_UNREADABLE, level, name, st);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return fault_errno(d->f, fd, "cannot open %s", d->path.data);
	r = push(d, fd, st);
	if (r < 0 && (d->n == 0 || nearest(d)->fd != fd))
		close(fd);
	return r;
}

static int one_name(struct descent *d, struct level *level, const char *name)
{
	uint64_t mount_id = 0;
	struct stat st;
	int r;

	set_path(d, level->path_len, name);
	if (d->path.failed)
		return fault_oom(d->f);
	r = tree_stat_at(level->fd, name, &st, &mount_id);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return fault_errno(d->f, r, "cannot look at %s", d->path.data);
	if (mount_id && d->mount_id && mount_id != d->mount_id)
		r = tell(d, TREE_DESCENT_MOUNT, level, name, &st);
	else if (S_ISDIR(st.st_mode))
		return enter(d, level, name, &st);
	else
		r = tell(d, TREE_DESCENT_FILE, level, name, &st);
	return r < 0 ? r : 0;
}

/* the nearest directory has no more names */
static int leave(struct descent *d)
{
	struct level *level = nearest(d);
	const char *name;
	int r = reopen_parent(d);

	if (r < 0)
		return r;
	d->path.len = level->path_len;
	d->path.data[d->path.len] = '\0';
	name = strrchr(d->path.data, '/');
	r = tell(d, TREE_DESCENT_LEAVE, level - 1, name ? name + 1 : d->path.data, &level->st);
	if (r == TREE_DESCENT_AGAIN)
		return read_names(d, level);
	level_deinit(level, false);
	d->n--;
	return r < 0 ? r : 0;
}

int tree_descent(int fd, const char *path, bool make_writable, tree_descent_fn fn, void *userdata,
		 struct fault *f)
{
	_cleanup_(descent_deinit) struct descent d = {
		.make_writable = make_writable, .fn = fn, .userdata = userdata, .f = f
	};
	struct stat st;
	int r;

	text_add_string(&d.path, path);
	if (d.path.failed)
		return fault_oom(f);
	r = tree_stat_at(fd, ".", &st, &d.mount_id);
	if (r < 0)
		return fault_errno(f, r, "cannot look at %s", path);
	r = push(&d, fd, NULL);
	while (r == 0) {
		struct level *level = nearest(&d);

		if (level->at < level->names.len) {
			const char *name = level->names.data + level->at;

			level->at += strlen(name) + 1;
			r = one_name(&d, level, name);
		} else if (d.n > 1) {
			r = leave(&d);
		} else {
			break;
		}
	}
	return r;
}

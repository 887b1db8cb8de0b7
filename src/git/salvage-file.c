/*
 * One file into the pack.
 *
 * What changes while it is read is read again, and then taken as it is: named, and not counted as
 * saved, so that cleaning leaves it alone until it was saved once more.
 */
#include "git/salvage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "git/salvage-path.h"
#include "git/tree-name.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define TRIES	      3
#define TRIES_MOST    50 /* for one that becomes shorter each time */
#define SETTLE_MSEC   12
#define CONVERT_BYTES ((off_t)64 << 20) /* larger ones are taken as they are */

static int path_fault(struct salvage_writer *x, int r, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault_errno(x->f, r, "cannot save \"%s\"", quoted ? quoted : path);
}

/* --- content --- */

/* not more than the file had when it was looked at, however it grows */
struct source {
	int fd;
	uint64_t left;
};

static ssize_t read_source(void *buf, size_t n, void *userdata)
{
	struct source *source = userdata;
	ssize_t got = read(source->fd, buf, n < source->left ? n : (size_t)source->left);

	if (got > 0)
		source->left -= (uint64_t)got;
	return got < 0 ? -errno : got;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Waits until the clock by which files get their times has gone on since this one was changed: then a
 * later write would show. A tick at most; a time that is still to come is not waited for.
 */
static void settle(const struct stat *st)
{
	struct timespec now, pause = { .tv_nsec = 1000 * 1000 };
	int64_t age_nsec;

	for (int i = 0; i < SETTLE_MSEC; i++) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		age_nsec = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 +
			   (now.tv_nsec - st->st_ctim.tv_nsec);
		if (age_nsec > 0 || age_nsec < -(int64_t)SETTLE_MSEC * 1000000)
			return;
		nanosleep(&pause, NULL);
	}
}

/*
 * Nobody has the file open for writing: what is written later shows in its times. It does not while
 * somebody has it mapped, but for the first time.
 */
static bool is_at_rest(int fd)
{
	enum fs_hold hold = fs_hold(fd);

	if (hold == FS_HOLD_TAKEN)
		fs_let_go(fd);
	return hold != FS_HOLD_WRITTEN;
}

/* @ret_at_rest: false if it may change and look the same. -EAGAIN: it became shorter meanwhile */
static int stream(struct salvage_writer *x, int fd, struct stat *st, git_oid *ret, bool *ret_at_rest)
{
	struct source source = { .fd = fd };
	int r;

	if (fstat(fd, st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	settle(st);
	*ret_at_rest = is_at_rest(fd); /* after @st was taken, so that a mapping made since shows in it */
	source.left = (uint64_t)st->st_size;
	r = pack_writer_add_stream(x->pack, source.left, read_source, &source, ret, x->f);
	if (r == 0)
		x->bytes += (uint64_t)st->st_size;
	return r;
}

/*
 * The content as it is. @ret_st: what the file was when it was read; 1: it kept changing, or somebody
 * has it open to change it, and this is what was read.
 */
static int save_fd(struct salvage_writer *x, int fd, git_oid *ret, struct stat *ret_st)
{
	bool at_rest = true;
	struct stat after;
	int r = -EAGAIN;

	for (int tries = 0; tries < TRIES || (r == -EAGAIN && tries < TRIES_MOST); tries++) {
		r = stream(x, fd, ret_st, ret, &at_rest);
		if (r < 0 && r != -EAGAIN)
			return r;
		if (fstat(fd, &after) < 0)
			return -errno;
		if (r == 0 && is_same(ret_st, &after))
			return at_rest ? 0 : 1;
	}
	return r < 0 ? r : 1;
}

int salvage_file_copy(struct salvage_writer *x, int dirfd, const char *path, git_oid *ret)
{
	_cleanup_(closep) int fd = fs_open_beneath(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	int r;

	if (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR || fd == -ENXIO || fd == -EXDEV)
		return 1;
	if (fd < 0)
		return path_fault(x, fd, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 1;
	r = save_fd(x, fd, ret, &st);
	return r < 0 ? path_fault(x, r, path) : 0;
}

/* --- as git would store it --- */

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

/* what the index has there decides about CR LF under "auto" */
static git_odb_object *blob_of(struct salvage_writer *x, const char *path)
{
	const struct tree_entry *e = tree_list_find(x->tree->list, path, strlen(path));
	git_odb_object *o = NULL;

	if (e && git_odb_read(&o, repo_odb(x->w->repo), &e->oid) < 0)
		return NULL;
	return o;
}

/* 1: *ret is another content, in the pack; 0: stored as it is */
static int convert(struct salvage_writer *x, int fd, off_t size, const char *path, git_oid *ret)
{
	_cleanup_(odb_object_freep) git_odb_object *blob = NULL;
	_cleanup_(text_deinit) struct text stored = { 0 };
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;
	int r;

	if (convert_is_plain(x->tree->convert, path) || size > CONVERT_BYTES)
		return 0;
	data = malloc((size_t)size + 1);
	if (!data)
		return -ENOMEM;
	while (len < (size_t)size) {
		ssize_t n = pread(fd, data + len, (size_t)size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	blob = blob_of(x, path);
	r = convert_to_store(x->tree->convert, path, data, len, blob ? git_odb_object_data(blob) : NULL,
			     blob ? git_odb_object_size(blob) : 0, &stored);
	if (r <= 0)
		return r;
	r = pack_writer_add(x->pack, GIT_OBJECT_BLOB, stored.data, stored.len, ret, x->f);
	return r < 0 ? r : 1;
}

/* --- where it goes --- */

static int add_extra(struct salvage_writer *x, const char *path, uint32_t mode, const git_oid *oid)
{
	_cleanup_(freep) char *escaped = salvage_path_escape(path);
	_cleanup_(freep) char *in = escaped ? text_printf("files/%s", escaped) : NULL;

	return in ? salvage_edits_add(&x->extras, in, mode, oid) : -ENOMEM;
}

static int add_gone(struct salvage_writer *x, const char *path)
{
	/* a name that git refuses is in no tree, so there is nothing to remove */
	return x->verbatim || tree_path_objection(path, TREE_MODE_FILE) || strlen(path) > TREE_MAX_PATH ?
		       0 :
		       salvage_edits_add(&x->files, path, 0, NULL);
}

/* @raw: when it is not the same as what is stored */
static int add_file(struct salvage_writer *x, const char *path, uint32_t mode, const git_oid *stored,
		    const git_oid *raw)
{
	int r = 0;

	if (x->verbatim || tree_path_objection(path, mode) || strlen(path) > TREE_MAX_PATH)
		return add_extra(x, path, mode, raw ? raw : stored);
	if (raw)
		r = add_extra(x, path, mode, raw);
	return r < 0 ? r : salvage_edits_add(&x->files, path, mode, stored);
}

static void note_mode(struct salvage_writer *x, const char *path, const struct stat *st)
{
	mode_t usual = S_ISDIR(st->st_mode) || st->st_mode & S_IXUSR ? 0755 : 0644;

	if ((st->st_mode & 07777) == usual)
		return;
	text_addf(&x->modes, "%06o ", (unsigned)st->st_mode);
	text_add(&x->modes, path, strlen(path) + 1);
}

static int note_saved(struct salvage_writer *x, const char *path, const struct stat *st, bool unstable)
{
	if (unstable)
		return salvage_paths_add(&x->unstable, path);
	return tree_saved_add(x->saved, path, st);
}

static int save_regular(struct salvage_writer *x, int fd, const char *path)
{
	git_oid raw, stored;
	struct stat st;
	uint32_t mode;
	int unstable, converted, r;

	unstable = save_fd(x, fd, &raw, &st);
	if (unstable < 0)
		return unstable;
	converted = unstable || x->verbatim ? 0 : convert(x, fd, st.st_size, path, &stored);
	if (converted < 0)
		return converted;
	mode = st.st_mode & S_IXUSR ? TREE_MODE_EXEC : TREE_MODE_FILE;
	note_mode(x, path, &st);
	/* what a checkout converts is not written back as it was, be it stored as it is */
	r = add_file(x, path, mode, converted ? &stored : &raw,
		     converted || !convert_is_plain(x->tree->convert, path) ? &raw : NULL);
	return r < 0 ? r : note_saved(x, path, &st, unstable);
}

/* -EINVAL: it is none any more */
static int save_link(struct salvage_writer *x, int dir_fd, const char *name, const char *path,
		     const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));
	git_oid oid;
	int r;

	if (n < 0)
		return -errno;
	r = pack_writer_add(x->pack, GIT_OBJECT_BLOB, target, (size_t)n, &oid, x->f);
	if (r == 0)
		r = add_file(x, path, TREE_MODE_LINK, &oid, NULL);
	x->bytes += (uint64_t)n;
	return r < 0 ? r : note_saved(x, path, st, false);
}

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENXIO || r == -EINVAL;
}

static int save_at(struct salvage_writer *x, int dir_fd, const char *name, const char *path)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return save_link(x, dir_fd, name, path, &st);
	if (!S_ISREG(st.st_mode))
		return -ENOENT; /* no content: whatever was tracked here is gone */
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? save_regular(x, fd, path) : -ENOENT;
}

static int note_dir(struct salvage_writer *x, const char *dir)
{
	_cleanup_(closep) int fd = fs_open_beneath(x->w->tree.slot_fd, dir, O_PATH | O_DIRECTORY, 0);
	struct stat st;

	if (salvage_paths_add(&x->noted, dir) < 0 || map_put(x->noted_by_path, x->noted.v[x->noted.n - 1], x) < 0)
		return -ENOMEM;
	if (fd >= 0 && fstat(fd, &st) == 0)
		note_mode(x, dir, &st);
	return 0;
}

/* of the directories above a file, each once */
static int note_dirs(struct salvage_writer *x, const char *path, size_t dir_len)
{
	_cleanup_(freep) char *dir = dir_len ? strndup(path, dir_len) : NULL;
	int r = 0;

	if (!dir)
		return dir_len ? -ENOMEM : 0;
	/* from the deepest: where one was noted, those above it were as well */
	while (r == 0 && !map_find(x->noted_by_path, dir)) {
		size_t above = tree_path_dir(dir, strlen(dir));

		r = note_dir(x, dir);
		if (above == 0)
			break;
		dir[above] = '\0';
	}
	return r;
}

int salvage_file_save(struct salvage_writer *x, const char *path)
{
	size_t dir_len = tree_path_dir(path, strlen(path));
	int dir_fd = tree_worker_dir(&x->dir, path, dir_len);
	int r;

	r = dir_fd < 0 ? dir_fd : note_dirs(x, path, dir_len);
	if (r == 0)
		r = save_at(x, dir_fd, path + dir_len + (dir_len > 0), path);
	if (is_gone(r))
		r = add_gone(x, path);
	if (r == -ENOMEM)
		return fault_oom(x->f);
	return r < 0 ? path_fault(x, r, path) : 0;
}

int salvage_file_save_verbatim(struct salvage_writer *x, const char *path)
{
	int r;

	x->verbatim = true;
	r = salvage_file_save(x, path);
	x->verbatim = false;
	return r;
}

/* Never through a link, never into a file that someone else may hold. */
#include "git/tree-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define MAX_TRIES 8 /* against someone who keeps putting things in the way */

static int path_fault(struct tree_worker *w, int r, const char *what, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault_errno(w->f, r, "cannot %s \"%s\"", what, quoted ? quoted : path);
}

static uint64_t disk_of(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512;
}

uint64_t tree_file_disk(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? disk_of(&st) : 0;
}

/* makes one directory; what is in the way and no directory goes, or is spared */
static int make_dir(int parent_fd, const char *name, bool spare)
{
	struct stat st;

	for (int tries = 0; tries < MAX_TRIES; tries++) {
		if (mkdirat(parent_fd, name, 0777) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			return 0;
		if (spare)
			return -EEXIST;
		if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT && errno != EISDIR)
			return -errno;
	}
	return -EEXIST;
}

/* from the top: each component is opened, or made and opened */
static int make_dirs(const struct tree_slot *slot, const char *path, size_t len, bool spare)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) char *copy = strndup(path, len);
	int parent_fd = slot->slot_fd;
	char *save = NULL;

	if (!copy)
		return -ENOMEM;
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int r = make_dir(parent_fd, name, spare), next;

		if (r < 0)
			return r;
		next = fs_open_beneath(parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		if (fd >= 0)
			close(fd);
		parent_fd = fd = next;
	}
	return 0;
}

int tree_file_dirs(struct tree_worker *w, const char *path, size_t len)
{
	int r = tree_worker_dir(w, path, len);

	for (int tries = 0; tries < MAX_TRIES; tries++) {
		if (r != -ENOENT && r != -ENOTDIR && r != -ELOOP)
			break;
		r = make_dirs(w->slot, path, len, w->beside_fd >= 0);
		if (r == 0)
			r = tree_worker_dir(w, path, len);
	}
	if (r < 0) {
		_cleanup_(freep) char *name = strndup(path, len);

		return path_fault(w, r, "make the directory", name ? name : "");
	}
	return r;
}

/* 0: gone or was not there; takes a directory with all that is in it */
static int clear_way(int dir_fd, const char *name)
{
	return fs_remove_tree_at(dir_fd, name, NULL);
}

static void tmp_name(char *ret, size_t size)
{
	static unsigned counter;

	snprintf(ret, size, TREE_TMP_PREFIX "%d-%u", (int)getpid(),
		 __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
}

static int create_file(int dir_fd, const char *name, uint32_t mode, const void *data, size_t len,
		       struct stat *ret)
{
	_cleanup_(closep) int fd = -1;
	int r;

	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    mode == TREE_MODE_EXEC ? 0777 : 0666);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, data, len);
	if (r == 0 && fstat(fd, ret) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir_fd, name, 0);
	return r;
}

static int create_link(int dir_fd, const char *name, const void *data, size_t len, struct stat *ret)
{
	_cleanup_(freep) char *target = strndup(data, len);

	if (!target)
		return -ENOMEM;
	if (symlinkat(target, dir_fd, name) < 0)
		return -errno;
	return fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int create(int dir_fd, const char *name, uint32_t mode, const void *data, size_t len,
		  struct stat *ret)
{
	return mode == TREE_MODE_LINK ? create_link(dir_fd, name, data, len, ret)
				      : create_file(dir_fd, name, mode, data, len, ret);
}

static int write_new(int dir_fd, const char *name, uint32_t mode, const void *data, size_t len,
		     struct stat *ret)
{
	int r = -EEXIST;

	for (int tries = 0; tries < MAX_TRIES && r == -EEXIST; tries++) {
		r = create(dir_fd, name, mode, data, len, ret);
		if (r == -EEXIST) {
			int cleared = clear_way(dir_fd, name);

			if (cleared < 0)
				return cleared;
		}
	}
	return r;
}

static int rename_over(int dir_fd, const char *from, const char *to)
{
	for (int tries = 0; tries < MAX_TRIES; tries++) {
		int r;

		if (renameat(dir_fd, from, dir_fd, to) == 0)
			return 0;
		if (errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST)
			return -errno;
		r = clear_way(dir_fd, to);
		if (r < 0)
			return r;
	}
	return -EEXIST;
}

static int write_replace(int dir_fd, const char *name, uint32_t mode, const void *data, size_t len,
			 struct stat *ret)
{
	char beside[64];
	int r;

	tmp_name(beside, sizeof(beside));
	r = write_new(dir_fd, beside, mode, data, len, ret);
	if (r < 0)
		return r;
	CRASH_POINT("tree.file.beside");
	r = rename_over(dir_fd, beside, name);
	if (r < 0) {
		unlinkat(dir_fd, beside, 0);
		return r;
	}
	/* the rename moved the ctime on */
	return fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* where nothing is in the way */
static int write_aside(int aside_fd, int dir_fd, const char *name, uint32_t mode, const void *data,
		       size_t len, struct stat *ret)
{
	char beside[64];
	int r;

	tmp_name(beside, sizeof(beside));
	r = write_new(aside_fd, beside, mode, data, len, ret);
	if (r < 0)
		return r;
	CRASH_POINT("tree.file.beside");
	if (renameat2(aside_fd, beside, dir_fd, name, RENAME_NOREPLACE) < 0) {
		r = -errno;
		unlinkat(aside_fd, beside, 0);
		return r;
	}
	return fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int read_blob(struct tree_worker *w, const struct tree_entry *e, git_odb_object **ret)
{
	_cleanup_(freep) char *quoted = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	struct repo *repo;
	int r;

	r = tree_worker_repo(w, &repo);
	if (r < 0)
		return r;
	r = git_odb_read(ret, repo_odb(repo), &e->oid);
	if (r == 0 && git_odb_object_type(*ret) == GIT_OBJECT_BLOB)
		return 0;
	quoted = text_quote_path(e->path);
	git_oid_tostr(hex, sizeof(hex), &e->oid);
	if (r == GIT_ENOTFOUND)
		return fault(w->f, -EUCLEAN, "the blob %s (%s) is missing from the store", hex,
			     quoted ? quoted : "");
	if (r < 0)
		return git_fault(w->f, r, "the blob %s (%s)", hex, quoted ? quoted : "");
	git_odb_object_free(*ret);
	*ret = NULL;
	return fault(w->f, -EUCLEAN, "%s (%s) is not a blob", hex, quoted ? quoted : "");
}

static int write_gitlink(struct tree_worker *w, struct tree_entry *e)
{
	struct stat st;
	int r = tree_file_dirs(w, e->path, e->path_len);

	if (r < 0)
		return r;
	if (fstat(r, &st) < 0)
		return path_fault(w, -errno, "look at", e->path);
	tree_stat_fill(&e->stat, &st);
	w->stats.disk_bytes += disk_of(&st);
	return 0;
}

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

static int write_content(struct tree_worker *w, struct tree_entry *e, const void *data, size_t len,
			 enum tree_file_how how)
{
	size_t dir_len = tree_path_dir(e->path, e->path_len);
	const char *name = e->path + dir_len + (dir_len > 0);
	struct stat st;
	int dir_fd, r;

	dir_fd = tree_file_dirs(w, e->path, dir_len);
	if (dir_fd < 0)
		return dir_fd;
	if (w->beside_fd >= 0)
		r = write_aside(w->beside_fd, dir_fd, name, e->mode, data, len, &st);
	else
		r = how == TREE_FILE_NEW ? write_new(dir_fd, name, e->mode, data, len, &st)
					 : write_replace(dir_fd, name, e->mode, data, len, &st);
	if (r < 0)
		return path_fault(w, r, "write", e->path);
	tree_stat_fill(&e->stat, &st);
	w->stats.written++;
	w->stats.disk_bytes += disk_of(&st);
	return 0;
}

int tree_file_write(struct tree_worker *w, struct tree_entry *e, const struct convert *convert,
		    enum tree_file_how how)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	_cleanup_(text_deinit) struct text converted = { 0 };
	const void *data;
	size_t len;
	int r;

	if (e->mode == TREE_MODE_GITLINK)
		return write_gitlink(w, e);
	r = read_blob(w, e, &o);
	if (r < 0)
		return r;
	data = git_odb_object_data(o);
	len = git_odb_object_size(o);
	if (e->mode != TREE_MODE_LINK) {
		r = convert_to_slot(convert, e->path, &e->oid, data, len, &converted);
		if (r < 0)
			return fault_oom(w->f);
		data = r > 0 ? converted.data : data;
		len = r > 0 ? converted.len : len;
	}
	return write_content(w, e, data, len, how);
}

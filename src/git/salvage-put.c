/* Beside, and renamed. */
#include "git/salvage-apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/blob-stream.h"
#include "git/tree-file.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

#define STEP_BYTES 3000 /* of a path, for one call to the kernel */

int salvage_path_fault(struct fault *f, int r, const char *what, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault_errno(f, r, "cannot %s \"%s\"", what, quoted ? quoted : path);
}

int salvage_busy(struct fault *f, const char *path, const char *why)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault(f, -EBUSY, "\"%s\" %s", quoted ? quoted : path, why);
}

/* --- one file --- */

static void tmp_name(char *ret, size_t size)
{
	static unsigned counter;

	snprintf(ret, size, TREE_TMP_PREFIX "%d-r%u", (int)getpid(),
		 __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
}

static int make_link(struct repo *repo, int dir_fd, const char *name, const git_oid *oid,
		     struct fault *f)
{
	_cleanup_(freep) char *target = NULL;
	git_odb_object *o = NULL;
	uint64_t size;
	int r = blob_size(repo, oid, &size, f);

	if (r == 0 && (size == 0 || size >= PATH_MAX))
		return fault(f, -EUCLEAN, "%s is not the target of a link", git_oid_tostr_s(oid));
	if (r == 0 && git_odb_read(&o, repo_odb(repo), oid) < 0)
		r = git_fault(f, GIT_ERROR, "the blob %s cannot be read", git_oid_tostr_s(oid));
	if (r < 0)
		return r;
	target = strndup(git_odb_object_data(o), git_odb_object_size(o));
	git_odb_object_free(o);
	if (!target)
		return fault_oom(f);
	return symlinkat(target, dir_fd, name) < 0 ? -errno : 0;
}

/* created for nobody else until it is what it shall be */
static int make_file(struct repo *repo, int dir_fd, const char *name, uint32_t perm,
		     const git_oid *oid, struct fault *f)
{
	_cleanup_(closep) int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = blob_to_fd(repo, oid, fd, f);
	return r == 0 && fchmod(fd, perm) < 0 ? -errno : r;
}

static int make_text(int dir_fd, const char *name, uint32_t perm, const struct text *content)
{
	_cleanup_(closep) int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, content->data ? content->data : "", content->len);
	return r == 0 && fchmod(fd, perm) < 0 ? -errno : r;
}

/* a rename over a directory fails, and so nothing that is in one is lost */
static int place(int dir_fd, const char *beside, const char *name, bool replace, struct stat *ret)
{
	int r = renameat2(dir_fd, beside, dir_fd, name, replace ? 0 : RENAME_NOREPLACE) < 0 ? -errno
											    : 0;

	/* a file system that has no such rename has hard links, which replace nothing either */
	if (r == -EINVAL && !replace) {
		r = linkat(dir_fd, beside, dir_fd, name, 0) < 0 ? -errno : 0;
		if (r == 0)
			unlinkat(dir_fd, beside, 0);
	}
	if (r < 0)
		return r;
	return fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static uint32_t perm_of(uint32_t mode, uint32_t perm)
{
	return perm ? perm : mode == TREE_MODE_EXEC ? 0755 : 0644;
}

static int finish(int dir_fd, const char *beside, const char *name, bool replace, int r,
		  struct stat *ret)
{
	CRASH_POINT("salvage.file.beside");
	if (r == 0)
		r = place(dir_fd, beside, name, replace, ret);
	if (r < 0)
		unlinkat(dir_fd, beside, 0);
	return r;
}

int salvage_put_file(struct repo *repo, int dir_fd, const char *name, uint32_t mode, uint32_t perm,
		     const git_oid *oid, bool replace, struct stat *ret, struct fault *f)
{
	char beside[64];
	int r;

	tmp_name(beside, sizeof(beside));
	if (mode == TREE_MODE_LINK)
		r = make_link(repo, dir_fd, beside, oid, f);
	else
		r = make_file(repo, dir_fd, beside, perm_of(mode, perm), oid, f);
	return finish(dir_fd, beside, name, replace, r, ret);
}

int salvage_put_text(int dir_fd, const char *name, uint32_t mode, uint32_t perm, const struct text *content,
		     bool replace, struct stat *ret)
{
	char beside[64];
	int r;

	tmp_name(beside, sizeof(beside));
	r = make_text(dir_fd, beside, perm_of(mode, perm), content);
	return finish(dir_fd, beside, name, replace, r, ret);
}

/* --- directories --- */

/* the next part of a path that the kernel takes at once; at least one name */
static size_t step(const char *path, size_t len)
{
	size_t n = STEP_BYTES;

	if (len <= STEP_BYTES)
		return len;
	while (n > 0 && path[n] != '/')
		n--;
	return n;
}

int salvage_open_dir(struct tree_worker *w, const char *path, size_t len)
{
	_cleanup_(closep) int fd = -1;

	if (len <= STEP_BYTES)
		return tree_worker_dir(w, path, len);
	if (w->dir && w->dir_len == len && memcmp(w->dir, path, len) == 0)
		return w->dir_fd;
	tree_worker_forget_dir(w);
	for (size_t at = 0; at < len;) {
		size_t n = step(path + at, len - at);
		_cleanup_(freep) char *part = strndup(path + at, n);
		int next = part ? fs_open_beneath(fd < 0 ? w->slot->slot_fd : fd, part,
						  O_RDONLY | O_DIRECTORY, 0)
				: -ENOMEM;

		if (next < 0)
			return next;
		closep(&fd);
		fd = next;
		at += n + 1;
	}
	w->dir = strndup(path, len);
	if (!w->dir)
		return -ENOMEM;
	w->dir_len = len;
	w->dir_fd = TAKE_FD(fd);
	return w->dir_fd;
}

/* from the top, one by one; nothing is removed for it */
static int make_dirs(int top_fd, const char *path, size_t len)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) char *copy = strndup(path, len);
	char *save = NULL;
	int parent = top_fd;

	if (!copy)
		return -ENOMEM;
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next;

		if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		next = fs_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		closep(&fd);
		parent = fd = next;
	}
	return 0;
}

int salvage_make_dir(struct tree_worker *w, const char *path, size_t len)
{
	int r = salvage_open_dir(w, path, len);

	if (r == -ENOENT) {
		r = make_dirs(w->slot->slot_fd, path, len);
		if (r == 0)
			r = salvage_open_dir(w, path, len);
	}
	return r;
}

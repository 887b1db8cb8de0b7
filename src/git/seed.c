/* From a directory that only the operator writes, to one that anybody may have written. */
#include "git/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/seed-notes.h"
#include "git/tree-file.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define COPY_BYTES 65536
#define MAX_TRIES  8 /* against someone who keeps putting things in the way */

struct seeding {
	const struct tree_slot *slot;
	const char *from;
	int from_fd;
	git_tree *tree; /* of the commit that the slot stands at */
	struct fault *f;
};

static void tree_freep(git_tree **tree)
{
	git_tree_free(*tree);
}

static void tree_entry_freep(git_tree_entry **entry)
{
	git_tree_entry_free(*entry);
}

/* --- the source --- */

static int describe_source(const struct seeding *s, const char *file, int r)
{
	if (r == -ENOENT || r == -ENOTDIR)
		return fault(s->f, -ENOENT, "there is no seed file %s in %s", file, s->from);
	if (r == -ELOOP || r == -EXDEV)
		return fault(s->f, -EINVAL,
			     "the seed file %s/%s is a %s, or behind one: that is not followed",
			     s->from, file, r == -ELOOP ? "link" : "mount");
	return fault_errno(s->f, r, "cannot read the seed file %s/%s", s->from, file);
}

static int open_source(const struct seeding *s, const char *file, struct stat *ret)
{
	_cleanup_(closep) int fd = fs_open_beneath(s->from_fd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0)
		return describe_source(s, file, fd);
	if (fstat(fd, ret) < 0)
		return describe_source(s, file, -errno);
	if (!S_ISREG(ret->st_mode))
		return fault(s->f, -EINVAL, "the seed file %s/%s is no regular file", s->from, file);
	return TAKE_FD(fd);
}

/* --- the way to it in the slot --- */

/* a seed over a tracked file, or below what the commit has as a file, would make the slot dirty */
static int check_untracked(const struct seeding *s, const char *file)
{
	_cleanup_(freep) char *path = strdup(file);

	if (!path)
		return fault_oom(s->f);
	for (;;) {
		_cleanup_(tree_entry_freep) git_tree_entry *entry = NULL;
		bool whole = strcmp(path, file) == 0;
		char *slash;

		if (git_tree_entry_bypath(&entry, s->tree, path) == 0 &&
		    (whole || git_tree_entry_type(entry) != GIT_OBJECT_TREE))
			return fault(s->f, -EINVAL,
				     "%s is to be seeded, and git tracks %s in this commit: take it from "
				     "seed.files, or from the repository",
				     file, path);
		slash = strrchr(path, '/');
		if (!slash)
			return 0;
		*slash = '\0';
	}
}

/* opened, or made and opened; what is in the way and no directory goes */
static int enter_dir(int parent_fd, const char *name)
{
	int fd = -EEXIST;

	for (int tries = 0; tries < MAX_TRIES; tries++) {
		fd = fs_open_beneath(parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
		if (fd == -ENOENT && mkdirat(parent_fd, name, 0777) < 0 && errno != EEXIST)
			return -errno;
		if (fd == -ENOTDIR || fd == -ELOOP) {
			if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT)
				return -errno;
		} else if (fd != -ENOENT) {
			return fd;
		}
	}
	return fd;
}

/* @ret_name: the last component of @file */
static int open_target_dir(const struct seeding *s, const char *file, const char **ret_name)
{
	_cleanup_(closep) int fd = fcntl(s->slot->slot_fd, F_DUPFD_CLOEXEC, 0);
	const char *at = file, *slash;

	while (fd >= 0 && (slash = strchr(at, '/'))) {
		_cleanup_(freep) char *name = strndup(at, (size_t)(slash - at));
		int next = name ? enter_dir(fd, name) : -ENOMEM;

		closep(&fd);
		fd = next;
		at = slash + 1;
	}
	*ret_name = at;
	return TAKE_FD(fd);
}

/* --- the content --- */

/* 1: as far as both can be read; 0: they differ */
static int is_equal_content(int a, int b)
{
	_cleanup_(freep) char *buf = malloc(2 * COPY_BYTES);
	off_t at = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(a, buf, COPY_BYTES, at);
		ssize_t m = pread(b, buf + COPY_BYTES, COPY_BYTES, at);

		if (n < 0 || m < 0)
			return -errno;
		if (n != m || memcmp(buf, buf + COPY_BYTES, (size_t)n) != 0)
			return 0;
		if (n == 0)
			return 1;
		at += n;
	}
}

/* is it there as it is to be? one that has a second name may be written to by that */
static bool is_right(int dir_fd, const char *name, int source, const struct stat *want)
{
	_cleanup_(closep) int fd = fs_open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       st.st_size == want->st_size && st.st_mode == want->st_mode &&
	       is_equal_content(fd, source) == 1;
}

static int copy_bytes(int source, int target)
{
	_cleanup_(freep) char *buf = malloc(COPY_BYTES);
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	if (ioctl(target, FICLONE, source) == 0)
		return 0;
	if (lseek(source, 0, SEEK_SET) < 0)
		return -errno;
	while (r == 0 && (n = read(source, buf, COPY_BYTES)) != 0)
		r = n < 0 ? -errno : fs_write_all(target, buf, (size_t)n);
	return r;
}

static int write_beside(int dir_fd, const char *beside, int source, const struct stat *want)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (unlinkat(dir_fd, beside, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = copy_bytes(source, fd);
	/* last: writing takes away what is set for others */
	if (r == 0 && fchmod(fd, want->st_mode & 07777) < 0)
		r = -errno;
	return r;
}

static int replace(int dir_fd, const char *name, int source, const struct stat *want)
{
	static const char beside[] = TREE_TMP_PREFIX "seed"; /* one works here, under the slot's lock */
	int r;

	r = write_beside(dir_fd, beside, source, want);
	CRASH_POINT("seed.beside");
	if (r == 0 && renameat(dir_fd, beside, dir_fd, name) < 0)
		r = -errno;
	if (r == -EISDIR) {
		/* a directory in its place, which is not tracked either */
		r = fs_remove_tree_at(dir_fd, name, NULL);
		if (r == 0 && renameat(dir_fd, beside, dir_fd, name) < 0)
			r = -errno;
	}
	if (r < 0)
		unlinkat(dir_fd, beside, 0);
	return r;
}

/* --- one, and all --- */

static int put_seed(const struct seeding *s, const char *file, int source, const struct stat *want,
		    struct seed_notes *notes)
{
	_cleanup_(closep) int dir_fd = -1;
	const char *name;
	struct stat st;
	int copied = 0, r = 0;

	dir_fd = open_target_dir(s, file, &name);
	if (dir_fd < 0)
		return fault_errno(s->f, dir_fd, "cannot make the directory of the seed file %s", file);
	if (!is_right(dir_fd, name, source, want)) {
		r = replace(dir_fd, name, source, want);
		copied = 1;
	}
	if (r == 0 && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		return fault_errno(s->f, r, "cannot copy the seed file %s into the slot", file);
	return seed_notes_add(notes, file, &st) < 0 ? fault_oom(s->f) : copied;
}

/* 1: it was copied; 0: it was there */
static int copy_seed(const struct seeding *s, const char *file, struct seed_notes *notes)
{
	_cleanup_(closep) int source = -1;
	struct stat want;
	int r = check_untracked(s, file);

	if (r < 0)
		return r;
	source = open_source(s, file, &want);
	return source < 0 ? source : put_seed(s, file, source, &want, notes);
}

static int find_tree(struct repo *repo, const git_oid *commit, git_tree **ret, struct fault *f)
{
	git_commit *c = NULL;
	int r = git_commit_lookup(&c, repo_git(repo), commit);

	if (r == 0)
		r = git_commit_tree(ret, c);
	git_commit_free(c);
	return r < 0 ? git_fault(f, r, "the commit %s", git_oid_tostr_s(commit)) : 0;
}

static void seed_notes_freep(struct seed_notes **notes)
{
	seed_notes_free(*notes);
}

int seed_copy(struct repo *repo, const struct tree_slot *slot, const git_oid *commit,
	      const char *from, const char *const *files, size_t n, unsigned *ret_copied,
	      struct fault *f)
{
	_cleanup_(tree_freep) git_tree *tree = NULL;
	_cleanup_(closep) int from_fd = -1;
	_cleanup_(seed_notes_freep) struct seed_notes *notes = NULL;
	struct seeding s = { .slot = slot, .from = from, .f = f };
	unsigned copied = 0;
	int r;

	r = find_tree(repo, commit, &tree, f);
	if (r < 0)
		return r;
	from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from_fd < 0)
		return fault_errno(f, -errno, "cannot open the directory of seed files %s", from);
	s.tree = tree;
	s.from_fd = from_fd;
	notes = seed_notes_new();
	if (!notes)
		return fault_oom(f);
	for (size_t i = 0; i < n; i++) {
		r = copy_seed(&s, files[i], notes);
		if (r < 0)
			return r;
		copied += (unsigned)r;
	}
	CRASH_POINT("seed.copied");
	r = seed_notes_save(notes, slot->admin_fd, f);
	if (r == 0)
		*ret_copied = copied;
	return r;
}

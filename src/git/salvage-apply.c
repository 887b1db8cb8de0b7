/* Only over what is known. */
#include "git/salvage-apply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "git/blob-stream.h"
#include "git/sha1.h"
#include "git/tree-apply.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define CHUNK	   8
#define IN_THE_WAY "is there and is something else: move it away"
#define STEP_BYTES 3000 /* of a path, for one call to the kernel */

static int path_fault(struct fault *f, int r, const char *what, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault_errno(f, r, "cannot %s \"%s\"", what, quoted ? quoted : path);
}

static int busy(struct fault *f, const char *path, const char *why)
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

static int make_converted(int dir_fd, const char *name, uint32_t perm, const struct text *content)
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

/* as tree_worker_dir(), for any length */
static int open_dir(struct tree_worker *w, const char *path, size_t len)
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

static int open_made_dir(struct tree_worker *w, const char *path, size_t len)
{
	int r = open_dir(w, path, len);

	if (r == -ENOENT) {
		r = make_dirs(w->slot->slot_fd, path, len);
		if (r == 0)
			r = open_dir(w, path, len);
	}
	return r;
}

static const char *name_of(const struct tree_entry *e)
{
	size_t dir_len = tree_path_dir(e->path, e->path_len);

	return e->path + dir_len + (dir_len > 0);
}

/* --- what is there --- */

enum found {
	FOUND_NOTHING,
	FOUND_GOAL,   /* it is as it shall be, but for its permissions */
	FOUND_BEFORE, /* it is as it was before: it may go */
	FOUND_DIR,
	FOUND_OTHER,
};

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
		r = is_verbatim(dir_fd, name_of(e), e, st);
		return r < 0 ? path_fault(w->f, r, "read", e->path) : r;
	}
	checker.index = NULL;
	checker.convert = a->goal->convert;
	r = tree_check(w, &checker, dir_fd, name_of(e), e, NULL);
	return r < 0 ? r : r == TREE_CHECK_SAME;
}

static int is_before(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
		     const char *path, size_t len)
{
	struct tree_entry *e = tree_list_find(a->before, path, len);
	int r;

	if (!e || e->mode == TREE_MODE_GITLINK)
		return 0;
	r = tree_check(w, &a->checker, dir_fd, name_of(e), e, NULL);
	return r < 0 ? r : r == TREE_CHECK_SAME;
}

/* an enum found or a negative errno */
static int look(struct tree_worker *w, const struct salvage_apply *a, int dir_fd,
		struct tree_entry *e, struct stat *st)
{
	int r;

	if (fstatat(dir_fd, name_of(e), st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? FOUND_NOTHING
				       : path_fault(w->f, -errno, "look at", e->path);
	if (S_ISDIR(st->st_mode))
		return FOUND_DIR;
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return FOUND_OTHER;
	r = is_goal(w, a, dir_fd, e, st);
	if (r != 0)
		return r < 0 ? r : FOUND_GOAL;
	r = is_before(w, a, dir_fd, e->path, e->path_len);
	return r < 0 ? r : r > 0 ? FOUND_BEFORE : FOUND_OTHER;
}

/* as it was and as it shall be are the same, and nobody has to look at it */
static bool is_kept(const struct salvage_apply *a, struct tree_entry *e)
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

/* does the goal have something of the same kind there? It is then written over it */
static bool is_replaced(const struct salvage_apply *a, const struct tree_entry *old)
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

		if (old && !is_replaced(a, old))
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

	if (e->mode == TREE_MODE_GITLINK || is_kept(a, e))
		return 0;
	dir_fd = open_dir(w, e->path, tree_path_dir(e->path, e->path_len));
	if (dir_fd == -ENOENT)
		return 0;
	if (dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return is_below_removed(a, e->path, e->path_len)
			       ? 0
			       : busy(w->f, e->path, "has a file or a link in its way");
	if (dir_fd < 0)
		return path_fault(w->f, dir_fd, "open the directory of", e->path);
	r = look(w, a, dir_fd, e, &st);
	if (r == FOUND_OTHER || (r == FOUND_DIR && !may_go(a, e)))
		return busy(w->f, e->path, IN_THE_WAY);
	return r < 0 ? r : 0;
}

int salvage_apply_check(const struct salvage_apply *a, struct fault *f)
{
	return tree_work(a->slot, a->repo, a->goal->files.n, CHUNK, a->threads, check_one,
			 (void *)a, NULL, f);
}

/* --- removing --- */

static int remove_gitlink(struct tree_worker *w, int dir_fd, const struct tree_entry *e)
{
	if (unlinkat(dir_fd, name_of(e), AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	return errno == ENOTEMPTY ? busy(w->f, e->path, "has a submodule's files in it")
				  : path_fault(w->f, -errno, "remove", e->path);
}

static int remove_one(struct tree_worker *w, const struct salvage_apply *a,
		      const struct tree_entry *e)
{
	int dir_fd = open_dir(w, e->path, tree_path_dir(e->path, e->path_len));
	struct stat st;
	int r;

	if (dir_fd == -ENOENT || dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return 0; /* so it is gone */
	if (dir_fd < 0)
		return path_fault(w->f, dir_fd, "open the directory of", e->path);
	if (e->mode == TREE_MODE_GITLINK)
		return remove_gitlink(w, dir_fd, e);
	if (fstatat(dir_fd, name_of(e), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : path_fault(w->f, -errno, "look at", e->path);
	/* a directory of the goal may be there by now; another one is in nobody's way yet */
	if (S_ISDIR(st.st_mode))
		return 0;
	r = is_before(w, a, dir_fd, e->path, e->path_len);
	if (r <= 0)
		return r < 0 ? r
			     : busy(w->f, e->path,
				    "is not in the salvage, and has changed: move it away");
	if (unlinkat(dir_fd, name_of(e), 0) < 0 && errno != ENOENT)
		return path_fault(w->f, -errno, "remove", e->path);
	w->stats.removed++;
	CRASH_POINT("salvage.file.removed");
	return 0;
}

static int remove_all(const struct salvage_apply *a, struct tree_worker *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->before->n; i++) {
		struct tree_entry *e = &a->before->entries[i];

		if (!is_replaced(a, e))
			r = remove_one(w, a, e);
	}
	/* now that the files are gone */
	for (size_t i = a->before->n; r == 0 && i-- > 0;) {
		struct tree_entry *e = &a->before->entries[i];

		if (!is_replaced(a, e))
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
	char beside[64];
	int r, rc = git_odb_read(&o, repo_odb(repo), &e->oid);

	if (rc < 0)
		return git_fault(f, rc, "the blob %s cannot be read", git_oid_tostr_s(&e->oid));
	r = convert_to_slot(a->goal->convert, e->path, &e->oid, git_odb_object_data(o),
			    git_odb_object_size(o), &converted);
	git_odb_object_free(o);
	if (r <= 0)
		return r < 0 ? fault_oom(f) : 0;
	tmp_name(beside, sizeof(beside));
	r = make_converted(dir_fd, beside, perm_of(e->mode, perm), &converted);
	r = finish(dir_fd, beside, name_of(e), replace, r, ret);
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
		r = salvage_put_file(repo, dir_fd, name_of(e), e->mode, perm, &e->oid, replace, &st,
				     &why);
	if (r == -EEXIST || r == -EISDIR || r == -ENOTEMPTY)
		return busy(w->f, e->path, IN_THE_WAY);
	if (r < 0)
		return why.text[0] ? fault(w->f, r, "%s", why.text)
				   : path_fault(w->f, r, "write", e->path);
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
	    (fchmodat(dir_fd, name_of(e), perm, AT_SYMLINK_NOFOLLOW) < 0 ||
	     fstatat(dir_fd, name_of(e), st, AT_SYMLINK_NOFOLLOW) < 0))
		return path_fault(w->f, -errno, "change the permissions of", e->path);
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

	if (is_kept(a, e))
		return 0;
	dir_fd = open_made_dir(w, e->path, len);
	if (dir_fd == -ENOTDIR || dir_fd == -ELOOP || dir_fd == -EXDEV)
		return busy(w->f, e->path, "has a file, a link or a mount in its way");
	if (dir_fd < 0)
		return path_fault(w->f, dir_fd, "make the directory of", e->path);
	if (e->mode == TREE_MODE_GITLINK)
		return 0;
	r = look(w, a, dir_fd, e, &st);
	if (r == FOUND_GOAL)
		return put_mode(w, a, dir_fd, e, &st);
	if (r == FOUND_NOTHING || r == FOUND_BEFORE)
		return put(w, a, dir_fd, e, r == FOUND_BEFORE);
	return r < 0 ? r : busy(w->f, e->path, IN_THE_WAY);
}

static int make_empty_dirs(const struct salvage_apply *a, struct tree_worker *w)
{
	for (size_t i = 0; i < a->goal->dirs.n; i++) {
		const struct tree_entry *e = &a->goal->dirs.entries[i];
		int r = open_made_dir(w, e->path, e->path_len);

		if (r < 0)
			return path_fault(w->f, r, "make the directory", e->path);
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
		fd = open_dir(w, e->path, e->path_len);
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
		r = tree_work(a->slot, a->repo, a->goal->files.n, CHUNK, a->threads, write_one,
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
		int fd = perm ? open_dir(&w, e->path, e->path_len) : -ENOENT;

		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			continue;
		if (fd < 0 || fchmod(fd, perm) < 0)
			r = path_fault(f, fd < 0 ? fd : -errno, "change the permissions of",
				       e->path);
	}
	tree_worker_deinit(&w);
	return r;
}

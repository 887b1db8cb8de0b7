/*
 * What is below a directory that git does not know: one directory is open at a time, however deep they are.
 */
#include "git/salvage-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define NAMES_SHOWN 3
#define LEVELS_MAX  (TREE_BUILD_MAX_DEPTH - 8) /* the state has some more */

/* --- the policy --- */

/* cleaning leaves it, although git does not ignore it */
static bool stays(const struct salvage_tree *t, const char *path, bool is_dir)
{
	const struct tree_policy *p = t->spec->policy;

	return p && p->keep && !p->wipe_ignored && !t->spec->all_goes && ignore_is_ignored(p->keep, path, is_dir) &&
	       !ignore_is_ignored(p->wipe, path, is_dir);
}

bool salvage_tree_dir_stays(const struct salvage_tree *t, const char *path)
{
	_cleanup_(freep) char *dir = strndup(path, strlen(path) - text_has_suffix(path, "/"));

	return dir && stays(t, dir, true);
}

static bool goes(const struct salvage_tree *t, const char *path)
{
	const struct tree_policy *p = t->spec->policy;

	return t->spec->all_goes || p->wipe_ignored || ignore_is_ignored(p->wipe, path, false);
}

/* what stays, and was there before the lease, is not saved at the end of each that comes after */
static bool is_precious(const struct salvage_tree *t, const char *path, const struct stat *st)
{
	const struct tree_policy *p = t->spec->policy;
	uint64_t changed = (uint64_t)st->st_ctim.tv_sec * USEC_PER_SEC + (uint64_t)st->st_ctim.tv_nsec / 1000;

	return ignore_is_ignored(p->precious, path, false) &&
	       (goes(t, path) || (t->spec->since_usec && changed + USEC_PER_SEC >= t->spec->since_usec));
}

/* nobody has touched it since the operator's seed was copied: it may go, and is no work */
static bool is_seed(struct salvage_tree *t, const char *path, const struct stat *st)
{
	return seed_notes_cover(t->seeds, t->w->tree.slot_fd, path) &&
	       tree_saved_add(t->saved, path, st) == 0;
}

/* --- what was found --- */

int salvage_tree_count(struct salvage_tree *t, enum salvage_kind kind, const char *path)
{
	return t->counts[kind]++ < NAMES_SHOWN ? salvage_paths_add(&t->names[kind], path) : 0;
}

int salvage_tree_special(struct salvage_tree *t, const char *path)
{
	_cleanup_(closep) int fd = fs_open_beneath(t->w->tree.slot_fd, path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;
	int r;

	/* there is no content that could be lost */
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0; /* gone meanwhile */
	r = tree_saved_add(t->saved, path, &st);
	if (r == 0)
		r = salvage_paths_add(&t->special, path);
	return r < 0 ? r : salvage_tree_count(t, SALVAGE_KIND_SPECIAL, path);
}

static bool is_too_deep(const char *path)
{
	size_t levels = 0;

	for (; *path; path++)
		levels += *path == '/';
	return levels > LEVELS_MAX;
}

int salvage_tree_file(struct salvage_tree *t, enum salvage_kind kind, const char *path)
{
	int r;

	if (is_too_deep(path))
		return salvage_tree_count(t, SALVAGE_KIND_UNREADABLE, path);
	r = salvage_paths_add(&t->paths, path);
	return r < 0 ? r : salvage_tree_count(t, kind, path);
}

/* of a nested repository: as it is, or, where all is safe elsewhere, only known */
static int found_nested(struct salvage_tree *t, const char *path, const struct stat *st)
{
	if (t->known)
		return tree_saved_add(t->known, path, st);
	if (is_too_deep(path))
		return salvage_tree_count(t, SALVAGE_KIND_UNREADABLE, path);
	return salvage_paths_add(&t->verbatim, path);
}

static int found_leaf(struct salvage_tree *t, const char *path, const struct stat *st, enum salvage_kind kind)
{
	bool special = !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode);

	switch (kind) {
	case SALVAGE_KIND_PRECIOUS:
		return special || !is_precious(t, path, st) ? 0 : salvage_tree_file(t, kind, path);
	case SALVAGE_KIND_NESTED:
		return special ? salvage_tree_special(t, path) : found_nested(t, path, st);
	default:
		if (stays(t, path, false) || is_seed(t, path, st))
			return 0;
		return special ? salvage_tree_special(t, path) : salvage_tree_file(t, kind, path);
	}
}

int salvage_tree_leaf(struct salvage_tree *t, enum salvage_kind kind, const char *path)
{
	_cleanup_(closep) int fd = fs_open_beneath(t->w->tree.slot_fd, path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;

	/* gone meanwhile: nobody will miss what he has removed himself */
	return fd < 0 || fstat(fd, &st) < 0 ? 0 : found_leaf(t, path, &st, kind);
}

/* --- directories --- */

struct below {
	struct salvage_tree *t;
	struct salvage_paths dirs; /* to be looked into; "a/b/" */
	enum salvage_kind kind;
	struct fault *f;
};

static int found_name(struct below *b, int dirfd, const char *dir, const char *name)
{
	_cleanup_(freep) char *path = text_printf("%s%s", dir, name);
	_cleanup_(freep) char *below = NULL;
	uint64_t mount_id = 0, own = b->t->walk.checker.mount_id;
	struct stat st;

	if (!path)
		return -ENOMEM;
	if (tree_stat_at(dirfd, name, &st, &mount_id) < 0)
		return 0; /* gone meanwhile */
	if (mount_id && own && mount_id != own)
		return salvage_tree_count(b->t, SALVAGE_KIND_MOUNT, path);
	if (!S_ISDIR(st.st_mode))
		return found_leaf(b->t, path, &st, b->kind);
	below = text_printf("%s/", path);
	return below ? salvage_paths_add(&b->dirs, below) : -ENOMEM;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int read_names(struct below *b, DIR *dir, const char *path)
{
	struct dirent *entry;
	size_t n = 0;
	int r = 0;

	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = found_name(b, dirfd(dir), path, entry->d_name);
		n++;
	}
	if (r == 0 && errno)
		return fault_errno(b->f, -errno, "cannot list %s", path);
	/* git insists on some that have nothing in them */
	if (r == 0 && n == 0 && b->kind == SALVAGE_KIND_NESTED && !b->t->known)
		r = salvage_paths_add(&b->t->dirs, path);
	return r;
}

static int look_into(struct below *b, const char *path)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	int fd = fs_open_beneath(b->t->w->tree.slot_fd, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* gone or swapped meanwhile: cleaning will not find it as it was */
	if (fd == -EACCES)
		return salvage_tree_count(b->t, SALVAGE_KIND_UNREADABLE, path);
	if (fd == -EXDEV)
		return salvage_tree_count(b->t, SALVAGE_KIND_MOUNT, path);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		closep(&fd);
		return fault_errno(b->f, fd < 0 ? fd : -ENOMEM, "cannot open %s", path);
	}
	if (b->kind == SALVAGE_KIND_UNTRACKED && faccessat(fd, ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return salvage_tree_nested(b->t, path, NULL, b->f);
	return read_names(b, dir, path);
}

int salvage_tree_dir(struct salvage_tree *t, enum salvage_kind kind, const char *path, struct fault *f)
{
	struct below b = { .t = t, .kind = kind, .f = f };
	int r = salvage_paths_add(&b.dirs, path);

	while (r == 0 && b.dirs.n > 0) {
		_cleanup_(freep) char *next = b.dirs.v[--b.dirs.n];

		r = look_into(&b, next);
	}
	salvage_paths_deinit(&b.dirs);
	return r;
}

/* From the administration to the worktree, to the store, and back. */
#include "integrity/worktrees-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity/ref-name.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define LINK_BYTES     65536
#define GITFILE_PREFIX "gitdir: "

void worktree_claims_deinit(struct worktree_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++)
		free(claims->v[i].where);
	free(claims->v);
	*claims = (struct worktree_claims){ 0 };
}

static int claim(struct worktree_claims *claims, const char *where, const struct stat *st,
		 bool is_mutual)
{
	struct worktree_claim added = { NULL, st->st_dev, st->st_ino, is_mutual };

	if (!claims)
		return 0;
	if (claims->n == claims->size) {
		size_t size = claims->size ? claims->size * 2 : 16;
		struct worktree_claim *v = reallocarray(claims->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		claims->v = v;
		claims->size = size;
	}
	added.where = strdup(where);
	if (!added.where)
		return -ENOMEM;
	claims->v[claims->n++] = added;
	return 0;
}

/* of two that claim the same, the one that the worktree leads to comes first */
static int compare_claims(const void *a_, const void *b_)
{
	const struct worktree_claim *a = a_, *b = b_;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	if (a->is_mutual != b->is_mutual)
		return a->is_mutual ? -1 : 1;
	return strcmp(a->where, b->where);
}

int worktree_claims_check(struct check *c, const struct worktree_claims *claims)
{
	int r = 0;

	if (claims->n)
		qsort(claims->v, claims->n, sizeof(*claims->v), compare_claims);
	for (size_t i = 1; r == 0 && i < claims->n; i++) {
		const struct worktree_claim *a = &claims->v[i - 1], *b = &claims->v[i];
		struct finding_place place = { .where = b->where };

		if (a->dev == b->dev && a->ino == b->ino)
			r = finding_add(c->findings, "duplicate-worktree", &place,
					"%s is an administration of the same worktree", a->where);
	}
	return r;
}

/* a line without its end, which git cuts off as well; else as check_dir_load() */
static int load_line(const struct check_dir *dir, const char *path, char **ret)
{
	size_t len = 0;
	int r = check_dir_load_written(dir, path, LINK_BYTES, ret, &len);

	if (r != 0)
		return r;
	while (len > 0 && ((*ret)[len - 1] == '\n' || (*ret)[len - 1] == '\r'))
		(*ret)[--len] = '\0';
	if (strlen(*ret) != len)
		(*ret)[0] = '\0'; /* NULs: as good as nothing */
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int worktree_check_commondir(const struct check_dir *dir)
{
	_cleanup_(freep) char *text = NULL;
	struct stat store, st;
	int r = load_line(dir, "commondir", &text);

	if (r == CHECK_LOAD_ABSENT)
		return check_dir_tell(dir, "bad-commondir", "commondir", 0,
				      "there is none, so that git does not find the store from the worktree");
	if (r != 0)
		return r < 0 ? r : 0;
	if (!*text)
		return check_dir_tell(dir, "bad-commondir", "commondir", 0,
				      "it is empty, which makes git fail in the whole repository, in every worktree");
	if (fstat(dir->c->common_fd, &store) < 0)
		return -errno;
	if (fstatat(dir->fd, text, &st, 0) == 0 && is_same(&store, &st))
		return 0;
	return check_dir_tell(dir, "bad-commondir", "commondir", 0, "it leads to %s, which is not the store",
			      text);
}

/* a worktree, looked at from its directory */
struct target {
	int fd;		  /* of the worktree; borrowed */
	const char *path; /* how its .git is called */
	const char *slot; /* or NULL */
};

static int tell_target(const struct check_dir *dir, const struct target *t, const char *why)
{
	struct finding_place place = { .where = t->path, .slot = t->slot };

	return finding_add(dir->c->findings, "bad-gitdir", &place, "%s", why);
}

/* the text of .git in a worktree; 1: there is none, told */
static int load_gitfile(const struct check_dir *dir, const struct target *t, char **ret)
{
	size_t len = 0;
	int r = file_load(t->fd, ".git", LINK_BYTES, ret, &len);

	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	if (r < 0) {
		r = tell_target(dir, t,
				r == -ENOENT ? "there is no file .git" :
				r == -EISDIR ? "it is a directory: the worktree has become a repository of its own" :
				r == -ELOOP  ? "it is a link" :
					       "it is no file that can be read");
		return r < 0 ? r : 1;
	}
	while (len > 0 && ((*ret)[len - 1] == '\n' || (*ret)[len - 1] == '\r'))
		(*ret)[--len] = '\0';
	return 0;
}

/* 1: it leads to the administration; 0: it does not, which was told */
static int check_gitfile(const struct check_dir *dir, const struct target *t)
{
	_cleanup_(freep) char *text = NULL;
	struct stat admin, st;
	int r = load_gitfile(dir, t, &text);

	if (r != 0)
		return r < 0 ? r : 0;
	if (!text_has_prefix(text, GITFILE_PREFIX) || !text[strlen(GITFILE_PREFIX)])
		return tell_target(dir, t, "it does not say where the administration is");
	if (fstat(dir->fd, &admin) < 0)
		return -errno;
	if (fstatat(t->fd, text + strlen(GITFILE_PREFIX), &st, 0) == 0 && is_same(&admin, &st))
		return 1;
	return tell_target(dir, t, "it leads to another administration, or to none");
}

/* "<worktree>/.git" -> "<worktree>"; false: it is no such path */
static bool cut_gitfile(char *path)
{
	size_t len = strlen(path);

	if (len < sizeof("/.git") || !text_has_suffix(path, "/.git"))
		return false;
	path[len - strlen("/.git")] = '\0';
	return true;
}

static bool exists(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* a worktree on a disk that is not always there is locked; a lock of ours is no excuse */
static int tell_missing(const struct check_dir *dir, const char *worktree, int error)
{
	if (error == EACCES || error == EPERM)
		return check_dir_tell_as(dir, "missing-worktree", FINDING_INFO, "gitdir", 0,
					 "%s cannot be looked at: %s", worktree, strerror(error));
	if (exists(dir->fd, "locked") && !strstr(dir->where, "/slotd-"))
		return 0;
	return check_dir_tell(dir, "missing-worktree", "gitdir", 0, "%s is not there", worktree);
}

static int check_others_worktree(const struct check_dir *dir, char *path,
				 struct worktree_claims *claims)
{
	_cleanup_(freep) char *gitfile = strdup(path);
	struct target target = { .path = gitfile };
	_cleanup_(closep) int fd = -1;
	struct stat st;
	int r;

	if (!gitfile)
		return -ENOMEM;
	if (!cut_gitfile(path))
		return check_dir_tell(dir, "bad-gitdir", "gitdir", 0,
				      "it does not lead to a file .git in a worktree");
	fd = openat(dir->fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return tell_missing(dir, path, errno);
	if (!exists(fd, ".git"))
		return tell_missing(dir, gitfile, ENOENT);
	target.fd = fd;
	r = check_gitfile(dir, &target);
	return r < 0 ? r : claim(claims, dir->where, &st, r > 0);
}

/* what it says is compared by what is there: git writes other words for the same place */
static int check_slots_gitdir(const struct check_dir *dir, const struct check_slot *slot, int slot_fd,
			      char *path)
{
	struct stat is, must;

	if (fstat(slot_fd, &must) < 0)
		return -errno;
	if (cut_gitfile(path) && fstatat(dir->fd, path, &is, 0) == 0 && is_same(&is, &must))
		return 0;
	return check_dir_tell(dir, "bad-gitdir", "gitdir", 0, "it does not lead to %s/.git", slot->path);
}

static int check_slots_gitfile(const struct check_dir *dir, const struct check_slot *slot, int slot_fd,
			       struct worktree_claims *claims)
{
	_cleanup_(freep) char *gitfile = text_printf("%s/.git", slot->path);
	struct target target = { slot_fd, gitfile, slot->name };
	struct stat st;
	int r;

	if (!gitfile)
		return -ENOMEM;
	if (fstat(slot_fd, &st) < 0)
		return -errno;
	r = check_gitfile(dir, &target);
	return r < 0 ? r : claim(claims, dir->where, &st, r > 0);
}

/* 1: it was told what is wrong with it */
static int load_gitdir(const struct check_dir *dir, char **ret)
{
	int r = load_line(dir, "gitdir", ret);
	size_t len = r == 0 ? strlen(*ret) : 0;

	while (len > 0 && is_git_space((*ret)[len - 1]))
		(*ret)[--len] = '\0';
	if (r < 0 || (r == 0 && len > 0))
		return r;
	if (r == CHECK_LOAD_ABSENT)
		r = check_dir_tell(dir, "bad-gitdir", "gitdir", 0, "there is none");
	else if (r == 0)
		r = check_dir_tell(dir, "bad-gitdir", "gitdir", 0, "it is empty, as after a crash of the machine");
	return r < 0 ? r : 1;
}

int worktree_check_gitdir(const struct check_dir *dir, const struct check_slot *slot, int slot_fd,
			  struct worktree_claims *claims)
{
	_cleanup_(freep) char *text = NULL;
	int r = load_gitdir(dir, &text);

	if (r < 0)
		return r;
	if (!slot)
		return r == 0 ? check_others_worktree(dir, text, claims) : 0;
	if (slot_fd < 0)
		return 0;
	if (r == 0)
		r = check_slots_gitdir(dir, slot, slot_fd, text);
	return r < 0 ? r : check_slots_gitfile(dir, slot, slot_fd, claims);
}

/* A slot's handles, and its paths put right. */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/tree-descent.h"
#include "git/tree-file.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/text.h"

int worktree_names_init(struct worktree_names *n, struct repo *repo, const char *slots_path,
			const char *slot, struct fault *f)
{
	n->path = text_printf("%s/%s", slots_path, slot);
	n->admin = text_printf("slotd-%s", slot);
	n->gitfile = text_printf("gitdir: %s/worktrees/slotd-%s\n", repo_common_dir(repo), slot);
	n->gitdir = text_printf("%s/%s/.git\n", slots_path, slot);
	n->new_ = text_printf("slotd-%s.new", slot);
	n->old = text_printf("slotd-%s.old", slot);
	n->trash = text_printf(".trash-%s", slot);
	if (n->path && n->admin && n->gitfile && n->gitdir && n->new_ && n->old && n->trash)
		return 0;
	return fault_oom(f);
}

void worktree_names_deinit(struct worktree_names *n)
{
	free(n->path);
	free(n->admin);
	free(n->gitfile);
	free(n->gitdir);
	free(n->new_);
	free(n->old);
	free(n->trash);
}

int worktree_open_common(struct repo *repo, struct fault *f)
{
	int fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo)) : fd;
}

int worktree_write_admin(int admin_fd, const struct worktree_names *n, struct fault *f)
{
	const char *files[][2] = { { "gitdir", n->gitdir },
				   { "commondir", WORKTREE_COMMONDIR },
				   { "locked", WORKTREE_LOCKED } };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = admin_put_right_at(admin_fd, files[i][0], files[i][1], f);

		if (r < 0)
			return r;
	}
	return 0;
}

int worktree_open_slot(int slots_fd, const char *name, uint64_t dev, uint64_t ino,
		       struct fault *f)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	fd = fs_open_beneath(slots_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOENT)
		return fault(f, -EUCLEAN, "the directory of slot %s is gone", name);
	if (fd == -ELOOP || fd == -ENOTDIR || fd == -EXDEV)
		return fault(f, -EUCLEAN, "the directory of slot %s was replaced by a %s", name,
			     fd == -EXDEV ? "mount" : "link or a file");
	if (fd < 0)
		return fault_errno(f, fd, "cannot open the directory of slot %s", name);
	if (fstat(fd, &st) < 0)
		return fault_errno(f, -errno, "cannot look at the directory of slot %s", name);
	if ((dev && st.st_dev != dev) || (ino && st.st_ino != ino))
		return fault(f, -EUCLEAN, "the directory of slot %s is not the one that was made",
			     name);
	return TAKE_FD(fd);
}

int worktree_open_admin(int common_fd, const struct worktree_names *n, const char *name,
			struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("worktrees/%s", n->admin);
	int fd;

	if (!path)
		return fault_oom(f);
	fd = fs_open_beneath(common_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV)
		return fault(f, -EUCLEAN, "the administration of slot %s (%s) is %s", name, path,
			     fd == -ENOENT ? "gone" : "no directory of the store");
	return fd < 0 ? fault_errno(f, fd, "cannot open %s", path) : fd;
}

/* a directory that is read-only can be renamed, but not moved to another one */
static int move_git(int slot_fd, int to_fd)
{
	_cleanup_(closep) int fd = -1;

	if (renameat2(slot_fd, ".git", to_fd, ".git", RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EACCES)
		return -errno;
	fd = tree_open_dir(slot_fd, ".git", true);
	if (fd < 0)
		return fd;
	return renameat2(slot_fd, ".git", to_fd, ".git", RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int move_git_into(int slot_fd, const char *name)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (mkdirat(slot_fd, name, 0755) < 0)
		return -errno;
	fd = fs_open_beneath(slot_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	r = fd < 0 ? fd : move_git(slot_fd, fd);
	if (r < 0)
		unlinkat(slot_fd, name, AT_REMOVEDIR);
	return r;
}

/*
 * Whoever replaced .git by a directory may have made commits in it. It goes on as what it is, a
 * repository, in a directory of its own: the next sweep finds a nested one.
 */
static int set_aside(int slot_fd, struct fault *f)
{
	char to[32];
	int r = -EEXIST;

	for (int i = 1; r == -EEXIST && i < 100; i++) {
		snprintf(to, sizeof(to), TREE_ASIDE_PREFIX "%d", i);
		r = move_git_into(slot_fd, to);
	}
	return r < 0 ? fault_errno(f, r, "cannot set aside the directory .git") : 0;
}

static int put_right_gitfile(int slot_fd, const struct worktree_names *n, const char *name,
			     struct fault *f)
{
	struct stat st;
	int r;

	r = admin_remove_at(slot_fd, WORKTREE_GITFILE_TMP, f);
	if (r < 0)
		return r;
	if (fstatat(slot_fd, ".git", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
		log_warning("the .git of a slot was replaced by a directory slot=%s", name);
		r = set_aside(slot_fd, f);
		if (r < 0)
			return r;
	}
	r = admin_put_right_at(slot_fd, ".git", n->gitfile, f);
	if (r > 0)
		log_warning("the .git file of a slot was put right slot=%s", name);
	return r < 0 ? r : 0;
}

static int open_handles(struct worktree *w, const struct worktree_names *n, int slots_fd,
			uint64_t dev, uint64_t ino, struct fault *f)
{
	_cleanup_(closep) int common_fd = -1;

	w->tree.slot_fd = worktree_open_slot(slots_fd, w->name, dev, ino, f);
	if (w->tree.slot_fd < 0)
		return w->tree.slot_fd;
	common_fd = worktree_open_common(w->repo, f);
	if (common_fd < 0)
		return common_fd;
	w->tree.admin_fd = worktree_open_admin(common_fd, n, w->name, f);
	return w->tree.admin_fd < 0 ? w->tree.admin_fd : 0;
}

static int open_names(struct worktree *w, const struct worktree_names *n, int slots_fd,
		      uint64_t dev, uint64_t ino, struct fault *f)
{
	int r = open_handles(w, n, slots_fd, dev, ino, f);

	if (r == 0)
		r = put_right_gitfile(w->tree.slot_fd, n, w->name, f);
	if (r == 0)
		r = worktree_write_admin(w->tree.admin_fd, n, f);
	return r;
}

static void worktree_closep(struct worktree **w)
{
	worktree_close(*w);
}

int worktree_open(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		  uint64_t dev, uint64_t ino, struct worktree **ret, struct fault *f)
{
	_cleanup_(worktree_closep) struct worktree *w = calloc(1, sizeof(*w));
	_cleanup_(worktree_names_deinit) struct worktree_names n = { 0 };
	int r;

	if (!w)
		return fault_oom(f);
	w->repo = repo;
	w->tree = (struct tree_slot){ repo_common_dir(repo), -1, -1 };
	w->name = strdup(name);
	r = w->name ? worktree_names_init(&n, repo, slots_path, name, f) : fault_oom(f);
	if (r < 0)
		return r;
	w->path = TAKE(n.path);
	w->slots_fd = slots_fd;
	w->trash = TAKE(n.trash);
	r = open_names(w, &n, slots_fd, dev, ino, f);
	if (r < 0)
		return r;
	*ret = TAKE(w);
	return 0;
}

void worktree_close(struct worktree *w)
{
	if (!w)
		return;
	closep(&w->tree.slot_fd);
	closep(&w->tree.admin_fd);
	free(w->name);
	free(w->path);
	free(w->trash);
	free(w);
}

bool worktree_exists(int slots_fd, const char *name)
{
	_cleanup_(freep) char *trash = text_printf(".trash-%s", name);

	if (faccessat(slots_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return true;
	return !trash || faccessat(slots_fd, trash, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

const struct tree_slot *worktree_tree(const struct worktree *w)
{
	return &w->tree;
}

/*
 * Slots come and go.
 *
 * Nobody ever sees half an administration: it is built in <common>/slotd/ and renamed into
 * worktrees/ when all is there, and renamed back before it is deleted.
 */
#include "git/worktree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/admin.h"
#include "git/branch.h"
#include "git/ref-write.h"
#include "git/reflog.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

struct birth {
	struct repo *repo;
	const char *slot;
	const git_oid *commit;
	int slots_fd; /* borrowed */
	int common_fd;
	int worktrees_fd;
	int slotd_fd;
	int slot_fd;
	int admin_fd;
	struct worktree_names names;
};

static void birth_deinit(struct birth *b)
{
	closep(&b->common_fd);
	closep(&b->worktrees_fd);
	closep(&b->slotd_fd);
	closep(&b->slot_fd);
	closep(&b->admin_fd);
	worktree_names_deinit(&b->names);
}

/* git takes worktrees/ away when nothing is in it */
static int open_worktrees(struct birth *b, struct fault *f)
{
	closep(&b->worktrees_fd);
	b->worktrees_fd = admin_open_dir_at(b->common_fd, "worktrees", f);
	return b->worktrees_fd < 0 ? b->worktrees_fd : 0;
}

static int birth_init(struct birth *b, struct repo *repo, int slots_fd, const char *slots_path,
		      const char *slot, struct fault *f)
{
	int r;

	*b = (struct birth){ .repo = repo,
			     .slot = slot,
			     .slots_fd = slots_fd,
			     .common_fd = -1,
			     .worktrees_fd = -1,
			     .slotd_fd = -1,
			     .slot_fd = -1,
			     .admin_fd = -1 };
	r = worktree_names_init(&b->names, repo, slots_path, slot, f);
	if (r < 0)
		return r;
	b->common_fd = worktree_open_common(repo, f);
	if (b->common_fd < 0)
		return b->common_fd;
	b->slotd_fd = admin_open_dir_at(b->common_fd, "slotd", f);
	if (b->slotd_fd < 0)
		return b->slotd_fd;
	return open_worktrees(b, f);
}

/* takes the administration out of everybody's sight; one that is not there is fine */
static int unpublish(struct birth *b, struct fault *f)
{
	int r = fs_remove_tree_at(b->slotd_fd, b->names.old, f);

	if (r < 0)
		return r;
	if (renameat2(b->worktrees_fd, b->names.admin, b->slotd_fd, b->names.old,
		      RENAME_NOREPLACE) < 0 &&
	    errno != ENOENT)
		return fault_errno(f, -errno, "cannot take away worktrees/%s", b->names.admin);
	return 0;
}

/* what is left of this slot in slotd/ */
static int clear_slotd(struct birth *b, struct fault *f)
{
	int r = fs_remove_tree_at(b->slotd_fd, b->names.old, f);

	if (r == 0)
		r = fs_remove_tree_at(b->slotd_fd, b->names.new_, f);
	return r == 0 ? ref_recover(b->repo, b->slot, f) : r;
}

static bool is_there(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The administration is begun before the slot's directory and goes after it. What lies in the
 * slot's place without one was never a slot of this store, and is not touched.
 */
static bool has_administration(const struct birth *b)
{
	return is_there(b->worktrees_fd, b->names.admin) ||
	       is_there(b->slotd_fd, b->names.new_) || is_there(b->slotd_fd, b->names.old);
}

/* an administration of this name for a directory elsewhere: a slot of another slotd, past or present */
static bool is_anothers(const struct birth *b)
{
	_cleanup_(closep) int fd = fs_open_beneath(b->worktrees_fd, b->names.admin,
						   O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	_cleanup_(freep) char *gitdir = NULL;
	size_t len = strcspn(b->names.gitdir, "\n");

	return fd >= 0 && admin_read_at(fd, "gitdir", &gitdir, NULL) == 0 &&
	       (strlen(gitdir) != len || memcmp(gitdir, b->names.gitdir, len) != 0);
}

static int check_place(const struct birth *b, struct fault *f)
{
	if (is_anothers(b))
		return fault(f, -ENOTUNIQ, "worktrees/%s is the slot of another slotd",
			     b->names.admin);
	if (!is_there(b->slots_fd, b->slot) || has_administration(b))
		return 0;
	return fault(f, -ENOTUNIQ, "%s is there already and is no slot of this repository",
		     b->names.path);
}

/* what a killed try or a removed slot of this name left */
static int clear_leftovers(struct birth *b, struct fault *f)
{
	int r = check_place(b, f);

	if (r == 0)
		r = unpublish(b, f);
	if (r == 0)
		r = fs_remove_tree_at(b->slots_fd, b->slot, f);
	if (r == 0)
		r = fs_remove_tree_at(b->slots_fd, b->names.trash, f);
	if (r == 0)
		r = clear_slotd(b, f);
	CRASH_POINT("worktree.create.cleared");
	return r;
}

static int make_slot(struct birth *b, struct fault *f)
{
	int r;

	if (mkdirat(b->slots_fd, b->slot, 0755) < 0)
		return fault_errno(f, -errno, "cannot make the directory %s", b->names.path);
	CRASH_POINT("worktree.create.mkdir");
	b->slot_fd = worktree_open_slot(b->slots_fd, b->slot, 0, 0, f);
	if (b->slot_fd < 0)
		return b->slot_fd;
	r = admin_write_at(b->slot_fd, ".git", b->names.gitfile, f);
	if (r == 0)
		r = admin_sync(b->slot_fd, f);
	if (r == 0)
		r = admin_sync(b->slots_fd, f);
	CRASH_POINT("worktree.create.gitfile");
	return r;
}

static int write_head(struct birth *b, struct fault *f)
{
	char text[GIT_OID_HEXSZ + 2];
	git_oid zero = { { 0 } };
	int r;

	git_oid_tostr(text, GIT_OID_HEXSZ + 1, b->commit);
	strcat(text, "\n");
	r = admin_write_at(b->admin_fd, "HEAD", text, f);
	if (r < 0)
		return r;
	return reflog_append(b->admin_fd, "logs/HEAD", &zero, b->commit, "slotd: created", f);
}

/* before all else: while it is in slotd/ the slot is unfinished */
static int make_admin(struct birth *b, struct fault *f)
{
	b->admin_fd = admin_open_dir_at(b->slotd_fd, b->names.new_, f);
	if (b->admin_fd < 0)
		return b->admin_fd;
	CRASH_POINT("worktree.create.admin");
	return 0;
}

static int write_admin(struct birth *b, struct fault *f)
{
	int r = worktree_write_admin(b->admin_fd, &b->names, f);

	if (r == 0)
		r = write_head(b, f);
	CRASH_POINT("worktree.create.head");
	return r;
}

static int fill(struct birth *b, unsigned threads, struct tree_stats *ret, struct fault *f)
{
	struct tree_slot slot = { repo_common_dir(b->repo), b->slot_fd, b->admin_fd };
	int r = tree_create(&slot, b->commit, threads, ret, f);

	CRASH_POINT("worktree.create.tree");
	return r;
}

static int publish(struct birth *b, struct fault *f)
{
	int r = admin_sync(b->admin_fd, f);

	for (int tries = 0; r == 0 && tries < 5; tries++) {
		if (renameat2(b->slotd_fd, b->names.new_, b->worktrees_fd, b->names.admin,
			      RENAME_NOREPLACE) == 0)
			break;
		r = errno == ENOENT && tries < 4 ?
			    open_worktrees(b, f) :
			    fault_errno(f, -errno, "cannot make worktrees/%s", b->names.admin);
	}
	if (r < 0)
		return r;
	CRASH_POINT("worktree.create.published");
	return admin_sync(b->worktrees_fd, f);
}

static int bear(struct birth *b, unsigned threads, struct tree_stats *ret, struct fault *f)
{
	int r = clear_leftovers(b, f);

	if (r == 0)
		r = branch_pin(b->repo, b->slot, b->commit, f);
	if (r == 0)
		r = make_admin(b, f);
	if (r == 0)
		r = make_slot(b, f);
	if (r == 0)
		r = write_admin(b, f);
	if (r == 0)
		r = fill(b, threads, ret, f);
	if (r == 0)
		r = publish(b, f);
	return r;
}

int worktree_create(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		    const git_oid *commit, unsigned threads, uint64_t *ret_dev, uint64_t *ret_ino,
		    struct tree_stats *ret_stats, struct fault *f)
{
	_cleanup_(birth_deinit) struct birth b = { 0 };
	struct tree_stats stats = { 0 };
	struct stat st;
	int r;

	r = birth_init(&b, repo, slots_fd, slots_path, name, f);
	b.commit = commit;
	if (r == 0)
		r = bear(&b, threads, &stats, f);
	if (r < 0)
		return r;
	if (fstat(b.slot_fd, &st) < 0)
		return fault_errno(f, -errno, "cannot look at %s", b.names.path);
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	*ret_stats = stats;
	return 0;
}

int worktree_is_unfinished(struct repo *repo, const char *name, struct fault *f)
{
	_cleanup_(birth_deinit) struct birth b = { 0 };
	int r = birth_init(&b, repo, -1, "", name, f);

	if (r < 0)
		return r;
	return !is_there(b.worktrees_fd, b.names.admin) &&
	       (is_there(b.slotd_fd, b.names.new_) || is_there(b.slotd_fd, b.names.old));
}

/* a directory that is not the one which the ledger knows stays; a link leads nowhere here */
static int check_slot(struct birth *b, uint64_t dev, uint64_t ino, struct fault *f)
{
	struct stat st;

	if (fstatat(b->slots_fd, b->slot, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fault_errno(f, -errno, "cannot look at %s",
							 b->names.path);
	if (S_ISDIR(st.st_mode) && ((dev && st.st_dev != dev) || (ino && st.st_ino != ino)))
		return fault(f, -EUCLEAN, "%s is not the directory that was made for the slot",
			     b->names.path);
	return 0;
}

static int bury(struct birth *b, bool keep_place, struct fault *f)
{
	int r = unpublish(b, f);

	CRASH_POINT("worktree.remove.unpublished");
	if (r == 0 && !keep_place)
		r = fs_remove_tree_at(b->slots_fd, b->slot, f);
	if (r == 0)
		r = fs_remove_tree_at(b->slots_fd, b->names.trash, f);
	CRASH_POINT("worktree.remove.slot");
	if (r == 0)
		r = clear_slotd(b, f);
	CRASH_POINT("worktree.remove.admin");
	if (r == 0)
		r = branch_unpin(b->repo, b->slot, f);
	if (r == 0)
		r = admin_sync(b->slots_fd, f);
	CRASH_POINT("worktree.remove.done");
	return r;
}

int worktree_remove(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		    uint64_t dev, uint64_t ino, struct fault *f)
{
	_cleanup_(birth_deinit) struct birth b = { 0 };
	int r = birth_init(&b, repo, slots_fd, slots_path, name, f);

	if (r == 0)
		r = check_slot(&b, dev, ino, f);
	if (r < 0 || (ino == 0 && is_anothers(&b)))
		return r;
	/* never made, because something was in its place: that stays */
	return bury(&b, ino == 0 && !has_administration(&b), f);
}

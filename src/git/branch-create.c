/*
 * A branch made so that a killed try is told from somebody's git at work.
 *
 * A ref is made under its ref.lock, and a process killed in between leaves the lock, which
 * would keep everybody from that name for ever. So the lock is a hard link to a file of ours,
 * <common>/slotd/<slot>.ref, and <slot>.ref-name says where: whoever works on the slot
 * next finds both, knows the lock by its inode, and takes it away.
 */
#include "git/branch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "git/admin.h"
#include "git/reflog.h"
#include "git/store.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

struct creation {
	struct repo *repo;
	const char *name;   /* "agent/x" */
	const git_oid *commit;
	char *full;	    /* "refs/heads/agent/x" */
	char *lock;	    /* "refs/heads/agent/x.lock" */
	char *claim;	    /* "<slot>.ref" in slotd/ */
	char *claim_name;   /* "<slot>.ref-name" */
	int common_fd;
	int slotd_fd;
};

static void creation_deinit(struct creation *c)
{
	free(c->full);
	free(c->lock);
	free(c->claim);
	free(c->claim_name);
	closep(&c->common_fd);
	closep(&c->slotd_fd);
}

static int creation_init(struct creation *c, const char *slot, struct fault *f)
{
	c->full = text_printf("refs/heads/%s", c->name);
	c->lock = text_printf("refs/heads/%s.lock", c->name);
	c->claim = text_printf("%s.ref", slot);
	c->claim_name = text_printf("%s.ref-name", slot);
	if (!c->full || !c->lock || !c->claim || !c->claim_name)
		return fault_oom(f);
	c->common_fd = open(repo_common_dir(c->repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->common_fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(c->repo));
	c->slotd_fd = admin_open_dir_at(c->common_fd, "slotd", f);
	return c->slotd_fd < 0 ? c->slotd_fd : 0;
}

/* 0, BRANCH_E_ABSENT, or -EEXIST when it stands elsewhere */
static int compare(const struct creation *c, struct fault *f)
{
	git_oid is;
	int r = branch_find(c->repo, c->name, &is, f);

	if (r != 0 || git_oid_equal(&is, c->commit))
		return r;
	return fault(f, -EEXIST, "the branch %s has just been made elsewhere", c->name);
}

/* "a" and "a/b" cannot both be branches */
static int check_neighbours(const struct creation *c, struct fault *f)
{
	git_reference_iterator *it = NULL;
	const char *other;
	int rc, r = 0;

	rc = git_reference_iterator_glob_new(&it, repo_git(c->repo), "refs/heads/*");
	while (r == 0 && rc == 0 && (rc = git_reference_next_name(&other, it)) == 0) {
		size_t len = strlen(other), own = strlen(c->full);

		if ((own > len && c->full[len] == '/' && text_has_prefix(c->full, other)) ||
		    (len > own && other[own] == '/' && text_has_prefix(other, c->full)))
			r = fault(f, -EEXIST,
				  "the branch %s cannot be made: there is a branch %s", c->name,
				  other + strlen("refs/heads/"));
	}
	git_reference_iterator_free(it);
	if (r == 0 && rc != 0 && rc != GIT_ITEROVER)
		return git_fault(f, rc, "cannot list the branches");
	return r;
}

/*
 * Opens the directory of the ref below refs/heads, made where missing. git takes empty ones away
 * at any time, hence -ENOENT: begin again.
 */
static int open_parent(const struct creation *c, const char **ret_base, struct fault *f)
{
	const char *rest = c->full;
	int fd = fcntl(c->common_fd, F_DUPFD_CLOEXEC, 3);

	for (const char *slash; fd >= 0 && (slash = strchr(rest, '/')); rest = slash + 1) {
		_cleanup_(freep) char *part = strndup(rest, (size_t)(slash - rest));
		int below = -ENOMEM;

		if (part) {
			(void)mkdirat(fd, part, 0777);
			below = fs_open_beneath(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		}
		close(fd);
		fd = below;
	}
	*ret_base = rest;
	if (fd == -ENOTDIR || fd == -ELOOP)
		return fault(f, -EEXIST, "the branch %s cannot be made: something is in its way",
			     c->name);
	return fd < 0 ? fault_errno(f, fd, "cannot make the directory of the branch %s", c->name) :
			fd;
}

static bool is_same_file(int a_fd, const char *a, int b_fd, const char *b)
{
	struct stat x, y;

	return fstatat(a_fd, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(b_fd, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

/* "refs/heads/x.lock", and not a way out of there */
static bool is_lock_of_branch(const char *lock)
{
	_cleanup_(freep) char *ref = NULL;
	int valid = 0;

	if (!text_has_prefix(lock, "refs/heads/") || !text_has_suffix(lock, ".lock"))
		return false;
	ref = strndup(lock, strlen(lock) - strlen(".lock"));
	return ref && git_reference_name_is_valid(&valid, ref) == 0 && valid;
}

/* undo what a killed try for this slot left */
static int clear_claim(const struct creation *c, struct fault *f)
{
	_cleanup_(freep) char *lock = NULL;
	int r;

	r = admin_read_at(c->slotd_fd, c->claim_name, &lock, NULL);
	if (r == 0 && is_lock_of_branch(lock) &&
	    is_same_file(c->slotd_fd, c->claim, c->common_fd, lock) &&
	    unlinkat(c->common_fd, lock, 0) < 0 && errno != ENOENT)
		return fault_errno(f, -errno, "cannot remove %s", lock);
	r = admin_remove_at(c->slotd_fd, c->claim, f);
	return r < 0 ? r : admin_remove_at(c->slotd_fd, c->claim_name, f);
}

/* the future ref and the name of its lock, both on disk */
static int write_claim(const struct creation *c, struct fault *f)
{
	char text[GIT_OID_HEXSZ + 2];
	int r;

	git_oid_tostr(text, GIT_OID_HEXSZ + 1, c->commit);
	strcat(text, "\n");
	r = admin_write_at(c->slotd_fd, c->claim_name, c->lock, f);
	if (r == 0)
		r = admin_write_at(c->slotd_fd, c->claim, text, f);
	if (r == 0)
		r = admin_sync(c->slotd_fd, f);
	CRASH_POINT("branch.create.claimed");
	return r;
}

/* the lock becomes the ref; an empty directory may be in its place */
static int publish(const struct creation *c, int parent, const char *base, const char *lock,
		   struct fault *f)
{
	int r = renameat(parent, lock, parent, base) < 0 ? -errno : 0;

	if (r == -EISDIR && unlinkat(parent, base, AT_REMOVEDIR) == 0)
		r = renameat(parent, lock, parent, base) < 0 ? -errno : 0;
	if (r < 0)
		return fault_errno(f, r, "cannot make the branch %s", c->name);
	CRASH_POINT("branch.create.published");
	return admin_sync(parent, f);
}

/* 0: made; 1: it is there, at the commit; -ENOENT: the directory vanished, begin again */
static int create_under_lock(const struct creation *c, struct fault *f)
{
	_cleanup_(closep) int parent = -1;
	_cleanup_(freep) char *lock = NULL;
	const char *base = NULL;
	int r;

	parent = open_parent(c, &base, f);
	if (parent < 0)
		return parent;
	lock = text_printf("%s.lock", base);
	if (!lock)
		return fault_oom(f);
	if (linkat(c->slotd_fd, c->claim, parent, lock, 0) < 0)
		return errno == EEXIST ? fault(f, -EAGAIN, "the branch %s is locked by %s.lock",
					       c->name, c->full) :
					 fault_errno(f, -errno, "cannot lock the branch %s",
						     c->name);
	CRASH_POINT("branch.create.locked");
	r = compare(c, f);
	if (r == BRANCH_E_ABSENT)
		r = publish(c, parent, base, lock, f);
	else if (r == 0)
		r = 1;
	if (r != 0)
		unlinkat(parent, lock, 0);
	return r;
}

/* git logs branches unless the repository is bare */
static int log_creation(const struct creation *c, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("logs/%s", c->full);
	git_oid zero = { { 0 } };

	if (!path)
		return fault_oom(f);
	if (store_is_bare(c->repo))
		return 0;
	return reflog_append(c->common_fd, path, &zero, c->commit, "branch: created by slotd", f);
}

static int create(const struct creation *c, bool *ret_created, struct fault *f)
{
	int r = -ENOENT;

	for (int tries = 0; r == -ENOENT && tries < 5; tries++)
		r = create_under_lock(c, f);
	if (r < 0)
		return r;
	*ret_created = r == 0;
	return r == 0 ? log_creation(c, f) : 0;
}

int branch_create(struct repo *repo, const char *slot, const char *name, const git_oid *commit,
		  bool *ret_created, struct fault *f)
{
	_cleanup_(creation_deinit) struct creation c = {
		.repo = repo, .name = name, .commit = commit, .common_fd = -1, .slotd_fd = -1
	};
	int r, cleared;

	r = creation_init(&c, slot, f);
	if (r == 0)
		r = clear_claim(&c, f);
	if (r < 0)
		return r;
	r = compare(&c, f);
	if (r != BRANCH_E_ABSENT) {
		*ret_created = false;
		return r;
	}
	r = check_neighbours(&c, f);
	if (r == 0)
		r = write_claim(&c, f);
	if (r == 0)
		r = create(&c, ret_created, f);
	cleared = clear_claim(&c, r < 0 ? NULL : f);
	return r < 0 ? r : cleared;
}

int branch_recover(struct repo *repo, const char *slot, struct fault *f)
{
	_cleanup_(creation_deinit) struct creation c = {
		.repo = repo, .name = "", .common_fd = -1, .slotd_fd = -1
	};
	int r = creation_init(&c, slot, f);

	return r < 0 ? r : clear_claim(&c, f);
}

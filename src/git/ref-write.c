/* Locks that say whose they are. */
#include "git/ref-write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "git/admin.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/text.h"

#define PACKED_REFS	  "packed-refs"
#define PACKED_REFS_LOCK  "packed-refs.lock"
#define PACKED_REFS_BYTES (512 * 1024 * 1024)

struct claim {
	struct repo *repo;
	const char *name; /* of the ref */
	char *lock;	  /* "refs/heads/agent/x.lock" */
	char *file;	  /* "<slot>.ref", in slotd/ */
	char *file_name;  /* "<slot>.ref-name" */
	int common_fd;
	int slotd_fd;
	int parent_fd;	  /* directory of the ref */
	const char *base; /* its name there; points into @name */
};

static void claim_deinit(struct claim *c)
{
	free(c->lock);
	free(c->file);
	free(c->file_name);
	closep(&c->common_fd);
	closep(&c->slotd_fd);
	closep(&c->parent_fd);
}

static int claim_init(struct claim *c, struct repo *repo, const char *slot, const char *name,
		      struct fault *f)
{
	*c = (struct claim){ .repo = repo,
			     .name = name,
			     .lock = text_printf("%s.lock", name),
			     .file = text_printf("%s.ref", slot),
			     .file_name = text_printf("%s.ref-name", slot),
			     .common_fd = -1,
			     .slotd_fd = -1,
			     .parent_fd = -1 };
	if (!c->lock || !c->file || !c->file_name)
		return fault_oom(f);
	c->common_fd = open(repo_common_dir(repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->common_fd < 0)
		return fault_errno(f, -errno, "cannot open %s", repo_common_dir(repo));
	c->slotd_fd = admin_open_dir_at(c->common_fd, "slotd", f);
	return c->slotd_fd < 0 ? c->slotd_fd : 0;
}

/* --- what a killed one left --- */

static bool is_claimed(const struct claim *c, const char *lock)
{
	struct stat x, y;

	return fstatat(c->slotd_fd, c->file, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(c->common_fd, lock, &y, AT_SYMLINK_NOFOLLOW) == 0 &&
	       x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* a lock that this file can have taken, and not a way out of there */
static bool is_lock(const char *lock)
{
	_cleanup_(freep) char *ref = NULL;
	int valid = 0;

	if (strcmp(lock, PACKED_REFS_LOCK) == 0)
		return true;
	if (!text_has_prefix(lock, "refs/") || !text_has_suffix(lock, ".lock"))
		return false;
	ref = strndup(lock, strlen(lock) - strlen(".lock"));
	return ref && git_reference_name_is_valid(&valid, ref) == 0 && valid;
}

static int claim_clear(const struct claim *c, struct fault *f)
{
	_cleanup_(freep) char *names = NULL;
	char *save = NULL;
	int r;

	if (admin_read_at(c->slotd_fd, c->file_name, &names, NULL) == 0)
		for (char *lock = strtok_r(names, "\n", &save); lock;
		     lock = strtok_r(NULL, "\n", &save))
			if (is_lock(lock) && is_claimed(c, lock) &&
			    unlinkat(c->common_fd, lock, 0) < 0 && errno != ENOENT)
				return fault_errno(f, -errno, "cannot remove %s", lock);
	r = admin_remove_at(c->slotd_fd, c->file, f);
	return r < 0 ? r : admin_remove_at(c->slotd_fd, c->file_name, f);
}

/* --- locks --- */

/* the file that will be the locks, and their names, both on disk */
static int claim_write(const struct claim *c, const char *text, struct fault *f)
{
	_cleanup_(freep) char *names = text_printf("%s\n%s\n", c->lock, PACKED_REFS_LOCK);
	int r;

	if (!names)
		return fault_oom(f);
	r = admin_write_at(c->slotd_fd, c->file_name, names, f);
	if (r == 0)
		r = admin_write_at(c->slotd_fd, c->file, text, f);
	if (r == 0)
		r = admin_sync(c->slotd_fd, f);
	CRASH_POINT("ref.claimed");
	return r;
}

/*
 * Opens the directory of the ref, made where missing. git takes empty ones away at any time,
 * hence -ENOENT: begin again.
 */
static int open_parent(struct claim *c, struct fault *f)
{
	const char *rest = c->name;
	int fd = fcntl(c->common_fd, F_DUPFD_CLOEXEC, 3);

	for (const char *slash; fd >= 0 && (slash = strchr(rest, '/')); rest = slash + 1) {
		_cleanup_(freep) char *part = strndup(rest, (size_t)(slash - rest));
		int below = -ENOMEM;

		if (part) {
			/* a ref is as lasting as the directories above it */
			if (mkdirat(fd, part, 0777) == 0)
				(void)fsync(fd);
			below = fs_open_beneath(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		}
		close(fd);
		fd = below;
	}
	c->base = rest;
	if (fd == -ENOTDIR || fd == -ELOOP)
		return fault(f, -EEXIST, "%s cannot be made: something is in its way", c->name);
	if (fd < 0)
		return fault_errno(f, fd, "cannot make the directory of %s", c->name);
	closep(&c->parent_fd);
	c->parent_fd = fd;
	return 0;
}

/* takes a lock, waiting for somebody's git as git does (core.packedRefsTimeout) */
static int take(const struct claim *c, int dirfd, const char *lock, struct fault *f)
{
	uint64_t deadline = clock_boot_usec() + USEC_PER_SEC;
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	while (linkat(c->slotd_fd, c->file, dirfd, lock, 0) < 0) {
		if (errno != EEXIST)
			return fault_errno(f, -errno, "cannot lock %s", c->name);
		if (clock_boot_usec() >= deadline)
			return fault(f, -EAGAIN, "%s is locked by somebody (%s)", c->name, lock);
		nanosleep(&pause, NULL);
	}
	CRASH_POINT("ref.locked");
	return 0;
}

static int take_ref_once(struct claim *c, char *lock, struct fault *f)
{
	int r = open_parent(c, f);

	return r < 0 ? r : take(c, c->parent_fd, lock, f);
}

/* the ref's lock; @ret: its name in parent_fd */
static int take_ref(struct claim *c, char **ret, struct fault *f)
{
	_cleanup_(freep) char *lock = text_printf("%s.lock", strrchr(c->name, '/') + 1);
	int r = -ENOENT;

	if (!lock)
		return fault_oom(f);
	for (int tries = 0; r == -ENOENT && tries < 5; tries++)
		r = take_ref_once(c, lock, f);
	if (r == 0)
		*ret = TAKE(lock);
	return r;
}

/* --- write --- */

static bool exists(const struct claim *c)
{
	git_oid oid;

	return git_reference_name_to_id(&oid, repo_git(c->repo), c->name) == 0;
}

/* the lock becomes the ref; an empty directory may be in its place */
static int publish(const struct claim *c, const char *lock, struct fault *f)
{
	int r = renameat(c->parent_fd, lock, c->parent_fd, c->base) < 0 ? -errno : 0;

	if (r == -EISDIR && unlinkat(c->parent_fd, c->base, AT_REMOVEDIR) == 0)
		r = renameat(c->parent_fd, lock, c->parent_fd, c->base) < 0 ? -errno : 0;
	if (r < 0)
		return fault_errno(f, r, "cannot write %s", c->name);
	CRASH_POINT("ref.published");
	return admin_sync(c->parent_fd, f);
}

static int write_locked(struct claim *c, bool only_new, struct fault *f)
{
	_cleanup_(freep) char *lock = NULL;
	int r = take_ref(c, &lock, f);

	if (r < 0)
		return r;
	r = only_new && exists(c) ? REF_E_EXISTS : publish(c, lock, f);
	if (r != 0)
		unlinkat(c->parent_fd, lock, 0);
	return r;
}

int ref_write(struct repo *repo, const char *slot, const char *name, const git_oid *to,
	      bool only_new, struct fault *f)
{
	_cleanup_(claim_deinit) struct claim c = { 0 };
	char text[GIT_OID_HEXSZ + 2];
	int r, cleared;

	git_oid_tostr(text, GIT_OID_HEXSZ + 1, to);
	strcat(text, "\n");
	r = claim_init(&c, repo, slot, name, f);
	if (r == 0)
		r = claim_clear(&c, f);
	if (r == 0)
		r = claim_write(&c, text, f);
	if (r < 0)
		return r;
	r = write_locked(&c, only_new, f);
	cleared = claim_clear(&c, r < 0 ? NULL : f);
	return r != 0 ? r : cleared;
}

/* --- delete --- */

/* cuts "<id> <name>" and its "^<id>" out of the text of packed-refs; false: it is not there */
static bool cut_line(char *text, const char *name)
{
	for (char *line = text; *line;) {
		char *end = line + strcspn(line, "\n");
		size_t len = (size_t)(end - line);

		end += *end == '\n';
		if (len == GIT_OID_HEXSZ + 1 + strlen(name) && line[0] != '#' &&
		    strncmp(line + GIT_OID_HEXSZ + 1, name, strlen(name)) == 0) {
			if (*end == '^') {
				end += strcspn(end, "\n");
				end += *end == '\n';
			}
			memmove(line, end, strlen(end) + 1);
			return true;
		}
		line = end;
	}
	return false;
}

/* packed-refs without the ref; NULL: it does not name it */
static int read_packed(const struct claim *c, char **ret, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0;
	int r = fs_read_file_at(c->common_fd, PACKED_REFS, PACKED_REFS_BYTES, &text, &len);

	*ret = NULL;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return fault_errno(f, r, "cannot read " PACKED_REFS);
	if (strlen(text) != len)
		return fault(f, -EUCLEAN, PACKED_REFS " holds NUL bytes");
	if (cut_line(text, c->name))
		*ret = TAKE(text);
	return 0;
}

/* the lock is a file of ours alone until it is packed-refs */
static int fill_and_publish(const struct claim *c, const char *text, struct fault *f)
{
	_cleanup_(closep) int fd = openat(c->slotd_fd, c->file,
					  O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : fs_write_all(fd, text, strlen(text));

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	CRASH_POINT("ref.packed");
	if (r == 0 &&
	    renameat(c->common_fd, PACKED_REFS_LOCK, c->common_fd, PACKED_REFS) < 0)
		r = -errno;
	return r < 0 ? fault_errno(f, r, "cannot write " PACKED_REFS) : admin_sync(c->common_fd, f);
}

static int delete_packed(const struct claim *c, struct fault *f)
{
	_cleanup_(freep) char *text = NULL;
	int r = read_packed(c, &text, f);

	if (r < 0 || !text)
		return r;
	r = take(c, c->common_fd, PACKED_REFS_LOCK, f);
	if (r < 0)
		return r;
	free(TAKE(text));
	r = read_packed(c, &text, f);
	if (r == 0 && text)
		r = fill_and_publish(c, text, f);
	if (r < 0 || !text)
		unlinkat(c->common_fd, PACKED_REFS_LOCK, 0);
	return r;
}

/* packed first: the loose one hides it until then */
static int delete_locked(struct claim *c, struct fault *f)
{
	_cleanup_(freep) char *lock = NULL;
	int r = take_ref(c, &lock, f);

	if (r < 0)
		return r;
	r = delete_packed(c, f);
	if (r == 0 && unlinkat(c->parent_fd, c->base, 0) < 0 && errno != ENOENT)
		r = fault_errno(f, -errno, "cannot delete %s", c->name);
	CRASH_POINT("ref.deleted");
	unlinkat(c->parent_fd, lock, 0);
	return r;
}

int ref_delete(struct repo *repo, const char *slot, const char *name, struct fault *f)
{
	_cleanup_(claim_deinit) struct claim c = { 0 };
	int r, cleared;

	r = claim_init(&c, repo, slot, name, f);
	if (r == 0)
		r = claim_clear(&c, f);
	if (r < 0 || !exists(&c))
		return r;
	r = claim_write(&c, "", f);
	if (r == 0)
		r = delete_locked(&c, f);
	cleared = claim_clear(&c, r < 0 ? NULL : f);
	return r < 0 ? r : cleared;
}

int ref_recover(struct repo *repo, const char *slot, struct fault *f)
{
	_cleanup_(claim_deinit) struct claim c = { 0 };
	int r = claim_init(&c, repo, slot, "refs/none", f);

	return r < 0 ? r : claim_clear(&c, f);
}

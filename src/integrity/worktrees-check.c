/* Every administration, and every slot that has none. */
#include "integrity/worktrees-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "integrity/index-check.h"
#include "integrity/refs-check.h"
#include "integrity/refs-private.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/text.h"

#define MAKING_GRACE_USEC (60 * USEC_PER_SEC)

/*
 * Who removes a worktree takes one file after the other away: what looks damaged is looked at again, and once more
 * as long as something changes there.
 */
#define AGAIN_PAUSE_NSEC (50 * 1000 * 1000) /* the first; each is twice as long as the one before */
#define AGAIN_LOOKS	 4
#define CHANGING_SEC	 2
#define AGAIN_MAX	 20 /* pauses in one check; whoever removes so many has time to check again */

static int tell_slot(struct check *c, const struct check_slot *slot, const char *id,
		     enum finding_severity severity, const char *why)
{
	struct finding_place place = { .where = slot->path, .slot = slot->name };

	return finding_add_as(c->findings, id, severity, &place, "%s", why);
}

bool worktree_is_in_transit(const struct check *c, const char *slot)
{
	_cleanup_(freep) char *new_ = text_printf("slotd/slotd-%s.new", slot);
	_cleanup_(freep) char *old = text_printf("slotd/slotd-%s.old", slot);

	return new_ && old &&
	       (faccessat(c->common_fd, new_, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		faccessat(c->common_fd, old, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

static int open_directory(const struct check_slot *slot, int *ret)
{
	const char *slash = strrchr(slot->path, '/');
	_cleanup_(freep) char *parent = NULL;
	_cleanup_(closep) int fd = -1;

	if (!slash || !slash[1])
		return -EINVAL;
	parent = slash == slot->path ? strdup("/") : strndup(slot->path, (size_t)(slash - slot->path));
	if (!parent)
		return -ENOMEM;
	fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fs_open_beneath(fd, slash + 1, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	return *ret < 0 ? *ret : 0;
}

static int tell_no_directory(struct check *c, const struct check_slot *slot, int error)
{
	switch (error) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return error;
	case -ENOENT:
		return tell_slot(c, slot, "missing-worktree", FINDING_ERROR, "the directory of the slot is gone");
	case -ELOOP:
	case -ENOTDIR:
		return tell_slot(c, slot, "moved-slot", FINDING_ERROR,
				 "in the place of the slot's directory is a link or a file");
	case -EXDEV:
		return tell_slot(c, slot, "moved-slot", FINDING_ERROR, "on the slot's directory something is mounted");
	default:
		return tell_slot(c, slot, "unreadable-file", FINDING_ERROR, strerror(-error));
	}
}

/* whose it is, and what one may do in it */
static int check_owner(struct check *c, const struct check_slot *slot, const char *where,
		       const struct stat *st)
{
	struct finding_place place = { .where = where, .slot = slot->name };
	int r = 0;

	if (st->st_uid != geteuid())
		r = finding_add(c->findings, "wrong-owner", &place,
				"it belongs to uid %u, and slotd works as uid %u", (unsigned)st->st_uid,
				(unsigned)geteuid());
	if (r == 0 && S_ISDIR(st->st_mode) && (st->st_mode & 0700) != 0700)
		r = finding_add(c->findings, "unreadable-file", &place,
				"its mode is %04o: its owner cannot work in it", st->st_mode & 07777);
	return r;
}

static int check_directory(struct check *c, const struct check_slot *slot, int fd)
{
	_cleanup_(freep) char *gitfile = text_printf("%s/.git", slot->path);
	struct stat st;
	int r;

	if (!gitfile)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((slot->dev && st.st_dev != slot->dev) || (slot->ino && st.st_ino != slot->ino)) {
		r = tell_slot(c, slot, "moved-slot", FINDING_ERROR,
			      "it is not the directory that was made for the slot");
		if (r < 0)
			return r;
	}
	r = check_owner(c, slot, slot->path, &st);
	if (r == 0 && fstatat(fd, ".git", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		r = check_owner(c, slot, gitfile, &st);
	return r;
}

/* what is in any administration */
static int check_files(const struct check_dir *dir)
{
	struct store_format format = { .is_sha1 = true, .has_ref_files = true };
	int r = worktree_check_commondir(dir);

	if (r == 0)
		r = config_check(dir, "config.worktree", &format);
	if (r == 0)
		r = refs_check_worktree(dir->c, dir->fd, dir->where, dir->slot);
	return r < 0 ? r : index_check(dir->c, dir->fd, dir->where, dir->slot);
}

static int open_admin(const struct check *c, const char *where)
{
	return fs_open_beneath(c->common_fd, where, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

/* of a slot; @slot_fd: below 0: it has no directory */
static int check_admin(struct check *c, const struct check_slot *slot, int slot_fd, const char *where,
		       struct worktree_claims *claims)
{
	_cleanup_(closep) int fd = open_admin(c, where);
	struct check_dir dir = { c, fd, where, slot->name };
	struct stat st;
	int r;

	if (fd == -ENOENT)
		return worktree_is_in_transit(c, slot->name) ?
			       0 :
			       check_dir_tell(&dir, "bad-gitdir", "", 0, "the administration of the slot is gone");
	if (fd == -ELOOP || fd == -ENOTDIR || fd == -EXDEV)
		return check_dir_tell(&dir, "bad-gitdir", "", 0,
				      "the administration of the slot is no directory of the store");
	if (fd < 0)
		return check_dir_tell_unreadable(&dir, "", fd);
	if (fstat(fd, &st) < 0)
		return -errno;
	r = check_owner(c, slot, where, &st);
	if (r == 0)
		r = worktree_check_gitdir(&dir, slot, slot_fd, claims);
	return r < 0 ? r : check_files(&dir);
}

static int check_slot(struct check *c, const struct check_slot *slot, struct worktree_claims *claims)
{
	_cleanup_(freep) char *where = text_printf("worktrees/slotd-%s", slot->name);
	_cleanup_(closep) int fd = -1;
	int r;

	if (!where)
		return -ENOMEM;
	r = open_directory(slot, &fd);
	if (r == 0)
		r = check_directory(c, slot, fd);
	else
		r = worktree_is_in_transit(c, slot->name) ? 0 : tell_no_directory(c, slot, r);
	return r < 0 ? r : check_admin(c, slot, fd, where, claims);
}

int worktree_check_slot(struct check *c, const struct check_slot *slot)
{
	return check_slot(c, slot, NULL);
}

static const struct check_slot *slot_of(const struct check *c, const char *id)
{
	if (!text_has_prefix(id, "slotd-"))
		return NULL;
	for (size_t i = 0; i < c->spec->n_slots; i++)
		if (strcmp(c->spec->slots[i].name, id + strlen("slotd-")) == 0)
			return &c->spec->slots[i];
	return NULL;
}

/* "git worktree add" is at it, or was killed; what it has not written yet is no damage for a while */
static bool is_being_made(const struct check_dir *dir)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0;
	struct stat st;

	if (file_load(dir->fd, "locked", 4096, &text, &len) < 0 ||
	    !text_has_prefix(text, "initializing") || fstat(dir->fd, &st) < 0)
		return false;
	return (uint64_t)st.st_ctim.tv_sec * USEC_PER_SEC + MAKING_GRACE_USEC > clock_wall_usec();
}

/* git takes it for no worktree at all: somebody was killed between mkdir and the first file, or before rmdir */
static bool is_shell(int admin_fd)
{
	static const char *const files[] = { "gitdir", "commondir", "HEAD", "index" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (faccessat(admin_fd, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return false;
	return true;
}

static int check_other(struct check *c, const char *where, struct worktree_claims *claims)
{
	_cleanup_(closep) int fd = open_admin(c, where);
	struct check_dir dir = { c, fd, where, NULL };
	int r;

	if (fd == -ENOENT) /* removed meanwhile */
		return 0;
	if (fd < 0)
		return check_dir_tell_unreadable(&dir, "", fd);
	if (is_being_made(&dir))
		return check_dir_tell(&dir, "lock-file", "locked", 0, "the worktree is being made");
	if (is_shell(fd))
		return check_dir_tell(&dir, "leftover", "", 0, "of a worktree that was never made whole, or is gone");
	r = worktree_check_gitdir(&dir, NULL, -1, claims);
	return r < 0 ? r : check_files(&dir);
}

struct others {
	struct worktree_claims claims;
	unsigned n_pauses;
};

static void others_deinit(struct others *others)
{
	worktree_claims_deinit(&others->claims);
}

static int hand_on(const struct findings *from, struct findings *to)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < findings_kept(from); i++) {
		const struct finding *f = findings_at(from, i);
		struct finding_place place = { f->where, f->slot, f->object, f->path };

		r = finding_add_as(to, f->id, f->severity, &place, "%s", f->detail);
	}
	return r;
}

static void findings_freep(struct findings **all)
{
	findings_free(*all);
}

/* which directory of the name it is: inode numbers are used again at once */
static bool look(const struct check *c, const char *where, struct statx *ret)
{
	return statx(c->common_fd, where, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, ret) == 0;
}

static bool is_same_directory(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_btime.tv_sec == b->stx_btime.tv_sec &&
	       a->stx_btime.tv_nsec == b->stx_btime.tv_nsec;
}

static bool is_clean(const struct findings *all)
{
	return findings_count(all, FINDING_ERROR) + findings_count(all, FINDING_WARNING) == 0;
}

/* 1: @first, of a look for nobody, has something that a second look must confirm; else it was handed on */
static int is_doubtful(struct check *c, const struct findings *first, struct others *others)
{
	if (is_clean(first) || c->spec->is_idle || others->n_pauses++ >= AGAIN_MAX)
		return hand_on(first, c->findings);
	return 1;
}

static void pause_before(unsigned look)
{
	const struct timespec pause = { .tv_nsec = (long)AGAIN_PAUSE_NSEC << look };

	nanosleep(&pause, NULL);
}

static bool is_young(int dir_fd, const char *path)
{
	time_t now = time(NULL);
	struct stat st;

	return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st.st_mtim.tv_sec + CHANGING_SEC > now || st.st_ctim.tv_sec + CHANGING_SEC > now);
}

/* the administration, the worktree that it names, or what that lies in */
static bool is_changing(const struct check *c, const char *where)
{
	_cleanup_(freep) char *file = text_printf("%s/gitdir", where), *path = NULL;
	char *slash;
	size_t len;

	if (is_young(c->common_fd, where))
		return true;
	if (!file || file_load(c->common_fd, file, PATH_MAX, &path, &len) < 0 || path[0] != '/')
		return false;
	for (int up = 0; up < 3 && (slash = strrchr(path, '/')); up++) {
		if (up > 0 && is_young(AT_FDCWD, path))
			return true;
		*slash = '\0';
	}
	return false;
}

/* is anything left of a slot? */
static bool is_anywhere(const struct check *c, const struct check_slot *slot)
{
	_cleanup_(freep) char *where = text_printf("worktrees/slotd-%s", slot->name);

	return faccessat(AT_FDCWD, slot->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       (where && faccessat(c->common_fd, where, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/* a slot that slotd takes away meanwhile is none that is damaged */
static bool is_slot_going(const struct check *c, const struct check_slot *slot, bool was_there)
{
	return worktree_is_in_transit(c, slot->name) || (was_there && !is_anywhere(c, slot));
}

static int check_slot_again(struct check *c, const struct check_slot *slot, bool was_there)
{
	_cleanup_(freep) char *where = text_printf("worktrees/slotd-%s", slot->name);
	int r = where ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0; i++) {
		_cleanup_(findings_freep) struct findings *found = findings_new();
		struct check aside = *c;

		pause_before(i);
		if (!found)
			return -ENOMEM;
		if (is_slot_going(c, slot, was_there))
			return 0;
		aside.findings = found;
		r = check_slot(&aside, slot, NULL);
		if (r == 0 && (is_clean(found) || i + 1 == AGAIN_LOOKS || !is_changing(c, where)))
			return hand_on(found, c->findings);
	}
	return r;
}

static int check_slot_twice(struct check *c, const struct check_slot *slot, struct others *others)
{
	_cleanup_(findings_freep) struct findings *first = findings_new();
	struct check aside = *c;
	bool was_there = is_anywhere(c, slot);
	int r;

	if (!first)
		return -ENOMEM;
	aside.findings = first;
	r = check_slot(&aside, slot, &others->claims);
	if (r == 0)
		r = is_doubtful(c, first, others);
	return r > 0 ? check_slot_again(c, slot, was_there) : r;
}

static int check_other_again(struct check *c, const char *where, const struct statx *was)
{
	int r = 0;

	for (unsigned i = 0; r == 0; i++) {
		_cleanup_(findings_freep) struct findings *found = findings_new();
		struct check aside = *c;
		struct statx is;

		pause_before(i);
		if (!found)
			return -ENOMEM;
		if (!look(c, where, &is) || !is_same_directory(was, &is))
			return 0;
		aside.findings = found;
		r = check_other(&aside, where, NULL);
		if (r == 0 && (is_clean(found) || i + 1 == AGAIN_LOOKS || !is_changing(c, where)))
			return hand_on(found, c->findings);
	}
	return r;
}

/* first for nobody: only what is still so a moment later is told */
static int check_other_twice(struct check *c, const char *where, struct others *others)
{
	_cleanup_(findings_freep) struct findings *first = findings_new();
	struct check aside = *c;
	struct statx was;
	int r;

	if (!first)
		return -ENOMEM;
	if (!look(c, where, &was))
		return 0;
	aside.findings = first;
	r = check_other(&aside, where, &others->claims);
	if (r == 0)
		r = is_doubtful(c, first, others);
	return r > 0 ? check_other_again(c, where, &was) : r;
}

static int check_entry(const struct check_dir *common, const char *path, mode_t mode, void *userdata)
{
	if (S_ISREG(mode))
		return check_dir_tell(common, "stray-file", path, 0, "it is no administration of a worktree");
	if (slot_of(common->c, path + strlen("worktrees/")))
		return 0;
	return check_other_twice(common->c, path, userdata);
}

/* the main worktree has its index in the git directory, where a bare repository has none */
int worktrees_check(struct check *c)
{
	_cleanup_(others_deinit) struct others others = { 0 };
	const struct check_dir common = { c, c->common_fd, "", NULL };
	int r = index_check(c, c->common_fd, "", NULL);

	for (size_t i = 0; r == 0 && i < c->spec->n_slots && !check_is_stopped(c); i++)
		r = check_slot_twice(c, &c->spec->slots[i], &others);
	if (r == 0)
		r = check_dir_list(&common, "worktrees", check_entry, &others);
	if (r == 0)
		r = worktree_claims_check(c, &others.claims);
	return r < 0 ? r : worktree_check_neighbours(c);
}

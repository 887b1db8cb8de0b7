/* It goes only as it was saved. */
#include "git/admin-work.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "git/admin.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define SETTLE_MSEC 12
#define LOG_OF_HEAD "logs/HEAD"

/* names in the administration, or how they begin, that belong to somebody's work */
static const char *const work_names[] = {
	"MERGE_",	  "AUTO_MERGE",	  "SQUASH_MSG",	      "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD",
	"ORIG_HEAD",	  "rebase-merge", "rebase-apply",     "sequencer",	  "BISECT_",	 "COMMIT_EDITMSG",
	"NOTES_MERGE_",	  "refs",	  "logs",	      "config.worktree",  "sharedindex.",
};

/* slotd writes these itself */
static const char *const own_names[] = { "HEAD", "index", LOG_OF_HEAD };

static bool is_state(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(work_names); i++)
		if (text_has_prefix(name, work_names[i]))
			return !text_has_suffix(name, ".lock");
	return false;
}

bool admin_work_is(const char *name)
{
	return is_state(name) || strcmp(name, "modules") == 0;
}

/* --- all of it --- */

struct search {
	tree_descent_fn fn;
	void *userdata;
	struct fault *f;
};

/* no directory: nothing is below it */
static int search_below(const struct search *s, int admin_fd, const char *path)
{
	_cleanup_(closep) int fd = fs_open_beneath(admin_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return fault_errno(s->f, fd, "cannot open the directory %s", path);
	return tree_descent(fd, path, false, s->fn, s->userdata, s->f);
}

static int search_name(int dirfd, const char *name, void *userdata)
{
	const struct search *s = userdata;
	struct tree_descent_item item = { .dir_fd = dirfd, .name = name, .path = name };

	if (!admin_work_is(name) || fstatat(dirfd, name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(item.st.st_mode))
		return s->fn(TREE_DESCENT_FILE, &item, s->userdata);
	return is_state(name) ? search_below(s, dirfd, name) : 0;
}

/* of "info" only this belongs to one worktree */
static int search_sparse(const struct search *s, int admin_fd)
{
	_cleanup_(closep) int fd = fs_open_beneath(admin_fd, "info", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	struct tree_descent_item item = { .dir_fd = fd,
					  .name = "sparse-checkout",
					  .path = "info/sparse-checkout" };

	if (fd < 0 || fstatat(fd, item.name, &item.st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(item.st.st_mode))
		return 0;
	return s->fn(TREE_DESCENT_FILE, &item, s->userdata);
}

int admin_work_foreach(int admin_fd, const char *below, tree_descent_fn fn, void *userdata, struct fault *f)
{
	struct search s = { fn, userdata, f };
	int r;

	if (below)
		return search_below(&s, admin_fd, below);
	r = admin_foreach_at(admin_fd, ".", search_name, &s, f);
	return r == 0 ? search_sparse(&s, admin_fd) : r;
}

static int foreach_with_modules(int admin_fd, tree_descent_fn fn, void *userdata, struct fault *f)
{
	int r = admin_work_foreach(admin_fd, NULL, fn, userdata, f);

	return r == 0 ? admin_work_foreach(admin_fd, "modules", fn, userdata, f) : r;
}

/* --- noting --- */

struct notes {
	struct tree_saved *set;
	struct timespec newest; /* of the changes that were seen */
};

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static int note(struct notes *n, const char *path, const struct stat *st)
{
	_cleanup_(freep) char *name = text_printf(".git/%s", path);

	if (is_before(&n->newest, &st->st_ctim))
		n->newest = st->st_ctim;
	return name ? tree_saved_add(n->set, name, st) : -ENOMEM;
}

static int note_found(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	return event == TREE_DESCENT_FILE ? note(userdata, item->path, &item->st) : TREE_DESCENT_GO_ON;
}

static int note_own(struct notes *n, int admin_fd)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own_names); i++) {
		struct stat st = { 0 };

		if (fstatat(admin_fd, own_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			st = (struct stat){ 0 };
		r = note(n, own_names[i], &st);
	}
	return r;
}

/* until the clock by which files get their times is past this one; a time that is still to come is not waited for */
static void settle(const struct timespec *changed)
{
	struct timespec now, pause = { .tv_nsec = 1000 * 1000 };

	for (int i = 0; i < SETTLE_MSEC; i++) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if (is_before(changed, &now))
			return;
		nanosleep(&pause, NULL);
	}
}

int admin_work_note(int admin_fd, struct tree_saved *set, struct fault *f)
{
	struct notes n = { .set = set };
	int r = note_own(&n, admin_fd);

	if (r == 0)
		r = foreach_with_modules(admin_fd, note_found, &n, f);
	if (r == 0)
		settle(&n.newest);
	return r == -ENOMEM ? fault_oom(f) : r;
}

bool admin_work_is_noted(const struct tree_saved *set)
{
	return tree_saved_knows(set, ".git/HEAD");
}

/* --- comparing --- */

struct clearing {
	const struct tree_saved *set;
	struct fault *f;
};

static int unsaved(const struct clearing *c, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault(c->f, -EBUSY, ".git/%s is not what was saved", quoted ? quoted : path);
}

/* only regular files are saved: nothing is in the others */
static int check(const struct clearing *c, const char *path, const struct stat *st)
{
	_cleanup_(freep) char *name = text_printf(".git/%s", path);

	if (!name)
		return fault_oom(c->f);
	return !S_ISREG(st->st_mode) || tree_saved_has(c->set, name, st) ? 0 : unsaved(c, path);
}

/* what cannot be looked at is not what was saved */
static int check_found(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	const struct clearing *c = userdata;

	switch (event) {
	case TREE_DESCENT_FILE:
		return strcmp(item->path, LOG_OF_HEAD) == 0 ? 0 : check(c, item->path, &item->st);
	case TREE_DESCENT_MOUNT:
		return fault(c->f, -EXDEV, "something is mounted on .git/%s", item->path);
	case TREE_DESCENT_UNREADABLE:
		return fault(c->f, -EACCES, "cannot open the directory .git/%s", item->path);
	default:
		return TREE_DESCENT_GO_ON;
	}
}

int admin_work_check(int admin_fd, const struct tree_saved *set, struct fault *f)
{
	struct clearing c = { set, f };

	return admin_work_is_noted(set) ? foreach_with_modules(admin_fd, check_found, &c, f) : 0;
}

/* --- clearing --- */

static int clear_file(const struct clearing *c, const struct tree_descent_item *item)
{
	struct stat st;
	int r;

	if (fstatat(item->dir_fd, item->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fault_errno(c->f, -errno, "cannot look at %s", item->path);
	r = check(c, item->path, &st);
	if (r == 0 && unlinkat(item->dir_fd, item->name, 0) < 0 && errno != ENOENT)
		return fault_errno(c->f, -errno, "cannot remove %s", item->path);
	return r;
}

/* what is in it by now came after all else in it went */
static int clear_dir(const struct clearing *c, int dir_fd, const char *name, const char *path)
{
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return unsaved(c, path);
	return fault_errno(c->f, -errno, "cannot remove %s", path);
}

static int clear_found(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	const struct clearing *c = userdata;

	if (event == TREE_DESCENT_LEAVE)
		return clear_dir(c, item->dir_fd, item->name, item->path);
	if (event != TREE_DESCENT_FILE || strcmp(item->path, LOG_OF_HEAD) == 0)
		return check_found(event, item, userdata);
	/* whoever writes the log of HEAD replaces what is no directory */
	return strcmp(item->path, "logs") == 0 ? 0 : clear_file(c, item);
}

static int clear_top(int dirfd, const char *name, void *userdata)
{
	const struct clearing *c = userdata;

	return admin_work_is(name) && strcmp(name, "logs") != 0 ? clear_dir(c, dirfd, name, name) : 0;
}

int admin_work_clear(int admin_fd, const struct tree_saved *set, struct fault *f)
{
	struct clearing c = { set, f };
	int r;

	if (!admin_work_is_noted(set))
		return 0;
	r = foreach_with_modules(admin_fd, clear_found, &c, f);
	return r == 0 ? admin_foreach_at(admin_fd, ".", clear_top, &c, f) : r;
}

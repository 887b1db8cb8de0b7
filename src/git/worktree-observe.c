/* Looking at a slot in which somebody may be at work. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/index-read.h"
#include "git/op-state.h"
#include "git/worktree-private.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"

#define MAX_DEPTH 1000

/* --- what is in progress --- */

static bool has_unmerged(const struct index *index)
{
	for (size_t i = 0; i < index->list.n; i++)
		if (index->list.entries[i].flags & TREE_ENTRY_STAGE)
			return true;
	return false;
}

/* NULL: it cannot be told */
static const char *find_operation(int admin_fd, struct fault *f)
{
	struct index index = { 0 };
	const char *text = "";
	int ops = op_state_find(admin_fd, f), r;

	if (ops < 0)
		return NULL;
	if (ops > 0)
		return op_state_to_string((enum op_state)(ops & -ops));
	r = index_read(admin_fd, &index, f);
	if (r == -ENOENT)
		return "";
	if (r < 0)
		return NULL;
	if (has_unmerged(&index))
		text = "unmerged paths";
	index_deinit(&index);
	return text;
}

/* --- what was written last --- */

struct search {
	uint64_t until_usec; /* CLOCK_BOOTTIME */
	uint64_t now_usec;   /* wall clock */
	dev_t dev;
	uint64_t newest_usec, newest_to_come_usec;
	unsigned depth;
	unsigned looked;
	bool missed; /* something could not be looked at */
};

static uint64_t usec_of(const struct timespec *ts)
{
	return ts->tv_sec < 0 ? 0 :
				(uint64_t)ts->tv_sec * USEC_PER_SEC + (uint64_t)ts->tv_nsec / 1000;
}

/*
 * The change time: a file that was unpacked or copied has the modification time of long ago. One that
 * is yet to come is of a wall clock that was set back since: it is told apart, and hides no other.
 */
static void note(struct search *s, const struct stat *st)
{
	uint64_t changed = usec_of(&st->st_ctim);

	if (changed > s->newest_usec && changed <= s->now_usec)
		s->newest_usec = changed;
	if (changed > s->newest_to_come_usec && changed > s->now_usec)
		s->newest_to_come_usec = changed;
}

static void search_dir(struct search *s, int fd);

static bool is_late(struct search *s)
{
	if (++s->looked % 256 == 0 && clock_boot_usec() > s->until_usec)
		s->until_usec = 0;
	return s->until_usec == 0;
}

static void look_at(struct search *s, int dirfd, const char *name)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		s->missed |= errno != ENOENT; /* gone meanwhile, which its directory tells */
		return;
	}
	note(s, &st);
	if (!S_ISDIR(st.st_mode) || st.st_dev != s->dev)
		return;
	fd = s->depth < MAX_DEPTH ? openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0) {
		s->missed |= s->depth >= MAX_DEPTH || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP);
		return;
	}
	s->depth++;
	search_dir(s, fd);
	s->depth--;
}

/* takes the descriptor over */
static void search_dir(struct search *s, int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	if (!d) {
		s->missed = true;
		close(fd);
		return;
	}
	while (errno = 0, (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (is_late(s))
			break;
		look_at(s, dirfd(d), e->d_name);
	}
	s->missed |= e || errno;
	closedir(d);
}

/* the index and the log of HEAD are written by git commands that leave every file alone */
static void find_newest(int slot_fd, int admin_fd, uint64_t usec, struct worktree_observation *ret)
{
	struct search s = { .until_usec = clock_boot_usec() + usec, .now_usec = clock_wall_usec() };
	static const char *const files[] = { "index", "HEAD", "logs/HEAD" };
	struct stat st;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (admin_fd >= 0 && fstatat(admin_fd, files[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			note(&s, &st);
	if (fstat(slot_fd, &st) < 0)
		return;
	note(&s, &st);
	s.dev = st.st_dev;
	fd = openat(slot_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	search_dir(&s, fd);
	ret->written_usec = s.newest_usec;
	ret->to_come_usec = s.newest_to_come_usec;
	ret->saw_all = !s.missed;
}

/* --- all of it --- */

int worktree_observe(struct repo *repo, int slots_fd, const char *slots_path, const char *name,
		     uint64_t dev, uint64_t ino, uint64_t usec, struct worktree_observation *ret,
		     struct fault *f)
{
	_cleanup_(closep) int slot_fd = -1, common_fd = -1, admin_fd = -1;
	_cleanup_(worktree_names_deinit) struct worktree_names n = { 0 };
	int r = worktree_names_init(&n, repo, slots_path, name, f);

	*ret = (struct worktree_observation){ 0 };
	if (r < 0)
		return r;
	slot_fd = worktree_open_slot(slots_fd, name, dev, ino, f);
	if (slot_fd < 0)
		return slot_fd;
	common_fd = worktree_open_common(repo, f);
	if (common_fd >= 0)
		admin_fd = worktree_open_admin(common_fd, &n, name, f);
	if (admin_fd >= 0)
		ret->operation = find_operation(admin_fd, f);
	find_newest(slot_fd, admin_fd, usec, ret);
	return 0;
}

/*
 * Somebody goes on working while the slot is saved and cleaned: writes, appends, renames, links, and
 * swaps directories for links to places outside. Every line that was written carries a number of its
 * own and is journaled when its file was closed. In the end each is in the slot, in what was saved, or
 * beside; and nothing outside was touched.
 *
 * SLOTD_RACE_SECONDS says how long.
 */
#include "git/tree-trash.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "git/tree-descent.h"
#include "saved-fixture.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"

#define SECONDS_BY_DEFAULT 20
#define WRITERS		   2
#define TICK_USEC	   20000 /* what changed since may have the same times when it changes again */

static int vault_fd = -1;

static unsigned seconds(void)
{
	const char *text = getenv("SLOTD_RACE_SECONDS");

	return text ? (unsigned)atoi(text) : SECONDS_BY_DEFAULT;
}

static void init(void)
{
	fixture_init();
	cr_assert(
		sh("git init -q -b main r && mkdir victim && for i in 1 2 3; do "
		   "echo canary > victim/f$i; mkdir victim/d$i; echo canary > victim/d$i/f; done"));
	commit_made_by("mkdir -p d/e; for i in 0 1 2 3; do echo t > d/f$i; echo t > d/e/f$i; done; "
		       "echo a > a; echo '*.o' > .gitignore");
	slot_open();
	saved_open();
	vault_fd = open(in_dir("vault"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	cr_assert_geq(vault_fd, 0);
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
}

static void deinit(void)
{
	close(vault_fd);
	saved_close();
	slot_close();
	fixture_deinit();
}

TestSuite(tree_race, .init = init, .fini = deinit, .timeout = 7200);

/* --- the one who works --- */

struct writer {
	unsigned id, serial, seed;
	int slot_fd, journal_fd;
};

static unsigned roll(struct writer *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

static void nap(unsigned usec)
{
	nanosleep(&(struct timespec){ 0, (long)usec * 1000 }, NULL);
}

/*
 * A directory of the slot, made if it is not there. Those with tracked files are seldom chosen: as long
 * as something in them is not saved, nothing is cleaned at all.
 */
static int some_dir(struct writer *w)
{
	static const char *const dirs[] = {
		"n0", "n1", "n1/m", "n2", "n2/m/o", "n3", "n3/m", "n4"
	};
	const char *path = roll(w, 100) == 0 ? "d/e" : dirs[roll(w, 8)];
	_cleanup_(freep) char *copy = strdup(path);
	int fd = openat(w->slot_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *save_ptr = NULL;

	if (roll(w, 400) == 0)
		return fd;
	for (char *name = strtok_r(copy, "/", &save_ptr); name && fd >= 0;
	     name = strtok_r(NULL, "/", &save_ptr)) {
		int next;

		(void)mkdirat(fd, name, 0755);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	return fd;
}

/* names are few, so that they meet again */
static const char *some_name(struct writer *w, char ret[16])
{
	snprintf(ret, 16, "f%u", roll(w, 12));
	return ret;
}

/*
 * @how it is written, for those who look for it. It begins a line by itself: the one before may be half
 * there, of a writer that was ended.
 */
static void make_line(struct writer *w, const char *how, char ret[64])
{
	snprintf(ret, 64, "\n%s-%u-%u-%08x\n", how, w->id, w->serial++, rand_r(&w->seed));
}

static bool put(int fd, const char *data, size_t len)
{
	return write(fd, data, len) == (ssize_t)len;
}

static bool append_by_map(struct writer *w, int fd, const char *line, size_t len)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char *map;

	if (end < 0 || ftruncate(fd, end + (off_t)len) < 0)
		return false;
	map = mmap(NULL, (size_t)end + len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return false;
	memcpy(map + end, line, 1);
	if (roll(w, 2) == 0)
		nap(2 * TICK_USEC); /* the file has its times since the first byte */
	memcpy(map + end + 1, line + 1, len - 1);
	munmap(map, (size_t)end + len);
	return true;
}

/*
 * Found before cleaning took it out of the slot, and opened only when it had been deleted: between these two
 * nobody can tell that it is wanted. Whoever opens a file that has a name keeps it.
 */
static bool has_no_name(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

/* nothing that was written once is overwritten: a line is lost only by somebody else */
static void write_line(struct writer *w)
{
	_cleanup_(closep) int dir = some_dir(w);
	bool fresh = roll(w, 2), by_map = roll(w, 8) == 0;
	size_t half;
	char name[16], line[64];
	bool ok;
	int fd;

	fd = openat(dir, some_name(w, name),
		    O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | (fresh ? O_CREAT : 0), 0644);
	if (fd < 0)
		return;
	if (has_no_name(fd)) {
		close(fd);
		return;
	}
	make_line(w, by_map ? "map" : "write", line);
	half = strlen(line) / 2;
	ok = flock(fd, LOCK_EX) == 0; /* two writers would mix their halves */
	if (by_map) {
		ok = ok && append_by_map(w, fd, line, strlen(line));
	} else {
		ok = ok && put(fd, line, half);
		if (roll(w, 4) == 0)
			nap(roll(w, 3000));
		ok = ok && put(fd, line + half, strlen(line) - half);
	}
	if (close(fd) == 0 && ok)
		(void)put(w->journal_fd, line, strlen(line));
}

static void write_and_rename(struct writer *w)
{
	_cleanup_(closep) int dir = some_dir(w), other = some_dir(w);
	char name[16], beside[32], line[64];
	int fd;

	snprintf(beside, sizeof(beside), "tmp%u", w->id);
	fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	make_line(w, "new", line);
	if (put(fd, line, strlen(line)) && close(fd) == 0)
		(void)put(w->journal_fd, line, strlen(line));
	(void)renameat2(dir, beside, other, some_name(w, name), RENAME_NOREPLACE);
}

static void move_file(struct writer *w)
{
	_cleanup_(closep) int from = some_dir(w), to = some_dir(w);
	char a[16], b[16];

	(void)renameat2(from, some_name(w, a), to, some_name(w, b), RENAME_NOREPLACE);
}

static void link_file(struct writer *w)
{
	_cleanup_(closep) int from = some_dir(w), to = some_dir(w);
	char a[16], b[16];

	/* whether it comes to be or not: something is there */
	if (roll(w, 2) ? linkat(from, some_name(w, a), to, some_name(w, b), 0) < 0 :
			 linkat(AT_FDCWD, in_dir("victim/f1"), to, "canary", 0) < 0)
		nap(1);
}

/* a directory goes away, a link to the canaries takes its place, and it comes back */
static void swap_dir(struct writer *w)
{
	static const char *const dirs[] = { "n0", "n1", "n2", "n3", "n4", "d" };
	const char *name = dirs[roll(w, 6)];
	char away[32];

	snprintf(away, sizeof(away), "../away%u", w->id);
	if (renameat2(w->slot_fd, name, w->slot_fd, away, RENAME_NOREPLACE) < 0)
		return;
	if (symlinkat("../victim", w->slot_fd, name) == 0)
		nap(roll(w, 2000));
	(void)unlinkat(w->slot_fd, name, 0);
	if (renameat2(w->slot_fd, away, w->slot_fd, name, RENAME_NOREPLACE) < 0)
		(void)renameat2(w->slot_fd, away, w->slot_fd,
				fixture_keep(text_printf("back%u-%u", w->id, w->serial++)),
				RENAME_NOREPLACE);
}

static void work_for_ever(unsigned id)
{
	struct writer w = { .id = id, .seed = id * 7919 + 1 };

	w.slot_fd = open(in_dir("s"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w.journal_fd = open(in_dir("journal"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	for (;;) {
		switch (roll(&w, 16)) {
		case 0:
			nap(roll(&w, 60000));
			swap_dir(&w);
			break;
		case 1:
		case 2:
			move_file(&w);
			break;
		case 3:
			link_file(&w);
			break;
		case 4:
		case 5:
		case 6:
			write_and_rename(&w);
			break;
		case 7:
			nap(roll(&w, 30000));
			break;
		default:
			write_line(&w);
		}
	}
}

/* --- the one who saves and cleans --- */

static bool is_settled(const struct stat *st)
{
	uint64_t changed =
		(uint64_t)st->st_ctim.tv_sec * USEC_PER_SEC + (uint64_t)st->st_ctim.tv_nsec / 1000;

	return changed + TICK_USEC < clock_wall_usec();
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* a mapping is written to without a trace: a line that was half there would count as saved */
static bool is_at_rest(int fd)
{
	enum fs_hold hold = fs_hold(fd);

	if (hold == FS_HOLD_TAKEN)
		fs_let_go(fd);
	return hold != FS_HOLD_WRITTEN;
}

/* content into the vault; what is being written waits for the next round */
static int save_file(const struct tree_descent_item *item)
{
	_cleanup_(closep) int fd =
		openat(item->dir_fd, item->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat before, after;
	static char data[1 << 20];
	ssize_t n;

	if (fd < 0 || fstat(fd, &before) < 0 || !is_settled(&before) || !is_at_rest(fd))
		return 0;
	n = read(fd, data, sizeof(data));
	if (n < 0 || n == sizeof(data) || fstat(fd, &after) < 0 || !is_same(&before, &after))
		return 0;
	cr_assert(put(vault_fd, data, (size_t)n) && put(vault_fd, "\n", 1));
	return tree_saved_add(slot_saved, item->path, &before);
}

static int save_one(enum tree_descent_event event, const struct tree_descent_item *item,
		    void *userdata)
{
	(void)userdata;
	if (event != TREE_DESCENT_FILE || strcmp(item->path, ".git") == 0)
		return TREE_DESCENT_GO_ON;
	return S_ISREG(item->st.st_mode) ? save_file(item)
					 : tree_saved_add(slot_saved, item->path, &item->st);
}

struct score {
	unsigned rounds, clean, unsaved, left, failed;
};

static void round_of(struct score *s)
{
	int r;

	(void)tree_descent(slot.slot_fd, "", false, save_one, NULL, &slot_fault);
	r = reset_saved("HEAD", NULL);
	s->rounds++;
	s->clean += r == 0;
	s->unsaved += r == TREE_E_UNSAVED;
	s->left += r == TREE_E_LEFT;
	s->failed += r < 0;
	cr_assert_neq(r, -EUCLEAN, "%s", slot_fault.text);
}

static void assert_canaries_live(void)
{
	cr_assert_str_eq(sh_text("cd victim && cat f? d?/f | sort | uniq -c | tr -d ' '"),
			 "6canary");
	cr_assert_str_eq(sh_text("find victim | wc -l"), "10", "%s", sh_text("find victim"));
	cr_assert_str_eq(sh_text("find victim -type d ! -perm 755 -o -type f ! -perm 644"), "");
}

Test(tree_race, nothing_is_deleted_that_was_not_saved)
{
	uint64_t end = clock_boot_usec() + seconds() * USEC_PER_SEC;
	struct score s = { 0 };
	pid_t pids[WRITERS];
	char *gone;

	for (unsigned i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			work_for_ever(i + 1);
	}
	while (clock_boot_usec() < end)
		round_of(&s);
	for (unsigned i = 0; i < WRITERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	assert_canaries_live();
	cr_assert(sh("find s " TRASH " away? -type f -print0 2>/dev/null | xargs -0 cat | "
		     "cat - vault | sort -u > have; sort -u journal > want"));
	gone = sh_text("comm -13 have want");
	printf("race: %s lines, %u rounds: %u clean, %u unsaved, %u left, %u failed\n",
	       sh_text("wc -l < want"), s.rounds, s.clean, s.unsaved, s.left, s.failed);
	cr_assert_str_eq(gone, "", "lost: %s", gone);
	cr_assert_gt(s.clean + s.left, 0, "nothing was ever deleted");
	for (int i = 0; i < 5 && reset_saved("HEAD", NULL) != 0; i++)
		save_all();
	assert_slot_is_clean_at("HEAD");
	assert_canaries_live();
}

/* No link followed, nothing half written, nothing outside touched. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"

#define S(text) ((char *)(text))

static char dir[64];
static int dirfd_ = -1;

static void enter(void)
{
	strcpy(dir, "/tmp/slotd-fs-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(chdir(dir) == 0);
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(dirfd_ >= 0);
}

static void leave(void)
{
	struct fault f = FAULT_NONE;

	close(dirfd_);
	cr_expect(fs_remove_tree(dir, &f) == 0, "%s", f.text);
	cr_expect(access(dir, F_OK) < 0);
}

static void put(const char *path, const char *text)
{
	cr_assert(fs_write_file_at(AT_FDCWD, path, text, strlen(text), 0644) == 0, "%s", path);
}

static bool holds(const char *path, const char *text)
{
	_cleanup_(freep) char *data = NULL;

	return fs_read_file_at(AT_FDCWD, path, 1000, &data, NULL) == 0 && strcmp(data, text) == 0;
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

TestSuite(fs, .init = enter, .fini = leave);

Test(fs, a_file_is_read_whole_or_not_at_all)
{
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;

	put("f", "12345");
	cr_expect(eq(int, fs_read_file_at(dirfd_, "f", 5, &data, &len), 0));
	cr_expect(eq(sz, len, 5));
	cr_expect(eq(str, data, S("12345")));
	free(TAKE(data));
	cr_expect(eq(int, fs_read_file_at(dirfd_, "f", 4, &data, &len), -EFBIG));
	cr_expect(data == NULL);
	put("empty", "");
	cr_expect(eq(int, fs_read_file_at(dirfd_, "empty", 0, &data, NULL), 0));
	cr_expect(eq(str, data, S("")));
}

Test(fs, a_read_up_to_a_length_goes_on_until_then_or_the_end)
{
	char data[8] = "";
	int fds[2];

	cr_assert(pipe(fds) == 0);
	for (const char *p = "12345"; *p; p++) /* a pipe of packets: each read returns one */
		cr_assert(fcntl(fds[1], F_SETFL, O_DIRECT) == 0 && write(fds[1], p, 1) == 1);
	cr_expect(eq(int, (int)fs_read_up_to(fds[0], data, 3), 3));
	cr_expect(eq(str, data, S("123")));
	close(fds[1]);
	cr_expect(eq(int, (int)fs_read_up_to(fds[0], data, sizeof(data)), 2));
	cr_expect(eq(int, (int)fs_read_up_to(fds[0], data, sizeof(data)), 0));
	close(fds[0]);
	cr_expect(eq(int, (int)fs_read_up_to(dirfd_, data, sizeof(data)), -EISDIR));
}

Test(fs, what_is_no_regular_file_is_not_read)
{
	char *data = NULL;

	put("f", "x");
	cr_assert(mkfifo("fifo", 0600) == 0);
	cr_assert(symlink("f", "link") == 0);
	cr_expect(eq(int, fs_read_file_at(dirfd_, "fifo", 10, &data, NULL), -EINVAL));
	cr_expect(eq(int, fs_read_file_at(dirfd_, "link", 10, &data, NULL), -ELOOP));
	cr_expect(eq(int, fs_read_file_at(dirfd_, ".", 10, &data, NULL), -EINVAL));
	cr_expect(eq(int, fs_read_file_at(dirfd_, "none", 10, &data, NULL), -ENOENT));
	cr_expect(data == NULL);
}

Test(fs, a_file_is_replaced_and_links_to_it_are_not_written_through)
{
	struct stat st;

	put("victim", "old");
	cr_assert(link("victim", "hard") == 0);
	cr_assert(symlink("victim", "soft") == 0);
	put("hard", "new");
	put("soft", "new");
	cr_expect(holds("victim", "old"));
	cr_expect(holds("hard", "new"));
	cr_expect(holds("soft", "new"));
	cr_expect(lstat("soft", &st) == 0 && S_ISREG(st.st_mode));
}

Test(fs, what_lies_where_the_new_file_is_written_is_not_touched)
{
	char beside[64];

	put("victim", "old");
	snprintf(beside, sizeof(beside), "f.%d.tmp", (int)getpid());
	cr_assert(link("victim", beside) == 0);
	put("f", "one");
	cr_expect(holds("victim", "old"));
	cr_assert(mkfifo(beside, 0600) == 0);
	put("f", "two");
	cr_assert(symlink("victim", beside) == 0);
	put("f", "three");
	cr_expect(holds("f", "three"));
	cr_expect(holds("victim", "old"));
	cr_expect(not(is_there(beside)));
	/* a directory there is a failure, and the file stays */
	cr_assert(mkdir(beside, 0700) == 0);
	cr_expect(eq(int, fs_write_file_at(dirfd_, "f", "four", 4, 0644), -EISDIR));
	cr_expect(holds("f", "three"));
}

Test(fs, a_write_that_fails_leaves_the_old_file)
{
	cr_assert(mkdir("d", 0700) == 0);
	put("d/x", "keep");
	cr_expect(lt(int, fs_write_file_at(dirfd_, "d", "x", 1, 0644), 0));
	cr_expect(holds("d/x", "keep"));
	cr_expect(eq(int, fs_write_file_at(dirfd_, "none/f", "x", 1, 0644), -ENOENT));
}

Test(fs, opening_beneath_follows_no_link_and_does_not_leave)
{
	int fd;

	cr_assert(mkdir("d", 0700) == 0);
	put("d/f", "x");
	cr_assert(symlink("d", "link") == 0);
	cr_assert(symlink("/etc/passwd", "out") == 0);
	fd = fs_open_beneath(dirfd_, "d/f", O_RDONLY, 0);
	cr_expect(ge(int, fd, 0));
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	cr_expect(eq(int, fs_open_beneath(dirfd_, "link/f", O_RDONLY, 0), -ELOOP));
	cr_expect(eq(int, fs_open_beneath(dirfd_, "out", O_RDONLY, 0), -ELOOP));
	cr_expect(eq(int, fs_open_beneath(dirfd_, "../x", O_RDONLY, 0), -EXDEV));
	cr_expect(eq(int, fs_open_beneath(dirfd_, "/etc/passwd", O_RDONLY, 0), -EXDEV));
	cr_expect(eq(int, fs_open_beneath(dirfd_, "d/none", O_RDONLY, 0), -ENOENT));
	fd = fs_open_beneath(dirfd_, "d/new", O_WRONLY | O_CREAT | O_EXCL, 0600);
	cr_expect(ge(int, fd, 0));
	close(fd);
}

Test(fs, directories_are_made_with_their_parents)
{
	struct fault f = FAULT_NONE;
	char path[128];

	snprintf(path, sizeof(path), "%s/a/b//c/", dir);
	cr_expect(eq(int, fs_mkdir_all(path, 0755, &f), 0), "%s", f.text);
	cr_expect(eq(int, fs_mkdir_all(path, 0755, &f), 0), "%s", f.text);
	cr_expect(eq(int, fs_mkdir_all("x/y", 0755, &f), 0), "%s", f.text);
	cr_expect(is_there("a/b/c"));
	cr_expect(is_there("x/y"));
	put("file", "x");
	cr_expect(eq(int, fs_mkdir_all("file", 0755, &f), -ENOTDIR));
	cr_expect(eq(int, fs_mkdir_all("file/below", 0755, &f), -ENOTDIR));
	cr_expect(eq(int, fs_mkdir_all("", 0755, &f), -ENOENT));
	cr_expect(eq(int, fs_mkdir_all("/", 0755, &f), 0));
}

Test(fs, the_hint_to_spread_is_given_where_there_is_one)
{
	struct fault f = FAULT_NONE;
	struct statfs fs;
	int fd, flags = 0;

	cr_assert_eq(fs_mkdir_all("pool", 0755, &f), 0);
	fs_spread_children("pool");
	fd = open("pool", O_RDONLY | O_DIRECTORY);
	cr_assert_eq(fstatfs(fd, &fs), 0);
	if (fs.f_type == EXT4_SUPER_MAGIC) {
		cr_assert_eq(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
		cr_assert_neq(flags & FS_TOPDIR_FL, 0);
	}
	close(fd);
	/* nothing to give it to: nothing happens */
	fs_spread_children("absent");
	cr_assert_eq(access("absent", F_OK), -1);
}

Test(fs, removing_takes_all_kinds_and_follows_no_link)
{
	struct fault f = FAULT_NONE;

	cr_assert(fs_mkdir_all("canary", 0755, NULL) == 0);
	put("canary/f", "alive");
	cr_assert(fs_mkdir_all("t/a/b", 0755, NULL) == 0);
	put("t/a/f", "x");
	cr_assert(symlink("../canary", "t/link") == 0);
	cr_assert(symlink("../../canary/f", "t/a/link") == 0);
	cr_assert(symlink("none", "t/dangling") == 0);
	cr_assert(mkfifo("t/fifo", 0600) == 0);
	cr_expect(eq(int, fs_remove_tree_at(dirfd_, "t", &f), 0), "%s", f.text);
	cr_expect(not(is_there("t")));
	cr_expect(holds("canary/f", "alive"));
	cr_expect(eq(int, fs_remove_tree_at(dirfd_, "t", &f), 0));
	cr_assert(symlink("canary", "l") == 0);
	cr_expect(eq(int, fs_remove_tree_at(dirfd_, "l", &f), 0));
	cr_expect(holds("canary/f", "alive"));
}

Test(fs, removing_does_not_leave_the_directory)
{
	struct fault f = FAULT_NONE;

	cr_assert(fs_mkdir_all("in", 0755, NULL) == 0);
	cr_assert(fs_mkdir_all("out/d", 0755, NULL) == 0);
	int in = open("in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_expect(lt(int, fs_remove_tree_at(in, "../out", &f), 0));
	cr_expect(is_there("out/d"));
	close(in);
}

/* makes name/name/.../name; returns how deep it came */
static void dig(const char *top, const char *name, int levels)
{
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < levels; i++) {
		int next;

		cr_assert(mkdirat(fd, name, 0755) == 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cr_assert(next >= 0);
		close(openat(next, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
		close(fd);
		fd = next;
	}
	close(fd);
}

Test(fs, a_tree_deeper_than_paths_can_be_is_removed)
{
	struct fault f = FAULT_NONE;
	char name[200];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert(mkdir("t", 0755) == 0);
	dig("t", name, 1500);
	/* in the way of what the removal moves up */
	cr_assert(fs_mkdir_all("t/.removing-0/x", 0755, NULL) == 0);
	put("t/.removing-1", "x");
	cr_expect(eq(int, fs_remove_tree_at(dirfd_, "t", &f), 0), "%s", f.text);
	cr_expect(not(is_there("t")));
}

/* root may write everywhere, so these run as nobody */
static void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	cr_assert(chown(dir, 65534, 65534) == 0);
	cr_assert(setgroups(0, NULL) == 0);
	cr_assert(setresgid(65534, 65534, -1) == 0);
	cr_assert(setresuid(65534, 65534, 0) == 0);
}

static void become_root_again(void)
{
	if (setresuid(0, 0, 0) == 0)
		cr_assert(setresgid(0, 0, 0) == 0);
}

Test(fs, directories_without_permissions_are_removed)
{
	struct fault f = FAULT_NONE;

	become_nobody();
	cr_assert(fs_mkdir_all("t/a/b", 0755, NULL) == 0);
	cr_assert(fs_mkdir_all("t/none", 0755, NULL) == 0);
	put("t/a/f", "x");
	put("t/none/f", "x");
	cr_assert(chmod("t/none", 0) == 0);
	cr_assert(chmod("t/a", 0555) == 0);
	cr_assert(chmod("t", 0500) == 0);
	cr_expect(eq(int, fs_remove_tree_at(dirfd_, "t", &f), 0), "%s", f.text);
	cr_expect(not(is_there("t")));
	become_root_again();
}

Test(fs, deep_directories_without_permissions_are_removed)
{
	struct fault f = FAULT_NONE;
	int fd;

	become_nobody();
	cr_assert(mkdir("t", 0755) == 0);
	dig("t", "n", 250);
	/* each loses its permissions from the bottom up */
	for (int depth = 250; depth > 0; depth--) {
		char path[600] = "t";

		for (int i = 0; i < depth; i++)
			strcat(path, "/n");
		cr_assert(chmod(path, depth % 2 ? 0 : 0555) == 0);
	}
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_expect(eq(int, fs_remove_tree_at(fd, "t", &f), 0), "%s", f.text);
	cr_expect(not(is_there("t")));
	close(fd);
	become_root_again();
}

Test(fs, free_space_is_told)
{
	uint64_t bytes = 0;

	cr_expect(eq(int, fs_free_bytes(".", &bytes), 0));
	cr_expect(gt(u64, bytes, 0));
	cr_expect(eq(int, fs_free_bytes("/nonexistent", &bytes), -ENOENT));
}

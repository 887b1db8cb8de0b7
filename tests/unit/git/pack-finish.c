/* A pack is there whole and kept, or not at all. */
#include "git/pack-write.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/pack-private.h"
#include "pack-fixture.h"
#include "scratch.h"
#include "util/crash.h"
#include "util/text.h"

#define KEEP "slotd salvage\n"

static struct fault f;

TestSuite(pack_finish, .init = pack_fixture_init, .fini = pack_fixture_deinit, .timeout = 300);

static struct pack_writer *two_objects(void)
{
	struct pack_writer *w = writer_new();

	add_text(w, "one\n");
	add_stream(w, 200000, 5);
	return w;
}

static bool is_there(const char *text)
{
	return sh("printf '%s' | git -C r hash-object --stdin | git -C r cat-file --batch-check | "
		  "grep -q blob",
		  text);
}

static char *files_of(const char *name)
{
	return fixture_keep(text_printf("%s.idx\n%s.keep\n%s.pack", name, name, name));
}

Test(pack_finish, three_files_are_made_and_the_keep_says_why)
{
	struct pack_writer *w = two_objects();
	char *name;

	cr_assert_str_eq(pack_files(), "", "there is something before it is finished");
	name = finish(w);
	cr_assert_eq(strlen(name), PACK_NAME_SIZE - 1);
	cr_assert_str_eq(pack_files(), files_of(name));
	cr_assert_str_eq(sh_text("cat r/.git/objects/pack/%s.keep", name), "slotd salvage");
	cr_assert_str_eq(
		sh_text("tail -c 20 r/.git/objects/pack/%s.pack | od -An -v -tx1 | tr -d ' \\n'",
			name),
		name + 5);
	assert_good(name);
}

Test(pack_finish, a_gc_beside_it_takes_nothing)
{
	struct pack_writer *w = two_objects();
	char *name;

	cr_assert(sh("git -C r gc -q --prune=now && git -C r repack -adq"));
	add_text(w, "two\n");
	name = finish(w);
	cr_assert(sh("git -C r repack -adq && git -C r gc -q --prune=now"));
	assert_good(name);
	cr_assert(is_there("one\\n") && is_there("two\\n"));
	/* so it was the .keep that held it */
	cr_assert_eq(pack_drop_keep(objects, name, &f), 0, "%s", f.text);
	cr_assert(sh("git -C r gc -q --prune=now"));
	cr_assert(!is_there("one\\n"));
}

Test(pack_finish, the_same_pack_again_is_the_one_that_is_there)
{
	char *name = finish(two_objects());

	cr_assert_str_eq(finish(two_objects()), name);
	cr_assert_str_eq(pack_files(), files_of(name));
	/* what a crash left away is put in place */
	cr_assert(sh("rm -f r/.git/objects/pack/%s.idx", name));
	cr_assert_str_eq(finish(two_objects()), name);
	cr_assert(sh("rm -f r/.git/objects/pack/%s.idx r/.git/objects/pack/%s.pack", name, name));
	cr_assert_str_eq(finish(two_objects()), name);
	cr_assert_str_eq(pack_files(), files_of(name));
	assert_good(name);
}

/* what may stand at one of the three names; %s: the name of the pack */
static const char *const others[] = {
	"rm -f %s.keep",
	"rm -f %s.keep %s.idx",
	"rm -f %s.keep %s.pack",
	"rm -f %s.keep && echo 'a person wants it' > %s.keep",
	"chmod u+w %s.pack && printf X | dd of=%s.pack bs=1 seek=300 conv=notrunc 2>&1",
	"chmod u+w %s.pack && truncate -s -1 %s.pack",
	"chmod u+w %s.idx && echo >> %s.idx",
	"mv %s.pack x && ln -s x %s.pack",
	"rm -f %s.idx && mkdir %s.idx",
	"rm -f %s.pack && mkfifo %s.pack",
	"rm -f %s.keep && ln -s /dev/null %s.keep",
};

Test(pack_finish, a_name_that_is_somebody_elses_is_left_alone)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char *name = finish(two_objects()), *before, *again;
		struct text command = { 0 };

		for (const char *p = others[i]; *p; p += p[0] == '%' ? 2 : 1)
			if (p[0] == '%')
				text_add_string(&command, name);
			else
				text_add(&command, p, 1);
		cr_assert(sh("cd r/.git/objects/pack && %s", fixture_keep(text_take(&command))));
		before = sh_text("cd r/.git/objects/pack && stat -c '%%n %%i %%s %%Z' *");
		again = finish(two_objects());
		cr_assert_str_neq(again, name, "%s", others[i]);
		cr_assert_str_eq(sh_text("cd r/.git/objects/pack && stat -c '%%n %%i %%s %%Z' "
					 "$(ls | grep -v %s)",
					 again),
				 before, "%s", others[i]);
		cr_assert(sh("rm -rf v && mkdir v && cp r/.git/objects/pack/%s.* v && "
			     "git verify-pack -v v/%s.idx",
			     again, again),
			  "%s", others[i]);
		/* that one is found again, too */
		cr_assert_str_eq(finish(two_objects()), again);
		cr_assert(sh("rm -rf r/.git/objects/pack && mkdir r/.git/objects/pack"));
	}
}

Test(pack_finish, the_directory_is_made_when_it_is_missing_and_is_no_link)
{
	struct pack_writer *w;
	int r;

	cr_assert(sh("rm -r r/.git/objects/pack"));
	assert_good(finish(two_objects()));
	cr_assert(sh("mv r/.git/objects/pack elsewhere && ln -s ../../../elsewhere "
		     "r/.git/objects/pack && ls r/.git/objects/pack/*.idx"));
	r = pack_writer_new(objects, &w, &f);
	cr_assert(r == -ELOOP || r == -ENOTDIR, "%d", r); /* the latter without openat2() */
	cr_assert(strstr(f.text, "/r/.git/objects/pack: ") != NULL, "%s", f.text);
	cr_assert_eq(pack_drop_keep(objects, "pack-0123456789012345678901234567890123456789", &f),
		     r);
}

Test(pack_finish, only_the_keep_of_a_pack_is_dropped)
{
	static const char *const names[] = {
		"x",
		"pack-",
		"../../../a",
		"pack-012345678901234567890123456789012345678",
		"pack-01234567890123456789012345678901234567890",
		"pack-012345678901234567890123456789012345678A",
		"pack-../../../../../../../../../../../../../a",
	};
	char *name = finish(two_objects());

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_eq(pack_drop_keep(objects, names[i], &f), -EINVAL, "%s", names[i]);
	cr_assert_eq(pack_drop_keep(objects, name, &f), 0);
	cr_assert_eq(pack_drop_keep(objects, name, &f), 0);
	cr_assert_str_eq(pack_files(), fixture_keep(text_printf("%s.idx\n%s.pack", name, name)));
}

static int finish_fails(struct pack_writer *w)
{
	char name[PACK_NAME_SIZE] = "untouched";
	int r = pack_writer_finish(w, KEEP, name, &f);

	cr_assert_str_eq(name, "untouched");
	pack_writer_free(w);
	cr_assert_str_eq(pack_files(), "", "something is left");
	return r;
}

/* a child that exits with what it fails with */
static pid_t finish_without_sync_of(struct pack_writer *w, int fd)
{
	char name[PACK_NAME_SIZE];
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		refuse(SYS_fsync, 0, UINT32_MAX, (uint32_t)fd, EIO);
		_exit(-pack_writer_finish(w, KEEP, name, &f));
	}
	return pid;
}

/* the pack, its index, its .keep, the directory: each by itself */
Test(pack_finish, what_cannot_be_synced_is_not_there)
{
	for (int i = 0; i < 4; i++) {
		struct pack_writer *w = two_objects();
		int index = dup(objects), keep = dup(objects), status;
		int fds[] = { w->parts[PACK_PART_PACK].fd, index, keep, w->dir_fd };
		pid_t pid;

		/* what is opened next gets these numbers */
		close(index);
		close(keep);
		pid = finish_without_sync_of(w, fds[i]);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == EIO, "%d: %d", i, status);
		pack_writer_free(w);
		cr_assert_str_eq(pack_files(), "", "%d", i);
	}
}

Test(pack_finish, what_fails_is_told_with_the_place)
{
	struct pack_writer *w = two_objects();

	refuse(SYS_fsync, 0, 0, 0, EIO);
	cr_assert_eq(finish_fails(w), -EIO);
	cr_assert(strstr(f.text, "/r/.git/objects/pack: Input/output error") != NULL, "%s", f.text);
}

Test(pack_finish, what_cannot_be_placed_leaves_nothing)
{
	struct pack_writer *w = two_objects();

	refuse(SYS_linkat, 0, 0, 0, EDQUOT);
	cr_assert_eq(finish_fails(w), -EDQUOT);
}

/* the packs go to a file system that is small; returns where it is */
static char *small_disk(const char *options)
{
	char *dir = scratch_make();

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		cr_skip("mounting needs privileges");
	cr_assert_eq(mount("none", dir, "tmpfs", 0, options), 0);
	cr_assert(sh("echo '%s' > r/.git/objects/info/alternates", dir));
	close(objects);
	objects = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(objects, 0);
	return dir;
}

Test(pack_finish, on_a_full_disk_nothing_is_left_and_the_rest_may_go_on)
{
	struct maker m = { .left = 8 << 20, .state = 8 };
	char *dir = small_disk("size=4m");
	struct pack_writer *w = writer_new();
	char *want = fixture_keep(text_printf("cannot save to %s/pack: the disk is full", dir));
	git_oid oid;

	add_text(w, "small\n");
	cr_assert_eq(pack_writer_add_stream(w, m.left, maker_read, &m, &oid, &f), -ENOSPC);
	cr_assert_str_eq(f.text, want);
	add_text(w, "fits\n");
	cr_assert(strlen(finish(w)) > 0);
	cr_assert(is_there("small\\n") && is_there("fits\\n"));
}

/* pages that are left when the pack is finished: too few for the pack, its index, its .keep */
Test(pack_finish, on_a_disk_that_is_full_at_the_end_nothing_is_left)
{
	char *dir = small_disk("size=1m");

	for (int pages = 0; pages < 3; pages++) {
		struct pack_writer *w = writer_new();
		char name[PACK_NAME_SIZE];

		add_text(w, "small\n");
		cr_assert(sh("dd if=/dev/zero of=%s/x bs=4096 2>&1 | grep -q 'No space' && "
			     "truncate -s -%d %s/x",
			     dir, 4096 * pages, dir));
		cr_assert_eq(pack_writer_finish(w, KEEP, name, &f), -ENOSPC, "%d pages", pages);
		cr_assert(text_has_suffix(f.text, ": the disk is full"), "%s", f.text);
		pack_writer_free(w);
		cr_assert_str_eq(sh_text("ls -A %s/pack", dir), "");
		cr_assert(sh("rm %s/x", dir));
	}
	cr_assert(strlen(finish(two_objects())) > 0);
	cr_assert(is_there("one\\n"));
}

static void no_unnamed_files(void)
{
	refuse(SYS_openat, 2, O_TMPFILE & ~O_DIRECTORY, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP);
}

Test(pack_finish, a_file_system_that_knows_only_names_will_do)
{
	struct pack_writer *w;
	char *name;

	no_unnamed_files();
	w = two_objects();
	cr_assert(text_has_prefix(pack_files(), "tmp_pack_"), "%s", pack_files());
	name = finish(w);
	cr_assert_str_eq(pack_files(), files_of(name));
	assert_good(name);
	cr_assert_str_eq(finish(two_objects()), name);
	cr_assert_str_eq(pack_files(), files_of(name));
	pack_writer_free(two_objects());
	cr_assert_str_eq(pack_files(), files_of(name));
}

Test(pack_finish, without_links_it_is_renamed)
{
	char *name;

	no_unnamed_files();
	refuse(SYS_linkat, 0, 0, 0, EPERM);
	name = finish(two_objects());
	cr_assert_str_eq(pack_files(), files_of(name));
	cr_assert_str_eq(finish(two_objects()), name);
	assert_good(name);
}

Test(pack_finish, where_a_gc_can_take_the_file_it_is_told)
{
	struct pack_writer *w;

	no_unnamed_files();
	w = two_objects();
	cr_assert(sh("git -C r gc -q --prune=now && rm -f r/.git/objects/pack/*"));
	cr_assert_eq(finish_fails(w), -EAGAIN);
	cr_assert(strstr(f.text, "somebody removed our file") != NULL, "%s", f.text);
}

#ifdef SLOTD_CRASHPOINTS
static const char *const points[] = {
	"salvage.pack.written",	    "salvage.pack.synced",	 "salvage.pack.keep-placed",
	"salvage.pack.pack-placed", "salvage.pack.index-placed", "salvage.pack.placed",
};

/* the file stays mapped from the first point that is passed on, so it is written in place */
static void arm(const char *point)
{
	static struct crash_cell cells[CRASH_CELLS];
	int fd = open(in_dir("cells"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	memset(cells, 0, sizeof(cells));
	snprintf(cells[0].name, sizeof(cells[0].name), "%s", point);
	cells[0].kill_at = 1;
	cr_assert_eq(pwrite(fd, cells, sizeof(cells), 0), sizeof(cells));
	close(fd);
	setenv("SLOTD_CRASH_FILE", in_dir("cells"), 1);
}

/* a child that dies there while it writes the pack */
static void write_and_die(const char *point)
{
	int status;
	pid_t pid;

	arm(point);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		finish(two_objects());
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: %d", point, status);
}

/* git finds the repository whole, and each pack that it takes for one too */
static void assert_sound(const char *point)
{
	cr_assert(sh("cd r && for i in .git/objects/pack/*.idx; do test ! -e $i || "
		     "git verify-pack $i || exit 1; done && git fsck --full --strict 2>&1"),
		  "%s", point);
}

static void die_everywhere(void)
{
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		bool is_placed;
		char *name;

		write_and_die(points[i]);
		assert_sound(points[i]);
		is_placed = is_there("one\\n");
		cr_assert_eq(is_placed, i >= 4, "%s", points[i]);
		cr_assert(sh("git -C r gc -q --prune=now 2>&1"), "%s", points[i]);
		assert_sound(points[i]);
		cr_assert_eq(is_there("one\\n"), is_placed, "%s: a gc took it", points[i]);
		cr_assert(sh("! ls r/.git/objects/pack | grep tmp_"), "%s", points[i]);
		name = finish(two_objects());
		assert_good(name);
		cr_assert_str_eq(sh_text("ls r/.git/objects/pack/*.keep | wc -l"), "1", "%s",
				 points[i]);
		cr_assert(is_there("one\\n"));
		cr_assert(sh("rm -f r/.git/objects/pack/%s.*", name));
	}
}

Test(pack_finish, killed_at_any_step_it_is_whole_or_not_there)
{
	die_everywhere();
}

Test(pack_finish, killed_at_any_step_with_names_it_is_whole_or_not_there)
{
	no_unnamed_files();
	die_everywhere();
}
#endif

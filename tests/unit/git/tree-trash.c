#include "git/tree-trash.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "changes.h"
#include "git/ignore.h"
#include "saved-fixture.h"
#include "util/crash.h"

static void make_slot(void)
{
	changes_init();
	slot_open();
	saved_open();
	cr_assert_eq(create_at("HEAD"), 0, "%s", slot_fault.text);
}

static void init(void)
{
	fixture_init();
	make_slot();
}

static void deinit(void)
{
	saved_close();
	slot_close();
	fixture_deinit();
}

TestSuite(tree_trash, .init = init, .fini = deinit, .timeout = 300);

static void forget_saved(void)
{
	tree_saved_free(slot_saved);
	slot_saved = tree_saved_new();
}

static void assert_no_trash(const char *what)
{
	cr_assert(sh("test ! -e " TRASH), "%s: %s", what, sh_text("find " TRASH));
}

Test(tree_trash, what_was_saved_goes_whatever_it_is)
{
	char *head = sh_text("git -C r rev-parse HEAD");

	for (size_t i = 0; changes[i]; i++) {
		cr_assert(sh("cd s && { %s; }", changes[i]), "%s", changes[i]);
		forget_saved();
		save_all();
		cr_assert_eq(reset_saved(head, &(struct tree_reset_options){ .policy.wipe_ignored =
										     true }),
			     0, "%s: %s", changes[i], slot_fault.text);
		assert_victim_is_safe(changes[i]);
		assert_no_trash(changes[i]);
		changes_forget_settings();
		assert_slot_is_clean_at(head);
	}
}

/* with no set at all: what the store has goes, all else stays; saved, it goes as well */
Test(tree_trash, what_was_not_saved_stays_until_it_is)
{
	char *head = sh_text("git -C r rev-parse HEAD");

	for (size_t i = 0; changes[i]; i++) {
		int r, rounds = 0;

		cr_assert(sh("cd s && { %s; }", changes[i]), "%s", changes[i]);
		forget_saved();
		remember();
		while ((r = reset_saved(head, NULL)) > 0 && ++rounds < 5) {
			cr_assert_str_eq(lost(), "", "%s", changes[i]);
			assert_no_trash(changes[i]);
			save_all();
		}
		cr_assert_eq(r, 0, "%s: %d %s", changes[i], r, slot_fault.text);
		cr_assert_leq(rounds, 2, "%s", changes[i]);
		if (rounds == 0)
			cr_assert_str_eq(lost(), "", "%s", changes[i]);
		assert_no_trash(changes[i]);
		changes_forget_settings();
		assert_slot_is_clean_at(head);
		assert_victim_is_safe(changes[i]);
	}
}

/* after it was saved; "f" is untracked, "n/" a directory, "a" tracked */
static const struct {
	const char *change;
	int outcome;
} later[] = {
	{ "echo more >> f", TREE_E_UNSAVED },
	{ "t=$(stat -c %y f); echo g > f; touch -d \"$t\" f", TREE_E_UNSAVED },
	{ "chmod +x f", TREE_E_UNSAVED },
	{ "cp -p f g; mv g f", TREE_E_UNSAVED },
	{ "mv f f2", TREE_E_UNSAVED },
	{ "rm f; ln -s /etc/passwd f", TREE_E_UNSAVED },
	{ "echo more >> a", TREE_E_UNSAVED },
	{ "t=$(stat -c %y a); echo x > a; touch -d \"$t\" a", TREE_E_UNSAVED },
	{ "rm d/f; echo new > d/f", TREE_E_UNSAVED },
	{ "echo more >> n/x", TREE_E_LEFT },
	{ "touch n/m/new", TREE_E_LEFT },
	{ "t=$(stat -c %y n/m/y); echo z > n/m/y; touch -d \"$t\" n/m/y", TREE_E_LEFT },
	{ "mv n/x n/z", TREE_E_LEFT },
	{ "mv n/m n/o", TREE_E_LEFT },
	{ "mkfifo n/fifo", TREE_E_UNSAVED },
	{ "rm f; rm -r n", 0 },
	{ "touch -a f n/x", TREE_E_UNSAVED },
	{ "echo a > a", 0 },
};

Test(tree_trash, what_changed_after_it_was_saved_stays)
{
	cr_assert(sh("for t in f x y changed; do echo $t | git -C r hash-object --stdin; done > "
		     "old"));
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		const char *change = later[i].change;
		int r;

		cr_assert(sh("cd s && echo f > f && mkdir -p n/m && echo x > n/x && "
			     "echo y > n/m/y && echo changed > a"));
		forget_saved();
		save_all();
		cr_assert(sh("cd s && { %s; }", change));
		remember();
		r = reset_saved("HEAD", NULL);
		cr_expect_eq(r, later[i].outcome, "%s: %d %s", change, r, slot_fault.text);
		if (r != 0) {
			cr_expect_neq(strlen(slot_fault.text), 0);
			/* what is lost was there when it was saved */
			cr_expect_str_eq(sh_text("printf '%%s' '%s' | sed 's/ missing//' | "
						 "grep -v -x -F -f old; true",
						 lost()),
					 "", "%s", change);
		}
		assert_no_trash(change);
		save_all();
		cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s: %s", change, slot_fault.text);
		assert_slot_is_clean_at("HEAD");
	}
}

Test(tree_trash, what_is_put_back_is_where_it_was)
{
	cr_assert(sh("cd s && mkdir -p n/m/o n/p && echo 1 > n/m/o/1 && echo 2 > n/m/2 && "
		     "echo 3 > n/p/3"));
	save("n/m/2");
	save("n/p/3");
	cr_assert_eq(reset_saved("HEAD", NULL), TREE_E_LEFT, "%s", slot_fault.text);
	cr_expect_neq(strstr(slot_fault.text, "n/m/o/1"), NULL, "%s", slot_fault.text);
	cr_expect_str_eq(sweep_text("HEAD", true), "untracked n/\n");
	cr_expect_str_eq(sh_text("cd s && find n -type f"), "n/m/o/1");
	save_all();
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_trash, the_content_of_the_index_and_of_the_commits_needs_no_saving)
{
	git_oid before = commit_of("HEAD");

	commit_made_by("echo b > a; rm -r d; echo new > n; chmod -x b/x; rm l; echo l > l");
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "by stat data: %s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert(sh("cd s && touch a n l .gitignore b/x"));
	cr_assert_eq(reset_saved("HEAD~1", NULL), 0, "by content: %s", slot_fault.text);
	assert_slot_is_clean_at("HEAD~1");
	cr_assert(sh("cd s && rm -r d && echo new > n && chmod -x b/x"));
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "it has come there already: %s",
		     slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	cr_assert_eq(reset_saved("HEAD~1", NULL), 0, "%s", slot_fault.text);
	/* without an index only a held commit knows */
	cr_assert(sh("rm r/.git/worktrees/s/index"));
	cr_assert_eq(reset_saved("HEAD", NULL), TREE_E_UNSAVED);
	cr_expect_str_eq(sh_text("cat s/a"), "a");
	cr_assert_eq(reset_saved("HEAD", &(struct tree_reset_options){ .held = &before }), 0, "%s",
		     slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_trash, an_index_whose_blob_the_store_has_lost_proves_nothing)
{
	cr_assert(sh("cd s && echo precious > a && git add a && o=$(git rev-parse :a) && "
		     "rm -f ../r/.git/objects/${o%%${o#??}}/${o#??}"));
	cr_assert_eq(reset_saved("HEAD", NULL), TREE_E_UNSAVED);
	cr_expect_str_eq(sh_text("cat s/a"), "precious");
}

Test(tree_trash, what_is_open_for_writing_stays)
{
	static const char *const files[] = { "s/f", "s/n/x", "s/a" };

	for (size_t i = 0; i < 3; i++) {
		int fd;

		cr_assert(sh("cd s && mkdir n && echo f > f && echo x > n/x && echo y > a"));
		forget_saved();
		save_all();
		fd = open(in_dir(files[i]), O_WRONLY | O_CLOEXEC);
		cr_assert_geq(fd, 0);
		cr_expect_eq(reset_saved("HEAD", NULL), TREE_E_LEFT, "%s", files[i]);
		cr_expect(sh("test -s %s", files[i]), "%s", files[i]);
		cr_assert_eq(write(fd, "more\n", 5), 5);
		close(fd);
		cr_expect_gt(reset_saved("HEAD", NULL), 0, "%s", files[i]);
		cr_expect(sh("grep -q more %s", files[i]), "%s", files[i]);
		save_all();
		cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
		assert_slot_is_clean_at("HEAD");
	}
}

Test(tree_trash, hard_links_are_saved_once_and_go_together)
{
	cr_assert(sh("cd s && mkdir n && echo 1 > n/1 && ln n/1 n/2 && ln n/1 3 && ln n/1 4 && "
		     "rm a && ln n/1 a"));
	save_all();
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_trash, a_precious_file_is_saved_before_it_goes_with_the_ignored)
{
	static const char *const line = "*.keepme";
	struct ignore *precious = NULL;
	struct tree_reset_options options = { .policy.wipe_ignored = true };

	cr_assert_eq(ignore_from_lines(&line, 1, &precious), 0);
	options.policy.precious = precious;
	cr_assert(sh("cd s && mkdir -p build/d && touch build/d/x.keepme build/d/y build/z x.o"));
	cr_assert_eq(reset_saved("HEAD", &options), TREE_E_LEFT);
	cr_expect_str_eq(sh_text("cd s && ls | grep -F x.o; find build"),
			 "build\nbuild/d\nbuild/d/x.keepme");
	save("build/d/x.keepme");
	cr_assert_eq(reset_saved("HEAD", &options), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
	ignore_free(precious);
}

/* --- what a killed try leaves --- */

Test(tree_trash, what_a_killed_try_left_goes_or_comes_back)
{
	cr_assert(sh("mkdir -p " TRASH "/old/n/m " TRASH "/old/d/e " TRASH "/new && "
		     "cd " TRASH " && echo 1 > old/n/saved && echo 2 > old/n/m/not && "
		     "echo 3 > old/d/e/g && echo 4 > old/d/e/h && echo 5 > new/6 && "
		     "mkdir -p old/q && echo 7 > old/q/r && echo 8 > ../s/q"));
	cr_assert(sh("cp -a " TRASH "/old/n s/n"));
	save("n/saved");
	cr_assert(sh("rm -r s/n"));
	/* the copy's inode is another one: it is not what was saved */
	cr_assert_eq(tree_trash_recover(&slot, beside_fd, TRASH, slot_saved, &slot_fault), 0, "%s",
		     slot_fault.text);
	assert_no_trash("recovered");
	cr_expect_str_eq(sh_text("cd s && find n slotd* -type f | sort"),
			 "n/m/not\nn/saved\nslotd-put-back-1/d/e/g\nslotd-put-back-1/q/r");
	cr_expect_str_eq(sh_text("cd s && cat d/e/g d/e/h q slotd*/d/e/g slotd*/q/r"),
			 "g\n4\n8\n3\n7");
	save_all();
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_trash, what_a_killed_try_had_saved_goes)
{
	cr_assert(sh("cd s && mkdir n && echo 1 > n/1 && echo 2 > n/2 && echo 3 > 3"));
	save("n/1");
	save("3");
	/* as a rename does it: the ctime is another one */
	cr_assert(sh("mkdir -p " TRASH "/old/n && mv s/n/1 s/n/2 " TRASH "/old/n && mv s/3 " TRASH
		     "/old"));
	cr_assert_eq(tree_trash_recover(&slot, beside_fd, TRASH, slot_saved, &slot_fault), 0, "%s",
		     slot_fault.text);
	assert_no_trash("recovered");
	cr_expect_str_eq(sweep_text("HEAD", true), "untracked n/\n");
	cr_expect_str_eq(sh_text("ls s/n"), "2");
}

Test(tree_trash, without_a_set_all_comes_back_and_a_discarding_reset_takes_all)
{
	cr_assert(sh("mkdir -p " TRASH "/old/n && echo 1 > " TRASH "/old/n/1"));
	cr_assert_eq(tree_trash_recover(&slot, beside_fd, TRASH, NULL, &slot_fault), 0, "%s",
		     slot_fault.text);
	cr_expect_str_eq(sh_text("cat s/n/1"), "1");
	cr_assert(sh("mkdir -p " TRASH "/old/n && echo 1 > " TRASH "/old/n/2"));
	tree_saved_free(slot_saved);
	slot_saved = NULL;
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
	assert_no_trash("discarded");
	assert_slot_is_clean_at("HEAD");
}

static bool set_immutable(const char *path, bool on)
{
	int fd = open(in_dir(path), O_RDONLY | O_CLOEXEC), flags = 0;
	bool ok = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;

	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	ok = ok && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

Test(tree_trash, what_cannot_be_deleted_is_named_and_comes_back)
{
	static const char *const files[] = { "s/f", "s/a", "s/n/m/x", "s/d/n/x" };

	for (size_t i = 0; i < 4; i++) {
		int r;

		cr_assert(sh("cd s && mkdir -p n/m d/n && echo f > f && echo x > n/m/x && "
			     "echo y > n/y && echo changed > a && echo x > d/n/x"));
		if (!set_immutable(files[i], true))
			cr_skip("not everybody may make a file immutable");
		forget_saved();
		save_all();
		r = reset_saved("HEAD", NULL);
		cr_expect_eq(r, -EPERM, "%s: %d", files[i], r);
		cr_expect_neq(strstr(slot_fault.text, files[i] + 2), NULL, "%s: %s", files[i],
			      slot_fault.text);
		cr_expect(sh("test -s %s", files[i]), "%s: %s", files[i], sh_text("find s " TRASH));
		assert_no_trash(files[i]);
		cr_assert(set_immutable(files[i], false));
		save_all();
		cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
		assert_slot_is_clean_at("HEAD");
	}
}

Test(tree_trash, a_hundred_thousand_files_go)
{
	cr_assert(sh("cd s && python3 -c \"import os\n"
		     "os.mkdir('n')\n"
		     "for i in range(50000): open('n/%%d' %% i, 'w'); open('u%%d' %% i, 'w')\""));
	save_all();
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
	assert_no_trash("100,000");
	assert_slot_is_clean_at("HEAD");
}

/* --- killed at every point --- */

static struct crash_cell *cells_read(void)
{
	static struct crash_cell cells[CRASH_CELLS];
	int fd = open(in_dir("cells"), O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(read(fd, cells, sizeof(cells)), (ssize_t)sizeof(cells));
	close(fd);
	return cells;
}

static void cells_write(const char *name, uint32_t kill_at)
{
	static struct crash_cell cells[CRASH_CELLS];
	int fd = open(in_dir("cells"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	memset(cells, 0, sizeof(cells));
	if (name) {
		strncpy(cells[0].name, name, sizeof(cells[0].name) - 1);
		cells[0].kill_at = kill_at;
	}
	cr_assert_eq(write(fd, cells, sizeof(cells)), (ssize_t)sizeof(cells));
	close(fd);
}

/* one that is deleted, one that is put back, some that are written: every point is passed */
static void make_work(void)
{
	cr_assert(sh("rm -rf " TRASH));
	tree_saved_free(slot_saved);
	slot_saved = NULL;
	cr_assert_eq(reset_saved("HEAD", NULL), 0, "%s", slot_fault.text);
	slot_saved = tree_saved_new();
	cr_assert(sh("cd s && mkdir -p n/m && echo saved > n/1 && echo f > f && echo a2 > a && "
		     "rm d/f && chmod -x b/x"));
	save_all();
	cr_assert(sh("cd s && echo not > n/m/2"));
}

/* the file has to be named before the first point is passed */
static void init_to_be_killed(void)
{
	fixture_init();
	setenv("SLOTD_CRASH_FILE", in_dir("cells"), 1);
	make_slot();
}

TestSuite(tree_trash_killed, .init = init_to_be_killed, .fini = deinit, .timeout = 300);

/* in a process of its own, which may die; its exit status or -1 */
static int reset_in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(reset_saved("HEAD", NULL) == TREE_E_LEFT ? 0 : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void kill_at(const char *name, uint32_t hit)
{
	int r, rounds = 0;

	make_work();
	remember();
	cells_write(name, hit);
	cr_assert_eq(reset_in_child(), -1, "%s %u: nobody died", name, hit);
	cells_write(NULL, 0);
	while ((r = reset_saved("HEAD", NULL)) > 0 && ++rounds < 5) {
		cr_expect_str_eq(sh_text("grep -r -l -x not s/n s/slotd* 2>/dev/null | wc -l"), "1",
				 "%s %u", name, hit);
		save_all();
	}
	cr_assert_eq(r, 0, "%s %u: %s", name, hit, slot_fault.text);
	cr_assert_geq(rounds, 1, "%s %u: what was not saved is lost", name, hit);
	assert_no_trash(name);
	assert_slot_is_clean_at("HEAD");
}

Test(tree_trash_killed, at_any_point_it_loses_nothing)
{
	struct crash_cell cells[CRASH_CELLS];
	int points = 0;

#ifndef SLOTD_CRASHPOINTS
	cr_skip("built without -Dcrashpoints=true");
#endif
	make_work();
	cells_write(NULL, 0);
	cr_assert_eq(reset_in_child(), 0);
	memcpy(cells, cells_read(), sizeof(cells));
	for (int i = 0; i < CRASH_CELLS && cells[i].name[0]; i++) {
		kill_at(cells[i].name, 1);
		if (cells[i].hits > 1)
			kill_at(cells[i].name, cells[i].hits);
		points++;
	}
	cr_assert_geq(points, 9, "%d", points);
}

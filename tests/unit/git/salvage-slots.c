/* Left by an agent, found by the next. */
#include "salvage-slots.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "git/salvage.h"
#include "util/cleanup.h"

struct salvage_restored slot_restored;
const struct ignore *slot_keep;

static int slots_fd = -1;
static uint64_t dev, ino;

void salvage_slots_init(void)
{
	salvage_fixture_init();
	cr_assert(
		sh("cd r && git config user.name A && git config user.email a@example.org && "
		   "printf '*.bat text eol=crlf\\n*.c ident\\n*.txt text\\n' > .gitattributes && "
		   "printf '*.log\\n/build/\\n' > .gitignore && printf 'one\\r\\ntwo\\r\\n' > "
		   "dos.bat && "
		   "printf '/* $Id$ */\\n' > id.c && echo note > n.txt && mkdir -p deep/er && "
		   "echo x > deep/er/x && echo 1 > deep/y && git add . && git commit -qm third && "
		   "git checkout -qb side && echo side > a && echo s > side-file && git add . && "
		   "git commit -qm side && echo side2 >> a && git commit -qam side2 && "
		   "git checkout -q main && echo main > a && echo m > d/b && git commit -qam "
		   "fourth && "
		   "git worktree remove --force ../s && mkdir ../slots"));
	salvage_fixture_open();
	slots_fd = open(in_dir("slots"), O_RDONLY | O_DIRECTORY);
	cr_assert_geq(slots_fd, 0);
}

void salvage_slots_deinit(void)
{
	close(slots_fd);
	salvage_restored_deinit(&slot_restored);
	memset(&slot_restored, 0, sizeof(slot_restored));
	salvage_fixture_deinit();
}

static git_oid main_commit(void)
{
	git_oid oid;

	cr_assert_eq(git_oid_fromstr(&oid, sh_text("git -C r rev-parse main")), 0);
	return oid;
}

void slot_make(const char *name)
{
	git_oid commit = main_commit();
	struct tree_stats stats;

	salvage_fixture_open();
	if (worktree_exists(slots_fd, name))
		cr_assert_eq(worktree_remove(salvage_repo, slots_fd, in_dir("slots"), name, dev,
					     ino, &salvage_fault),
			     0, "%s", salvage_fault.text);
	cr_assert_eq(worktree_create(salvage_repo, slots_fd, in_dir("slots"), name, &commit, 2,
				     &dev, &ino, &stats, &salvage_fault),
		     0, "%s", salvage_fault.text);
}

struct worktree *slot_open_at(const char *name)
{
	struct worktree *w = NULL;

	salvage_fixture_open();
	cr_assert_eq(worktree_open(salvage_repo, slots_fd, in_dir("slots"), name, 0, 0, &w,
				   &salvage_fault),
		     0, "%s", salvage_fault.text);
	return w;
}

void slot_clean(const char *name)
{
	struct worktree *w = slot_open_at(name);
	struct worktree_clean_options how = { .policy.wipe_ignored = true,
					      .forget = true,
					      .threads = 2 };
	git_oid commit = main_commit();
	struct tree_stats stats;

	cr_assert_eq(worktree_clean(w, &commit, &how, &stats, &salvage_fault), 0, "%s",
		     salvage_fault.text);
	worktree_close(w);
}

git_oid slot_capture(const char *name)
{
	git_oid oid;
	char *hex = salvage_py("capture",
			       fixture_keep(text_printf("slots/%s " SALVAGE_FIXTURE_REF, name)));

	cr_assert_eq(git_oid_fromstr(&oid, hex), 0, "\"%s\"", hex);
	salvage_fixture_open();
	return oid;
}

static int ignore_note(enum salvage_note note, const char *text, void *userdata)
{
	return 0;
}

git_oid slot_save(const char *name)
{
	_cleanup_(tree_saved_freep) struct tree_saved *saved = tree_saved_new();
	struct salvage_taken taken = { 0 };
	struct worktree *w = slot_open_at(name);
	struct salvage_spec spec = { .lease = "0123456789abcdef0123456789abcdef",
				     .agent = "agent-7",
				     .target = main_commit(),
				     .held = main_commit(),
				     .fallback = main_commit(),
				     .at_usec = 1700000000000000,
				     .threads = 2 };
	git_oid oid = { 0 };
	int r = salvage_take(w, &spec, saved, ignore_note, NULL, &taken, &salvage_fault);

	if (r == 0)
		oid = taken.commit;
	cr_assert(r == 0 || r == SALVAGE_E_CANNOT, "%d: %s", r, salvage_fault.text);
	salvage_taken_deinit(&taken);
	worktree_close(w);
	return oid;
}

int slot_restore(const char *name, git_oid commit)
{
	struct worktree *w = slot_open_at(name);
	int r;

	salvage_restored_deinit(&slot_restored);
	memset(&slot_restored, 0, sizeof(slot_restored));
	r = salvage_restore_slot(w, &commit, slot_keep, 2, &slot_restored, &salvage_fault);
	worktree_close(w);
	return r;
}

int dir_restore(git_oid commit)
{
	struct tree_stats stats;
	int fd, r;

	cr_assert(sh("chmod -R u+rwx out 2>/dev/null; rm -rf out && mkdir out"));
	fd = open(in_dir("out"), O_RDONLY | O_DIRECTORY);
	cr_assert_geq(fd, 0);
	salvage_fixture_open();
	r = salvage_restore_dir(salvage_repo, &commit, fd, 2, &stats, &salvage_fault);
	close(fd);
	return r;
}

void remember_slot(const char *dir, bool is_slot)
{
	cr_assert(sh("python3 '" SOURCE_ROOT "/tests/support/salvage.py' %s %s > %s",
		     is_slot ? "state" : "look", dir, is_slot ? "was.state" : "was.look"));
}

void assert_is_as_remembered(const char *dir, bool is_slot, const char *what)
{
	char *differs = sh_text(
		"python3 '" SOURCE_ROOT "/tests/support/salvage.py' %s %s > is; diff %s is; true",
		is_slot ? "state" : "look", dir, is_slot ? "was.state" : "was.look");

	cr_assert_str_eq(differs, "", "%s: %s:\n%s", what, dir, differs);
}

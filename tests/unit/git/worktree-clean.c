#include "git/worktree.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git-fixture.h"
#include "git/admin-work.h"
#include "git/ignore.h"
#include "git/tree-descent.h"
#include "git/tree-saved.h"
#include "util/cleanup.h"

#define ADMIN "r/.git/worktrees/slotd-a-1"
#define FRESH "HEAD\ncommondir\ngitdir\nindex\nlocked\nlogs" /* what ls shows of it */

static struct repo *repo;
static struct worktree *worktree;
static struct tree_saved *set;
static struct fault f;
static int slots_fd = -1;
static uint64_t dev, ino;
static git_oid commit;

static void open_it(void)
{
	cr_assert_eq(worktree_open(repo, slots_fd, in_dir("slots"), "a-1", dev, ino, &worktree, &f),
		     0, "%s", f.text);
}

static void init(void)
{
	struct tree_stats stats;

	fixture_init();
	cr_assert_eq(repo_global_init(&f), 0);
	cr_assert(sh("git init -q -b main r && mkdir slots && cd r && echo 1 > a && mkdir d && "
		     "echo 1 > d/f && echo '*.o' > .gitignore && git add . && git commit -qm one && "
		     "git checkout -qb side && echo side > a && git commit -qam side && "
		     "git checkout -q main && echo 2 > a && git commit -qam two"));
	cr_assert_eq(git_oid_fromstr(&commit, sh_text("git -C r rev-parse main")), 0);
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
	slots_fd = open(in_dir("slots"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(worktree_create(repo, slots_fd, in_dir("slots"), "a-1", &commit, 1, &dev, &ino,
				     &stats, &f),
		     0, "%s", f.text);
	set = tree_saved_new();
	open_it();
}

static void deinit(void)
{
	worktree_close(worktree);
	worktree = NULL;
	tree_saved_free(set);
	repo_close(repo);
	close(slots_fd);
	fixture_deinit();
}

TestSuite(worktree_clean, .init = init, .fini = deinit, .timeout = 120);

static int add(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	(void)userdata;
	if (event != TREE_DESCENT_FILE || strcmp(item->path, ".git") == 0)
		return TREE_DESCENT_GO_ON;
	return tree_saved_add(set, item->path, &item->st);
}

static void save_all(void)
{
	cr_assert_eq(tree_descent(worktree_tree(worktree)->slot_fd, "", true, add, NULL, &f), 0);
}

static void save_admin(void)
{
	cr_assert_eq(admin_work_note(worktree_tree(worktree)->admin_fd, set, &f), 0, "%s", f.text);
}

static int clean(void)
{
	struct worktree_clean_options options = { .saved = set, .threads = 2 };
	struct tree_stats stats;

	f.text[0] = '\0';
	return worktree_clean(worktree, &commit, &options, &stats, &f);
}

static void assert_clean(const char *what)
{
	cr_assert_str_eq(sh_text("git -C slots/a-1 status --porcelain --ignored"), "", "%s", what);
	cr_assert_str_eq(sh_text("git -C slots/a-1 rev-parse HEAD"), sh_text("git -C r rev-parse main"));
	cr_assert(sh("cd slots/a-1 && ! git symbolic-ref -q HEAD"), "%s", what);
	cr_assert_str_eq(sh_text("ls -A " ADMIN), FRESH, "%s: %s", what, sh_text("ls -A " ADMIN));
	cr_assert_str_eq(sh_text("cd " ADMIN " && find logs -type f -size +0"), "", "%s", what);
	cr_assert_str_eq(sh_text("ls -A slots"), "a-1", "%s", what);
}

/* run in the slot; $g is its administration */
static const char *const leftovers[] = {
	"git config extensions.worktreeConfig true; git config --worktree core.hooksPath /tmp",
	"git sparse-checkout set --cone d; git config --unset extensions.worktreeConfig",
	"git update-index --split-index",
	"git update-ref refs/worktree/x HEAD; git update-ref refs/bisect/bad HEAD; "
	"git update-ref refs/rewritten/y HEAD",
	"git checkout -qb mine; git commit -q --allow-empty -m more; git checkout -q --detach",
	"! git merge -q side >/dev/null",
	"! git rebase -q side >/dev/null 2>&1",
	"! git cherry-pick side >/dev/null 2>&1",
	"! git revert HEAD~1 --no-edit >/dev/null 2>&1; ! git revert --no-edit HEAD >/dev/null 2>&1",
	"git bisect start -q main main~1 >/dev/null",
	"git checkout -q --orphan new; git commit -qm orphan",
	"git stash -q; echo x > a; git stash -q",
	"git fetch -q . main; git reset -q --hard main~1",
	"touch $g/index.lock $g/HEAD.lock $g/config.worktree.lock $g/logs/HEAD.lock",
	"git init -q --bare $g/modules/sub; touch $g/COMMIT_EDITMSG $g/gc.pid $g/SQUASH_MSG",
	"mkdir -p $g/hooks $g/info $g/fsmonitor--daemon/cookies; touch $g/hooks/pre-commit "
	"$g/info/sparse-checkout $g/info/exclude",
	"rm -rf $g/logs; ln -s /tmp $g/logs",
	"rm $g/HEAD; echo junk > $g/HEAD",
	"rm $g/HEAD; ln -s ../../HEAD $g/HEAD",
	"mkdir -p $g/deep/$(printf 'x%.0s' $(seq 200)); mkfifo $g/fifo; ln -s / $g/link",
	"chmod 000 $g/logs; chmod 500 $g/refs 2>/dev/null; true",
};

Test(worktree_clean, nothing_of_an_agents_git_outlives_it)
{
	for (size_t i = 0; i < sizeof(leftovers) / sizeof(leftovers[0]); i++) {
		cr_assert(sh("cd slots/a-1 && g=../../" ADMIN " && { %s; }", leftovers[i]), "%s",
			  leftovers[i]);
		save_all();
		cr_assert_eq(clean(), 0, "%s: %s", leftovers[i], f.text);
		cr_assert(sh("git -C r config --unset extensions.worktreeConfig; "
			     "git -C r config --unset core.sparseCheckout; "
			     "git -C r config --unset core.sparseCheckoutCone; true"));
		assert_clean(leftovers[i]);
	}
}

/* what is discarded needs no set; without one, logs and stores of submodules are kept unless told */
Test(worktree_clean, what_may_hold_commits_stays_until_it_is_forgotten)
{
	struct worktree_clean_options options = { .threads = 1 };
	struct tree_stats stats;

	cr_assert(sh("cd slots/a-1 && git commit -q --allow-empty -m amended && "
		     "git reset -q --hard HEAD~1 && git init -q --bare ../../" ADMIN "/modules/x && "
		     "echo junk > junk"));
	cr_assert_eq(worktree_clean(worktree, &commit, &options, &stats, &f), 0, "%s", f.text);
	cr_expect(sh("git -C slots/a-1 reflog | grep -q amended && test -d " ADMIN "/modules/x"));
	options.forget = true;
	cr_assert_eq(worktree_clean(worktree, &commit, &options, &stats, &f), 0, "%s", f.text);
	assert_clean("forgotten");
}

Test(worktree_clean, what_is_not_saved_leaves_the_slot_as_it_is)
{
	struct tree_saved *known = NULL;

	cr_assert(sh("cd slots/a-1 && echo mine > new && git checkout -q side && "
		     "touch ../../" ADMIN "/COMMIT_EDITMSG"));
	cr_assert_eq(clean(), WORKTREE_E_UNSAVED);
	cr_expect_neq(strstr(f.text, "new"), NULL, "%s", f.text);
	cr_expect_str_eq(sh_text("cd slots/a-1 && cat new && git rev-parse --abbrev-ref HEAD"),
			 "mine\nside");
	cr_expect(sh("test -e " ADMIN "/COMMIT_EDITMSG && test ! -e " ADMIN "/slotd-switching"));
	cr_assert_eq(worktree_read_saved(worktree, &known, &f), 0);
	cr_expect_null(known);
	save_all();
	cr_assert_eq(clean(), 0, "%s", f.text);
	assert_clean("saved");
}

/* what came after it was saved is all that is there then, and the mark knows the rest */
Test(worktree_clean, what_came_meanwhile_is_all_that_is_left)
{
	struct tree_saved *known = NULL;

	cr_assert(sh("cd slots/a-1 && git checkout -q side && mkdir n && echo 1 > n/1 && echo x > a"));
	save_all();
	cr_assert(sh("echo 2 > slots/a-1/n/2"));
	cr_assert_eq(clean(), WORKTREE_E_UNSAVED);
	cr_expect_neq(strstr(f.text, "n/2"), NULL, "%s", f.text);
	cr_expect_str_eq(sh_text("git -C slots/a-1 status --porcelain -uall"), "?? n/2");
	cr_expect_str_eq(sh_text("git -C slots/a-1 rev-parse HEAD"), sh_text("git -C r rev-parse main"));
	cr_assert_eq(worktree_read_saved(worktree, &known, &f), 0, "%s", f.text);
	cr_assert_not_null(known);
	cr_expect(tree_saved_knows(known, "n/1") && !tree_saved_knows(known, "n/2"));
	tree_saved_free(known);
	save_all();
	cr_assert_eq(clean(), 0, "%s", f.text);
	assert_clean("saved");
}

#define STATE "cat " ADMIN "/HEAD " ADMIN "/logs/* 2>/dev/null; git -C slots/a-1 ls-files -s"

/* "a" has been saved; each of these happens after that */
static const char *const afterwards[] = {
	"git commit -q --allow-empty -m more",
	"echo y > b; git add b; rm b",
	"git checkout -q side 2>/dev/null || git checkout -q -f side",
	"git reset -q --soft HEAD~1",
};

Test(worktree_clean, a_commit_or_a_staged_file_after_saving_is_noticed)
{
	for (size_t i = 0; i < sizeof(afterwards) / sizeof(afterwards[0]); i++) {
		char *before;

		cr_assert(sh("echo x > slots/a-1/a && cd slots/a-1 && git reset -q --soft main"));
		tree_saved_free(set);
		set = tree_saved_new();
		save_all();
		save_admin();
		cr_assert(sh("cd slots/a-1 && { %s; }", afterwards[i]), "%s", afterwards[i]);
		before = sh_text(STATE);
		cr_expect_eq(clean(), WORKTREE_E_UNSAVED, "%s", afterwards[i]);
		cr_expect_str_eq(sh_text(STATE),
				 before, "%s", afterwards[i]);
		save_all();
		save_admin();
		cr_assert_eq(clean(), 0, "%s: %s", afterwards[i], f.text);
		assert_clean(afterwards[i]);
	}
}

#define WORK "cd " ADMIN " && find refs logs modules info rebase-merge *_* config.worktree -type f -printf '%%p %%s\\n' " \
	     "2>/dev/null | sort; cat MERGE_MSG modules/sub/HEAD 2>/dev/null; true"

/* in the administration: all of this was there when it was saved, and one of these happens after that */
static const char *const begun[] = {
	"echo h > refs/worktree/new",
	"echo 2 > refs/worktree/old",
	"mkdir refs/bisect && echo h > refs/bisect/bad",
	"echo 2 > config.worktree",
	"echo 2 > MERGE_MSG",
	"echo 2 > tmp && touch -r MERGE_MSG tmp && mv tmp MERGE_MSG",
	"echo h > MERGE_HEAD",
	"mkdir rebase-merge && echo h > rebase-merge/onto",
	"echo 2 > modules/sub/HEAD",
	"mkdir -p modules/other/a && echo h > modules/other/a/HEAD",
	"mkdir -p info && echo 2 > info/sparse-checkout",
	"mkdir -p logs/refs/worktree && echo l > logs/refs/worktree/new",
};

Test(worktree_clean, what_is_written_to_the_administration_after_saving_is_noticed)
{
	for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
		char *before;

		cr_assert(sh("echo x > slots/a-1/a && cd " ADMIN " && mkdir -p refs/worktree modules/sub && "
			     "echo 1 > refs/worktree/old && echo 1 > config.worktree && echo 1 > MERGE_MSG && "
			     "echo 1 > modules/sub/HEAD"));
		tree_saved_free(set);
		set = tree_saved_new();
		save_all();
		save_admin();
		cr_assert(sh("cd " ADMIN " && { %s; }", begun[i]), "%s", begun[i]);
		before = sh_text(WORK);
		cr_expect_eq(clean(), WORKTREE_E_UNSAVED, "%s", begun[i]);
		cr_expect_neq(strstr(f.text, ".git/"), NULL, "%s: %s", begun[i], f.text);
		cr_expect_str_eq(sh_text(WORK), before, "%s", begun[i]);
		cr_expect_str_eq(sh_text("cat slots/a-1/a"), "x", "%s", begun[i]);
		save_admin();
		cr_assert_eq(clean(), 0, "%s: %s", begun[i], f.text);
		assert_clean(begun[i]);
	}
}

/* between the look at it and its going */
Test(worktree_clean, only_what_was_saved_of_the_administration_is_taken_away)
{
	int admin_fd = worktree_tree(worktree)->admin_fd;

	cr_assert(sh("cd " ADMIN " && mkdir -p rebase-merge/a refs/worktree && echo 1 > rebase-merge/onto && "
		     "echo 1 > rebase-merge/a/b && mkfifo rebase-merge/fifo && ln -s /etc rebase-merge/link && "
		     "echo 1 > refs/worktree/old"));
	save_admin();
	cr_assert(sh("echo 2 > " ADMIN "/rebase-merge/new"));
	cr_expect_eq(admin_work_clear(admin_fd, set, &f), -EBUSY);
	cr_expect_str_eq(f.text, ".git/rebase-merge/new is not what was saved");
	cr_expect_str_eq(sh_text("cat " ADMIN "/rebase-merge/new"), "2");
	save_admin();
	cr_expect_eq(admin_work_clear(admin_fd, set, &f), 0, "%s", f.text);
	cr_expect_str_eq(sh_text("ls -A " ADMIN), FRESH);
	cr_expect(sh("test -s " ADMIN "/logs/HEAD"));
}

static bool is_clean_soon(void)
{
	for (int i = 0; i < 100; i++) {
		int r = clean();

		if (r == 0)
			return true;
		cr_assert_eq(r, WORKTREE_E_UNSAVED, "%s", f.text);
		usleep(100 * 1000);
	}
	return false;
}

/* it renames what has the lock's name, and would take slotd's for its own */
Test(worktree_clean, a_lock_that_somebody_may_have_is_not_taken_from_him)
{
	static const char *const locks[] = { "index.lock", "HEAD.lock" };

	for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
		save_all();
		save_admin();
		cr_assert(sh("echo mine > " ADMIN "/%s", locks[i]));
		cr_expect_eq(clean(), WORKTREE_E_UNSAVED);
		cr_expect_neq(strstr(f.text, locks[i]), NULL, "%s", f.text);
		cr_expect_str_eq(sh_text("cat " ADMIN "/%s", locks[i]), "mine");
		cr_expect(is_clean_soon(), "%s", f.text);
		assert_clean(locks[i]);
	}
}

/* --- the mark --- */

static void write_mark(const char *how)
{
	cr_assert(sh("cd " ADMIN " && rm -rf slotd-switching && { %s; }", how), "%s", how);
}

static const struct {
	const char *mark;
	bool has_set;
} marks[] = {
	{ "true", false },
	{ "git rev-parse main > slotd-switching", false },
	{ "git rev-parse main | tr -d '\\n' > slotd-switching", false },
	{ ": > slotd-switching", false },
	{ "{ git rev-parse main; echo junk; } > slotd-switching", true },
	{ "{ git rev-parse main; head -c 100000 /dev/urandom; } > slotd-switching", true },
	{ "mkdir slotd-switching", true },
	{ "ln -s HEAD slotd-switching", true },
	{ "mkfifo slotd-switching", true },
};

Test(worktree_clean, any_mark_can_be_read)
{
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		struct tree_saved *known = NULL;

		write_mark(marks[i].mark);
		cr_assert(sh("mkdir -p slots/.trash-a-1/old/q && echo 1 > slots/.trash-a-1/old/q/1"));
		cr_expect_eq(worktree_read_saved(worktree, &known, &f), 0, "%s: %s", marks[i].mark,
			     f.text);
		cr_expect_eq(known != NULL, marks[i].has_set, "%s", marks[i].mark);
		cr_expect_eq(tree_saved_count(known), 0);
		cr_expect_str_eq(sh_text("cat slots/a-1/q/1"), "1", "%s", marks[i].mark);
		cr_expect_str_eq(sh_text("ls -A slots"), "a-1");
		tree_saved_free(known);
		cr_assert(sh("rm -r slots/a-1/q"));
	}
	save_all();
	cr_assert_eq(clean(), 0, "%s", f.text);
	assert_clean("a FIFO as mark");
}

Test(worktree_clean, a_slot_whose_clean_was_killed_is_not_moved_over_what_is_not_saved)
{
	struct tree_stats stats;

	cr_assert(sh("cd slots/a-1 && mkdir n && echo 1 > n/1 && echo x > a"));
	save_all();
	cr_assert(sh("echo 2 > slots/a-1/n/2"));
	cr_assert_eq(clean(), WORKTREE_E_UNSAVED);
	cr_assert_eq(worktree_switch(worktree, NULL, &commit, 1, &stats, &f), -EBUSY);
	cr_expect_str_eq(sh_text("cat slots/a-1/n/2"), "2");
	cr_assert(sh("rm -r slots/a-1/n"));
	cr_assert_eq(worktree_switch(worktree, NULL, &commit, 1, &stats, &f), 0, "%s", f.text);
	assert_clean("moved");
}

Test(worktree_clean, a_trash_is_a_part_of_the_slot)
{
	cr_assert(sh("mkdir -p slots/.trash-a-1/old && echo 1 > slots/.trash-a-1/old/x"));
	cr_expect(worktree_exists(slots_fd, "a-1"));
	cr_assert(sh("mv slots/a-1 slots/gone"));
	cr_expect(worktree_exists(slots_fd, "a-1"));
	cr_assert(sh("mv slots/gone slots/a-1"));
	worktree_close(worktree);
	worktree = NULL;
	cr_assert_eq(worktree_remove(repo, slots_fd, in_dir("slots"), "a-1", dev, ino, &f), 0, "%s",
		     f.text);
	cr_expect_str_eq(sh_text("ls -A slots"), "");
	cr_expect_not(worktree_exists(slots_fd, "a-1"));
}

/* --- what the pool keeps --- */

Test(worktree_clean, the_proof_knows_what_the_pool_keeps)
{
	static const char *const kept[] = { "cache/" }, *const wiped[] = { "*.pem" };
	struct ignore *keep = NULL, *wipe = NULL;
	struct worktree_clean_options options = { .threads = 2, .saved = set };
	struct tree_stats stats;
	int r;

	cr_assert_eq(ignore_from_lines(kept, 1, &keep), 0);
	cr_assert_eq(ignore_from_lines(wiped, 1, &wipe), 0);
	options.policy.keep = keep;
	options.policy.wipe = wipe;
	cr_assert(sh("cd slots/a-1 && mkdir cache && touch cache/x cache/y.o x.o && "
		     "echo key > s.pem"));
	save_all();
	cr_assert_eq(worktree_clean(worktree, &commit, &options, &stats, &f), 0, "%s", f.text);
	cr_expect_str_eq(sh_text("git -C slots/a-1 ls-files -o | sort"), "cache/x\ncache/y.o\nx.o");
	if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0) {
		/* handles of before see the mounts of before */
		worktree_close(worktree);
		close(slots_fd);
		slots_fd = open(in_dir("slots"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		open_it();
		cr_assert(sh("mkdir slots/a-1/cache/m"));
		cr_assert_eq(mount(in_dir("r"), in_dir("slots/a-1/cache/m"), "none", MS_BIND, NULL),
			     0);
		r = worktree_clean(worktree, &commit, &options, &stats, &f);
		cr_expect_eq(r, -EXDEV, "%d %s", r, f.text);
		cr_expect_neq(strstr(f.text, "cache/m"), NULL, "%s", f.text);
		cr_assert_eq(umount2(in_dir("slots/a-1/cache/m"), MNT_DETACH), 0);
	}
	ignore_free(keep);
	ignore_free(wipe);
}

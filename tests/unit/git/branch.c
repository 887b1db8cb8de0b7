#include "git/branch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "git/ref-write.h"

static struct fault f;
static struct repo *repo;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && cd r && echo 1 > f && git add f && git commit -qm one && "
		     "echo 2 > f && git commit -qam two && git branch side HEAD~1 && "
		     "git branch free HEAD~1"));
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
}

static void deinit(void)
{
	repo_close(repo);
	fixture_deinit();
}

TestSuite(branch, .init = init, .fini = deinit, .timeout = 60);

static git_oid oid_of(const char *rev)
{
	git_oid oid = { { 0 } };

	cr_assert_eq(git_oid_fromstr(&oid, sh_text("git -C r rev-parse '%s'", rev)), 0, "%s", rev);
	return oid;
}

static int create(const char *name, const char *rev, bool *created)
{
	git_oid oid = oid_of(rev);

	f.text[0] = '\0';
	return branch_create(repo, "a-1", name, &oid, created, &f);
}

/* who has it, as a path in the scratch directory; "" nobody */
static const char *user_of(const char *name, const char *except)
{
	char *path = NULL;
	int r = branch_find_user(repo, name, except, &path, &f);

	cr_assert_geq(r, 0, "%s", f.text);
	if (r == 0)
		return "";
	fixture_keep(path);
	cr_assert_eq(strncmp(path, fixture_dir, strlen(fixture_dir)), 0, "%s", path);
	return path + strlen(fixture_dir) + 1;
}

Test(branch, names_are_judged_as_git_does)
{
	static const char *const bad[] = { "",	   "-x",   "a b",  "a..b", "a.lock", "/a", "a/", "HEAD",
					   "a//b", "a~1",  "a^",   "a:b",  "a?",     "a*", "@",	 "a@{b",
					   ".a",   "a/.b", "a\\b", "a[b",  "a\tb",   "a." };
	static const char *const good[] = { "a", "agent/x", "a-b_c.d", "feature/\xc3\xa9", "main" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(branch_check_name(bad[i], &f), -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert_eq(branch_check_name(good[i], &f), 0, "%s", good[i]);
}

Test(branch, a_branch_is_made_at_the_commit_and_git_agrees)
{
	bool created = false;

	cr_assert_eq(create("agent/new", "HEAD~1", &created), 0, "%s", f.text);
	cr_assert(created);
	cr_assert_str_eq(sh_text("git -C r rev-parse agent/new"), sh_text("git -C r rev-parse HEAD~1"));
	cr_assert(sh("cd r && git fsck --strict && git reflog show agent/new | grep slotd && "
		     "git branch -d agent/new && test -z \"$(ls .git/slotd)\" && "
		     "test -z \"$(find .git -name '*.lock')\" && "
		     "! git config --get-regexp branch.agent"));
}

Test(branch, one_that_stands_there_is_fine_and_one_that_stands_elsewhere_is_not)
{
	bool created = true;

	cr_assert_eq(create("free", "HEAD~1", &created), 0);
	cr_assert_not(created);
	cr_assert_eq(create("free", "HEAD", &created), -EEXIST);
	cr_assert(sh("cd r && git pack-refs --all"));
	cr_assert_eq(create("free", "HEAD", &created), -EEXIST);
	cr_assert_eq(create("free", "HEAD~1", &created), 0);
	cr_assert_not(created);
}

Test(branch, a_file_is_not_a_directory_among_branches_either)
{
	bool created;

	cr_assert_eq(create("free/x", "HEAD", &created), -EEXIST);
	cr_assert(strstr(f.text, "free") != NULL, "%s", f.text);
	cr_assert(sh("cd r && git pack-refs --all && git branch deep/er/one"));
	cr_assert_eq(create("free/x", "HEAD", &created), -EEXIST);
	cr_assert_eq(create("deep", "HEAD", &created), -EEXIST);
	cr_assert_eq(create("deep/er", "HEAD", &created), -EEXIST);
	cr_assert_eq(create("deep/er/two", "HEAD", &created), 0, "%s", f.text);
	cr_assert(sh("mkdir r/.git/refs/heads/empty"));
	cr_assert_eq(create("empty", "HEAD", &created), 0, "%s", f.text);
	cr_assert(sh("git -C r rev-parse free empty deep/er/two --"));
}

Test(branch, somebody_s_lock_is_respected)
{
	bool created;

	cr_assert(sh(": > r/.git/refs/heads/new.lock"));
	cr_assert_eq(create("new", "HEAD", &created), -EAGAIN);
	cr_assert(sh("test -e r/.git/refs/heads/new.lock && ! git -C r rev-parse -q --verify new && "
		     "test -z \"$(ls r/.git/slotd)\""));
}

Test(branch, a_lock_that_a_killed_try_left_is_told_from_somebody_s)
{
	bool created = false;

	/* what is there between the link and the rename */
	cr_assert(sh("cd r/.git && mkdir -p slotd && git rev-parse HEAD > slotd/a-1.ref && "
		     "echo refs/heads/new.lock > slotd/a-1.ref-name && "
		     "ln slotd/a-1.ref refs/heads/new.lock"));
	cr_assert_eq(create("new", "HEAD", &created), 0, "%s", f.text);
	cr_assert(created);
	/* the same, but the lock is another file */
	cr_assert(sh("cd r/.git && git rev-parse HEAD > slotd/a-1.ref && "
		     "echo refs/heads/other.lock > slotd/a-1.ref-name && "
		     ": > refs/heads/other.lock"));
	cr_assert_eq(ref_recover(repo, "a-1", &f), 0);
	cr_assert(sh("test -e r/.git/refs/heads/other.lock && test -z \"$(ls r/.git/slotd)\""));
	cr_assert_eq(create("other", "HEAD", &created), -EAGAIN);
}

Test(branch, a_claim_cannot_be_made_to_remove_what_is_no_lock)
{
	cr_assert(sh("cd r/.git && mkdir -p slotd && ln HEAD slotd/a-1.ref && "
		     "echo HEAD > slotd/a-1.ref-name"));
	cr_assert_eq(ref_recover(repo, "a-1", &f), 0);
	cr_assert(sh("test -e r/.git/HEAD"));
	cr_assert(sh("cd r/.git && ln HEAD slotd/a-1.ref && ln HEAD victim.lock && "
		     "echo refs/heads/../../victim.lock > slotd/a-1.ref-name"));
	cr_assert_eq(ref_recover(repo, "a-1", &f), 0);
	cr_assert(sh("test -e r/.git/victim.lock"));
}

Test(branch, bare_stores_keep_no_log_of_branches)
{
	struct repo *bare = NULL;
	bool created;
	git_oid oid = oid_of("HEAD");

	cr_assert(sh("git clone -q --bare r b.git"));
	cr_assert_eq(repo_open(in_dir("b.git"), &bare, &f), 0);
	cr_assert_eq(branch_create(bare, "a-1", "new", &oid, &created, &f), 0, "%s", f.text);
	repo_close(bare);
	cr_assert(sh("test ! -e b.git/logs/refs/heads/new && git -C b.git rev-parse -q --verify new"));
}

Test(branch, the_main_and_linked_worktrees_are_named_as_users)
{
	cr_assert(sh("git -C r worktree add -q ../w side"));
	cr_assert_str_eq(user_of("main", NULL), "r");
	cr_assert_str_eq(user_of("side", NULL), "w");
	cr_assert_str_eq(user_of("free", NULL), "");
	cr_assert_str_eq(user_of("absent", NULL), "");
}

Test(branch, the_HEAD_of_a_bare_repository_uses_nothing)
{
	repo_close(repo);
	repo = NULL;
	cr_assert(sh("git clone -q --bare r b.git && git -C b.git worktree add -q ../w side"));
	cr_assert_eq(repo_open(in_dir("b.git"), &repo, &f), 0);
	cr_assert_str_eq(user_of("main", NULL), "");
	cr_assert_str_eq(user_of("side", NULL), "w");
}

Test(branch, a_slot_is_not_in_its_own_way)
{
	cr_assert(sh("git -C r worktree add -q ../a-1 side && cd r/.git/worktrees && "
		     "mv a-1 slotd-a-1"));
	cr_assert_str_eq(user_of("side", "a-1"), "");
	cr_assert_str_eq(user_of("side", "a-2"), "a-1");
}

struct busy {
	const char *commands; /* in worktree w */
	const char *branch;
};

static const struct busy busy[] = {
	{ "git checkout -q side && echo s > f && git commit -qam s && git rebase -q main", "side" },
	{ "git checkout -q side && echo s > f && git commit -qam s && git rebase -q --apply main",
	  "side" },
	{ "git checkout -q side && git bisect start && git bisect bad && git checkout -q --detach",
	  "side" },
	{ "git checkout -q -b two free && echo x > g && git add g && git commit -qm g && "
	  "git branch -f mid && echo s > f && git commit -qam s && "
	  "git rebase -q --update-refs main",
	  "mid" },
};

Test(branch, rebases_and_bisections_use_their_branches)
{
	for (size_t i = 0; i < sizeof(busy) / sizeof(busy[0]); i++) {
		cr_assert(sh("rm -rf w && git -C r worktree prune && "
			     "git -C r worktree add -q --detach ../w"));
		sh("cd w && (%s) >/dev/null 2>&1", busy[i].commands);
		cr_assert_str_eq(user_of(busy[i].branch, NULL), "w", "%s", busy[i].commands);
	}
}

Test(branch, broken_worktrees_are_passed_over)
{
	cr_assert(sh("git -C r worktree add -q ../w side && cd r/.git/worktrees && mkdir empty && "
		     "mkdir half && : > half/commondir && mkdir fifo && mkfifo fifo/HEAD && "
		     "touch file && ln -s / link && mkdir dir && mkdir dir/HEAD && "
		     "rm w/gitdir && mkdir loop && ln -s HEAD loop/HEAD"));
	cr_assert_str_eq(user_of("side", NULL), "r/.git/worktrees/w");
	cr_assert_str_eq(user_of("free", NULL), "");
}

static void pin(const char *rev)
{
	git_oid oid = oid_of(rev);

	cr_assert_eq(branch_pin(repo, "a-1", &oid, &f), 0, "%s", f.text);
	cr_assert_str_eq(sh_text("git -C r rev-parse refs/slotd/pin/a-1"),
			 sh_text("git -C r rev-parse %s", rev));
}

Test(branch, pins_come_move_and_go_loose_or_packed)
{
	pin("HEAD~1");
	pin("HEAD");
	cr_assert(sh("git -C r tag -m t t && git -C r pack-refs --all"));
	pin("HEAD~1");
	cr_assert(sh("git -C r for-each-ref | grep -v slotd > before && git -C r pack-refs --all"));
	cr_assert_eq(branch_unpin(repo, "a-1", &f), 0, "%s", f.text);
	cr_assert_eq(branch_unpin(repo, "a-1", &f), 0, "%s", f.text);
	cr_assert(sh("git -C r for-each-ref | cmp - before && git -C r fsck && "
		     "test $(git -C r rev-parse t^{}) = $(git -C r rev-parse HEAD) && "
		     "test -z \"$(ls r/.git/slotd)\" && test -z \"$(find r/.git -name '*.lock')\""));
}

Test(branch, locks_of_killed_tries_are_taken_away_wherever_they_are)
{
	pin("HEAD~1");
	cr_assert(sh("cd r/.git && git pack-refs --all && mkdir -p refs/slotd/pin && "
		     ": > slotd/a-1.ref && ln slotd/a-1.ref refs/slotd/pin/a-1.lock && "
		     "ln slotd/a-1.ref packed-refs.lock && "
		     "printf 'refs/slotd/pin/a-1.lock\\npacked-refs.lock\\n' > slotd/a-1.ref-name"));
	cr_assert_eq(branch_unpin(repo, "a-1", &f), 0, "%s", f.text);
	cr_assert(sh("! git -C r rev-parse -q --verify refs/slotd/pin/a-1 && "
		     "test -z \"$(find r/.git -name '*.lock')\""));
}

Test(branch, somebody_s_lock_of_packed_refs_is_waited_for_and_respected)
{
	pin("HEAD~1");
	cr_assert(sh("cd r/.git && git pack-refs --all && : > packed-refs.lock"));
	cr_assert_eq(branch_unpin(repo, "a-1", &f), -EAGAIN);
	cr_assert(sh("test -e r/.git/packed-refs.lock && git -C r rev-parse refs/slotd/pin/a-1 && "
		     "(sleep 0.3; rm r/.git/packed-refs.lock) &"));
	cr_assert_eq(branch_unpin(repo, "a-1", &f), 0, "%s", f.text);
}

Test(branch, a_pin_needs_its_commit)
{
	git_oid absent = { { 1 } };

	cr_assert_eq(branch_pin(repo, "a-1", &absent, &f), -EUCLEAN);
}

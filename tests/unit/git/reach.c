#include "git/reach.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"
#include "git/store.h"

static struct fault f;
static struct repo *repo;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r"));
}

static void deinit(void)
{
	repo_close(repo);
	repo = NULL;
	fixture_deinit();
}

TestSuite(reach, .init = init, .fini = deinit, .timeout = 120);

static git_oid oid_of(const char *rev)
{
	git_oid oid = { { 0 } };

	cr_assert_eq(git_oid_fromstr(&oid, sh_text("git -C r rev-parse '%s'", rev)), 0, "%s", rev);
	return oid;
}

/* commits reachable from a revision that no ref holds (only: NULL, or those below it) */
static size_t count(const char *rev, const char *only)
{
	struct reach *reach = NULL;
	git_oid tip = oid_of(rev), newest;
	size_t n = 12345;

	if (!repo)
		cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
	cr_assert_eq(reach_new(repo, &reach, &f), 0);
	cr_assert_eq(reach_add_tip(reach, &tip, &f), 0);
	cr_assert_eq(reach_add_refs(reach, only, &f), 0, "%s", f.text);
	cr_assert_eq(reach_run(reach, &n, &newest, &f), 0, "%s", f.text);
	reach_free(reach);
	return n;
}

static void commit(const char *branch_commands)
{
	cr_assert(sh("cd r && c() { git commit -q --allow-empty -m \"$1\"; } && %s", branch_commands));
}

Test(reach, what_a_branch_or_tag_holds_is_not_counted)
{
	commit("c one && c two && git checkout -q --detach && c three && c four");
	cr_assert_eq(count("HEAD", NULL), 2);
	commit("git tag t HEAD~1");
	cr_assert_eq(count("HEAD", NULL), 1);
	commit("git tag -am annotated u HEAD");
	cr_assert_eq(count("HEAD", NULL), 0);
}

Test(reach, pins_and_salvages_do_not_hold_and_prefixes_limit_what_does)
{
	commit("c one && git update-ref refs/remotes/origin/main HEAD && c two && "
	       "git checkout -q --detach && c three && git update-ref refs/slotd/pin/a-1 HEAD && "
	       "git update-ref refs/slotd/salvage/a-1/0/1 HEAD");
	cr_assert_eq(count("HEAD", NULL), 1);
	cr_assert_eq(count("HEAD", "refs/remotes/origin/"), 2);
}

Test(reach, merges_are_followed_on_both_sides)
{
	commit("c base && git checkout -q -b side && c s1 && c s2 && git checkout -q --detach main && "
	       "c d1 && git merge -q -m merge side && c d2");
	cr_assert_eq(count("HEAD", NULL), 3);
	commit("git branch -qD side");
	cr_assert_eq(count("HEAD", NULL), 5);
}

Test(reach, dates_that_lie_lose_nothing)
{
	commit("export GIT_COMMITTER_DATE='2000000000 +0000' && c future && "
	       "export GIT_COMMITTER_DATE='1000000000 +0000' && c past && git checkout -q --detach && "
	       "export GIT_COMMITTER_DATE='1500000000 +0000' && c d1 && "
	       "export GIT_COMMITTER_DATE='900000000 +0000' && c d2");
	cr_assert_eq(count("HEAD", NULL), 2);
	commit("lost=$(git rev-parse HEAD) && git checkout -q main && "
	       "export GIT_COMMITTER_DATE='800000000 +0000' && c m2 && c m3 && "
	       "git checkout -q --detach $lost");
	cr_assert_eq(count("HEAD", NULL), 2);
}

Test(reach, a_held_side_that_is_found_late_takes_its_past_along)
{
	/* the held tip is much older by date than what it holds */
	commit("c base && git checkout -q --detach && for i in 1 2 3 4 5 6 7 8; do c n$i; done && "
	       "export GIT_COMMITTER_DATE='@1000 +0000' && git branch holder $(git commit-tree -p HEAD "
	       "-m holder HEAD^{tree})");
	cr_assert_eq(count("HEAD", NULL), 0);
}

Test(reach, the_boundary_of_a_shallow_clone_is_where_history_begins)
{
	commit("c one && c two && c three");
	cr_assert(sh("git clone -q --depth 2 file://%s/r shallow && rm -rf r && mv shallow r && cd r && "
		     "git checkout -q --detach && git commit -q --allow-empty -m four",
		     fixture_dir));
	cr_assert_eq(count("HEAD", NULL), 1);
	cr_assert_eq(count("HEAD~1", NULL), 0);
	cr_assert(sh("git -C r checkout -q --orphan other && git -C r commit -q --allow-empty -m o && "
		     "git -C r checkout -q --detach && git -C r branch -qD other"));
	cr_assert_eq(count("HEAD", NULL), 1);
}

Test(reach, missing_and_odd_refs_hold_nothing_and_stop_nobody)
{
	commit("c one && git checkout -q --detach && c two && git branch -qD main && "
	       "git tag blob-tag $(echo x | git hash-object -w --stdin) && "
	       "echo 0123456789012345678901234567890123456789 > .git/refs/heads/missing && "
	       "echo junk > .git/refs/heads/junk && : > .git/refs/heads/empty && "
	       "ln -s /etc/passwd .git/refs/heads/link");
	cr_assert_eq(count("HEAD", NULL), 2);
}

Test(reach, a_tip_that_is_not_there_counts_nothing)
{
	struct reach *reach = NULL;
	git_oid absent = { { 1, 2, 3 } }, newest;
	size_t n = 1;

	commit("c one");
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0);
	cr_assert_eq(reach_new(repo, &reach, &f), 0);
	cr_assert_eq(reach_add_tip(reach, &absent, &f), 0);
	cr_assert_eq(reach_run(reach, &n, &newest, &f), 0);
	cr_assert_eq(n, 0);
	reach_free(reach);
}

/* as store_behind() has it */
static int64_t behind(const char *commit, const char *base)
{
	git_oid from = oid_of(commit), to = oid_of(base);
	int64_t n = 12345;

	if (!repo)
		cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
	cr_assert_eq(store_behind(repo, &from, &to, &n, &f), 0, "%s", f.text);
	return n;
}

Test(reach, what_a_commit_is_behind_is_what_the_other_has_alone)
{
	commit("c one && c two && git branch side && c three && c four && git checkout -q side && c five && "
	       "git tag -a -m x annotated main");
	cr_assert_eq(behind("main", "main"), 0);
	cr_assert_eq(behind("side", "main"), 2);
	cr_assert_eq(behind("main", "side"), 1);
	cr_assert_eq(behind("main~3", "main"), 3);
	cr_assert_eq(behind("main", "main~3"), 0);
	cr_assert_eq(behind("side", "annotated^{}"), 2);
}

Test(reach, more_than_can_be_counted_in_time_is_not_guessed)
{
	cr_assert(sh("cd r && for i in $(seq 10100); do printf 'commit refs/heads/main\ncommitter a "
		     "<a> %%d +0000\ndata 1\nx\n' $((1000000000 + i)); done | git fast-import --quiet"));
	cr_assert_eq(behind("main~10099", "main"), -1);
	cr_assert_eq(behind("main~9000", "main"), 9000);
}

Test(reach, ten_thousand_commits_are_counted)
{
	cr_assert(sh("cd r && for i in $(seq 10000); do printf 'commit refs/heads/tmp\\ncommitter a "
		     "<a> %%d +0000\\ndata 1\\nx\\n' $((1000000000 + i)); done | "
		     "git fast-import --quiet && git checkout -q --detach tmp && git branch -qD tmp"));
	cr_assert_eq(count("HEAD", NULL), 10000);
}

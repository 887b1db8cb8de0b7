#include "git/store.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git-fixture.h"

static struct fault f;
static struct repo *repo;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && cd r && git commit -q --allow-empty -m one && "
		     "git commit -q --allow-empty -m two && git tag -am tagged v1 HEAD~1 && "
		     "git branch topic/x && git update-ref refs/remotes/origin/main HEAD~1 && "
		     "git update-ref refs/remotes/origin/far HEAD~1 && "
		     "git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/main && "
		     "git tag tree-tag HEAD^{tree}"));
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
}

static void deinit(void)
{
	repo_close(repo);
	fixture_deinit();
}

TestSuite(resolve, .init = init, .fini = deinit, .timeout = 60);

struct expected {
	bool adopted;
	const char *ref;
	const char *full;
	const char *rev;
};

static const struct expected expected[] = {
	{ true, NULL, "refs/heads/main", "main" },
	{ false, NULL, "refs/remotes/origin/main", "origin/main" },
	{ true, "main", "refs/heads/main", "main" },
	{ false, "main", "refs/remotes/origin/main", "origin/main" },
	{ false, "refs/heads/main", "refs/heads/main", "main" },
	{ true, "origin/main", "refs/remotes/origin/main", "origin/main" },
	{ false, "origin/main", "refs/remotes/origin/main", "origin/main" },
	{ true, "far", "refs/remotes/origin/far", "origin/far" },
	{ false, "topic/x", "refs/heads/topic/x", "topic/x" },
	{ false, "v1", "refs/tags/v1", "v1^{}" },
	{ true, "HEAD", "HEAD", "HEAD" },
	{ false, "HEAD", "refs/remotes/origin/main", "origin/main" },
};

static void resolve(bool adopted, const char *ref, const char *full, const char *rev)
{
	char *found = NULL;
	git_oid oid;

	cr_assert_eq(store_resolve(repo, adopted, ref, &found, &oid, &f), 0, "%s: %s", ref, f.text);
	fixture_keep(found);
	if (full)
		cr_assert_str_eq(found, full, "%s -> %s", ref, found);
	cr_assert_str_eq(git_oid_tostr_s(&oid), sh_text("git -C r rev-parse '%s'", rev), "%s", ref);
}

static int resolve_fails(const char *ref)
{
	char *found = NULL;
	git_oid oid;

	return store_resolve(repo, true, ref, &found, &oid, &f);
}

Test(resolve, names_mean_what_people_of_each_kind_of_pool_expect)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		resolve(expected[i].adopted, expected[i].ref, expected[i].full, expected[i].rev);
}

Test(resolve, packed_refs_are_found_too)
{
	cr_assert(sh("git -C r pack-refs --all"));
	resolve(true, "main", "refs/heads/main", "main");
	resolve(false, "v1", "refs/tags/v1", "v1^{}");
}

Test(resolve, commits_are_found_by_seven_digits_or_more)
{
	char *id = sh_text("git -C r rev-parse HEAD~1");
	char *tag = sh_text("git -C r rev-parse v1");
	char abbrev[16];

	resolve(true, id, id, "HEAD~1");
	resolve(true, tag, id, "HEAD~1");
	snprintf(abbrev, sizeof(abbrev), "%.7s", id);
	resolve(true, abbrev, id, "HEAD~1");
	snprintf(abbrev, sizeof(abbrev), "%.6s", id);
	cr_assert_eq(resolve_fails(abbrev), -ENOENT);
}

Test(resolve, a_branch_named_like_the_beginning_of_an_id_is_a_branch)
{
	char *id = sh_text("git -C r rev-parse HEAD~1");

	cr_assert(sh("git -C r branch %.8s HEAD", id));
	resolve(true, fixture_keep(strndup(id, 8)), NULL, "HEAD");
}

Test(resolve, what_does_not_exist_is_ENOENT_and_names_a_near_one)
{
	cr_assert_eq(resolve_fails("mian"), -ENOENT);
	cr_assert(strstr(f.text, "\"main\"") != NULL, "%s", f.text);
	cr_assert_eq(resolve_fails("zzzzzzzzzzzzzzz"), -ENOENT);
	cr_assert(strstr(f.text, "did you mean") == NULL, "%s", f.text);
	cr_assert_eq(resolve_fails("0123456789012345678901234567890123456789"), -ENOENT);
	cr_assert_eq(resolve_fails("tree-tag"), -ENOENT);
}

Test(resolve, expressions_and_odd_names_are_refs_that_do_not_exist)
{
	static const char *const odd[] = { "main~1", "HEAD^",	"@{-1}",   "../HEAD", "-x",
					   "",	     "main..x", "a b",     "refs/",   ":/one",
					   "main@{0}", "x.lock", "refs/heads/../../config" };

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		cr_assert_eq(resolve_fails(odd[i]), -ENOENT, "%s: %s", odd[i], f.text);
}

Test(resolve, an_unborn_branch_has_no_commit)
{
	struct repo *empty = NULL;
	char *ref = NULL;
	git_oid oid;

	cr_assert(sh("git init -q -b trunk e"));
	cr_assert_eq(repo_open(in_dir("e/.git"), &empty, &f), 0);
	for (int i = 0; i < 3; i++) {
		const char *name = i == 0 ? NULL : i == 1 ? "trunk" : "refs/heads/trunk";

		cr_assert_eq(store_resolve(empty, true, name, &ref, &oid, &f), 0, "%s", f.text);
		fixture_keep(ref);
		cr_assert_str_eq(ref, "refs/heads/trunk");
		cr_assert(git_oid_is_zero(&oid));
	}
	cr_assert_eq(store_resolve(empty, true, "other", &ref, &oid, &f), -ENOENT);
	repo_close(empty);
}

Test(resolve, a_detached_HEAD_is_the_default_itself)
{
	cr_assert(sh("git -C r checkout -q --detach HEAD~1"));
	resolve(true, NULL, "HEAD", "HEAD");
}

Test(resolve, a_branch_at_a_missing_commit_is_damage_not_absence)
{
	cr_assert(sh("echo 0123456789012345678901234567890123456789 > r/.git/refs/heads/broken"));
	cr_assert_eq(resolve_fails("broken"), -EUCLEAN);
}

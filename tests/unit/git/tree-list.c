#include "git/tree-list.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "git-fixture.h"

static struct repo *repo;
static struct fault fault_text;

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && cd r && mkdir -p d/e && echo a > a && echo b > d/b && echo c > d/e/c && "
		     "git add -A && git commit -q -m one && echo z > z && git add -A && git commit -q -m two"));
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &fault_text), 0, "%s", fault_text.text);
}

static void deinit(void)
{
	tree_list_remember(false);
	repo_close(repo);
	fixture_deinit();
}

TestSuite(tree_list, .init = init, .fini = deinit);

static struct tree_list load(const char *rev)
{
	struct tree_list list;
	git_oid commit;

	cr_assert_eq(git_oid_fromstr(&commit, sh_text("git -C r rev-parse %s", rev)), 0);
	cr_assert_eq(tree_list_load(repo, &commit, &list, &fault_text), 0, "%s", fault_text.text);
	return list;
}

static void assert_is_first(const struct tree_list *list)
{
	static const char *const files[] = { "a", "d/b", "d/e/c" }, *const dirs[] = { "", "d", "d/e" };

	cr_assert(eq(sz, list->n, 3));
	cr_assert(eq(sz, list->n_dirs, 3));
	for (int i = 0; i < 3; i++) {
		cr_expect_str_eq(list->entries[i].path, files[i]);
		cr_expect_str_eq(list->dirs[i].path, dirs[i]);
		cr_expect_eq(list->entries[i].stat.size, 0);
	}
	cr_expect(eq(sz, list->dirs[1].n_files, 2));
}

Test(tree_list, what_is_remembered_is_what_was_loaded_whatever_became_of_that)
{
	struct tree_list first, second;

	tree_list_remember(true);
	first = load("main~1");
	first.entries[1].stat.size = 7;
	second = load("main~1");
	tree_list_deinit(&first);
	assert_is_first(&second);
	tree_list_deinit(&second);
	first = load("main");
	cr_expect(eq(sz, first.n, 4));
	tree_list_deinit(&first);
	first = load("main~1");
	assert_is_first(&first);
	tree_list_deinit(&first);
}

Test(tree_list, when_nothing_is_remembered_damage_is_noticed)
{
	struct tree_list list = load("main");
	git_oid commit;

	tree_list_deinit(&list);
	tree_list_remember(true);
	list = load("main");
	tree_list_deinit(&list);
	tree_list_remember(false);
	cr_assert(sh("rm r/.git/objects/$(git -C r rev-parse main:d/e | sed 's,..,&/,')"));
	cr_assert_eq(git_oid_fromstr(&commit, sh_text("git -C r rev-parse main")), 0);
	repo_close(repo);
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &fault_text), 0);
	cr_expect_lt(tree_list_load(repo, &commit, &list, &fault_text), 0);
}

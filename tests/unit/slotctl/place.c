/* Which repository is this, and what would its pool be called? */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scratch.h"
#include "slotctl/place.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/parse.h"
#include "util/text.h"

static char *root;

static void make_root(void)
{
	root = scratch_make();
}

TestSuite(place, .init = make_root);

static char *at(const char *name)
{
	static char paths[8][256];
	static unsigned n;
	char *path = paths[n++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static void make_dir(const char *name)
{
	cr_assert(eq(int, fs_mkdir_all(at(name), 0755, NULL), 0));
}

static void make_file(const char *name, const char *text)
{
	FILE *file = fopen(at(name), "w");

	cr_assert(file != NULL);
	fputs(text, file);
	fclose(file);
}

static void make_git_dir(const char *name)
{
	_cleanup_(freep) char *objects = text_printf("%s/objects", name);
	_cleanup_(freep) char *refs = text_printf("%s/refs", name);
	_cleanup_(freep) char *head = text_printf("%s/HEAD", name);

	make_dir(objects);
	make_dir(refs);
	make_file(head, "ref: refs/heads/main\n");
}

static void expect_place(const char *from, const char *top, const char *common_dir,
			 const char *repository)
{
	_cleanup_(place_deinit) struct place p = { 0 };
	_cleanup_(freep) char *found = NULL;

	cr_assert(eq(int, place_find(at(from), &p, NULL), 0));
	found = place_repository(&p);
	cr_expect(text_is_equal(p.top, top ? at(top) : NULL), "top of %s: %s", from, p.top);
	cr_expect(text_is_equal(p.common_dir, common_dir ? at(common_dir) : NULL),
		  "common dir of %s: %s", from, p.common_dir);
	cr_expect(text_is_equal(found, repository ? at(repository) : NULL), "repository of %s: %s",
		  from, found);
}

Test(place, a_repository_is_found_from_below)
{
	make_git_dir("repo/.git");
	make_dir("repo/a/b");
	expect_place("repo", "repo", "repo/.git", "repo");
	expect_place("repo/a/b", "repo", "repo/.git", "repo");
}

Test(place, a_linked_worktree_leads_to_the_main_one)
{
	make_git_dir("repo/.git");
	make_dir("repo/.git/worktrees/x");
	make_file("repo/.git/worktrees/x/commondir", "../..\n");
	make_dir("linked/sub");
	make_file("linked/.git", "");
	_cleanup_(freep) char *pointer = text_printf("gitdir: %s/repo/.git/worktrees/x\n", root);

	make_file("linked/.git", pointer);
	expect_place("linked/sub", "linked", "repo/.git", "repo");
	make_file("linked/.git", "gitdir: ../repo/.git/worktrees/x");
	expect_place("linked", "linked", "repo/.git", "repo");
}

Test(place, a_worktree_of_a_bare_repository_leads_to_that)
{
	make_git_dir("store.git");
	make_dir("store.git/worktrees/x");
	make_file("store.git/worktrees/x/commondir", "../..\n");
	make_dir("linked");
	make_file("linked/.git", "gitdir: ../store.git/worktrees/x\n");
	expect_place("linked", "linked", "store.git", "store.git");
	expect_place("store.git", "store.git", "store.git", "store.git");
	expect_place("store.git/refs", "store.git", "store.git", "store.git");
}

Test(place, no_repository_is_no_error)
{
	make_dir("plain/sub");
	expect_place("plain/sub", NULL, NULL, NULL);
}

Test(place, nonsense_in_a_git_file_is_passed_over)
{
	make_git_dir("repo/.git");
	make_dir("repo/odd");
	make_file("repo/odd/.git", "gitdir:\n");
	expect_place("repo/odd", "repo", "repo/.git", "repo");
	make_file("repo/odd/.git", "no pointer");
	expect_place("repo/odd", "repo", "repo/.git", "repo");
	make_file("repo/odd/.git", "gitdir: /nonexistent/really");
	expect_place("repo/odd", "repo", "repo/.git", "repo");
	unlink(at("repo/odd/.git"));
	cr_assert(eq(int, mkfifo(at("repo/odd/.git"), 0600), 0));
	expect_place("repo/odd", "repo", "repo/.git", "repo");
}

Test(place, names_resemble_directories_and_are_valid)
{
	static const struct {
		const char *path, *name;
	} cases[] = {
		{ "/home/me/api", "api" },
		{ "/home/me/api/", "api" },
		{ "/srv/git/api.git", "api" },
		{ "/home/me/My Project", "my-project" },
		{ "/home/me/repo-2", "repo_2" },
		{ "/home/me/-x-", "x" },
		{ "/home/me/.dotfiles", "dotfiles" },
		{ "/home/me/a..b", "a.b" },
		{ "/home/me/a...", "a" },
		{ "/home/me/yarn.lock", "yarn-lock" },
		{ "/home/me/日本", "pool" },
		{ "/home/me/2024", "2024" },
		{ "/", "pool" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *name = place_pool_name(cases[i].path, false);

		cr_expect(eq(str, name, (char *)cases[i].name), "%s", cases[i].path);
	}
}

Test(place, every_directory_name_gives_a_valid_pool_name_with_and_without_a_mark)
{
	uint32_t state = 1;

	for (int i = 0; i < 20000; i++) {
		static const char letters[] = "aZ09.-_ l.ock\xc3\xff\n'";
		char path[128] = "/d/";
		size_t len = 3 + (size_t)(i % 90);

		for (size_t k = 3; k < len; k++) {
			state = state * 1664525 + 1013904223;
			path[k] = letters[(state >> 16) % (sizeof(letters) - 1)];
		}
		for (int suffixed = 0; suffixed <= 1; suffixed++) {
			_cleanup_(freep) char *name = place_pool_name(path, suffixed);
			const char *why = NULL;

			cr_assert(eq(int, parse_pool_name(name, &why), 0), "'%s' from '%s': %s",
				  name, path, why);
		}
	}
}

Test(place, the_mark_tells_equal_names_of_different_places_apart)
{
	_cleanup_(freep) char *one = place_pool_name("/a/api", true);
	_cleanup_(freep) char *other = place_pool_name("/b/api", true);

	cr_expect(ne(str, one, other));
	cr_expect(text_has_prefix(one, "api-x"));
}

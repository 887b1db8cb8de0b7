#include "git/feature.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "git-fixture.h"

/* libgit2 1.5 leaks when it looks for extensions in a configuration of format 1 */
#define EXPORTED __attribute__((visibility("default")))
EXPORTED const char *__lsan_default_suppressions(void);
EXPORTED const char *__lsan_default_options(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libpcre2-8.so";
}

const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static struct fault f;
static struct repo *repo;
static char said[4096];

static void init(void)
{
	fixture_init();
	cr_assert(sh("git init -q -b main r && git -C r commit -q --allow-empty -m root"));
}

static void deinit(void)
{
	repo_close(repo);
	repo = NULL;
	fixture_deinit();
}

TestSuite(feature, .init = init, .fini = deinit, .timeout = 60);

static int note(const struct feature *feature, void *userdata)
{
	size_t len = strlen(said);

	snprintf(said + len, sizeof(said) - len, "%s@%s;", feature->what, feature->where);
	cr_assert(strlen(feature->detail) > 10);
	return 0;
}

/* after the commands in the repository: what is said of HEAD */
static const char *features_after(const char *commands)
{
	git_oid oid;

	cr_assert(sh("cd r && %s && git add -A && git commit -q --allow-empty -m x", commands), "%s",
		  commands);
	repo_close(repo);
	repo = NULL;
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0, "%s", f.text);
	git_oid_fromstr(&oid, sh_text("git -C r rev-parse HEAD"));
	said[0] = '\0';
	cr_assert_eq(feature_find(repo, &oid, note, NULL, &f), 0, "%s", f.text);
	return said;
}

Test(feature, an_ordinary_repository_needs_nothing)
{
	cr_assert_str_eq(features_after("echo '*.c text eol=lf ident' > .gitattributes; "
					"echo '# filter=lfs' >> .gitattributes; "
					"echo 'filter=lfs text' >> .gitattributes"),
			 "");
}

Test(feature, attributes_are_read_in_every_directory)
{
	cr_assert_str_eq(features_after("mkdir -p a/b && "
					"echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes && "
					"echo '*.txt working-tree-encoding=UTF-16' > a/.gitattributes && "
					"printf '\"sp ace\" filter=crypt\\r\\n' > a/b/.gitattributes"),
			 "lfs@.gitattributes;working-tree-encoding@a/.gitattributes;"
			 "filter@a/b/.gitattributes;");
}

Test(feature, attributes_of_the_store_alone_are_told_too)
{
	cr_assert_str_eq(features_after("mkdir -p .git/info && echo '[attr]big filter=lfs' > "
					".git/info/attributes"),
			 "lfs@info/attributes;");
}

Test(feature, submodules_are_told_once_by_gitmodules_or_by_their_place)
{
	cr_assert_str_eq(features_after("git update-index --add --cacheinfo "
					"160000,$(git rev-parse HEAD),dir/sub && mkdir -p dir/sub"),
			 "submodules@dir/sub;");
	cr_assert_str_eq(features_after("echo '[submodule \"s\"]' > .gitmodules"),
			 "submodules@.gitmodules;");
}

Test(feature, partial_clones_are_told_by_setting_or_pack)
{
	cr_assert_str_eq(features_after("git config extensions.partialClone origin && "
					"git config core.repositoryFormatVersion 1"),
			 "partial-clone@extensions.partialClone;");
	cr_assert_str_eq(features_after("git config --unset extensions.partialClone && "
					"git repack -adq && for p in .git/objects/pack/*.pack; do "
					": > ${p%.pack}.promisor; done"),
			 "partial-clone@objects/pack/*.promisor;");
}

Test(feature, at_most_twenty_are_told)
{
	const char *all = features_after("for i in $(seq 50); do mkdir d$i && echo '* filter=lfs' > "
					 "d$i/.gitattributes; done");
	int n = 0;

	for (const char *p = all; *p; p++)
		n += *p == ';';
	cr_assert_eq(n, 20);
}

Test(feature, a_missing_tree_is_damage)
{
	git_oid oid;

	features_after("mkdir d && echo x > d/f");
	cr_assert(sh("cd r && t=$(git rev-parse HEAD:d) && rm -f .git/objects/${t%%${t#??}}/${t#??}"));
	git_oid_fromstr(&oid, sh_text("git -C r rev-parse HEAD"));
	repo_close(repo);
	cr_assert_eq(repo_open(in_dir("r/.git"), &repo, &f), 0);
	cr_assert_eq(feature_find(repo, &oid, note, NULL, &f), -EUCLEAN);
}

#include "git/repo.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "git-fixture.h"

static struct fault f;

TestSuite(repo, .init = fixture_init, .fini = fixture_deinit, .timeout = 60);

static void make_store(void)
{
	cr_assert(sh("git init -q -b main a && cd a && echo one > f && git add f && "
		     "git commit -qm one && echo two > f && git commit -qam two"));
}

static int open_store(const char *name, struct repo **ret)
{
	return repo_open(in_dir(name), ret, &f);
}

/* reads HEAD's file f through our object database */
static void assert_file_is(struct repo *repo, const char *wanted)
{
	git_object *o = NULL;

	cr_assert_eq(git_revparse_single(&o, repo_git(repo), "HEAD:f"), 0, "%s",
		     git_error_last() ? git_error_last()->message : "");
	cr_assert_eq(memcmp(git_blob_rawcontent((git_blob *)o), wanted, strlen(wanted)), 0);
	git_object_free(o);
}

Test(repo, opens_a_store_and_reads_loose_objects)
{
	struct repo *repo = NULL;

	make_store();
	cr_assert_eq(open_store("a/.git/", &repo), 0, "%s", f.text);
	cr_assert_str_eq(repo_common_dir(repo), in_dir("a/.git"));
	cr_assert_eq(git_repository_is_bare(repo_git(repo)), 1);
	assert_file_is(repo, "two\n");
	repo_close(repo);
}

Test(repo, reads_packs_that_appear_and_vanish_while_it_is_open)
{
	struct repo *repo = NULL;

	make_store();
	cr_assert(sh("cd a && git repack -adq && git prune-packed"));
	cr_assert_eq(open_store("a/.git", &repo), 0, "%s", f.text);
	assert_file_is(repo, "two\n");
	for (int i = 0; i < 4; i++) {
		char wanted[32];

		cr_assert(sh("cd a && echo three%d > f && git commit -qam three && "
			     "git repack -adfq --depth=%d && git prune-packed",
			     i, i + 5));
		snprintf(wanted, sizeof(wanted), "three%d\n", i);
		assert_file_is(repo, wanted);
	}
	repo_close(repo);
}

Test(repo, follows_alternates_absolute_and_relative)
{
	struct repo *repo = NULL;

	make_store();
	cr_assert(sh("git clone -q --bare --shared a/.git b.git && "
		     "git clone -q --bare --shared b.git c.git && "
		     "echo ../../b.git/objects > c.git/objects/info/alternates && "
		     "echo /nowhere >> c.git/objects/info/alternates && "
		     "echo ../../c.git/objects >> c.git/objects/info/alternates"));
	cr_assert_eq(open_store("c.git", &repo), 0, "%s", f.text);
	assert_file_is(repo, "two\n");
	repo_close(repo);
}

Test(repo, says_by_name_what_it_does_not_support)
{
	struct repo *repo = NULL;

	cr_assert(sh("git init -q --object-format=sha256 s"));
	cr_assert_eq(open_store("s/.git", &repo), -EOPNOTSUPP);
	cr_assert_neq(strstr(f.text, "sha256"), NULL, "%s", f.text);
	make_store();
	cr_assert(sh("cd a && git config core.repositoryFormatVersion 1 && "
		     "git config extensions.refStorage reftable"));
	cr_assert_eq(open_store("a/.git", &repo), -EOPNOTSUPP);
	cr_assert_neq(strstr(f.text, "reftable"), NULL, "%s", f.text);
	cr_assert_null(repo);
}

Test(repo, opens_with_harmless_extensions)
{
	struct repo *repo = NULL;

	make_store();
	cr_assert(sh("cd a && git config core.repositoryFormatVersion 1 && "
		     "git config extensions.worktreeConfig true && "
		     "git config extensions.preciousObjects true && "
		     "git config extensions.partialClone origin && "
		     "git config extensions.relativeWorktrees true"));
	cr_assert_eq(open_store("a/.git", &repo), 0, "%s", f.text);
	repo_close(repo);
}

static const struct {
	const char *damage;
	int wanted;
} damaged[] = {
	{ "rm -rf .git", -ENOENT },
	{ "rm .git/HEAD", -EUCLEAN },
	{ "rm .git/HEAD && mkfifo .git/HEAD", -EUCLEAN },
	{ "rm .git/config && mkfifo .git/config", -EUCLEAN },
	{ "mkfifo .git/packed-refs", -EUCLEAN },
	{ "mkfifo .git/shallow", -EUCLEAN },
	{ "rm -f .git/info/exclude && mkfifo .git/info/exclude", -EUCLEAN },
	{ "mkdir -p .git/info && mkfifo .git/info/attributes", -EUCLEAN },
	{ "mkfifo p && git config include.path ../p", -EUCLEAN },
	{ "mkfifo p && git config include.path \"$PWD/p\"", -EUCLEAN },
	{ "printf '[include]\\n\\tpath = sub ; x\\n' >> .git/config && "
	  "printf '[IncludeIf \"gitdir:/\"] Path=\"pi pe\"\\n' > .git/sub && mkfifo '.git/pi pe'",
	  -EUCLEAN },
	{ "echo '[include' >> .git/config && echo ']]' >> .git/config", -EUCLEAN },
	{ "rm -rf .git/objects", -EUCLEAN },
	{ "rm -rf .git/objects && touch .git/objects", -EUCLEAN },
	{ "mkdir ../b && git init -q ../b && echo ../../b/.git > .git/commondir", -EUCLEAN },
	{ "dd if=/dev/zero of=.git/config bs=1M count=2 status=none", -EUCLEAN },
	{ "head -c 100 /dev/urandom > .git/config", -EUCLEAN },
};

Test(repo, neither_hangs_nor_believes_a_damaged_store)
{
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		struct repo *repo = NULL;
		int r;

		cr_assert(sh("rm -rf a b"));
		make_store();
		cr_assert(sh("cd a && { %s; }", damaged[i].damage), "%s", damaged[i].damage);
		r = open_store("a/.git", &repo);
		cr_expect_eq(r, damaged[i].wanted, "%s: %d %s", damaged[i].damage, r, f.text);
		repo_close(repo);
	}
}

Test(repo, an_include_in_the_home_directory_is_not_followed)
{
	struct repo *repo = NULL;

	make_store();
	cr_assert(sh("cd a && git config include.path '~/x' && echo '[core' > ~/x"));
	cr_assert_eq(open_store("a/.git", &repo), 0, "%s", f.text);
	repo_close(repo);
}

Test(repo, what_is_written_is_seen_by_git_and_a_damaged_copy_is_replaced)
{
	struct repo *repo = NULL;
	git_oid oid;
	char hex[GIT_OID_HEXSZ + 1];

	make_store();
	cr_assert_eq(open_store("a/.git", &repo), 0, "%s", f.text);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(git_blob_create_from_buffer(&oid, repo_git(repo), "hello\n", 6), 0);
		git_oid_tostr(hex, sizeof(hex), &oid);
		cr_assert_str_eq(sh_text("git -C a cat-file blob %s", hex), "hello");
		cr_assert(sh("cd a/.git/objects/%.2s && chmod u+w * && : > %s", hex, hex + 2));
	}
	repo_close(repo);
}

Test(repo, receives_packs)
{
	struct repo *repo = NULL;
	git_remote *remote = NULL;
	char refspec[] = "refs/heads/*:refs/heads/*";
	char *refspecs[] = { refspec };

	make_store();
	cr_assert(sh("git init -q --bare -b main b.git"));
	cr_assert_eq(open_store("b.git", &repo), 0, "%s", f.text);
	cr_assert_eq(git_remote_create_anonymous(&remote, repo_git(repo), in_dir("a/.git")), 0);
	cr_assert_eq(git_remote_fetch(remote, &(git_strarray){ refspecs, 1 }, NULL, NULL), 0, "%s",
		     git_error_last() ? git_error_last()->message : "");
	git_remote_free(remote);
	assert_file_is(repo, "two\n");
	repo_close(repo);
	cr_assert(sh("git -C b.git fsck --full"));
}

static int count(const git_oid *oid, void *userdata)
{
	(void)oid;
	++*(int *)userdata;
	return 0;
}

Test(repo, walks_all_objects_and_finds_short_names)
{
	struct repo *repo = NULL;
	git_object *o = NULL;
	git_odb *odb = NULL;
	int n = 0;

	make_store();
	cr_assert(sh("cd a && git repack -adq && echo x | git hash-object -w --stdin"));
	cr_assert_eq(open_store("a/.git", &repo), 0, "%s", f.text);
	cr_assert_eq(git_repository_odb(&odb, repo_git(repo)), 0);
	cr_assert_eq(git_odb_foreach(odb, count, &n), 0);
	cr_assert_eq(n, 7);
	git_odb_free(odb);
	cr_assert_eq(git_revparse_single(&o, repo_git(repo), "587be"), 0);
	git_object_free(o);
	cr_assert_eq(git_revparse_single(&o, repo_git(repo),
					 sh_text("git -C a rev-parse --short HEAD~1")),
		     0);
	git_object_free(o);
	repo_close(repo);
}

#include "git/store.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "git-fixture.h"

static struct fault f;
static struct repo *repo;

static void deinit(void)
{
	repo_close(repo);
	repo = NULL;
	fixture_deinit();
}

TestSuite(store, .init = fixture_init, .fini = deinit, .timeout = 60);

/* "o" is origin: two branches, a tag */
static void make_origin(void)
{
	cr_assert(sh("git init -q -b trunk o && cd o && echo one > f && git add f && "
		     "git commit -qm one && git tag -a -m tagged v1 && echo two > f && "
		     "git commit -qam two && git branch topic && git branch agent/x HEAD~1"));
}

static struct store_remote remote_of(const char *name)
{
	return (struct store_remote){ .url = in_dir(name) };
}

static int clone_store(const struct store_remote *remote)
{
	cr_assert(sh("mkdir -p s.git"));
	f = (struct fault)FAULT_NONE;
	return store_clone(in_dir("s.git"), remote, &f);
}

static void make_store(void)
{
	struct store_remote remote;

	make_origin();
	remote = remote_of("o");
	cr_assert_eq(clone_store(&remote), 0, "%s", f.text);
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0, "%s", f.text);
}

static void fetch(const char *name)
{
	struct store_remote remote = remote_of(name);

	cr_assert_eq(store_fetch(repo, &remote, &f), 0, "%s", f.text);
}

static void assert_text(const char *is, const char *wanted)
{
	cr_assert_str_eq(is, wanted);
}

Test(store, a_clone_has_origin_s_branches_aside_and_none_of_its_own)
{
	make_store();
	assert_text(sh_text("cd s.git && git for-each-ref --format='%%(refname) %%(symref)'"),
		    "refs/remotes/origin/HEAD refs/remotes/origin/trunk\n"
		    "refs/remotes/origin/agent/x \n"
		    "refs/remotes/origin/topic \n"
		    "refs/remotes/origin/trunk \n"
		    "refs/tags/v1 ");
	assert_text(sh_text("git -C s.git symbolic-ref HEAD"), "refs/heads/trunk");
	cr_assert(sh("cd s.git && git fsck --strict && test -d worktrees && test -d slotd && "
		     "test ! -e slotd/fetching"));
}

Test(store, a_clone_s_settings_are_written_once)
{
	char *before;

	make_store();
	cr_assert(sh("cd s.git && test $(git config gc.auto) = 0 && "
		     "test $(git config push.default) = current && "
		     "test $(git config transfer.hideRefs) = refs/slotd && "
		     "test $(git config core.lockfilePid) = true && "
		     "test $(git config core.bare) = true && "
		     "test $(git config remote.origin.url) = %s/o",
		     fixture_dir));
	before = sh_text("stat -c %%Y.%%i s.git/config && cat s.git/config");
	fetch("o");
	assert_text(sh_text("stat -c %%Y.%%i s.git/config && cat s.git/config"), before);
}

Test(store, whatever_a_killed_clone_left_is_deleted_first)
{
	struct store_remote remote;

	cr_assert(sh("mkdir -p s.git/objects/pack && echo junk > s.git/config && "
		     "echo x > s.git/objects/pack/tmp && ln -s / s.git/refs"));
	make_origin();
	remote = remote_of("o");
	cr_assert_eq(clone_store(&remote), 0, "%s", f.text);
	cr_assert(sh("git -C s.git fsck && test ! -L s.git/refs"));
}

Test(store, git_itself_can_fetch_into_and_push_from_a_store)
{
	make_store();
	cr_assert(sh("cd o && git commit -q --allow-empty -m three && cd ../s.git && "
		     "git fetch -q origin && "
		     "test $(git rev-parse origin/trunk) = $(git -C ../o rev-parse trunk) && "
		     "git update-ref refs/slotd/pin/x HEAD~0 2>/dev/null; "
		     "git branch mine origin/topic && git push -q origin mine && "
		     "git -C ../o rev-parse mine"));
}

Test(store, slotd_s_refs_are_hidden_from_who_fetches_from_the_store)
{
	make_store();
	cr_assert(sh("cd s.git && git update-ref refs/slotd/pin/a-1 origin/trunk && "
		     "! git ls-remote . | grep slotd"));
}

Test(store, a_fetch_brings_what_is_new_and_prunes_what_is_gone)
{
	make_store();
	cr_assert(sh("cd o && git commit -q --allow-empty -m three && git branch -qD topic && "
		     "git branch topic/deeper && git branch -D agent/x && git branch agent"));
	fetch("o");
	assert_text(sh_text("cd s.git && git for-each-ref --format='%%(refname)' refs/remotes"),
		    "refs/remotes/origin/HEAD\nrefs/remotes/origin/agent\n"
		    "refs/remotes/origin/topic/deeper\nrefs/remotes/origin/trunk");
	cr_assert(sh("test $(git -C s.git rev-parse origin/trunk) = $(git -C o rev-parse trunk)"));
}

Test(store, a_fetch_leaves_agents_branches_and_tags_alone)
{
	make_store();
	cr_assert(sh("cd s.git && git branch trunk origin/trunk~1 && git branch mine origin/trunk && "
		     "git tag -f v1 origin/topic && git rev-parse trunk mine v1 > ../before && "
		     "cd ../o && git tag v2 && git tag -am three v3 && git tag -f v1 HEAD"));
	fetch("o");
	cr_assert(sh("cd s.git && git rev-parse trunk mine v1 | cmp - ../before && "
		     "test $(git rev-parse v2 v3 | wc -l) = 2 && git fsck"));
}

Test(store, a_forced_push_at_origin_is_followed)
{
	make_store();
	cr_assert(sh("cd o && git reset -q --hard HEAD~1 && git commit -q --allow-empty -m other"));
	fetch("o");
	cr_assert(sh("test $(git -C s.git rev-parse origin/trunk) = $(git -C o rev-parse trunk)"));
}

Test(store, the_url_is_the_caller_s_whatever_the_configuration_says)
{
	make_store();
	cr_assert(sh("git init -q -b trunk evil && git -C evil commit -q --allow-empty -m evil && "
		     "cd s.git && git config remote.origin.url %s/evil && "
		     "git config url.%s/evil.insteadOf %s/o && "
		     "git -C ../o commit -q --allow-empty -m three",
		     fixture_dir, fixture_dir, fixture_dir));
	fetch("o");
	cr_assert(sh("test $(git -C s.git rev-parse origin/trunk) = $(git -C o rev-parse trunk)"));
}

Test(store, no_repository_is_ENOENT_and_names_the_url)
{
	struct store_remote remote = remote_of("nothing");

	cr_assert_eq(clone_store(&remote), -ENOENT);
	cr_assert(strstr(f.text, "nothing") != NULL, "%s", f.text);
}

Test(store, nobody_listening_is_worth_another_try)
{
	struct store_remote remote = { .url = "http://127.0.0.1:9/x.git" };

	cr_assert_eq(clone_store(&remote), -ENETUNREACH, "%s", f.text);
}

static int stop(const char *phase, uint64_t done, uint64_t total, void *userdata)
{
	(*(int *)userdata)++;
	return -EPIPE;
}

static int count(const char *phase, uint64_t done, uint64_t total, void *userdata)
{
	(*(int *)userdata)++;
	return 0;
}

Test(store, progress_is_told_and_may_stop_a_clone)
{
	struct store_remote remote;
	int calls = 0;

	make_origin();
	remote = remote_of("o");
	remote.progress = count;
	remote.userdata = &calls;
	cr_assert_eq(clone_store(&remote), 0, "%s", f.text);
	cr_assert_gt(calls, 0);
	remote.progress = stop;
	cr_assert_eq(clone_store(&remote), -EPIPE, "%s", f.text);
	remote.progress = NULL;
	cr_assert_eq(clone_store(&remote), 0, "%s", f.text);
	cr_assert(sh("git -C s.git fsck"));
}

Test(store, an_empty_origin_gives_an_empty_store_and_its_first_branch_later)
{
	struct store_remote remote;
	char *ref = NULL;
	git_oid oid;

	cr_assert(sh("git init -q --bare -b trunk o"));
	remote = remote_of("o");
	cr_assert_eq(clone_store(&remote), 0, "%s", f.text);
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0);
	cr_assert_eq(store_resolve(repo, false, NULL, &ref, &oid, &f), 0, "%s", f.text);
	cr_assert(git_oid_is_zero(&oid));
	cr_assert_str_eq(ref, "refs/remotes/origin/HEAD");
	cr_assert(sh("git clone -q o w && cd w && git checkout -qb trunk && "
		     "git commit -q --allow-empty -m one && git push -q origin trunk"));
	fetch("o");
	fixture_keep(ref);
	cr_assert_eq(store_resolve(repo, false, ref, &ref, &oid, &f), 0, "%s", f.text);
	fixture_keep(ref);
	cr_assert_not(git_oid_is_zero(&oid));
}

Test(store, an_origin_whose_HEAD_is_detached_still_has_a_default)
{
	struct store_remote remote;
	char *ref = NULL;
	git_oid oid;

	make_origin();
	cr_assert(sh("cd o && git checkout -q --detach && git commit -q --allow-empty -m lost && "
		     "git branch -m trunk master"));
	remote = remote_of("o");
	cr_assert_eq(clone_store(&remote), 0, "%s", f.text);
	cr_assert_eq(repo_open(in_dir("s.git"), &repo, &f), 0);
	cr_assert_eq(store_resolve(repo, false, NULL, &ref, &oid, &f), 0, "%s", f.text);
	fixture_keep(ref);
	cr_assert_str_eq(ref, "refs/remotes/origin/master");
}

Test(store, what_a_killed_fetch_left_is_taken_away_when_it_is_old_enough)
{
	make_store();
	cr_assert(sh("cd s.git && touch -d '-1 hour' slotd/fetching refs/tags/before.lock && "
		     "touch -d '-2 hour' refs/tags/before.lock && "
		     "touch -d '-1 min' refs/remotes/origin/trunk.lock packed-refs.lock "
		     "refs/remotes/origin/agent/x.lock && touch refs/tags/young.lock && "
		     "echo half > objects/pack/pack_git2_abcdef && cd ../o && "
		     "git commit -q --allow-empty -m three"));
	fetch("o");
	cr_assert(sh("cd s.git && test ! -e refs/remotes/origin/trunk.lock && "
		     "test ! -e refs/remotes/origin/agent/x.lock && test ! -e packed-refs.lock && "
		     "test ! -e objects/pack/pack_git2_abcdef && test -e refs/tags/before.lock && "
		     "test -e refs/tags/young.lock && test ! -e slotd/fetching"));
}

Test(store, a_lock_that_somebody_holds_is_worth_another_try)
{
	struct store_remote remote;

	make_store();
	cr_assert(sh("touch s.git/refs/remotes/origin/trunk.lock && "
		     "git -C o commit -q --allow-empty -m three"));
	remote = remote_of("o");
	cr_assert_eq(store_fetch(repo, &remote, &f), -EAGAIN, "%s", f.text);
}

Test(store, an_adopted_repository_moves_only_its_remote_branches)
{
	struct store_remote remote;

	make_origin();
	cr_assert(sh("git clone -q o mine && echo theirs > mine/.git/FETCH_HEAD && cd o && git commit -q --allow-empty -m three && "
		     "git tag v3 && git branch -D topic"));
	cr_assert_eq(repo_open(in_dir("mine/.git"), &repo, &f), 0);
	remote = remote_of("o");
	remote.adopted = true;
	cr_assert_eq(store_fetch(repo, &remote, &f), 0, "%s", f.text);
	cr_assert(sh("cd mine && test $(git rev-parse origin/trunk) = "
		     "$(git -C ../o rev-parse trunk) && git rev-parse -q --verify origin/topic && "
		     "! git rev-parse -q --verify v3 && test $(cat .git/FETCH_HEAD) = theirs && "
		     "test $(git rev-parse HEAD) != $(git rev-parse origin/trunk)"));
}

struct found {
	const char *path; /* in the scratch directory */
	const char *common;
};

static const struct found found[] = {
	{ "o", "o/.git" },	{ "o/.git", "o/.git" },	      { "linked", "o/.git" },
	{ "b.git", "b.git" },	{ "o/.git/worktrees/linked", "o/.git" },
	{ "super/sub", "super/.git/modules/sub" }, { "by-link", "o/.git" },
};

Test(store, repositories_are_found_by_any_of_their_names)
{
	make_origin();
	cr_assert(sh("git -C o worktree add -q --detach ../linked && git clone -q --bare o b.git && "
		     "ln -s o by-link && git init -q super && "
		     "git -C super -c protocol.file.allow=always submodule --quiet add ../o sub "
		     "2>/dev/null || git -C super -c protocol.file.allow=always submodule --quiet "
		     "add %s/o sub",
		     fixture_dir));
	for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
		char *common = NULL;

		cr_assert_eq(store_find(in_dir(found[i].path), &common, &f), 0, "%s: %s",
			     found[i].path, f.text);
		fixture_keep(common);
		cr_assert_str_eq(common, in_dir(found[i].common));
	}
}

Test(store, what_is_no_repository_is_said_to_be_none)
{
	char *common = NULL;

	cr_assert(sh("mkdir plain gone && echo 'gitdir: /nowhere' > gone/.git && mkdir fifo && "
		     "mkfifo fifo/.git && mkdir junk && echo junk > junk/.git"));
	cr_assert_eq(store_find(in_dir("plain"), &common, &f), -ENOENT);
	cr_assert(strstr(f.text, "not a git repository") != NULL, "%s", f.text);
	cr_assert_eq(store_find(in_dir("absent"), &common, &f), -ENOENT);
	cr_assert_eq(store_find(in_dir("gone"), &common, &f), -ENOENT);
	cr_assert_eq(store_find(in_dir("fifo"), &common, &f), -ENOENT);
	cr_assert_eq(store_find(in_dir("junk"), &common, &f), -EUCLEAN);
	cr_assert_null(common);
}

static int keep_name(const char *what, void *userdata)
{
	strcat(userdata, what);
	strcat(userdata, ";");
	return 0;
}

Test(store, unpushed_tips_are_those_with_commits_that_origin_lacks)
{
	char names[1024] = "";

	make_store();
	cr_assert(sh("cd s.git && git branch same origin/topic && git branch old origin/trunk~1 && "
		     "git branch new $(git commit-tree -p origin/trunk -m new origin/trunk^{tree}) && "
		     "git tag loose $(git commit-tree -m root origin/trunk^{tree}) && "
		     "git update-ref refs/slotd/pin/a-1 new"));
	cr_assert_eq(store_unpushed(repo, keep_name, names, &f), 0, "%s", f.text);
	cr_assert_str_eq(names, "new;refs/tags/loose;");
}

/* A repository that somebody works in lends its store. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"
#include "worker-fixture.h"

static struct worker_end w;

static void init(void)
{
	fixture_init();
	make_origin();
}

static void deinit(void)
{
	int status = worker_stop(&w);

	worker_forget();
	fixture_deinit();
	cr_assert_eq(status, 0, "the worker ended with %d", status);
}

TestSuite(adopted, .init = init, .fini = deinit, .timeout = 120);

static json_object *adopt(const char *name)
{
	worker_start(&w, name);
	return worker_call(&w, "StoreOpen", "{'fresh': true}");
}

static json_object *must(json_object *reply)
{
	cr_assert(reply && !w.error[0], "%s: %s", w.error, w.message);
	return reply;
}

Test(adopted, a_repository_is_taken_as_it_is)
{
	char *before = sh_text("cd o && git config --list --local; git for-each-ref; git status "
			       "--porcelain; cat .git/HEAD; stat -c %%Y%%i .git/config");
	json_object *o = must(adopt("o"));

	cr_assert_str_eq(json_get_string(o, "commonDir"), in_dir("o/.git"));
	cr_assert_str_eq(json_get_string(o, "ref"), "refs/heads/main");
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse main"));
	cr_assert_str_eq(sh_text("cd o && git config --list --local; git for-each-ref; git status "
				 "--porcelain; cat .git/HEAD; stat -c %%Y%%i .git/config"),
			 before);
}

Test(adopted, slots_live_beside_the_main_worktree)
{
	struct slot slot;

	must(adopt("o"));
	slot_create(&w, "a-1", &slot);
	assert_clean_at(&slot, sh_text("git -C o rev-parse main"));
	worker_call(&w, "SlotPrepare", "{%s, 'branch': 'main', 'ref': 'main'}", slot_params(&slot));
	cr_assert_str_eq(w.error, "BranchInUse");
	cr_assert(strstr(w.message, in_dir("o")) != NULL, "%s", w.message);
	must(worker_call(&w, "SlotPrepare", "{%s, 'branch': 'other'}", slot_params(&slot)));
	cr_assert(sh("cd slots/a-1 && echo x > f && git commit -qam x && cd ../../o && "
		     "! git checkout -q other 2>/dev/null && git -C ../slots/a-1 checkout -q --detach && "
		     "git checkout -q other && test $(cat f) = x"));
	must(worker_call(&w, "SlotRemove", "{%s, 'discard': false}", slot_params(&slot)));
	cr_assert(sh("cd o && git fsck && git status --porcelain && test $(git worktree list | wc -l) = 1"));
}

Test(adopted, it_may_be_named_by_a_linked_worktree)
{
	json_object *o;

	cr_assert(sh("git -C o worktree add -q ../linked topic"));
	o = must(adopt("linked"));
	cr_assert_str_eq(json_get_string(o, "commonDir"), in_dir("o/.git"));
}

Test(adopted, bare_empty_and_detached_repositories_are_fine)
{
	json_object *o;

	cr_assert(sh("git clone -q --bare o b.git"));
	o = must(adopt("b.git"));
	cr_assert_str_eq(json_get_string(o, "ref"), "refs/heads/main");
	worker_stop(&w);
	cr_assert(sh("git init -q -b trunk e"));
	o = must(adopt("e"));
	cr_assert_null(json_get_string(o, "head"));
	cr_assert_str_eq(json_get_string(o, "ref"), "refs/heads/trunk");
	worker_stop(&w);
	cr_assert(sh("git -C o checkout -q --detach topic"));
	o = must(adopt("o"));
	cr_assert_str_eq(json_get_string(o, "ref"), "HEAD");
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse topic"));
}

Test(adopted, what_cannot_be_adopted_is_refused_by_name)
{
	cr_assert(sh("mkdir plain"));
	adopt("plain");
	cr_assert_str_eq(w.error, "NotFound", "%s", w.message);
	cr_assert(strstr(w.message, "not a git repository") != NULL, "%s", w.message);
	worker_stop(&w);
	adopt("absent");
	cr_assert_str_eq(w.error, "NotFound", "%s", w.message);
	worker_stop(&w);
	cr_assert(sh("git init -q --object-format=sha256 sha"));
	adopt("sha");
	cr_assert_str_eq(w.error, "Unsupported", "%s", w.message);
	cr_assert(strstr(w.message, "sha256") != NULL, "%s", w.message);
	worker_stop(&w);
	cr_assert(sh("git init -q ref && git -C ref config core.repositoryformatversion 1 && "
		     "git -C ref config extensions.refStorage reftable"));
	adopt("ref");
	cr_assert_str_eq(w.error, "Unsupported", "%s", w.message);
}

Test(adopted, a_repository_that_comes_later_is_found_later)
{
	adopt("late");
	cr_assert_str_eq(w.error, "NotFound");
	cr_assert(sh("git clone -q o late"));
	must(worker_call(&w, "StoreOpen", "{'fresh': false}"));
}

Test(adopted, its_origin_is_fetched_when_asked_for)
{
	json_object *o;

	cr_assert(sh("git clone -q o mine && git -C o commit -q --allow-empty -m three"));
	must(adopt("mine"));
	o = must(worker_call(&w, "StoreFetch", "{'url': '', 'ref': 'origin/main'}"));
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse main"));
	cr_assert(sh("cd mine && test $(git rev-parse main) = $(git rev-parse origin/main~1)"));
}

Test(adopted, a_shallow_clone_lends_its_store_too)
{
	struct slot slot;
	json_object *o;

	cr_assert(sh("git clone -q --depth 1 file://%s/o shallow", fixture_dir));
	must(adopt("shallow"));
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("cd slots/a-1 && git commit -q --allow-empty -m x"));
	o = must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': false}",
			     slot_params(&slot), slot.commit));
	cr_assert(strstr(json_object_to_json_string(o), "1 commit on no branch") != NULL, "%s",
		  json_object_to_json_string(o));
}

/* Every method, as the daemon calls it. */
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
	worker_start(&w, NULL);
}

static void deinit(void)
{
	int status = worker_stop(&w);

	worker_forget();
	fixture_deinit();
	cr_assert_eq(status, 0, "the worker ended with %d", status);
}

TestSuite(jobs, .init = init, .fini = deinit, .timeout = 120);

static json_object *must(json_object *reply)
{
	cr_assert(reply && !w.error[0], "%s: %s", w.error, w.message);
	return reply;
}

static void assert_error(json_object *reply, const char *error)
{
	cr_assert(reply != NULL);
	cr_assert_str_eq(w.error, error, "%s: %s", w.error, w.message);
}

static const char *unsaved_of(json_object *reply)
{
	return json_object_to_json_string_ext(json_get_array(reply, "unsaved"),
					      JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
}

Test(jobs, hello_says_protocol_and_version)
{
	json_object *o = must(worker_call(&w, "Hello", "{'protocol': 2}"));

	cr_assert_eq(json_get_int(o, "protocol", 0), 2);
	cr_assert_str_eq(json_get_string(o, "version"), SLOTD_VERSION);
	assert_error(worker_call(&w, "Hello", "{'protocol': 1}"), "Failed");
}

Test(jobs, wrong_calls_are_refused_and_cost_nothing)
{
	assert_error(worker_call(&w, "Nonsense", "{}"), "MethodNotFound");
	assert_error(worker_call(&w, "SlotCreate", "{'slot': 1, 'commit': 'x'}"), "InvalidParameter");
	assert_error(worker_call(&w, "SlotCreate", "{'slot': '../x-1', 'commit': '%040d'}", 0),
		     "InvalidParameter");
	assert_error(worker_call(&w, "SlotCreate", "{'slot': 'a-1', 'commit': 'main'}"),
		     "InvalidParameter");
	assert_error(worker_call(&w, "StoreOpen", "{'fresh': true}"), "InvalidParameter");
	must(worker_call(&w, "Hello", "{'protocol': 2}"));
}

Test(jobs, a_job_without_its_lock_is_not_done)
{
	worker_send(&w, "StoreResolve", json_object_new_object(), -1);
	assert_error(worker_receive(&w, "StoreResolve"), "Failed");
	cr_assert(strstr(w.message, "lock") != NULL, "%s", w.message);
}

Test(jobs, one_that_touches_repositories_runs_no_commands)
{
	assert_error(worker_call(&w, "SlotRun",
				 "{'slot': 'a-1', 'dev': 0, 'ino': 0, 'run': ['true'], 'environment': [], "
				 "'home': '%s', 'writable': [], 'timeoutUsec': 1000000, 'low': true}",
				 in_dir("home")),
		     "MethodNotFound");
	cr_assert(sh("test ! -e home"));
}

Test(jobs, a_store_is_cloned_opened_fetched_and_resolved)
{
	json_object *o = must(worker_call(&w, "StoreOpen", "{'url': '%s/o', 'fresh': true}", fixture_dir));

	cr_assert_str_eq(json_get_string(o, "commonDir"), in_dir("s.git"));
	cr_assert_str_eq(json_get_string(o, "ref"), "refs/remotes/origin/main");
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse main"));
	cr_assert_eq(json_object_array_length(json_get_array(o, "unsupported")), 0);
	cr_assert(sh("git -C o commit -q --allow-empty -m three"));
	o = must(worker_call(&w, "StoreOpen", "{'url': '%s/o', 'ref': 'topic', 'fresh': false}",
			     fixture_dir));
	cr_assert_str_eq(json_get_string(o, "ref"), "refs/remotes/origin/topic");
	o = must(worker_call(&w, "StoreFetch", "{'url': '%s/o', 'ref': 'refs/remotes/origin/main'}",
			     fixture_dir));
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse main"));
	o = must(worker_call(&w, "StoreResolve", "{'ref': 'other'}"));
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse other"));
	assert_error(worker_call(&w, "StoreResolve", "{'ref': 'nothing'}"), "NotFound");
}

Test(jobs, what_a_url_lacks_is_named)
{
	assert_error(worker_call(&w, "StoreOpen", "{'url': '%s/absent', 'fresh': true}", fixture_dir),
		     "NotFound");
	assert_error(worker_call(&w, "StoreOpen", "{'url': 'http://127.0.0.1:9/x', 'fresh': true}"),
		     "Transient");
}

Test(jobs, needs_that_slots_cannot_meet_are_told)
{
	json_object *list, *first;

	cr_assert(sh("cd o && echo '*.bin filter=lfs' >> .gitattributes && git commit -qam lfs"));
	store_open(&w);
	list = json_get_array(must(worker_call(&w, "StoreResolve", "{}")), "unsupported");
	cr_assert_eq(json_object_array_length(list), 1);
	first = json_object_array_get_idx(list, 0);
	cr_assert_str_eq(json_get_string(first, "what"), "lfs");
	cr_assert_str_eq(json_get_string(first, "where"), ".gitattributes");
}

Test(jobs, branches_that_origin_lacks_are_listed)
{
	json_object *list;

	store_open(&w);
	cr_assert(sh("cd s.git && git branch mine $(git commit-tree -m x origin/main^{tree})"));
	list = json_get_array(must(worker_call(&w, "StoreUnpushed", "{}")), "branches");
	cr_assert_str_eq(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN),
			 "[\"mine\"]");
}

Test(jobs, a_slot_is_made_as_git_would)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	assert_clean_at(&slot, sh_text("git -C o rev-parse main"));
	cr_assert(sh("git -C s.git worktree add -q --detach ../witness %s && "
		     "diff -r --no-dereference -x .git slots/a-1 witness && "
		     "git -C slots/a-1 ls-files -s | cmp - /dev/fd/3 3<<E\n"
		     "$(git -C witness ls-files -s)\nE",
		     slot.commit));
	cr_assert(sh("git -C s.git worktree list --porcelain | grep -A3 '^worktree .*/slots/a-1$' | "
		     "grep '^locked slotd$'"));
	cr_assert(sh("git -C slots/a-1 reflog | grep slotd && git -C s.git worktree prune -v && "
		     "test -d s.git/worktrees/slotd-a-1"));
	cr_assert_str_eq(sh_text("git -C s.git rev-parse refs/slotd/pin/a-1"), slot.commit);
	cr_assert_str_eq(sh_text("git -C s.git config --list | grep -c branch"), "");
}

Test(jobs, every_git_command_works_in_a_slot)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("cd slots/a-1 && git checkout -q -b work && echo x >> f && git commit -qam x && "
		     "echo y >> f && git stash -q && git stash pop -q && git commit -qam y && "
		     "git rebase -q origin/other && git push -q origin work && "
		     "git fetch -q origin && git tag t && git merge -q -m m origin/topic -X ours && "
		     "git worktree add -q ../../beside && git gc -q && git fsck && "
		     "git reset -q --hard HEAD~1 && git bisect start && git bisect reset"));
}

Test(jobs, an_existing_slot_is_made_anew)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("cd slots/a-1 && echo x > junk && rm f && mkdir -p s.git/slotd"));
	slot_create(&w, "a-1", &slot);
	assert_clean_at(&slot, slot.commit);
}

Test(jobs, what_no_slot_left_in_its_place_is_not_touched)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("mkdir slots/a-2 && echo mine > slots/a-2/thesis"));
	assert_error(worker_call(&w, "SlotCreate", "{'slot': 'a-2', 'commit': '%s'}", slot.commit),
		     "InTheWay");
	cr_assert(strstr(w.message, "slots/a-2") != NULL, "%s", w.message);
	/* again: the failed try has left nothing that makes it a slot */
	assert_error(worker_call(&w, "SlotCreate", "{'slot': 'a-2', 'commit': '%s'}", slot.commit),
		     "InTheWay");
	must(worker_call(&w, "SlotRemove", "{'slot': 'a-2', 'dev': 0, 'ino': 0, 'discard': true}"));
	cr_assert_str_eq(sh_text("cat slots/a-2/thesis"), "mine");
}

Test(jobs, a_store_that_is_gone_says_nothing_about_the_slot)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("mv s.git away"));
	assert_error(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': false}",
				 slot_params(&slot), slot.commit), "StoreGone");
	assert_error(worker_call(&w, "SlotCreate", "{'slot': 'a-2', 'commit': '%s'}", slot.commit),
		     "StoreGone");
	cr_assert(sh("mv away s.git"));
	must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': false}",
			 slot_params(&slot), slot.commit));
}

Test(jobs, a_slot_moves_to_refs_and_commits)
{
	struct slot slot;
	json_object *o;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	o = must(worker_call(&w, "SlotPrepare", "{%s, 'ref': 'topic'}", slot_params(&slot)));
	cr_assert_str_eq(json_get_string(o, "head"), sh_text("git -C o rev-parse topic"));
	cr_assert_null(json_get_string(o, "branch"));
	cr_assert_not(json_get_bool(o, "created", true));
	assert_clean_at(&slot, sh_text("git -C o rev-parse topic"));
	cr_assert(sh("! git -C slots/a-1 symbolic-ref -q HEAD && test ! -e s.git/worktrees/slotd-a-1/"
		     "slotd-switching && git -C slots/a-1 reflog -1 | grep slotd"));
	cr_assert_str_eq(sh_text("git -C s.git rev-parse refs/slotd/pin/a-1"),
			 sh_text("git -C o rev-parse topic"));
	must(worker_call(&w, "SlotPrepare", "{%s, 'commit': '%s'}", slot_params(&slot), slot.commit));
	assert_clean_at(&slot, slot.commit);
	assert_error(worker_call(&w, "SlotPrepare", "{%s, 'ref': 'none'}", slot_params(&slot)),
		     "NotFound");
	assert_error(worker_call(&w, "SlotPrepare", "{%s}", slot_params(&slot)), "Failed");
	assert_clean_at(&slot, slot.commit);
}

Test(jobs, a_branch_is_made_once_and_checked_out_where_it_is_afterwards)
{
	struct slot slot;
	json_object *o;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	o = must(worker_call(&w, "SlotPrepare", "{%s, 'ref': 'topic', 'branch': 'agent/x'}",
			     slot_params(&slot)));
	cr_assert(json_get_bool(o, "created", false));
	cr_assert_str_eq(json_get_string(o, "branch"), "agent/x");
	cr_assert_str_eq(sh_text("git -C slots/a-1 symbolic-ref HEAD"), "refs/heads/agent/x");
	assert_clean_at(&slot, sh_text("git -C o rev-parse topic"));
	cr_assert(sh("cd slots/a-1 && git commit -q --allow-empty -m work && git checkout -q --detach "
		     "origin/main"));
	o = must(worker_call(&w, "SlotPrepare", "{%s, 'ref': 'main', 'branch': 'agent/x'}",
			     slot_params(&slot)));
	cr_assert_not(json_get_bool(o, "created", true));
	cr_assert_str_eq(sh_text("git -C slots/a-1 log -1 --format=%%s"), "work");
	assert_clean_at(&slot, json_get_string(o, "head"));
	cr_assert(sh("! git -C s.git config --get-regexp '^branch'"));
}

Test(jobs, a_branch_in_use_names_its_place)
{
	struct slot one, two;
	json_object *o;

	store_open(&w);
	slot_create(&w, "a-1", &one);
	slot_create(&w, "a-2", &two);
	must(worker_call(&w, "SlotPrepare", "{%s, 'branch': 'x', 'ref': 'main'}", slot_params(&one)));
	o = worker_call(&w, "SlotPrepare", "{%s, 'branch': 'x', 'ref': 'main'}", slot_params(&two));
	assert_error(o, "BranchInUse");
	cr_assert_str_eq(json_get_string(o, "branch"), "x");
	cr_assert_str_eq(json_get_string(o, "path"), in_dir("slots/a-1"));
	cr_assert(sh("git -C s.git worktree add -q ../foreign -b mine origin/main"));
	o = worker_call(&w, "SlotPrepare", "{%s, 'branch': 'mine', 'ref': 'main'}", slot_params(&two));
	assert_error(o, "BranchInUse");
	cr_assert_str_eq(json_get_string(o, "path"), in_dir("foreign"));
	assert_error(worker_call(&w, "SlotPrepare", "{%s, 'branch': 'a..b', 'ref': 'main'}",
				 slot_params(&two)),
		     "Failed");
	assert_error(worker_call(&w, "SlotPrepare", "{%s, 'branch': 'x/y', 'ref': 'main'}",
				 slot_params(&two)),
		     "Failed");
}

Test(jobs, a_dirty_slot_is_not_moved_over)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("echo mine > slots/a-1/f"));
	assert_error(worker_call(&w, "SlotPrepare", "{%s, 'ref': 'topic'}", slot_params(&slot)),
		     "Damaged");
	cr_assert_str_eq(sh_text("cat slots/a-1/f"), "mine");
	cr_assert(sh("test ! -e s.git/worktrees/slotd-a-1/slotd-switching"));
}

/* --- what is saved --- */

struct work_left {
	const char *commands; /* in the slot */
	const char *summary;  /* a part of what is said of it */
};

static const struct work_left work_left[] = {
	{ "echo x > f", "1 changed file" },
	{ "echo x > f; rm x; git update-index --assume-unchanged f", "2 changed files" },
	{ "echo x > f; git update-index --skip-worktree f", "1 changed file" },
	{ "chmod -x x", "1 changed file" },
	{ "echo x > f; git add f", "1 staged file" },
	{ "echo x > f; git add f; echo y > f", "1 changed file, 1 staged file" },
	{ "echo x > new", "1 untracked file" },
	{ "for i in 1 2 3 4 5; do echo x > u$i; done", "5 untracked files" },
	{ "mkdir -p n/m && echo x > n/m/o", "1 untracked file" },
	{ "printf x > $(printf 'b\\377d')", "1 untracked file" },
	{ "git commit -q --allow-empty -m 'lost work'", "1 commit on no branch" },
	{ "git commit -q --allow-empty -m a && git commit -q --allow-empty -m b",
	  "2 commits on no branch" },
	{ "git commit -q --allow-empty -m gone && git reset -q --hard HEAD~1", "1 commit on no branch" },
	{ "git checkout -q -b side origin/other && echo s > f && git commit -qam s && "
	  "git rebase -q origin/main >/dev/null 2>&1; git checkout -q --theirs f; true",
	  "a rebase in progress" },
	{ "git merge -q --no-commit origin/topic >/dev/null 2>&1; true", "a merge in progress" },
	{ "git merge -q --no-commit origin/topic >/dev/null 2>&1; true", "1 file in conflict" },
	{ "git init -q inner && cd inner && git commit -q --allow-empty -m x && echo x > y",
	  "1 nested repository" },
	{ "git checkout -q --orphan fresh && echo x > f && git add f", "1 staged file" },
	{ "git commit -q --allow-empty -m w && git update-ref refs/worktree/keep HEAD && "
	  "git checkout -q --detach origin/main",
	  "1 commit on no branch" },
	{ "git commit -q --allow-empty -m w && git update-ref refs/worktree/own HEAD && "
	  "git symbolic-ref HEAD refs/worktree/own",
	  "1 commit on no branch" },
	{ "echo '*' > .gitignore && git add .gitignore && git commit -qm all && git branch held && "
	  "git checkout -q --detach && echo x > hidden.by.own.rule",
	  "1 untracked file" },
	{ "echo junk > ../../s.git/worktrees/slotd-a-1/index; echo x > f; echo x > new",
	  "1 changed file, 1 untracked file" },
};

/* a slot in which something is left; what must not be lost of it is listed in the file "had" */
static void leave_work(struct slot *slot, const char *commands)
{
	slot_create(&w, "a-1", slot);
	sh("git -C s.git branch -qD side held 2>/dev/null");
	cr_assert(sh("cd slots/a-1 && { %s; }", commands), "%s", commands);
	cr_assert(sh("cd slots/a-1 && { git ls-files -s 2>/dev/null | cut -d' ' -f2; git log -g --format=%%H 2>/dev/null; "
		     "find . -name .git -prune -o -type f ! -name '*.crlf' -print0 | xargs -0 git hash-object --no-filters --; } | "
		     "sort -u > ../../had"));
}

static const char *save_params(const struct slot *slot, unsigned lease)
{
	static char params[250];

	snprintf(params, sizeof(params), "'save': {'lease': '%032x', 'pool': 'a', 'fallback': '%s', 'sinceUsec': 0, 'atUsec': 1700000000000000}",
		 lease, slot->commit);
	return params;
}

/* there is one salvage, it is summed up like this, and nothing of what the slot had is lost */
static void assert_saved(json_object *reply, const struct work_left *left)
{
	json_object *salvage = json_get_array(reply, "salvage"), *one;

	cr_assert_str_eq(unsaved_of(reply), "[]", "%s: %s", left->commands, unsaved_of(reply));
	cr_assert_eq(json_object_array_length(salvage), 1, "%s: %s", left->commands,
		     json_object_to_json_string(reply));
	one = json_object_array_get_idx(salvage, 0);
	cr_assert(strstr(json_get_string(one, "summary"), left->summary) != NULL, "%s: %s", left->commands,
		  json_get_string(one, "summary"));
	cr_assert(sh("git -C s.git rev-list --objects %s --branches --remotes --tags | cut -c1-40 | sort -u > has && "
		     "comm -23 had has > lost && test -s had && test ! -s lost", json_get_string(one, "ref")),
		  "%s: %s", left->commands, sh_text("cat lost"));
}

Test(jobs, whatever_would_be_lost_is_saved_before_a_slot_is_cleaned)
{
	struct slot slot;

	store_open(&w);
	for (size_t i = 0; i < sizeof(work_left) / sizeof(work_left[0]); i++) {
		leave_work(&slot, work_left[i].commands);
		assert_saved(must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': false, %s}",
					      slot_params(&slot), slot.commit, save_params(&slot, i + 1))),
			     &work_left[i]);
		assert_clean_at(&slot, slot.commit);
	}
}

Test(jobs, whatever_would_be_lost_is_saved_before_a_slot_is_removed)
{
	struct slot slot;

	store_open(&w);
	for (size_t i = 0; i < sizeof(work_left) / sizeof(work_left[0]); i++) {
		leave_work(&slot, work_left[i].commands);
		assert_saved(must(worker_call(&w, "SlotRemove", "{%s, 'discard': false, %s}", slot_params(&slot),
					      save_params(&slot, i + 1))),
			     &work_left[i]);
		cr_assert(sh("test ! -e slots/a-1 && test ! -e s.git/worktrees/slotd-a-1"), "%s",
			  work_left[i].commands);
	}
}

Test(jobs, what_was_thrown_away_is_not_saved)
{
	struct slot slot;

	store_open(&w);
	for (size_t i = 0; i < sizeof(work_left) / sizeof(work_left[0]); i++) {
		json_object *o;

		leave_work(&slot, work_left[i].commands);
		o = must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': true}",
				     slot_params(&slot), slot.commit));
		cr_assert_str_eq(unsaved_of(o), "[]");
		cr_assert_eq(json_object_array_length(json_get_array(o, "salvage")), 0);
		cr_assert_str_eq(json_get_string(o, "head"), slot.commit);
		assert_clean_at(&slot, slot.commit);
		cr_assert(sh("cd slots/a-1 && ! git ls-files -v | grep -v ^H && "
			     "! git symbolic-ref -q HEAD && "
			     "! git status | grep -E 'rebas|merg|bisect' && test -z \"$(find "
			     "../../s.git/worktrees/slotd-a-1 -name '*.lock')\""),
			  "%s", work_left[i].commands);
	}
	cr_assert(sh("test -z \"$(git -C s.git for-each-ref refs/slotd/salvage)\""));
}

Test(jobs, what_cannot_be_saved_is_left_alone)
{
	const char *look = "cd slots/a-1 && git status --porcelain; git rev-parse HEAD; git ls-files -s; "
			   "find . -type f | sort | xargs -d '\\n' cat";
	struct slot slot;
	json_object *o;
	char *before;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("cd slots/a-1 && echo x > f && git update-index --add --cacheinfo "
		     "100644,1212121212121212121212121212121212121212,gone"));
	before = sh_text("%s", look);
	assert_error(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': false, %s}", slot_params(&slot),
				 slot.commit, save_params(&slot, 1)),
		     "Damaged");
	cr_assert_str_eq(sh_text("%s", look), before);
	o = must(worker_call(&w, "SlotRemove", "{%s, 'discard': false, %s}", slot_params(&slot), save_params(&slot, 1)));
	cr_assert(strstr(unsaved_of(o), "1212121212121212121212121212121212121212 is missing") != NULL, "%s",
		  unsaved_of(o));
	cr_assert_str_eq(sh_text("%s", look), before);
	cr_assert(sh("test -z \"$(git -C s.git for-each-ref refs/slotd/salvage)\""));
}

static const char *const nothing_left[] = {
	"true",
	"git checkout -q -b held && echo x > f && git commit -qam x",
	"git commit -q --allow-empty -m x && git branch held2",
	"git commit -q --allow-empty -m x && git tag -m x held3",
	"echo x > a.log && mkdir -p build && echo y > build/out",
	"touch f x link",
	"git checkout -q --orphan none && git reset -q --hard origin/main && git checkout -q origin/main",
	"git sparse-checkout set d && git config --worktree core.pager cat && test ! -e link/",
	"echo x > f && git stash -q",
	": > ../../s.git/worktrees/slotd-a-1/index.lock; : > ../../s.git/worktrees/slotd-a-1/HEAD.lock",
};

Test(jobs, what_is_saved_elsewhere_or_ignored_is_no_reason_to_stay)
{
	struct slot slot;

	store_open(&w);
	for (size_t i = 0; i < sizeof(nothing_left) / sizeof(nothing_left[0]); i++) {
		json_object *o;

		slot_create(&w, "a-1", &slot);
		cr_assert(sh("cd slots/a-1 && { %s; }", nothing_left[i]), "%s", nothing_left[i]);
		o = must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': false}",
				     slot_params(&slot), slot.commit));
		cr_assert_str_eq(unsaved_of(o), "[]", "%s: %s", nothing_left[i], unsaved_of(o));
		cr_assert_gt(json_get_int(o, "diskBytes", 0), 0);
		assert_clean_at(&slot, slot.commit);
	}
	cr_assert(sh("test ! -e s.git/worktrees/slotd-a-1/config.worktree"));
}

Test(jobs, ignored_files_stay_when_a_slot_is_cleaned)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	cr_assert(sh("cd slots/a-1 && mkdir -p build && echo cache > build/c && echo x > y.log"));
	must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': true}", slot_params(&slot),
			 slot.commit));
	cr_assert(sh("cd slots/a-1 && test -f build/c && test -f y.log"));
}

Test(jobs, content_is_proved_when_asked_for)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	/* same size, and stat data as it was but for what nobody can forge */
	cr_assert(sh("cd slots/a-1 && printf bad > f"));
	must(worker_call(&w, "SlotClean", "{%s, 'commit': '%s', 'discard': true, 'content': true}",
			 slot_params(&slot), slot.commit));
	assert_clean_at(&slot, slot.commit);
	cr_assert_str_eq(sh_text("cat slots/a-1/f"), "two");
}

Test(jobs, a_slot_is_removed_without_a_trace)
{
	struct slot slot;

	store_open(&w);
	slot_create(&w, "a-1", &slot);
	must(worker_call(&w, "SlotRemove", "{%s, 'discard': false}", slot_params(&slot)));
	cr_assert(sh("test ! -e slots/a-1 && test ! -e s.git/worktrees/slotd-a-1 && "
		     "test -z \"$(ls s.git/slotd)\" && ! git -C s.git rev-parse -q --verify "
		     "refs/slotd/pin/a-1 && test $(git -C s.git worktree list | wc -l) = 1"));
	must(worker_call(&w, "SlotRemove", "{%s, 'discard': false}", slot_params(&slot)));
}

Test(jobs, a_commit_that_the_store_lacks_is_damage)
{
	store_open(&w);
	assert_error(worker_call(&w, "SlotCreate", "{'slot': 'a-1', 'commit': '%040d'}", 1), "Damaged");
	cr_assert(sh("test ! -e s.git/worktrees/slotd-a-1 && git -C s.git worktree list"));
}

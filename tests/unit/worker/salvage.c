/* What was saved, by the methods of a worker. */
#include <criterion/criterion.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "salvage-fixture.h"
#include "util/json.h"
#include "util/text.h"
#include "worker-fixture.h"

static struct worker_end w;

static void init(void)
{
	salvage_fixture_init();
}

static void deinit(void)
{
	int status = worker_stop(&w);

	worker_forget();
	salvage_fixture_deinit();
	cr_assert_eq(status, 0, "the worker ended with %d", status);
}

TestSuite(worker_salvage, .init = init, .fini = deinit, .timeout = 120);

/* a worker for what is in "r" now; "s.git" is its store */
static void start(void)
{
	cr_assert(sh("rm -rf s.git && cp -r r/.git s.git"));
	worker_start(&w, NULL);
}

static json_object *must(json_object *reply)
{
	cr_assert(reply && !w.error[0], "%s: %s", w.error, w.message);
	return reply;
}

static git_oid saved(void)
{
	return salvage_made_by(
		"files[b'a'] = (0o100644, blob(repo, b'changed'))\n"
		"files[b'new'] = (0o100755, blob(repo, b'new'))\n"
		"meta.update({'agent': 'agent-7', 'task': 't', 'branch': 'topic', 'commits': 2,\n"
		"    'takenAtUsec': 1700000000123456, 'bytes': 10, 'operations': ['merge'],\n"
		"    'special': ['fifo'], 'hidden': [], 'unstable': ['log'],\n"
		"    'stashes': [{'commit': base, 'message': 'WIP'}], 'counts': {'changed': 1}})");
}

Test(worker_salvage, every_ref_is_listed_and_a_damaged_one_hides_none)
{
	json_object *o, *one, *bad;
	git_oid commit = saved();

	cr_assert(sh("cd r && git update-ref refs/slotd/salvage/r-2/"
		     "0123456789abcdef0123456789abcdef/1 main && "
		     "git update-ref refs/slotd/salvage/odd main"));
	start();
	o = must(worker_call(&w, "SalvageList", "{}"));
	cr_assert_eq(json_object_array_length(json_get_array(o, "salvage")), 1);
	one = json_object_array_get_idx(json_get_array(o, "salvage"), 0);
	cr_assert_str_eq(json_get_string(one, "ref"), SALVAGE_FIXTURE_REF);
	cr_assert_str_eq(json_get_string(one, "commit"), git_oid_tostr_s(&commit));
	cr_assert_str_eq(json_get_string(one, "agent"), "agent-7");
	cr_assert_str_eq(json_get_string(one, "summary"), "made by hand");
	cr_assert_eq(json_get_int(one, "takenAtUsec", 0), 1700000000123456);
	cr_assert_eq(json_get_int(one, "bytes", 0), 10);
	cr_assert_eq(json_object_array_length(json_get_array(o, "damaged")), 1);
	bad = json_object_array_get_idx(json_get_array(o, "damaged"), 0);
	cr_assert(text_has_prefix(json_get_string(bad, "ref"), "refs/slotd/salvage/r-2/"));
	cr_assert(strstr(json_get_string(bad, "message"), "is no salvage"));
}

Test(worker_salvage, what_is_in_one_is_shown)
{
	git_oid commit = saved();
	json_object *o;

	start();
	o = must(worker_call(&w, "SalvageShow", "{'commit': '%s'}", git_oid_tostr_s(&commit)));
	cr_assert_str_eq(json_get_string(o, "base"), sh_text("git -C r rev-parse main"));
	cr_assert_str_eq(json_get_string(o, "head"), "ref: refs/heads/main");
	cr_assert_str_eq(json_get_string(o, "branch"), "topic");
	cr_assert_eq(json_get_int(o, "commits", 0), 2);
	cr_assert_str_eq(json_object_to_json_string_ext(json_get_array(o, "operations"), 0),
			 "[\"merge\"]");
	cr_assert_str_eq(json_object_to_json_string_ext(json_get_object(o, "counts"), 0),
			 "{\"changed\":1}");
	cr_assert_eq(json_object_array_length(json_get_array(o, "stashes")), 1);
	cr_assert(strstr(json_get_string(o, "diffstat"), "2 files changed"), "%s",
		  json_get_string(o, "diffstat"));
	worker_call(&w, "SalvageShow", "{'commit': '%s'}", sh_text("git -C r rev-parse main"));
	cr_assert_str_eq(w.error, "Damaged");
	worker_call(&w, "SalvageShow", "{'commit': 'main'}");
	cr_assert_str_eq(w.error, "InvalidParameter");
}

/* whatever somebody wrote into it, the reply is as the interface says (the fixture holds it against that) */
Test(worker_salvage, a_strange_description_is_shown_as_far_as_it_goes)
{
	git_oid commit = salvage_made_by(
		"meta.update({'agent': 5, 'branch': ['x'], 'commits': 'many', 'operations': [1, "
		"None, 'x' * 9000],\n"
		"    'special': {'a': 1}, 'stashes': [1, {}, {'commit': 3}, {'commit': 'c' * "
		"9000}],\n"
		"    'counts': {'changed': 'x', 'n': 3}, 'takenAtUsec': -5, 'summary': ['s'],\n"
		"    'hidden': ['a'] * 5000})");
	json_object *o;

	start();
	must(worker_call(&w, "SalvageList", "{}"));
	o = must(worker_call(&w, "SalvageShow", "{'commit': '%s'}", git_oid_tostr_s(&commit)));
	cr_assert_eq(json_object_array_length(json_get_array(o, "operations")), 1);
	cr_assert_eq(json_object_array_length(json_get_array(o, "hidden")), 100);
	cr_assert_eq(json_object_array_length(json_get_array(o, "stashes")), 1);
}

Test(worker_salvage, one_is_dropped_only_where_it_is)
{
	git_oid commit = saved();
	const char *hex = fixture_keep(strdup(git_oid_tostr_s(&commit)));

	start();
	worker_call(&w, "SalvageDrop", "{'ref': 'refs/heads/main', 'commit': '%s'}", hex);
	cr_assert_str_eq(w.error, "InvalidParameter");
	worker_call(&w, "SalvageDrop", "{'ref': '" SALVAGE_FIXTURE_REF "', 'commit': '%s'}",
		    sh_text("git -C r rev-parse main"));
	cr_assert_str_eq(w.error, "Damaged");
	cr_assert(sh("git -C s.git rev-parse -q --verify " SALVAGE_FIXTURE_REF
		     " && git -C s.git pack-refs --all"));
	must(worker_call(&w, "SalvageDrop", "{'ref': '" SALVAGE_FIXTURE_REF "', 'commit': '%s'}",
			 hex));
	cr_assert(sh("! git -C s.git rev-parse -q --verify " SALVAGE_FIXTURE_REF));
	must(worker_call(&w, "SalvageDrop", "{'ref': '" SALVAGE_FIXTURE_REF "', 'commit': '%s'}",
			 hex));
}

Test(worker_salvage, a_branch_is_made_once)
{
	git_oid commit = saved();
	const char *hex = fixture_keep(strdup(git_oid_tostr_s(&commit)));
	json_object *o, *again;

	start();
	o = must(worker_call(&w, "SalvageBranch", "{'commit': '%s', 'branch': 'rescue'}", hex));
	cr_assert_str_eq(json_get_string(o, "commit"), sh_text("git -C s.git rev-parse rescue"));
	again = must(worker_call(&w, "SalvageBranch", "{'commit': '%s', 'branch': 'rescue'}", hex));
	cr_assert_str_eq(json_get_string(o, "commit"), json_get_string(again, "commit"));
	worker_call(&w, "SalvageBranch", "{'commit': '%s', 'branch': 'main'}", hex);
	cr_assert_str_eq(w.error, "Conflict");
	worker_call(&w, "SalvageBranch", "{'commit': '%s', 'branch': '../x'}", hex);
	cr_assert_str_eq(w.error, "InvalidParameter");
}

/* the worker of somebody who only wants a copy must not be able to write to the store */
Test(worker_salvage, who_restores_into_a_directory_cannot_write_to_the_store)
{
	git_oid commit = saved();
	const char *hex = fixture_keep(strdup(git_oid_tostr_s(&commit)));
	json_object *o;

	start();
	worker_send(&w, "SalvageRestoreDir",
		    json_set_string(json_object_new_object(), "commit", hex), -1);
	o = must(worker_receive(&w, "SalvageRestoreDir"));
	cr_assert_eq(json_get_int(o, "files", 0), 5);
	cr_assert_str_eq(sh_text("cat slots/a slots/new && test -x slots/new"), "changednew");
	worker_send(&w, "SalvageRestoreDir",
		    json_set_string(json_object_new_object(), "commit", hex), -1);
	worker_receive(&w, "SalvageRestoreDir");
	cr_assert_str_eq(w.error, "InTheWay");
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 2)
		return; /* this kernel cannot hold it back */
	worker_call(&w, "SalvageBranch", "{'commit': '%s', 'branch': 'rescue'}", hex);
	cr_assert(strstr(w.message, "Permission denied"), "%s", w.message);
	cr_assert(sh("! git -C s.git rev-parse -q --verify rescue"));
}

Test(worker_salvage, every_other_method_wants_its_lock)
{
	git_oid commit = saved();
	json_object *params =
		json_set_string(json_object_new_object(), "commit", git_oid_tostr_s(&commit));

	start();
	worker_send(&w, "SalvageShow", params, -1);
	worker_receive(&w, "SalvageShow");
	cr_assert(strstr(w.message, "without the descriptor of its lock"), "%s", w.message);
}

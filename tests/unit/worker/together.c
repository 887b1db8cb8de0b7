/* Several workers in one store, and people's git beside them. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/json.h"
#include "worker-fixture.h"

static struct worker_end w;

static void init(void)
{
	fixture_init();
	make_origin();
	worker_start(&w, NULL);
	store_open(&w);
}

static void deinit(void)
{
	worker_stop(&w);
	worker_forget();
	fixture_deinit();
}

TestSuite(together, .init = init, .fini = deinit, .timeout = 280);

/* what an agent elsewhere runs, while the test lives; each failure leaves a line in "failures" */
static pid_t start_readers(void)
{
	pid_t test = getpid(), pid = fork();

	if (pid == 0) {
		sh("exec > /dev/null 2>&1; git -C s.git worktree add -q --detach ../reader origin/main && cd reader && "
		   "while test ! -e ../stop && kill -0 %d; do for c in 'fetch -q origin' 'worktree list' "
		   "'branch --all' 'status' 'worktree prune' 'fsck --connectivity-only' "
		   "'pack-refs --all' 'gc --auto'; do "
		   "git $c > ../out 2>&1 || { echo \"$c: $(cat ../out)\" >> ../failures; }; "
		   "echo >> ../reads; done; done",
		   test);
		_exit(0);
	}
	return pid;
}

/* 1: the call failed, and why goes to standard error */
static int is_failure(const struct worker_end *worker, const char *method, json_object *o)
{
	json_object *unsaved = json_get_array(o, "unsaved");

	if (o && !worker->error[0] && (!unsaved || json_object_array_length(unsaved) == 0))
		return 0;
	fprintf(stderr, "%s: %s %s %s\n", method, worker->error, worker->message,
		o ? json_object_to_json_string(o) : "died");
	return 1;
}

/* makes, uses and removes slots; returns how many calls failed */
static int work(struct worker_end *worker, const char *name, int rounds)
{
	int failed = 0;

	for (int i = 0; i < rounds; i++) {
		struct slot slot;
		json_object *o;

		slot_create(worker, name, &slot);
		o = worker_call(worker, "SlotPrepare", "{%s, 'ref': 'main', 'branch': 'b-%s-%d'}",
				slot_params(&slot), name, i);
		failed += is_failure(worker, "SlotPrepare", o);
		o = worker_call(worker, "SlotClean", "{%s, 'commit': '%s', 'discard': false}",
				slot_params(&slot), slot.commit);
		failed += is_failure(worker, "SlotClean", o);
		o = worker_call(worker, "SlotRemove", "{%s, 'discard': false}", slot_params(&slot));
		failed += is_failure(worker, "SlotRemove", o);
	}
	return failed;
}

Test(together, two_workers_and_git_beside_them_never_fail)
{
	pid_t readers = start_readers(), other;
	int status, other_status, failed;

	other = fork();
	if (other == 0) {
		struct worker_end second;

		worker_start(&second, NULL);
		status = work(&second, "a-2", 12);
		worker_stop(&second);
		_exit(status > 100 ? 100 : status);
	}
	failed = work(&w, "a-1", 12);
	cr_assert_eq(waitpid(other, &other_status, 0), other);
	cr_assert(sh(": > stop"));
	waitpid(readers, &status, 0);
	cr_assert_eq(failed, 0);
	cr_assert(WIFEXITED(other_status) && WEXITSTATUS(other_status) == 0, "%x", other_status);
	/*
	 * git lists worktrees/ first and reads the entries afterwards: one that goes in between is
	 * missed by it, whoever removed it. Nothing else may be wrong, above all with those that come.
	 */
	cr_assert_str_eq(sh_text("cat failures 2>/dev/null | grep -vE \"Invalid path '.*/worktrees/slotd-"
				 "a-[12]'|slotd-a-[12]/HEAD: detached HEAD points at nothing|unborn\""),
			 "");
	cr_assert(sh("test $(wc -l < reads) -gt 20 && git -C s.git fsck && "
		     "test $(git -C s.git worktree list | wc -l) = 2"));
}

Test(together, parallel_creation_of_many_slots_needs_no_shared_lock)
{
	pid_t other = fork();
	struct slot slot;
	int status;
	char name[16];

	if (other == 0) {
		struct worker_end second;

		worker_start(&second, NULL);
		for (int i = 20; i < 30; i++) {
			snprintf(name, sizeof(name), "a-%d", i);
			slot_create(&second, name, &slot);
		}
		worker_stop(&second);
		_exit(0);
	}
	for (int i = 10; i < 20; i++) {
		snprintf(name, sizeof(name), "a-%d", i);
		slot_create(&w, name, &slot);
	}
	cr_assert_eq(waitpid(other, &status, 0), other);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
	cr_assert(sh("test $(git -C s.git worktree list | wc -l) = 21 && for s in slots/*; do "
		     "test -z \"$(git -C $s status --porcelain)\" || exit 1; done"));
}

/* calls that killed_call() made, and those of them that were not answered any more */
static int n_calls, n_midway;

/* one call that is killed after a while */
static void killed_call(const char *method, const char *params, long usec)
{
	struct timespec delay = { 0, usec * 1000 };
	struct worker_end victim;

	worker_start(&victim, NULL);
	worker_call(&victim, "Hello", "{'protocol': 2}");
	worker_send(&victim, method, json_tokener_parse(params), any_lock());
	nanosleep(&delay, NULL);
	kill(victim.pid, SIGKILL);
	n_midway += worker_receive(&victim, method) == NULL;
	n_calls++;
	worker_kill(&victim);
}

static const char *json_of(const char *quoted)
{
	char *s = fixture_keep(strdup(quoted));

	for (char *p = s; *p; p++)
		if (*p == '\'')
			*p = '"';
	return s;
}

static void must(json_object *o, const char *what)
{
	cr_assert(o && !w.error[0], "%s: %s %s", what, w.error, w.message);
}

/* a call that nobody disturbs; how long it takes, in microseconds */
static long timed_call(const char *method, const char *params)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	must(worker_call(&w, method, "%s", params), method);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from.tv_sec) * 1000000L + (to.tv_nsec - from.tv_nsec) / 1000;
}

/* the @i-th of @n moments of something that takes so long; the last lie behind its end */
static long moment(long took, int i, int n)
{
	long usec = took * (2 * i + 1) * 6 / (2 * n * 5);

	return usec < 900000 ? usec : 900000;
}

/* enough must have been killed before they had answered, even if the machine was slow at first */
static void assert_killed_midway(void)
{
	cr_assert_geq(n_midway, n_calls / 6, "only %d of %d calls were killed midway", n_midway,
		      n_calls);
}

#define JOB_KILLS 24

Test(together, a_job_killed_at_any_time_is_done_by_the_next_worker)
{
	char create[512], prepare[512], clean[512], remove[512];
	long create_usec, prepare_usec, clean_usec, remove_usec;
	struct slot slot;

	slot_create(&w, "a-1", &slot);
	snprintf(create, sizeof(create), "{'slot': 'a-1', 'commit': '%s'}", slot.commit);
	snprintf(prepare, sizeof(prepare), "{%s, 'ref': 'topic', 'branch': 'k'}",
		 slot_params(&slot));
	snprintf(clean, sizeof(clean), "{%s, 'commit': '%s', 'discard': false}", slot_params(&slot),
		 slot.commit);
	snprintf(remove, sizeof(remove), "{%s, 'discard': false}", slot_params(&slot));
	prepare_usec = timed_call("SlotPrepare", prepare);
	clean_usec = timed_call("SlotClean", clean);
	remove_usec = timed_call("SlotRemove", remove);
	create_usec = timed_call("SlotCreate", create);
	for (int i = 0; i < JOB_KILLS; i++) {
		killed_call("SlotCreate", json_of(create), moment(create_usec, i, JOB_KILLS));
		cr_assert(sh("git -C s.git worktree list >/dev/null && git -C s.git branch >/dev/null"));
		slot_create(&w, "a-1", &slot);
		assert_clean_at(&slot, slot.commit);
		snprintf(prepare, sizeof(prepare), "{%s, 'ref': 'topic', 'branch': 'k%d'}",
			 slot_params(&slot), i);
		killed_call("SlotPrepare", json_of(prepare), moment(prepare_usec, i, JOB_KILLS));
		must(worker_call(&w, "SlotPrepare", "%s", prepare), "SlotPrepare");
		assert_clean_at(&slot, sh_text("git -C o rev-parse topic"));
		snprintf(clean, sizeof(clean), "{%s, 'commit': '%s', 'discard': false}",
			 slot_params(&slot), slot.commit);
		killed_call("SlotClean", json_of(clean), moment(clean_usec, i, JOB_KILLS));
		must(worker_call(&w, "SlotClean", "%s", clean), "SlotClean");
		assert_clean_at(&slot, slot.commit);
		snprintf(remove, sizeof(remove), "{%s, 'discard': false}", slot_params(&slot));
		killed_call("SlotRemove", json_of(remove), moment(remove_usec, i, JOB_KILLS));
		cr_assert(sh("git -C s.git worktree list >/dev/null"));
		must(worker_call(&w, "SlotRemove", "%s", remove), "SlotRemove");
		cr_assert_str_eq(sh_text("find slots s.git/slotd s.git/worktrees -mindepth 1; "
					 "find s.git -name '*.lock'"),
				 "", "%s", sh_text("find slots s.git -newer s.git/config"));
	}
	cr_assert(sh("git -C s.git fsck"));
	assert_killed_midway();
}

#define STORE_KILLS 12

Test(together, a_clone_or_fetch_killed_at_any_time_is_done_by_the_next_worker)
{
	char open[256], fetch[256];
	long open_usec, fetch_usec;

	snprintf(open, sizeof(open), "{'url': '%s/o', 'fresh': true}", fixture_dir);
	snprintf(fetch, sizeof(fetch), "{'url': '%s/o', 'ref': 'main'}", fixture_dir);
	open_usec = timed_call("StoreOpen", open);
	cr_assert(sh("git -C o commit -q --allow-empty -m before"));
	fetch_usec = timed_call("StoreFetch", fetch);
	for (int i = 0; i < STORE_KILLS; i++) {
		killed_call("StoreOpen", json_of(open), moment(open_usec, i, STORE_KILLS));
		must(worker_call(&w, "StoreOpen", "%s", open), "StoreOpen");
		cr_assert(sh("git -C o commit -q --allow-empty -m %d && git -C s.git fsck", i));
		killed_call("StoreFetch", json_of(fetch), moment(fetch_usec, i, STORE_KILLS));
		/* a ref's lock of the killed one is let alone until nobody can hold it */
		sh("find s.git/refs -name '*.lock' -exec touch -d '-20 sec' {} + ; "
		   "test ! -e s.git/slotd/fetching || touch -d '-30 sec' s.git/slotd/fetching");
		must(worker_call(&w, "StoreFetch", "%s", fetch), "StoreFetch");
		cr_assert(sh("test $(git -C s.git rev-parse origin/main) = $(git -C o rev-parse main) && "
			     "git -C s.git fsck && test -z \"$(ls s.git/slotd)\""));
	}
	assert_killed_midway();
}

/* What a worker cannot do, and how it ends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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
}

static void deinit(void)
{
	worker_stop(&w);
	worker_forget();
	fixture_deinit();
}

TestSuite(confined, .init = init, .fini = deinit, .timeout = 120);

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

static void assert_ok(void)
{
	cr_assert_str_eq(w.error, "", "%s: %s", w.error, w.message);
}

Test(confined, it_has_no_privileges_to_gain_no_core_and_a_plain_umask)
{
	json_object *o = worker_call(&w, "Hello", "{'protocol': 2}");

	cr_assert(o != NULL);
	cr_assert(sh("grep -q '^NoNewPrivs:.1' /proc/%d/status && grep -q '^Umask:.0022' /proc/%d/status "
		     "&& grep -qE '^Max core file size +0 +0 ' /proc/%d/limits && "
		     "grep -qE '^Max open files +8192 +8192 ' /proc/%d/limits && "
		     "grep -qE '^Max file size +68719476736 ' /proc/%d/limits",
		     w.pid, w.pid, w.pid, w.pid, w.pid));
}

Test(confined, nothing_is_written_beyond_store_and_slots)
{
	struct slot slot;

	if (!has_landlock())
		cr_skip_test("no Landlock here");
	store_open(&w);
	slot_create(&w, "a-1", &slot);
	/* refs that lead outside: git would follow, and libgit2 would write there */
	cr_assert(sh("mkdir outside && rm -rf s.git/refs/slotd && ln -s ../../outside s.git/refs/slotd"));
	worker_call(&w, "SlotPrepare", "{%s, 'ref': 'topic'}", slot_params(&slot));
	cr_assert_neq(w.error[0], '\0');
	cr_assert_str_eq(sh_text("find outside -mindepth 1"), "");
}

Test(confined, a_clone_cannot_put_objects_elsewhere_either)
{
	if (!has_landlock())
		cr_skip_test("no Landlock here");
	/* libgit2 1.5 loses 40 bytes when it cannot make a temporary file */
	worker_stop(&w);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	worker_start(&w, NULL);
	store_open(&w);
	cr_assert(sh("mkdir outside && mv s.git/objects outside && ln -s ../outside/objects s.git/objects && "
		     "git -C o commit -q --allow-empty -m three && find outside | sort > before"));
	worker_call(&w, "StoreFetch", "{'url': '%s/o', 'ref': 'main'}", fixture_dir);
	cr_assert_neq(w.error[0], '\0');
	cr_assert(sh("find outside | sort | cmp - before"));
}

/* is the lock of this file free? */
static bool is_free(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	cr_assert_eq(fcntl(fd, F_OFD_GETLK, &lock), 0, "%s", strerror(errno));
	return lock.l_type == F_UNLCK;
}

static int take_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(in_dir("lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	return fd;
}

/* the worker is stopped in the middle by a helper that waits to be told */
Test(confined, the_lock_is_held_until_the_job_is_done_even_when_slotd_let_go)
{
	int lock = take_lock(), judge = open(in_dir("lock"), O_RDWR | O_CLOEXEC);
	json_object *params = json_object_new_object();

	kill(w.pid, SIGSTOP);
	json_set_string(params, "url", in_dir("o"));
	json_set_bool(params, "fresh", true);
	worker_send(&w, "StoreOpen", params, lock);
	close(lock);
	cr_assert_not(is_free(judge));
	kill(w.pid, SIGCONT);
	cr_assert(worker_receive(&w, "StoreOpen") != NULL);
	assert_ok();
	worker_call(&w, "Hello", "{'protocol': 2}");
	cr_assert(is_free(judge));
	close(judge);
}

Test(confined, the_lock_goes_with_a_killed_worker)
{
	int lock = take_lock(), judge = open(in_dir("lock"), O_RDWR | O_CLOEXEC);

	kill(w.pid, SIGSTOP);
	worker_send(&w, "StoreResolve", json_object_new_object(), lock);
	close(lock);
	cr_assert_not(is_free(judge));
	worker_kill(&w);
	cr_assert(is_free(judge));
	close(judge);
}

Test(confined, it_ends_when_its_socket_closes)
{
	cr_assert(worker_call(&w, "Hello", "{'protocol': 2}") != NULL);
	cr_assert_eq(worker_stop(&w), 0);
}

Test(confined, what_is_no_message_ends_it)
{
	cr_assert_eq(write(w.fd, "junk", 5), 5);
	cr_assert_eq(worker_stop(&w), 1);
}

/* a daemon that dies at once: its worker, which nobody else reaps, must go */
Test(confined, it_dies_with_its_parent)
{
	int tell[2], status;
	pid_t daemon, worker = 0;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	cr_assert_eq(pipe(tell), 0);
	daemon = fork();
	if (daemon == 0) {
		struct worker_end inner;

		worker_start(&inner, NULL);
		worker_call(&inner, "Hello", "{'protocol': 2}");
		if (write(tell[1], &inner.pid, sizeof(inner.pid)) < 0)
			_exit(1);
		pause();
	}
	cr_assert_eq(read(tell[0], &worker, sizeof(worker)), (ssize_t)sizeof(worker));
	/* one that is stopped cannot see that its connection ends, and go by itself */
	kill(worker, SIGSTOP);
	for (int i = 0; i < 1000 && !sh("grep -q 'State:.T' /proc/%d/status", (int)worker); i++)
		usleep(10000);
	cr_assert(sh("grep -q 'State:.T' /proc/%d/status", (int)worker));
	kill(daemon, SIGKILL);
	cr_assert_eq(waitpid(daemon, &status, 0), daemon);
	cr_assert_eq(waitpid(worker, &status, 0), worker);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(confined, it_does_not_start_for_a_parent_that_is_gone)
{
	cr_assert(sh("! $SLOTD_WORKER --protocol 2 --pool a --store %s/s.git --slots %s/slots --fd 3 "
		     "--parent 1 3< /dev/null 2> log && grep -q parent log",
		     fixture_dir, fixture_dir));
}

struct usage {
	const char *arguments;
	int status;
};

static const struct usage usages[] = {
	{ "", 2 },
	{ "--protocol 1 --pool a --store /s --slots /s --fd 3", 2 },
	{ "--protocol 2 --pool a --store s --slots /s --fd 3", 2 },
	{ "--protocol 2 --pool a --store /s --slots /s --fd x", 2 },
	{ "--protocol 2 --pool a --store /s --slots /s", 2 },
	{ "--protocol 2 --pool a --store /s --slots /absent --fd 3", 1 },
	{ "--protocol 2 --pool a --store /s --slots /tmp --fd 9", 1 },
	{ "--version", 0 },
};

Test(confined, its_arguments_are_checked)
{
	for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++)
		cr_assert(sh("$SLOTD_WORKER %s 3< /dev/null > log 2>&1; test $? = %d && test -s log",
			     usages[i].arguments, usages[i].status),
			  "%s", usages[i].arguments);
}

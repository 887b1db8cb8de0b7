/*
 * What a lease is bound to, across a ledger that cannot be written (see failure.c), restarts and boots.
 */
#include "world.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/process.h"

TestSuite(bind, .init = world_open, .fini = world_close);

static pid_t new_holder(void)
{
	pid_t parent = getpid(), pid = fork();

	while (pid == 0 && getppid() == parent)
		usleep(10000);
	if (pid == 0)
		_exit(0);
	cr_assert_gt(pid, 0);
	return pid;
}

static void end_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void name_holder(struct acquire_spec *spec, pid_t pid)
{
	spec->bind = LEASE_BIND_PROCESS;
	spec->bound_pid = (uint32_t)pid;
	spec->bound_start = process_start_time(pid);
}

static struct lease *bind_to(struct acquire_spec *spec, pid_t pid, struct answer *ret)
{
	world_add_pool(1, 1);
	*spec = spec_of("anna");
	strcpy(spec->key, "k");
	name_holder(spec, pid);
	ask_and_wait(spec, ret);
	return lease_of(ret);
}

static bool has_ended(const struct answer *a)
{
	return lease_of(a)->rec.bound_end.wall_usec;
}

Test(bind, a_new_binding_that_cannot_be_recorded_leaves_the_old_one)
{
	pid_t first = new_holder(), second = new_holder();
	struct acquire_spec spec;
	struct answer a, b;

	bind_to(&spec, first, &a);
	name_holder(&spec, second);
	break_ledger();
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(b.error, "LedgerFailed", "%s", b.text);
	mend_ledger();
	cr_expect_eq(lease_of(&a)->rec.bound_pid, (uint32_t)first);
	end_holder(second);
	RUN_UNTIL(lease_of(&a)->bound);
	world_settle();
	cr_expect_not(has_ended(&a), "the second never held it");
	end_holder(first);
	RUN_UNTIL(has_ended(&a));
}

Test(bind, a_holder_that_ends_while_its_release_fails_is_noticed)
{
	pid_t holder = new_holder();
	struct acquire_spec spec;
	struct answer a;

	bind_to(&spec, holder, &a);
	break_ledger();
	give_back(&a, false);
	end_holder(holder);
	world_settle();
	cr_assert_not_null(lease_of(&a));
	mend_ledger();
	RUN_UNTIL(has_ended(&a));
}

Test(bind, a_connection_that_goes_while_its_release_fails_is_noticed)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	spec.bind = LEASE_BIND_CONNECTION;
	spec.conn_id = 7;
	ask_and_wait(&spec, &a);
	break_ledger();
	give_back(&a, false);
	pools_conn_gone(world.pools, 7);
	world_settle();
	cr_assert_not_null(lease_of(&a));
	mend_ledger();
	RUN_UNTIL(has_ended(&a));
}

Test(bind, a_new_connection_that_cannot_be_recorded_leaves_the_old_one)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;

	world_add_pool(1, 1);
	strcpy(spec.key, "k");
	spec.bind = LEASE_BIND_TTL | LEASE_BIND_CONNECTION;
	spec.conn_id = 7;
	ask_and_wait(&spec, &a);
	lease_of(&a)->rec.deadline.boot_usec = clock_boot_usec(); /* it would be heard anew */
	break_ledger();
	spec.conn_id = 8;
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(b.error, "LedgerFailed", "%s", b.text);
	mend_ledger();
	pools_conn_gone(world.pools, 8);
	world_settle();
	cr_expect_not(has_ended(&a), "it never held it");
	pools_conn_gone(world.pools, 7);
	world_settle();
	cr_expect(has_ended(&a));
}

Test(bind, an_end_that_is_still_to_be_recorded_does_not_meet_the_next_holder)
{
	pid_t first = new_holder(), second = new_holder();
	struct acquire_spec spec;
	struct answer a, b;

	bind_to(&spec, first, &a);
	break_ledger();
	end_holder(first);
	RUN_UNTIL(lease_of(&a)->bound_due);
	world_settle();
	mend_ledger();
	name_holder(&spec, second);
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(b.lease, a.lease, "%s", b.text);
	leases_look_at_bound(world.pools);
	world_settle();
	cr_expect_not(has_ended(&a));
	end_holder(second);
	RUN_UNTIL(has_ended(&a));
}

Test(bind, a_holder_that_could_not_be_watched_is_looked_at)
{
	pid_t holder = new_holder();
	struct acquire_spec spec;
	struct lease *lease;
	struct answer a;

	lease = bind_to(&spec, holder, &a);
	lease->bound = sd_event_source_disable_unref(lease->bound);
	leases_look_at_bound(world.pools);
	cr_expect_not_null(lease->bound, "it is watched as soon as that is possible");
	lease->bound = sd_event_source_disable_unref(lease->bound);
	end_holder(holder);
	leases_look_at_bound(world.pools);
	cr_expect(has_ended(&a));
}

Test(bind, a_holder_that_cannot_be_looked_at_is_not_dead)
{
	pid_t holder = new_holder();
	struct rlimit limit, none;
	struct acquire_spec spec;
	struct lease *lease;
	struct answer a;

	lease = bind_to(&spec, holder, &a);
	lease->bound = sd_event_source_disable_unref(lease->bound);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	leases_look_at_bound(world.pools);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_not(has_ended(&a));
	leases_look_at_bound(world.pools);
	cr_expect_not_null(lease->bound);
	end_holder(holder);
	RUN_UNTIL(has_ended(&a));
}

Test(bind, who_came_back_after_a_reboot_keeps_it_across_a_restart)
{
	struct boot_id other = *clock_boot_id();
	pid_t holder = new_holder();
	struct acquire_spec spec;
	struct answer a, b;

	bind_to(&spec, holder, &a);
	((uint8_t *)&other)[0] ^= 1;
	clock_fake(clock_wall_usec(), clock_boot_usec(), &other);
	world_restart(false);
	cr_expect(has_ended(&a), "no process lives through that");
	spec.pool = world.pool;
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(b.lease, a.lease, "%s", b.text);
	cr_expect_not(has_ended(&a));
	world_restart(false);
	cr_expect_not(has_ended(&a));
	end_holder(holder);
}

Test(bind, who_asks_again_with_its_key_was_heard)
{
	struct acquire_spec spec = spec_of("anna");
	struct boot_id other = *clock_boot_id();
	struct answer a, b;

	world_add_pool(1, 1);
	strcpy(spec.key, "k");
	ask_and_wait(&spec, &a);
	((uint8_t *)&other)[0] ^= 1;
	clock_fake(clock_wall_usec(), clock_boot_usec(), &other);
	world_restart(false);
	spec.pool = world.pool;
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(b.lease, a.lease, "%s", b.text);
	cr_expect(boot_id_is_same(&lease_of(&a)->rec.heard.boot, &other), "not of another boot any more");
	cr_expect_gt(lease_of(&a)->rec.deadline.boot_usec, clock_boot_usec());
}

Test(bind, a_look_for_processes_that_hangs_is_ended_and_reaped)
{
	struct acquire_spec spec = spec_of("anna");
	char path[64], text[256] = "";
	uint64_t began, turn;
	struct lease *lease;
	struct answer a;
	pid_t child = 0;
	FILE *f;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	lease = lease_of(&a);
	lease_inquire(lease);
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	cr_assert_not_null(f);
	cr_assert_not_null(fgets(text, sizeof(text), f));
	fclose(f);
	for (char *p = text; *p; p += strcspn(p, " "), p += strspn(p, " \n"))
		child = (pid_t)atoi(p);
	cr_assert_eq(kill(child, SIGSTOP), 0);
	began = clock_boot_usec();
	while (lease->inquiry) {
		turn = clock_boot_usec();
		cr_assert_lt(turn - began, 30 * USEC_PER_SEC);
		sd_event_run(world.event, 20000);
		cr_expect_lt(clock_boot_usec() - turn, 2 * USEC_PER_SEC);
	}
	RUN_UNTIL(kill(child, 0) < 0);
}

Test(bind, connection_that_could_not_be_recorded_is_not_the_lease_s)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_MIN);
	struct answer a, b;

	world_add_pool(1, 1);
	strcpy(spec.key, "k");
	spec.bind = LEASE_BIND_CONNECTION;
	spec.conn_id = 11;
	ask_and_wait(&spec, &a);
	pools_conn_gone(world.pools, 11);
	world_settle();
	lease_renew(lease_of(&a), -1, NULL, false);
	world_settle();
	cr_assert_eq(lease_of(&a)->rec.bind, LEASE_BIND_TTL, "it lives by its reports now");
	spec.conn_id = 12;
	break_ledger();
	ask_and_wait(&spec, &b);
	mend_ledger();
	cr_assert_str_eq(b.error, "LedgerFailed");
	pools_conn_gone(world.pools, 12);
	world_settle();
	cr_expect_eq(lease_of(&a)->rec.bound_end.wall_usec, 0);
}

/* Who gets a slot, and who gets which answer. */
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(acquire, .init = world_open, .fini = world_close);

Test(acquire, ready_slot_is_leased_after_the_commit)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 2);
	cr_assert_not_null(ask(&spec, &a));
	cr_expect_eq(a.told, 0, "no answer before the turn ends");
	RUN_UNTIL(a.told);
	cr_expect_str_eq(a.slot, "p-1");
	cr_expect_eq(count(SLOT_STATE_LEASED), 1);
	cr_expect_eq(slot_of("p-1")->rec.state, SLOT_STATE_LEASED);
}

Test(acquire, full_pool_is_busy_at_once_without_a_wait)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	ask(&spec, &b);
	world_settle();
	cr_expect_eq(b.told, 1);
	cr_expect_str_eq(b.error, "Busy");
}

Test(acquire, max_is_never_passed)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer answers[8];
	unsigned granted = 0;

	world_add_pool(1, 3);
	for (int i = 0; i < 8; i++)
		ask(&spec, &answers[i]);
	for (int i = 0; i < 8; i++)
		RUN_UNTIL(answers[i].told);
	for (int i = 0; i < 8; i++)
		granted += answers[i].lease[0] != '\0';
	cr_expect_eq(granted, 3);
	cr_expect_eq(pool_total(world.pool), 3);
}

Test(acquire, waiters_are_served_in_order_of_arrival)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_HOUR);
	struct answer first, waiting[3];

	world_add_pool(1, 1);
	ask_and_wait(&spec, &first);
	for (int i = 0; i < 3; i++)
		ask(&spec, &waiting[i]);
	give_back(&first, false);
	RUN_UNTIL(waiting[0].told);
	cr_expect_eq(waiting[1].told + waiting[2].told, 0);
	give_back(&waiting[0], false);
	RUN_UNTIL(waiting[1].told);
	cr_expect_eq(waiting[2].told, 0);
	give_back(&waiting[1], false);
	RUN_UNTIL(waiting[2].told);
	cr_expect_neq(waiting[2].lease[0], '\0');
}

Test(acquire, higher_priority_goes_first_and_waiting_adds_to_it)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_HOUR);
	struct answer first, low, high;
	struct waiter *old;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &first);
	spec.priority = 0;
	old = ask(&spec, &low);
	spec.priority = 3;
	ask(&spec, &high);
	give_back(&first, false);
	RUN_UNTIL(high.told);
	cr_expect_eq(low.told, 0);
	/* four minutes later even the lowest is before a new critical one */
	old->since_usec -= 4 * USEC_PER_MIN;
	first = high;
	ask(&spec, &high);
	give_back(&first, false);
	RUN_UNTIL(low.told);
	cr_expect_eq(high.told, 0);
}

Test(acquire, wait_that_is_over_is_busy_and_says_what_is_leased)
{
	struct acquire_spec spec = spec_waiting("anna", 200 * USEC_PER_MSEC);
	struct answer a, b;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(b.error, "Busy");
	cr_expect_not_null(strstr(b.text, "1 of 1 leased"), "%s", b.text);
	cr_expect_eq(world.pool->n_waiting, 0);
}

Test(acquire, same_key_and_request_is_the_same_lease)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b, c, d;

	world_add_pool(1, 2);
	strcpy(spec.key, "k");
	ask_and_wait(&spec, &a);
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(a.lease, b.lease);
	cr_expect_eq(a.token, b.token);
	strcpy(spec.agent, "other");
	ask_and_wait(&spec, &c);
	cr_expect_str_eq(c.error, "KeyReused");
	strcpy(spec.agent, "anna");
	give_back(&a, false);
	world_settle();
	ask_and_wait(&spec, &d);
	cr_expect_str_eq(d.error, "LeaseGone", "never somebody else's slot");
}

Test(acquire, same_key_of_another_uid_is_another_key)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;

	world_add_pool(2, 2);
	strcpy(spec.key, "k");
	ask(&spec, &a);
	spec.uid = 1000;
	ask(&spec, &b);
	RUN_UNTIL(a.told && b.told);
	cr_expect_str_neq(a.lease, b.lease);
}

Test(acquire, asker_who_comes_back_with_the_key_keeps_the_place)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_HOUR);
	struct answer first, lost, back, other;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &first);
	strcpy(spec.key, "k");
	ask(&spec, &lost);
	strcpy(spec.key, "l");
	ask(&spec, &other);
	strcpy(spec.key, "k");
	ask(&spec, &back);
	world_settle();
	cr_expect_str_eq(lost.error, "Conflict", "the first asker is let go");
	cr_expect_eq(world.pool->n_waiting, 2);
	give_back(&first, false);
	RUN_UNTIL(back.told);
	cr_expect_neq(back.lease[0], '\0');
	cr_expect_eq(other.told, 0);
}

Test(acquire, abandoned_waiter_leaves_nothing_behind)
{
	struct acquire_spec spec = spec_of("anna");
	struct waiter *waiter;
	struct answer a, b, c;

	world_add_pool(1, 1);
	/* while it waits in line */
	waiter = ask(&spec, &a);
	waiter_abandon(waiter);
	world_settle();
	cr_expect_eq(a.told, 0);
	cr_expect_eq(world.pool->n_waiting, 0);
	cr_expect_eq(count(SLOT_STATE_READY), 1);
	/* while its slot is being prepared */
	strcpy(spec.branch, "feature");
	waiter = ask(&spec, &b);
	RUN_UNTIL(count(SLOT_STATE_PREPARING) == 1);
	waiter_abandon(waiter);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_eq(b.told, 0);
	/* and the next one gets it, on the branch */
	ask_and_wait(&spec, &c);
	cr_expect_neq(c.lease[0], '\0', "%s", c.text);
}

Test(acquire, branch_is_made_and_nobody_else_gets_it)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;

	world_add_pool(2, 2);
	strcpy(spec.branch, "feature");
	ask(&spec, &a);
	ask(&spec, &b);
	RUN_UNTIL(a.told && b.told);
	cr_expect_neq(a.lease[0], '\0', "%s", a.text);
	cr_expect_str_eq(b.error, "BranchInUse");
	cr_expect_not_null(strstr(b.text, a.slot), "%s", b.text);
	cr_expect_eq(shell("git -C %s/slots/p/%s symbolic-ref -q HEAD | grep -qx refs/heads/feature",
			   world.dir, a.slot), 0);
}

Test(acquire, branch_of_a_slot_that_is_being_cleaned_is_waited_for)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;

	world_add_pool(2, 2);
	strcpy(spec.branch, "feature");
	ask_and_wait(&spec, &a);
	cr_assert_neq(a.lease[0], '\0', "%s", a.text);
	give_back(&a, false);
	strcpy(spec.agent, "bert");
	ask_and_wait(&spec, &b);
	cr_expect_neq(b.lease[0], '\0', "%s", b.text);
}

Test(acquire, worker_killed_over_a_branch_does_not_lose_it)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(2, 2);
	strcpy(spec.branch, "feature");
	ask(&spec, &a);
	RUN_UNTIL(count(SLOT_STATE_PREPARING) == 1);
	/* any worker that lives now: one of them has the job, or will have it */
	shell("pkill -KILL -f 'slotd-worker.*%s'", world.dir);
	RUN_UNTIL(a.told);
	cr_expect_neq(a.lease[0], '\0', "%s", a.text);
}

Test(acquire, ref_that_does_not_exist_is_not_found_and_the_slot_is_ready_again)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	strcpy(spec.ref, "nowhere");
	ask_and_wait(&spec, &a);
	cr_expect_str_eq(a.error, "NotFound");
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
}

Test(acquire, commit_of_a_moment_ago_is_what_is_handed_out)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	cr_assert_eq(shell("cd %s/repo && echo two >a && git -c user.name=a -c user.email=a@b "
			   "commit -qam two", world.dir), 0);
	ask_and_wait(&spec, &a);
	cr_expect_eq(shell("grep -qx two %s/slots/p/%s/a", world.dir, a.slot), 0);
}

Test(acquire, agent_gets_the_slot_it_had_before)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b, again;

	world_add_pool(2, 2);
	ask(&spec, &a);
	strcpy(spec.agent, "bert");
	ask(&spec, &b);
	RUN_UNTIL(a.told && b.told);
	give_back(&a, false);
	give_back(&b, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 2);
	ask_and_wait(&spec, &again);
	cr_expect_str_eq(again.slot, b.slot, "its caches are warm");
}

Test(acquire, paused_draining_and_isolated_pools_are_unavailable_even_to_who_waits)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_HOUR);
	struct answer a;

	world_add_pool(1, 1);
	pool_set_paused(world.pool, true, false, 0);
	ask(&spec, &a);
	cr_expect_str_eq(a.error, "Unavailable");
	pool_set_paused(world.pool, false, false, 0);
	slot_move(slot_of("p-1"), SLOT_STATE_ISOLATED, "test");
	world_settle();
	ask(&spec, &a);
	world_settle();
	cr_expect_str_eq(a.error, "Unavailable");
	cr_expect_not_null(strstr(a.text, "pool p has 1 slot, and it is isolated; p-1: test"), "%s",
			   a.text);
}

Test(acquire, all_that_waited_with_a_key_keep_their_places_over_a_restart)
{
	struct acquire_spec spec = spec_of("holder");
	struct answer held, a[4];
	struct waiter *w;
	unsigned n = 0;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &held);
	for (int i = 0; i < 4; i++) {
		spec = spec_waiting("anna", USEC_PER_HOUR);
		snprintf(spec.key, sizeof(spec.key), "k%d", i);
		ask(&spec, &a[i]);
	}
	world_settle();
	world.conf->limits.pending_per_uid = 2;
	world_restart(false);
	world_settle();
	list_for_each(w, &world.pool->waiters, link)
		n += w->away_until_usec != 0;
	cr_expect_eq(n, 4);
	give_back(&held, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	world_settle();
	cr_expect_eq(count(SLOT_STATE_LEASED), 0, "nobody is given a slot who is not there");
}

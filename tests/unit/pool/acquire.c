/* Who gets a slot, and who gets which answer. */
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(acquire, ready_slot_is_leased_after_the_commit)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 2);
	spec = spec_of(&w, "anna");
	cr_assert_not_null(ask(&w, &spec, &a));
	cr_expect_eq(a.told, 0, "no answer before the turn ends");
	RUN_UNTIL(&w, a.told);
	cr_expect_str_eq(a.slot, "p-1");
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_LEASED), 1);
	cr_expect_eq(pools_find_slot(w.pools, "p-1")->rec.state, SLOT_STATE_LEASED);
	world_close(&w);
}

Test(acquire, full_pool_is_busy_at_once_without_a_wait)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	ask(&w, &spec, &b);
	world_settle(&w);
	cr_expect_eq(b.told, 1);
	cr_expect_str_eq(b.error, "Busy");
	world_close(&w);
}

Test(acquire, max_is_never_passed)
{
	struct answer answers[8];
	struct acquire_spec spec;
	unsigned granted = 0;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 3);
	spec = spec_of(&w, "anna");
	for (int i = 0; i < 8; i++)
		ask(&w, &spec, &answers[i]);
	for (int i = 0; i < 8; i++)
		RUN_UNTIL(&w, answers[i].told);
	for (int i = 0; i < 8; i++)
		granted += answers[i].lease[0] != '\0';
	cr_expect_eq(granted, 3);
	cr_expect_eq(pool_total(w.pool), 3);
	world_close(&w);
}

Test(acquire, waiters_are_served_in_order_of_arrival)
{
	struct answer first, waiting[3];
	struct acquire_spec spec;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &first);
	RUN_UNTIL(&w, first.told);
	spec.has_wait = true;
	spec.wait_usec = USEC_PER_HOUR;
	for (int i = 0; i < 3; i++)
		ask(&w, &spec, &waiting[i]);
	give_back(&w, &first, false);
	RUN_UNTIL(&w, waiting[0].told);
	cr_expect_eq(waiting[1].told + waiting[2].told, 0);
	give_back(&w, &waiting[0], false);
	RUN_UNTIL(&w, waiting[1].told);
	cr_expect_eq(waiting[2].told, 0);
	give_back(&w, &waiting[1], false);
	RUN_UNTIL(&w, waiting[2].told);
	cr_expect_neq(waiting[2].lease[0], '\0');
	world_close(&w);
}

Test(acquire, higher_priority_goes_first_and_waiting_adds_to_it)
{
	struct answer first, low, high;
	struct acquire_spec spec;
	struct waiter *old;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &first);
	RUN_UNTIL(&w, first.told);
	spec.has_wait = true;
	spec.wait_usec = USEC_PER_HOUR;
	spec.priority = 0;
	old = ask(&w, &spec, &low);
	spec.priority = 3;
	ask(&w, &spec, &high);
	give_back(&w, &first, false);
	RUN_UNTIL(&w, high.told);
	cr_expect_eq(low.told, 0);
	/* four minutes later even the lowest is before a new critical one */
	old->since_usec -= 4 * USEC_PER_MIN;
	first = high;
	ask(&w, &spec, &high);
	give_back(&w, &first, false);
	RUN_UNTIL(&w, low.told);
	cr_expect_eq(high.told, 0);
	world_close(&w);
}

Test(acquire, wait_that_is_over_is_busy_and_says_what_is_leased)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	spec.has_wait = true;
	spec.wait_usec = 200 * USEC_PER_MSEC;
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, b.told);
	cr_expect_str_eq(b.error, "Busy");
	cr_expect_not_null(strstr(b.text, "1 of 1 leased"), "%s", b.text);
	cr_expect_eq(w.pool->n_waiting, 0);
	world_close(&w);
}

Test(acquire, same_key_and_request_is_the_same_lease)
{
	struct acquire_spec spec;
	struct answer a, b, c, d;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 2);
	spec = spec_of(&w, "anna");
	strcpy(spec.key, "k");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, b.told);
	cr_expect_str_eq(a.lease, b.lease);
	cr_expect_eq(a.token, b.token);
	strcpy(spec.agent, "other");
	ask(&w, &spec, &c);
	RUN_UNTIL(&w, c.told);
	cr_expect_str_eq(c.error, "KeyReused");
	strcpy(spec.agent, "anna");
	give_back(&w, &a, false);
	world_settle(&w);
	ask(&w, &spec, &d);
	RUN_UNTIL(&w, d.told);
	cr_expect_str_eq(d.error, "LeaseGone", "never somebody else's slot");
	world_close(&w);
}

Test(acquire, same_key_of_another_uid_is_another_key)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 2);
	spec = spec_of(&w, "anna");
	strcpy(spec.key, "k");
	ask(&w, &spec, &a);
	spec.uid = 1000;
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, a.told && b.told);
	cr_expect_str_neq(a.lease, b.lease);
	world_close(&w);
}

Test(acquire, asker_who_comes_back_with_the_key_keeps_the_place)
{
	struct answer first, lost, back, other;
	struct acquire_spec spec;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &first);
	RUN_UNTIL(&w, first.told);
	spec.has_wait = true;
	spec.wait_usec = USEC_PER_HOUR;
	strcpy(spec.key, "k");
	ask(&w, &spec, &lost);
	strcpy(spec.key, "l");
	ask(&w, &spec, &other);
	strcpy(spec.key, "k");
	ask(&w, &spec, &back);
	world_settle(&w);
	cr_expect_str_eq(lost.error, "Conflict", "the first asker is let go");
	cr_expect_eq(w.pool->n_waiting, 2);
	give_back(&w, &first, false);
	RUN_UNTIL(&w, back.told);
	cr_expect_neq(back.lease[0], '\0');
	cr_expect_eq(other.told, 0);
	world_close(&w);
}

Test(acquire, abandoned_waiter_leaves_nothing_behind)
{
	struct acquire_spec spec;
	struct waiter *waiter;
	struct answer a, b, c;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	/* while it waits in line */
	waiter = ask(&w, &spec, &a);
	waiter_abandon(waiter);
	world_settle(&w);
	cr_expect_eq(a.told, 0);
	cr_expect_eq(w.pool->n_waiting, 0);
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_READY), 1);
	/* while its slot is being prepared */
	strcpy(spec.branch, "feature");
	waiter = ask(&w, &spec, &b);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_PREPARING) == 1);
	waiter_abandon(waiter);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	cr_expect_eq(b.told, 0);
	/* and the next one gets it, on the branch */
	ask(&w, &spec, &c);
	RUN_UNTIL(&w, c.told);
	cr_expect_neq(c.lease[0], '\0', "%s", c.text);
	world_close(&w);
}

Test(acquire, branch_is_made_and_nobody_else_gets_it)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 2);
	spec = spec_of(&w, "anna");
	strcpy(spec.branch, "feature");
	ask(&w, &spec, &a);
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, a.told && b.told);
	cr_expect_neq(a.lease[0], '\0', "%s", a.text);
	cr_expect_str_eq(b.error, "BranchInUse");
	cr_expect_not_null(strstr(b.text, a.slot), "%s", b.text);
	cr_expect_eq(shell("git -C %s/slots/p/%s symbolic-ref -q HEAD | grep -qx refs/heads/feature",
			   w.dir, a.slot), 0);
	world_close(&w);
}

Test(acquire, branch_of_a_slot_that_is_being_cleaned_is_waited_for)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 2);
	spec = spec_of(&w, "anna");
	strcpy(spec.branch, "feature");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_assert_neq(a.lease[0], '\0', "%s", a.text);
	give_back(&w, &a, false);
	strcpy(spec.agent, "bert");
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, b.told);
	cr_expect_neq(b.lease[0], '\0', "%s", b.text);
	world_close(&w);
}

Test(acquire, worker_killed_over_a_branch_does_not_lose_it)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 2);
	spec = spec_of(&w, "anna");
	strcpy(spec.branch, "feature");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_PREPARING) == 1);
	/* any worker that lives now: one of them has the job, or will have it */
	shell("pkill -KILL -f 'slotd-worker.*%s'", w.dir);
	RUN_UNTIL(&w, a.told);
	cr_expect_neq(a.lease[0], '\0', "%s", a.text);
	world_close(&w);
}

Test(acquire, ref_that_does_not_exist_is_not_found_and_the_slot_is_ready_again)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	strcpy(spec.ref, "nowhere");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_expect_str_eq(a.error, "NotFound");
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	world_close(&w);
}

Test(acquire, commit_of_a_moment_ago_is_what_is_handed_out)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	cr_assert_eq(shell("cd %s/repo && echo two >a && git -c user.name=a -c user.email=a@b "
			   "commit -qam two", w.dir), 0);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_expect_eq(shell("grep -qx two %s/slots/p/%s/a", w.dir, a.slot), 0);
	world_close(&w);
}

Test(acquire, agent_gets_the_slot_it_had_before)
{
	struct answer a, b, again;
	struct acquire_spec spec;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 2);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	strcpy(spec.agent, "bert");
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, a.told && b.told);
	give_back(&w, &a, false);
	give_back(&w, &b, false);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 2);
	ask(&w, &spec, &again);
	RUN_UNTIL(&w, again.told);
	cr_expect_str_eq(again.slot, b.slot, "its caches are warm");
	world_close(&w);
}

Test(acquire, paused_draining_and_isolated_pools_are_unavailable_even_to_who_waits)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	spec.has_wait = true;
	spec.wait_usec = USEC_PER_HOUR;
	pool_set_paused(w.pool, true, false, 0);
	ask(&w, &spec, &a);
	cr_expect_str_eq(a.error, "Unavailable");
	pool_set_paused(w.pool, false, false, 0);
	slot_move(pools_find_slot(w.pools, "p-1"), SLOT_STATE_ISOLATED, "test");
	world_settle(&w);
	ask(&w, &spec, &a);
	world_settle(&w);
	cr_expect_str_eq(a.error, "Unavailable");
	cr_expect_not_null(strstr(a.text, "isolated"));
	world_close(&w);
}

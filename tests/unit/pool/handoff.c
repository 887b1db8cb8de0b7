/* What a lease leaves follows the ledger, and the newest of a name counts. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(handoff, .init = world_open, .fini = world_close);

static struct acquire_spec on_task(const char *task)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_MIN);

	strcpy(spec.task, task);
	return spec;
}

static struct id id_of(const struct answer *a)
{
	struct id id;

	cr_assert_eq(id_from_string(a->lease, &id), 0);
	return id;
}

static const struct handoff *left_by(const struct answer *a)
{
	struct id id = id_of(a);

	return handoff_find(world.pools, &id);
}

static void lose(const struct answer *a)
{
	lease_finish(lease_of(a), LEASE_END_EXPIRED, false, 0, "lost");
}

static bool is_given(const struct answer *to, const struct answer *from)
{
	struct id id = id_of(from);

	return id_is_equal(&lease_record(lease_of(to))->handoff, &id);
}

Test(handoff, end_that_could_not_be_recorded_leaves_nothing_and_hides_nothing)
{
	struct acquire_spec spec = on_task("T");
	struct answer first, second, third;

	world_add_pool(1, 2);
	ask_and_wait(&spec, &first);
	lose(&first);
	RUN_UNTIL(count(SLOT_STATE_READY) >= 1);
	ask_and_wait(&spec, &second);
	cr_assert(is_given(&second, &first));
	break_ledger();
	lose(&second);
	world_settle();
	mend_ledger();
	cr_expect_not_null(lease_of(&second), "it lives on");
	cr_expect_null(left_by(&second));
	cr_assert_not_null(left_by(&first));
	cr_expect_eq(handoff_find_by_name(world.pools, "T"), left_by(&first));
	ask_and_wait(&spec, &third);
	cr_expect(is_given(&third, &first), "the newest that there is");
}

Test(handoff, newest_of_a_task_counts_also_after_a_restart)
{
	struct acquire_spec spec = on_task("T");
	struct answer a[4];

	world_add_pool(1, 1);
	for (int i = 0; i < 3; i++) {
		ask_and_wait(&spec, &a[i]);
		lose(&a[i]);
		RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	}
	world_restart(false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	for (int i = 0; i < 3; i++)
		cr_expect_not_null(left_by(&a[i]));
	ask_and_wait(&spec, &a[3]);
	cr_expect(is_given(&a[3], &a[2]));
}

Test(handoff, is_dropped_in_its_time_and_not_while_its_lease_lives)
{
	struct acquire_spec spec = on_task("T");
	uint64_t now = clock_boot_usec();
	struct answer first, second;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &first);
	lose(&first);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	spec.bind = LEASE_BIND_MANUAL;
	ask_and_wait(&spec, &second);
	world_settle();
	clock_fake(1, now + 25 * USEC_PER_HOUR, NULL);
	handoffs_expire(world.pools);
	world_settle();
	cr_expect_not_null(left_by(&first), "the same key has to give the same answer");
	give_back(&second, false);
	world_settle();
	handoffs_expire(world.pools);
	world_settle();
	cr_expect_null(left_by(&first));
	cr_expect_not_null(left_by(&second));
	world_settle();
	clock_real();
	world_restart(false);
	cr_expect_null(left_by(&first), "nor is it in the ledger");
}

Test(handoff, what_came_to_its_end_is_given_only_to_who_asks)
{
	struct acquire_spec spec = on_task("T");
	struct answer first, second, third;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &first);
	give_back(&first, false);
	ask_and_wait(&spec, &second);
	cr_expect_not(is_given(&second, &first));
	give_back(&second, false);
	memset(spec.task, 0, sizeof(spec.task));
	strcpy(spec.resume, first.lease);
	ask_and_wait(&spec, &third);
	cr_expect(is_given(&third, &first));
	cr_expect_str_eq(lease_record(lease_of(&third))->task, "T");
	cr_expect_str_eq(third.slot, first.slot);
}

Test(handoff, same_request_again_means_what_it_meant_first)
{
	struct acquire_spec spec = on_task("T"), other;
	struct answer lost, first, again, third;
	struct waiter *w;

	world_add_pool(2, 2);
	strcpy(spec.branch, "work");
	ask_and_wait(&spec, &lost);
	lose(&lost);
	RUN_UNTIL(count(SLOT_STATE_READY) == 2);
	spec = spec_waiting("bert", USEC_PER_MIN);
	strcpy(spec.key, "k");
	strcpy(spec.resume, "T");
	spec.branch_by_pool = true;
	w = ask(&spec, &first);
	RUN_UNTIL(w->slot); /* it is being prepared, with the branch */
	ask(&spec, &again);
	cr_expect_str_eq(w->spec.branch, "work");
	other = spec_waiting("carl", USEC_PER_MIN);
	strcpy(other.branch, "work");
	ask(&other, &third);
	RUN_UNTIL(again.told && third.told);
	cr_expect_str_eq(first.error, "Conflict");
	cr_expect_str_eq(lease_record(lease_of(&again))->branch, "work");
	cr_expect_str_eq(third.error, "BranchInUse");
}

Test(handoff, drop_that_cannot_be_recorded_drops_nothing)
{
	struct acquire_spec spec = on_task("T");
	uint64_t now = clock_boot_usec();
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	lose(&a);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	world_settle();
	clock_fake(1, now + 25 * USEC_PER_HOUR, NULL);
	break_ledger();
	handoffs_expire(world.pools);
	world_settle();
	mend_ledger();
	cr_expect_not_null(left_by(&a));
	handoffs_expire(world.pools);
	world_settle();
	cr_expect_null(left_by(&a));
	clock_real();
}

Test(handoff, a_key_that_expires_in_each_round_keeps_none)
{
	struct acquire_spec spec = on_task("T");
	uint64_t wall = clock_wall_usec(), boot = clock_boot_usec();
	struct answer a;

	world_add_pool(1, 1);
	strcpy(spec.key, "k");
	ask_and_wait(&spec, &a);
	lose(&a);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	world_settle();
	clock_fake(wall + 26 * USEC_PER_HOUR, boot + 26 * USEC_PER_HOUR, NULL);
	keys_expire(world.pools);
	handoffs_expire(world.pools);
	world_settle();
	cr_expect_eq(world.pools->n_ended_keys, 0);
	cr_expect_eq(world.pools->n_handoffs, 0);
	clock_real();
}

/*
 * The ledger cannot be written. The failure is a real one: RLIMIT_FSIZE lets no file grow or be
 * written beyond a few bytes, so the commit's own write fails.
 */
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

static void run_for(uint64_t usec)
{
	uint64_t end = clock_boot_usec() + usec;

	while (clock_boot_usec() < end)
		sd_event_run(world.event, 20000);
}

static void say(const struct refusal *refusal, char *ret)
{
	if (!world.over)
		snprintf(ret, 32, "%s", refusal->error ? refusal->error : "done");
}

static void on_pool(struct pool *pool, const struct refusal *refusal, void *userdata)
{
	say(refusal, userdata);
}

static struct pool *add_pool(const char *url, char *ret_answer)
{
	_cleanup_(freep) char *path = text_printf("%s/repo", world.dir);
	struct refusal no = { 0 };

	cr_assert_eq(pool_add(world.pools, "q", url, url ? NULL : path, NULL, 1, 1, 0, NULL, on_pool,
			      ret_answer, NULL, &no), 0, "%s", no.why.text);
	return pools_find(world.pools, "q");
}

static void on_removed(const char *name, const struct pool_removal *removal,
		       const struct refusal *refusal, void *userdata)
{
	say(refusal, userdata);
}

TestSuite(failure, .init = world_open, .fini = world_close);

Test(failure, grant_that_cannot_be_recorded_never_happened)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;
	uint64_t token;

	world_add_pool(1, 1);
	token = slot_of("p-1")->rec.token;
	strcpy(spec.key, "k");
	break_ledger();
	ask_and_wait(&spec, &a);
	cr_expect_str_eq(a.error, "LedgerFailed", "%s", a.text);
	cr_expect_eq(count(SLOT_STATE_READY), 1, "memory is put back");
	cr_expect_eq(world.pools->n_leases, 0);
	cr_expect_eq(slot_of("p-1")->rec.token, token);
	cr_expect_null(key_find(world.pools, 0, "k"));
	mend_ledger();
	ask_and_wait(&spec, &b);
	cr_expect_neq(b.lease[0], '\0', "%s", b.text);
}

Test(failure, release_that_cannot_be_recorded_leaves_the_lease)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	strcpy(spec.key, "k");
	ask_and_wait(&spec, &a);
	break_ledger();
	give_back(&a, false);
	world_settle();
	cr_expect_not_null(lease_of(&a));
	cr_expect_eq(count(SLOT_STATE_LEASED), 1);
	mend_ledger();
	world_restart(false);
	cr_expect_not_null(lease_of(&a));
	give_back(&a, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
}

Test(failure, waiter_whose_slot_could_not_be_reserved_still_waits)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	strcpy(spec.branch, "feature");
	break_ledger();
	ask(&spec, &a);
	world_settle();
	cr_expect_eq(a.told, 0);
	cr_expect_eq(world.pool->n_waiting, 1);
	cr_expect_eq(count(SLOT_STATE_READY), 1);
	mend_ledger();
	RUN_UNTIL(a.told);
	cr_expect_neq(a.lease[0], '\0', "%s", a.text);
}

Test(failure, slot_that_was_cleaned_is_ready_once_that_can_be_recorded)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	give_back(&a, true);
	RUN_UNTIL(slot_of("p-1")->job != NULL);
	break_ledger();
	RUN_UNTIL(slot_of("p-1")->job == NULL);
	mend_ledger();
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
}

Test(failure, pool_that_cannot_be_recorded_is_forgotten_with_all_who_asked_for_it)
{
	struct acquire_spec spec = { .has_wait = true, .wait_usec = USEC_PER_MIN };
	char added[32] = "", removed[32] = "";
	struct refusal no = { 0 };
	struct answer a;

	break_ledger();
	spec.pool = add_pool(NULL, added);
	ask(&spec, &a);
	cr_expect_lt(pool_remove(spec.pool, false, 0, on_removed, removed, &no), 0);
	world_settle();
	mend_ledger();
	cr_expect_str_eq(added, "LedgerFailed");
	cr_expect_str_eq(a.error, "LedgerFailed");
	cr_expect_str_eq(removed, "");
	cr_expect_null(pools_find(world.pools, "q"));
}

Test(failure, pool_that_could_not_be_made_goes_once_that_can_be_recorded)
{
	char added[32] = "";
	struct pool *pool;

	pool = add_pool("file:///nowhere/at/all", added);
	RUN_UNTIL(pool->store_job);
	break_ledger();
	RUN_UNTIL(added[0]);
	world_settle();
	cr_expect_eq(pools_find(world.pools, "q"), pool);
	mend_ledger();
	RUN_UNTIL(!pools_find(world.pools, "q"));
	world_settle();
}

Test(failure, lease_whose_end_could_not_be_recorded_still_expires)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	spec.ttl_usec = USEC_PER_SEC;
	ask_and_wait(&spec, &a);
	break_ledger();
	run_for(2500 * USEC_PER_MSEC);
	world_settle();
	cr_assert_not_null(lease_of(&a));
	cr_expect_str_eq(lease_status(lease_of(&a)), "expired");
	mend_ledger();
	RUN_UNTIL(!lease_of(&a));
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
}

Test(failure, answer_from_a_key_waits_for_the_commit_of_its_grant)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;
	struct slot *slot;

	world_add_pool(1, 1);
	slot = slot_of("p-1");
	strcpy(spec.branch, "feature");
	strcpy(spec.key, "k");
	ask(&spec, &a);
	/* as far as the turn in which the slot was prepared, and no further */
	RUN_UNTIL(slot->rec.state == SLOT_STATE_LEASED);
	cr_assert_eq(a.told, 0);
	break_ledger();
	ask(&spec, &b);
	cr_expect_eq(b.told, 0, "%s is not on disk", b.lease);
	world_settle();
	mend_ledger();
	cr_expect_str_eq(a.error, "LedgerFailed");
	cr_expect_str_eq(b.error, "LedgerFailed");
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
}

Test(failure, head_that_could_not_be_recorded_is_looked_at_again)
{
	struct acquire_spec spec = spec_of("anna");
	char was[OID_SIZE];
	struct answer a;

	world_add_pool(1, 1);
	memcpy(was, world.pool->rec.head, sizeof(was));
	cr_assert_eq(shell("git -C %s/repo -c user.name=a -c user.email=a@b commit -q --allow-empty "
			   "-m two", world.dir), 0);
	RUN_UNTIL(world.pool->store_job);
	break_ledger();
	RUN_UNTIL(!world.pool->store_job);
	world_settle();
	cr_assert_str_eq(world.pool->rec.head, was);
	mend_ledger();
	RUN_UNTIL(strcmp(world.pool->rec.head, was) != 0);
	ask_and_wait(&spec, &a);
	cr_expect_str_neq(lease_of(&a)->rec.base, was);
}

Test(failure, removal_that_cannot_be_recorded_does_nothing)
{
	char removed[32] = "";
	struct refusal no = { 0 };

	world_add_pool(0, 1);
	cr_assert_eq(shell("test -e %s/repo/.git/slotd/owner", world.dir), 0);
	break_ledger();
	cr_assert_eq(pool_remove(world.pool, false, 0, on_removed, removed, &no), 0);
	RUN_UNTIL(removed[0]);
	cr_expect_str_eq(removed, "LedgerFailed");
	mend_ledger();
	run_for(USEC_PER_SEC);
	cr_expect_eq(shell("test -e %s/repo/.git/slotd/owner", world.dir), 0,
		     "the mark is still there");
	cr_expect_eq(world.pool->rec.state, POOL_STATE_ACTIVE);
}

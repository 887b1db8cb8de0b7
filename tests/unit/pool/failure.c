/*
 * The ledger cannot be written. The failure is a real one: RLIMIT_FSIZE lets no file grow or be
 * written beyond a few bytes, so the commit's own write fails.
 */
#include "world.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "util/cleanup.h"
#include "util/text.h"

static struct rlimit before;

static void break_ledger(void)
{
	struct rlimit none;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
}

static void mend_ledger(void)
{
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
}

static void run_for(struct world *w, uint64_t usec)
{
	uint64_t end = clock_boot_usec() + usec;

	while (clock_boot_usec() < end)
		sd_event_run(w->event, 20000);
}

static void on_pool(struct pool *pool, const struct refusal *refusal, void *userdata)
{
	snprintf(userdata, 32, "%s", refusal->error ? refusal->error : "done");
}

static struct pool *add_pool(struct world *w, const char *url, char *ret_answer)
{
	_cleanup_(freep) char *path = text_printf("%s/repo", w->dir);
	struct refusal no = { 0 };

	cr_assert_eq(pool_add(w->pools, "q", url, url ? NULL : path, NULL, 1, 1, 0, NULL, on_pool,
			      ret_answer, NULL, &no), 0, "%s", no.why.text);
	return pools_find(w->pools, "q");
}

static void on_removed(const char *name, const struct pool_removal *removal,
		       const struct refusal *refusal, void *userdata)
{
	snprintf(userdata, 32, "%s", refusal->error ? refusal->error : "done");
}

Test(failure, grant_that_cannot_be_recorded_never_happened)
{
	struct acquire_spec spec;
	struct answer a, b;
	uint64_t token;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	token = pools_find_slot(w.pools, "p-1")->rec.token;
	spec = spec_of(&w, "anna");
	strcpy(spec.key, "k");
	break_ledger();
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_expect_str_eq(a.error, "LedgerFailed", "%s", a.text);
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_READY), 1, "memory is put back");
	cr_expect_eq(w.pools->n_leases, 0);
	cr_expect_eq(pools_find_slot(w.pools, "p-1")->rec.token, token);
	cr_expect_null(key_find(w.pools, 0, "k"));
	mend_ledger();
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, b.told);
	cr_expect_neq(b.lease[0], '\0', "%s", b.text);
	world_close(&w);
}

Test(failure, release_that_cannot_be_recorded_leaves_the_lease)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	strcpy(spec.key, "k");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	break_ledger();
	give_back(&w, &a, false);
	world_settle(&w);
	cr_expect_not_null(lease_of(&w, &a));
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_LEASED), 1);
	mend_ledger();
	world_restart(&w, false);
	cr_expect_not_null(lease_of(&w, &a));
	give_back(&w, &a, false);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	world_close(&w);
}

Test(failure, waiter_whose_slot_could_not_be_reserved_still_waits)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	strcpy(spec.branch, "feature");
	break_ledger();
	ask(&w, &spec, &a);
	world_settle(&w);
	cr_expect_eq(a.told, 0);
	cr_expect_eq(w.pool->n_waiting, 1);
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_READY), 1);
	mend_ledger();
	RUN_UNTIL(&w, a.told);
	cr_expect_neq(a.lease[0], '\0', "%s", a.text);
	world_close(&w);
}

Test(failure, slot_that_was_cleaned_is_ready_once_that_can_be_recorded)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	give_back(&w, &a, true);
	RUN_UNTIL(&w, pools_find_slot(w.pools, "p-1")->job != NULL);
	break_ledger();
	RUN_UNTIL(&w, pools_find_slot(w.pools, "p-1")->job == NULL);
	mend_ledger();
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	world_close(&w);
}

Test(failure, pool_that_cannot_be_recorded_is_forgotten_with_all_who_asked_for_it)
{
	struct acquire_spec spec = { .has_wait = true, .wait_usec = USEC_PER_MIN };
	char added[32] = "", removed[32] = "";
	struct refusal no = { 0 };
	struct answer a;
	struct world w;

	world_open(&w);
	break_ledger();
	spec.pool = add_pool(&w, NULL, added);
	ask(&w, &spec, &a);
	cr_expect_lt(pool_remove(spec.pool, false, 0, on_removed, removed, &no), 0);
	world_settle(&w);
	mend_ledger();
	cr_expect_str_eq(added, "LedgerFailed");
	cr_expect_str_eq(a.error, "LedgerFailed");
	cr_expect_str_eq(removed, "");
	cr_expect_null(pools_find(w.pools, "q"));
	world_close(&w);
}

Test(failure, pool_that_could_not_be_made_goes_once_that_can_be_recorded)
{
	char added[32] = "";
	struct pool *pool;
	struct world w;

	world_open(&w);
	pool = add_pool(&w, "file:///nowhere/at/all", added);
	RUN_UNTIL(&w, pool->store_job);
	break_ledger();
	RUN_UNTIL(&w, added[0]);
	world_settle(&w);
	cr_expect_eq(pools_find(w.pools, "q"), pool);
	mend_ledger();
	RUN_UNTIL(&w, !pools_find(w.pools, "q"));
	world_settle(&w);
	world_close(&w);
}

Test(failure, lease_whose_end_could_not_be_recorded_still_expires)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	spec.ttl_usec = USEC_PER_SEC;
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	break_ledger();
	run_for(&w, 2500 * USEC_PER_MSEC);
	world_settle(&w);
	cr_assert_not_null(lease_of(&w, &a));
	cr_expect_str_eq(lease_status(lease_of(&w, &a)), "expired");
	mend_ledger();
	RUN_UNTIL(&w, !lease_of(&w, &a));
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	world_close(&w);
}

Test(failure, answer_from_a_key_waits_for_the_commit_of_its_grant)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct slot *slot;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	slot = pools_find_slot(w.pools, "p-1");
	spec = spec_of(&w, "anna");
	strcpy(spec.branch, "feature");
	strcpy(spec.key, "k");
	ask(&w, &spec, &a);
	/* as far as the turn in which the slot was prepared, and no further */
	RUN_UNTIL(&w, slot->rec.state == SLOT_STATE_LEASED);
	cr_assert_eq(a.told, 0);
	break_ledger();
	ask(&w, &spec, &b);
	cr_expect_eq(b.told, 0, "%s is not on disk", b.lease);
	world_settle(&w);
	mend_ledger();
	cr_expect_str_eq(a.error, "LedgerFailed");
	cr_expect_str_eq(b.error, "LedgerFailed");
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	world_close(&w);
}

Test(failure, head_that_could_not_be_recorded_is_looked_at_again)
{
	struct acquire_spec spec;
	char was[OID_SIZE];
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	memcpy(was, w.pool->rec.head, sizeof(was));
	cr_assert_eq(shell("git -C %s/repo -c user.name=a -c user.email=a@b commit -q --allow-empty "
			   "-m two", w.dir), 0);
	RUN_UNTIL(&w, w.pool->store_job);
	break_ledger();
	RUN_UNTIL(&w, !w.pool->store_job);
	world_settle(&w);
	cr_assert_str_eq(w.pool->rec.head, was);
	mend_ledger();
	RUN_UNTIL(&w, strcmp(w.pool->rec.head, was) != 0);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_expect_str_neq(lease_of(&w, &a)->rec.base, was);
	world_close(&w);
}

Test(failure, removal_that_cannot_be_recorded_does_nothing)
{
	char removed[32] = "";
	struct refusal no = { 0 };
	struct world w;

	world_open(&w);
	world_add_pool(&w, 0, 1);
	cr_assert_eq(shell("test -e %s/repo/.git/slotd/owner", w.dir), 0);
	break_ledger();
	cr_assert_eq(pool_remove(w.pool, false, 0, on_removed, removed, &no), 0);
	RUN_UNTIL(&w, removed[0]);
	cr_expect_str_eq(removed, "LedgerFailed");
	mend_ledger();
	run_for(&w, USEC_PER_SEC);
	cr_expect_eq(shell("test -e %s/repo/.git/slotd/owner", w.dir), 0, "the mark is still there");
	cr_expect_eq(w.pool->rec.state, POOL_STATE_ACTIVE);
	world_close(&w);
}

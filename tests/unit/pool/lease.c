/* Tokens, time and what a release leaves. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

Test(lease, token_rises_with_every_grant_of_a_slot)
{
	struct acquire_spec spec;
	uint64_t last = 0;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	for (int i = 0; i < 3; i++) {
		spec.has_wait = true;
		spec.wait_usec = USEC_PER_MIN;
		ask(&w, &spec, &a);
		RUN_UNTIL(&w, a.told);
		cr_expect_gt(a.token, last);
		last = a.token;
		give_back(&w, &a, false);
		if (i == 1)
			world_restart(&w, false);
		spec.pool = w.pool;
	}
	world_close(&w);
}

Test(lease, unrenewed_lease_ends_after_ttl_and_grace_and_not_before)
{
	struct acquire_spec spec;
	uint64_t granted;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	spec.ttl_usec = USEC_PER_SEC;
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	granted = clock_boot_usec();
	RUN_UNTIL(&w, !lease_of(&w, &a));
	cr_expect_geq(clock_boot_usec() - granted, 1900 * USEC_PER_MSEC, "1 s and 1 s of grace");
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	world_close(&w);
}

Test(lease, renewed_lease_lives_on)
{
	struct acquire_spec spec;
	struct lease *lease;
	uint64_t granted;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	spec.ttl_usec = USEC_PER_SEC;
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	granted = clock_boot_usec();
	while (clock_boot_usec() - granted < 3 * USEC_PER_SEC) {
		lease = lease_of(&w, &a);
		cr_assert_not_null(lease);
		lease_renew(lease, 50, "half", false);
		sd_event_run(w.event, 200000);
	}
	cr_expect_eq(lease_record(lease_of(&w, &a))->progress, 50);
	world_close(&w);
}

Test(lease, status_follows_the_clock)
{
	struct acquire_spec spec;
	struct lease *lease;
	struct answer a;
	uint64_t now;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	lease = lease_of(&w, &a);
	now = lease->rec.deadline.boot_usec - 60 * USEC_PER_SEC;
	clock_fake(1, now, NULL);
	cr_expect_str_eq(lease_status(lease), "active");
	clock_fake(1, now + 45 * USEC_PER_SEC, NULL);
	cr_expect_str_eq(lease_status(lease), "expiring_soon");
	clock_fake(1, now + 60 * USEC_PER_SEC, NULL);
	cr_expect_str_eq(lease_status(lease), "grace");
	clock_fake(1, now + 61 * USEC_PER_SEC, NULL);
	cr_expect_str_eq(lease_status(lease), "expired");
	/* the wall clock does not matter */
	clock_fake(UINT64_MAX / 2, now, NULL);
	cr_expect_str_eq(lease_status(lease), "active");
	clock_real();
	world_close(&w);
}

Test(lease, unsaved_work_isolates_the_slot_with_the_reason)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_assert_eq(shell("echo work >%s/slots/p/%s/new-file", w.dir, a.slot), 0);
	give_back(&w, &a, false);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_ISOLATED) == 1);
	cr_expect_not_null(strstr(pools_find_slot(w.pools, a.slot)->rec.reason, "new-file"));
	cr_expect_eq(shell("grep -qx work %s/slots/p/%s/new-file", w.dir, a.slot), 0);
	world_close(&w);
}

Test(lease, discarded_work_is_gone_and_the_slot_is_ready)
{
	struct acquire_spec spec;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	cr_assert_eq(shell("cd %s/slots/p/%s && echo work >new-file && echo x >>a", w.dir, a.slot), 0);
	give_back(&w, &a, true);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	cr_expect_eq(shell("cd %s/slots/p/%s && test -z \"$(git status --porcelain)\"", w.dir, a.slot),
		     0);
	world_close(&w);
}

Test(lease, number_of_a_removed_slot_is_never_used_again)
{
	struct refusal no = { 0 };
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	cr_assert_eq(slot_remove(pools_find_slot(w.pools, "p-1"), false, 0, &no), 0);
	RUN_UNTIL(&w, pools_find_slot(w.pools, "p-2") &&
			      pool_count(w.pool, SLOT_STATE_READY) == 1);
	cr_expect_null(pools_find_slot(w.pools, "p-1"));
	world_restart(&w, false);
	cr_assert_eq(slot_remove(pools_find_slot(w.pools, "p-2"), false, 0, &no), 0);
	RUN_UNTIL(&w, pools_find_slot(w.pools, "p-3"));
	world_close(&w);
}

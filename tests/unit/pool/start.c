/* What a restart finds, and goes on with. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

Test(start, leases_keys_and_slots_are_as_before)
{
	struct acquire_spec spec;
	struct answer a, b;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 4);
	spec = spec_of(&w, "anna");
	strcpy(spec.key, "k");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 2);
	world_restart(&w, false);
	cr_assert_not_null(w.pool);
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_LEASED), 1);
	spec.pool = w.pool;
	ask(&w, &spec, &b);
	RUN_UNTIL(&w, b.told);
	cr_expect_str_eq(a.lease, b.lease);
	world_close(&w);
}

Test(start, expired_while_slotd_was_away_still_gets_its_grace)
{
	struct acquire_spec spec;
	struct lease *lease;
	struct answer a;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	spec = spec_of(&w, "anna");
	ask(&w, &spec, &a);
	RUN_UNTIL(&w, a.told);
	lease = lease_of(&w, &a);
	lease->rec.deadline.boot_usec = 1;
	batch_put_lease(w.pools->batch, &lease->rec);
	pools_changed(w.pools);
	world_settle(&w);
	world_restart(&w, false);
	lease = lease_of(&w, &a);
	cr_assert_not_null(lease);
	cr_expect_str_eq(lease_status(lease), "grace");
	lease_renew(lease, -1, NULL, false);
	cr_expect_str_eq(lease_status(lease), "renewed");
	world_close(&w);
}

Test(start, ready_slot_of_another_boot_is_proved_before_it_is_handed_out)
{
	struct slot *slot;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	slot = pools_find_slot(w.pools, "p-1");
	slot->rec.boot.bytes[0] ^= 1;
	batch_put_slot(w.pools->batch, &slot->rec);
	pools_changed(w.pools);
	world_settle(&w);
	/* what a power loss leaves: the size is right, the content is not */
	cr_assert_eq(shell("cd %s/slots/p/p-1 && t=$(stat -c %%y a) && printf '\\0\\0\\0\\0' | "
			   "dd of=a conv=notrunc status=none && touch -d \"$t\" a", w.dir), 0);
	world_restart(&w, false);
	cr_expect_eq(pool_count(w.pool, SLOT_STATE_READY), 0);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	cr_expect_eq(shell("grep -qx one %s/slots/p/p-1/a", w.dir), 0);
	world_close(&w);
}

Test(start, slot_that_was_being_prepared_is_cleaned)
{
	struct slot *slot;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 1, 1);
	slot = pools_find_slot(w.pools, "p-1");
	slot->rec.state = SLOT_STATE_PREPARING;
	batch_put_slot(w.pools->batch, &slot->rec);
	pools_changed(w.pools);
	world_settle(&w);
	slot->rec.state = SLOT_STATE_READY;
	cr_assert_eq(shell("cd %s/slots/p/p-1 && echo half >b", w.dir), 0);
	world_restart(&w, false);
	RUN_UNTIL(&w, pool_count(w.pool, SLOT_STATE_READY) == 1);
	cr_expect_neq(shell("test -e %s/slots/p/p-1/b", w.dir), 0, "nobody's work");
	world_close(&w);
}

Test(start, after_a_rebuild_found_directories_get_records_and_are_looked_at)
{
	struct slot *slot;
	struct world w;

	world_open(&w);
	world_add_pool(&w, 2, 4);
	cr_assert_eq(shell("echo work >%s/slots/p/p-1/mine", w.dir), 0);
	/* a ledger that does not know them */
	batch_delete_slot(w.pools->batch, "p-1");
	batch_delete_slot(w.pools->batch, "p-2");
	pools_changed(w.pools);
	world_settle(&w);
	world_restart(&w, true);
	slot = pools_find_slot(w.pools, "p-1");
	cr_assert_not_null(slot);
	RUN_UNTIL(&w, slot->rec.state == SLOT_STATE_ISOLATED);
	cr_expect_not_null(strstr(slot->rec.reason, "mine"), "%s", slot->rec.reason);
	slot = pools_find_slot(w.pools, "p-2");
	cr_assert_not_null(slot);
	RUN_UNTIL(&w, slot->rec.state == SLOT_STATE_READY);
	cr_expect_geq(w.pool->next_n, 3);
	world_close(&w);
}

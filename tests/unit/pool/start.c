/* What a restart finds, and goes on with. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

/* what was put into the batch by hand */
static void commit(void)
{
	pools_changed(world.pools);
	world_settle();
}

TestSuite(start, .init = world_open, .fini = world_close);

Test(start, leases_keys_and_slots_are_as_before)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a, b;

	world_add_pool(2, 4);
	strcpy(spec.key, "k");
	ask_and_wait(&spec, &a);
	RUN_UNTIL(count(SLOT_STATE_READY) == 2);
	world_restart(false);
	cr_assert_not_null(world.pool);
	cr_expect_eq(count(SLOT_STATE_LEASED), 1);
	ask_and_wait(&spec, &b);
	cr_expect_str_eq(a.lease, b.lease);
}

Test(start, expired_while_slotd_was_away_still_gets_its_grace)
{
	struct acquire_spec spec = spec_of("anna");
	struct lease *lease;
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	lease = lease_of(&a);
	lease->rec.deadline.boot_usec = 1;
	batch_put_lease(world.pools->batch, &lease->rec);
	commit();
	world_restart(false);
	lease = lease_of(&a);
	cr_assert_not_null(lease);
	cr_expect_str_eq(lease_status(lease), "grace");
	lease_renew(lease, -1, NULL, false);
	cr_expect_str_eq(lease_status(lease), "renewed");
}

Test(start, ready_slot_of_another_boot_is_proved_before_it_is_handed_out)
{
	struct slot *slot;

	world_add_pool(1, 1);
	slot = slot_of("p-1");
	slot->rec.boot.bytes[0] ^= 1;
	batch_put_slot(world.pools->batch, &slot->rec);
	commit();
	/* what a power loss leaves: the size is right, the content is not */
	cr_assert_eq(shell("cd %s/slots/p/p-1 && t=$(stat -c %%y a) && printf '\\0\\0\\0\\0' | "
			   "dd of=a conv=notrunc status=none && touch -d \"$t\" a", world.dir), 0);
	world_restart(false);
	cr_expect_eq(count(SLOT_STATE_READY), 0);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_eq(shell("grep -qx one %s/slots/p/p-1/a", world.dir), 0);
}

Test(start, slot_that_was_being_prepared_is_cleaned)
{
	struct slot *slot;

	world_add_pool(1, 1);
	slot = slot_of("p-1");
	slot->rec.state = SLOT_STATE_PREPARING;
	batch_put_slot(world.pools->batch, &slot->rec);
	commit();
	slot->rec.state = SLOT_STATE_READY;
	cr_assert_eq(shell("cd %s/slots/p/p-1 && echo half >b", world.dir), 0);
	world_restart(false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_neq(shell("test -e %s/slots/p/p-1/b", world.dir), 0, "nobody's work");
}

Test(start, after_a_rebuild_found_directories_get_records_and_are_looked_at)
{
	struct slot *slot;

	world_add_pool(2, 4);
	cr_assert_eq(shell("echo work >%s/slots/p/p-1/mine", world.dir), 0);
	/* a ledger that does not know them */
	batch_delete_slot(world.pools->batch, "p-1");
	batch_delete_slot(world.pools->batch, "p-2");
	commit();
	world_restart(true);
	slot = slot_of("p-1");
	cr_assert_not_null(slot);
	RUN_UNTIL(slot->rec.state == SLOT_STATE_ISOLATED);
	cr_expect_not_null(strstr(slot->rec.reason, "1 untracked file"), "%s", slot->rec.reason);
	cr_expect_eq(shell("grep -qx work %s/slots/p/p-1/mine", world.dir), 0);
	cr_assert_not_null(salvage_next(world.pools, NULL));
	cr_expect_str_eq(salvage_record(salvage_next(world.pools, NULL))->slot, "p-1");
	slot = slot_of("p-2");
	cr_assert_not_null(slot);
	RUN_UNTIL(slot->rec.state == SLOT_STATE_READY);
	cr_expect_geq(world.pool->next_n, 3);
}

/* Tokens, time and what a release leaves. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(lease, .init = world_open, .fini = world_close);

Test(lease, token_rises_with_every_grant_of_a_slot)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_MIN);
	uint64_t last = 0;
	struct answer a;

	world_add_pool(1, 1);
	for (int i = 0; i < 3; i++) {
		ask_and_wait(&spec, &a);
		cr_expect_gt(a.token, last);
		last = a.token;
		give_back(&a, false);
		if (i == 1)
			world_restart(false);
	}
}

Test(lease, unrenewed_lease_ends_after_ttl_and_grace_and_not_before)
{
	struct acquire_spec spec = spec_of("anna");
	uint64_t granted;
	struct answer a;

	world_add_pool(1, 1);
	spec.ttl_usec = USEC_PER_SEC;
	ask_and_wait(&spec, &a);
	granted = clock_boot_usec();
	RUN_UNTIL(!lease_of(&a));
	cr_expect_geq(clock_boot_usec() - granted, 1900 * USEC_PER_MSEC, "1 s and 1 s of grace");
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
}

Test(lease, renewed_lease_lives_on)
{
	struct acquire_spec spec = spec_of("anna");
	struct lease *lease;
	uint64_t granted;
	struct answer a;

	world_add_pool(1, 1);
	spec.ttl_usec = USEC_PER_SEC;
	ask_and_wait(&spec, &a);
	granted = clock_boot_usec();
	while (clock_boot_usec() - granted < 3 * USEC_PER_SEC) {
		lease = lease_of(&a);
		cr_assert_not_null(lease);
		lease_renew(lease, 50, "half", false);
		sd_event_run(world.event, 200000);
	}
	cr_expect_eq(lease_record(lease_of(&a))->progress, 50);
}

Test(lease, status_follows_the_clock)
{
	struct acquire_spec spec = spec_of("anna");
	struct lease *lease;
	struct answer a;
	uint64_t now;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	lease = lease_of(&a);
	now = lease->rec.deadline.boot_usec - 60 * USEC_PER_SEC;
	clock_fake(1, now, NULL);
	cr_expect_str_eq(lease_status(lease), "active");
	clock_fake(1, now + 45 * USEC_PER_SEC, NULL);
	cr_expect_str_eq(lease_status(lease), "expiring_soon");
	clock_fake(1, now + 60 * USEC_PER_SEC, NULL);
	cr_expect_str_eq(lease_status(lease), "grace");
	clock_fake(1, now + 61 * USEC_PER_SEC, NULL);
	cr_expect_str_eq(lease_status(lease), "expired");
	lease->rec.suspect = moment_now();
	cr_expect_str_eq(lease_status(lease), "suspect");
	lease->rec.suspect.wall_usec = 0;
	/* the wall clock does not matter */
	clock_fake(UINT64_MAX / 2, now, NULL);
	cr_expect_str_eq(lease_status(lease), "active");
	clock_real();
}

Test(lease, jump_of_the_wall_clock_ends_nothing_and_prolongs_nothing)
{
	struct acquire_spec spec = spec_of("anna");
	struct moment deadline;
	struct lease *lease;
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	lease = lease_of(&a);
	deadline = lease->rec.deadline;
	clock_fake(deadline.wall_usec + USEC_PER_DAY, deadline.boot_usec - USEC_PER_MIN, NULL);
	lease_on_timer(lease->timer, 0, lease);
	cr_expect_null(lease->inquiry, "ahead");
	cr_expect(!lease_is_past_grace(lease), "ahead");
	clock_fake(1, deadline.boot_usec + lease->rec.grace_usec, NULL);
	lease_on_timer(lease->timer, 0, lease);
	cr_expect_not_null(lease->inquiry, "back");
	cr_expect(lease_is_past_grace(lease), "back");
	clock_real();
}

/* three hours on, through all of which the machine slept, as when a laptop was closed */
static void sleep_long(void)
{
	uint64_t usec = 3 * USEC_PER_HOUR, slept = clock_slept_usec();

	clock_fake(clock_wall_usec() + usec, clock_boot_usec() + usec, NULL);
	clock_fake_sleep(slept + usec);
}

static void pass(uint64_t usec)
{
	clock_fake(clock_wall_usec() + usec, clock_boot_usec() + usec, NULL);
}

/* nobody was there, and nothing was written */
static void find_nothing(struct lease *lease)
{
	struct inquiry_result nothing = { .evidence = { .operation = LEASE_SIGN_NO,
							.processes = LEASE_SIGN_NO } };

	lease_judge_now(lease, &nothing);
	world_settle();
}

static struct lease *lease_of_two_hours(struct answer *ret)
{
	struct acquire_spec spec = spec_of("anna");

	world_add_pool(1, 1);
	world.pool->own_conf->lease.abandon_after_usec = 2 * USEC_PER_HOUR;
	ask_and_wait(&spec, ret);
	return lease_of(ret);
}

Test(lease, who_could_not_report_while_the_machine_slept_has_the_grace_to_do_it)
{
	struct answer a;
	struct lease *lease = lease_of_two_hours(&a);

	sleep_long();
	lease_on_timer(lease->timer, 0, lease);
	cr_expect_null(lease->inquiry, "the grace begins");
	cr_expect_str_eq(lease_status(lease), "grace");
	find_nothing(lease);
	cr_assert_not_null(lease_of(&a));
	lease_renew(lease, -1, NULL, false);
	world_settle();
	cr_expect_str_eq(lease_status(lease), "renewed");
	cr_expect_gt(lease->rec.deadline.boot_usec, clock_boot_usec());
}

Test(lease, silence_is_counted_from_when_the_machine_woke)
{
	struct answer a;
	struct lease *lease = lease_of_two_hours(&a);

	sleep_long();
	find_nothing(lease);
	pass(USEC_PER_HOUR);
	find_nothing(lease);
	cr_assert_not_null(lease_of(&a));
	cr_expect_str_eq(lease_status(lease), "suspect");
	pass(USEC_PER_HOUR + USEC_PER_SEC);
	find_nothing(lease);
	cr_expect_null(lease_of(&a), "awake it was silent for as long as anybody may be");
}

Test(lease, one_whose_holder_died_in_the_sleep_ends_after_its_grace)
{
	struct acquire_spec spec = spec_of("anna");
	struct lease *lease;
	struct answer a;

	world_add_pool(1, 1);
	spec.bind = LEASE_BIND_CONNECTION;
	spec.conn_id = 7;
	ask_and_wait(&spec, &a);
	lease = lease_of(&a);
	sleep_long();
	cr_expect_str_eq(lease_status(lease), "active");
	pools_conn_gone(world.pools, 7);
	lease_on_timer(lease->timer, 0, lease);
	world_settle();
	cr_assert_not_null(lease_of(&a));
	pass(lease->rec.grace_usec);
	lease_on_timer(lease->timer, 0, lease);
	world_settle();
	cr_expect_null(lease_of(&a));
}

Test(lease, unsaved_work_is_saved_and_the_slot_is_ready)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;
	const struct salvage *s;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	cr_assert_eq(shell("echo work >%s/slots/p/%s/new-file", world.dir, a.slot), 0);
	give_back(&a, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	s = salvage_next(world.pools, NULL);
	cr_assert_not_null(s);
	cr_expect_str_eq(salvage_record(s)->summary, "1 untracked file");
	cr_expect_str_eq(salvage_record(s)->slot, a.slot);
	cr_expect_eq(shell("git -C %s/repo show %s:new-file | grep -qx work", world.dir, salvage_record(s)->commit), 0);
	cr_expect_eq(shell("test ! -e %s/slots/p/%s/new-file", world.dir, a.slot), 0);
}

Test(lease, work_that_cannot_be_saved_isolates_the_slot_with_the_reason)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	cr_assert_eq(shell("echo work >%s/slots/p/%s/new-file && git -C %s/slots/p/%s update-index --add "
			   "--cacheinfo 100644,1212121212121212121212121212121212121212,gone",
			   world.dir, a.slot, world.dir, a.slot), 0);
	give_back(&a, false);
	RUN_UNTIL(count(SLOT_STATE_ISOLATED) == 1);
	cr_expect_not_null(strstr(slot_of(a.slot)->rec.reason, "1212121212121212121212121212121212121212"));
	cr_expect_null(salvage_next(world.pools, NULL));
	cr_expect_eq(shell("grep -qx work %s/slots/p/%s/new-file", world.dir, a.slot), 0);
}

Test(lease, discarded_work_is_gone_and_the_slot_is_ready)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	cr_assert_eq(shell("cd %s/slots/p/%s && echo work >new-file && echo x >>a", world.dir,
			   a.slot), 0);
	give_back(&a, true);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_eq(shell("cd %s/slots/p/%s && test -z \"$(git status --porcelain)\"", world.dir,
			   a.slot), 0);
}

Test(lease, number_of_a_removed_slot_is_never_used_again)
{
	struct refusal no = { 0 };

	world_add_pool(1, 1);
	cr_assert_eq(slot_remove(slot_of("p-1"), false, 0, &no), 0);
	RUN_UNTIL(slot_of("p-2") && count(SLOT_STATE_READY) == 1);
	cr_expect_null(slot_of("p-1"));
	world_restart(false);
	cr_assert_eq(slot_remove(slot_of("p-2"), false, 0, &no), 0);
	RUN_UNTIL(slot_of("p-3"));
}

Test(lease, one_released_when_its_warning_is_due_ends)
{
	struct acquire_spec spec = spec_of("anna");
	uint64_t end = clock_boot_usec() + 60 * USEC_PER_SEC;
	struct lease *lease;
	struct answer a;

	world_add_pool(1, 1);
	ask_and_wait(&spec, &a);
	lease = lease_of(&a);
	lease->rec.deadline.boot_usec = clock_boot_usec();
	lease_set_timer(lease);
	give_back(&a, false);
	/* the timer comes before the commit that ends the lease, and must let that have its turn */
	for (unsigned turns = 0; world.pools->n_leases; turns++) {
		cr_assert_lt(turns, 100, "the turn comes to an end");
		cr_assert_lt(clock_boot_usec(), end);
		sd_event_run(world.event, 20000);
	}
}

Test(lease, max_age_that_was_raised_holds_from_what_was_told_last)
{
	static const struct inquiry_result nothing;
	struct acquire_spec spec = spec_of("anna");
	struct conf_pool *conf;
	struct answer a;
	struct lease *l;

	world_add_pool(1, 1);
	conf = world.pool->own_conf;
	spec.bind = LEASE_BIND_MANUAL;
	ask_and_wait(&spec, &a);
	l = lease_of(&a);
	conf->lease.max_age_usec = USEC_PER_MIN;
	pass(10 * USEC_PER_HOUR);
	lease_judge_now(l, &nothing);
	conf->lease.max_age_usec = USEC_PER_DAY;
	cr_expect_eq(lease_age_look(l), clock_boot_usec() + USEC_PER_DAY);
	conf->lease.max_age_usec = 0;
	cr_expect_eq(lease_age_look(l), UINT64_MAX);
}

/* hours until a silent lease of abandon_after 24 h is over; at most 60 days */
static unsigned hours_until_over(bool sleeps, uint64_t step_usec)
{
	struct acquire_spec spec = spec_of("anna");
	struct answer a;
	unsigned hours = 0;

	world_add_pool(1, 1);
	world.pool->own_conf->lease.abandon_after_usec = USEC_PER_DAY;
	world.pool->own_conf->lease.max_age_usec = 0;
	ask_and_wait(&spec, &a);
	world_settle();
	while (lease_of(&a) && hours < 60 * 24) {
		bool asleep = sleeps && hours % 24 >= 16;
		uint64_t slept = clock_slept_usec() + (asleep ? USEC_PER_HOUR : 0);
		uint64_t set = hours % 24 == 8 ? step_usec : 0;

		hours++;
		clock_fake(clock_wall_usec() + USEC_PER_HOUR + set, clock_boot_usec() + USEC_PER_HOUR, NULL);
		clock_fake_sleep(slept);
		leases_note_sleep(world.pools);
		if (!asleep && lease_is_past_grace(lease_of(&a)))
			find_nothing(lease_of(&a));
	}
	return hours;
}

Test(lease, one_that_is_dead_is_no_immortal_on_a_machine_that_sleeps_each_night)
{
	unsigned hours = hours_until_over(true, 0);

	cr_expect(hours > 24 && hours <= 24 + 16 + 2, "%u", hours);
}

Test(lease, one_that_is_dead_is_no_immortal_where_the_clock_is_set_each_day)
{
	unsigned hours = hours_until_over(false, 3 * USEC_PER_SEC);

	cr_expect(hours >= 24 && hours <= 26, "%u", hours);
}

Test(lease, who_wrote_just_before_the_machine_slept_is_not_robbed)
{
	struct inquiry_result wrote = { .evidence = { .operation = LEASE_SIGN_NO, .processes = LEASE_SIGN_NO } };
	struct answer a;
	struct lease *lease = lease_of_two_hours(&a);

	pass(3 * USEC_PER_HOUR);
	wrote.evidence.seen_usec = clock_boot_usec();
	lease_judge_now(lease, &wrote);
	world_settle();
	cr_assert_not_null(lease_of(&a));
	pass(100 * USEC_PER_MIN);
	wrote.evidence.seen_usec = clock_boot_usec();
	sleep_long();
	leases_note_sleep(world.pools);
	pass(lease->rec.grace_usec + USEC_PER_SEC);
	lease_judge_now(lease, &wrote);
	world_settle();
	cr_assert_not_null(lease_of(&a), "awake it was silent for a moment");
	pass(3 * USEC_PER_HOUR);
	lease_judge_now(lease, &wrote);
	world_settle();
	cr_expect_null(lease_of(&a));
}

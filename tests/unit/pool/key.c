/* How long a key is remembered, and what is one and the same request. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(key, .init = world_open, .fini = world_close);

static struct acquire_spec keyed(const char *key)
{
	struct acquire_spec spec = spec_waiting("anna", USEC_PER_MIN);

	strcpy(spec.key, key);
	return spec;
}

static const char *answer_to(const struct acquire_spec *spec, struct answer *a)
{
	ask_and_wait(spec, a);
	return a->error;
}

static bool is_known(const char *key)
{
	return key_find(world.pools, 0, key) != NULL;
}

static uint64_t wall_usec, boot_usec; /* when the test began */

/* so long after that, by the clock that people see and by the one that nobody sets */
static void be_at(int64_t wall, uint64_t boot)
{
	clock_fake((uint64_t)((int64_t)wall_usec + wall), boot_usec + boot, NULL);
	keys_expire(world.pools);
	world_settle();
}

static void begin(void)
{
	wall_usec = clock_wall_usec();
	boot_usec = clock_boot_usec();
}

#define HOURS(n)   ((n) * (int64_t)USEC_PER_HOUR)
#define MINUTES(n) ((n) * (int64_t)USEC_PER_MIN)

Test(key, is_remembered_for_a_day_since_its_first_use)
{
	struct acquire_spec spec = keyed("k");
	struct answer a;

	world_add_pool(1, 1);
	begin();
	cr_assert_str_eq(answer_to(&spec, &a), "");
	give_back(&a, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_str_eq(answer_to(&spec, &a), "LeaseGone");
	be_at(HOURS(23), HOURS(23));
	cr_expect(is_known("k"));
	be_at(HOURS(25), HOURS(25));
	cr_expect_not(is_known("k"));
}

Test(key, of_a_long_lease_is_remembered_for_an_hour_after_its_end)
{
	struct acquire_spec spec = keyed("k");
	struct answer a;

	world_add_pool(1, 1);
	begin();
	spec.bind = LEASE_BIND_MANUAL;
	cr_assert_str_eq(answer_to(&spec, &a), "");
	be_at(HOURS(100), HOURS(100));
	cr_expect(is_known("k"), "its lease lives");
	give_back(&a, false);
	world_settle();
	be_at(HOURS(100) + MINUTES(55), HOURS(100) + MINUTES(55));
	cr_expect(is_known("k"));
	be_at(HOURS(101) + MINUTES(1), HOURS(101) + MINUTES(1));
	cr_expect_not(is_known("k"));
}

Test(key, is_kept_by_the_clock_that_nobody_sets)
{
	struct acquire_spec spec = keyed("k");
	struct answer a;

	world_add_pool(1, 1);
	begin();
	cr_assert_str_eq(answer_to(&spec, &a), "");
	give_back(&a, false);
	world_settle();
	be_at(HOURS(-1000), HOURS(1));
	cr_expect(is_known("k"));
	be_at(HOURS(1000), HOURS(2));
	cr_expect(is_known("k"));
	be_at(HOURS(-1000), HOURS(25));
	cr_expect_not(is_known("k"), "set back or not");
}

Test(key, names_what_was_asked_and_not_what_the_pool_made_of_it)
{
	struct acquire_spec spec = keyed("k"), again;
	struct answer a, b;

	world_add_pool(2, 2);
	spec.branch_by_pool = spec.bind_by_pool = true;
	strcpy(spec.branch, "agent/anna");
	spec.bind = LEASE_BIND_TTL;
	cr_assert_str_eq(answer_to(&spec, &a), "");
	/* the configuration has changed since */
	again = spec;
	again.branch[0] = '\0';
	again.bind = LEASE_BIND_MANUAL;
	cr_expect_str_eq(answer_to(&again, &b), "");
	cr_expect_str_eq(b.lease, a.lease);
	again.branch_by_pool = false;
	strcpy(again.branch, "agent/anna");
	cr_expect_str_eq(answer_to(&again, &b), "KeyReused");
	again = spec;
	strcpy(again.resume, "T-1");
	cr_expect_str_eq(answer_to(&again, &b), "KeyReused");
}

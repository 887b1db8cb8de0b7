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

/* the clocks stand there from now on */
static void be_at(uint64_t usec)
{
	clock_fake(usec, usec, NULL);
	keys_expire(world.pools);
}

Test(key, is_remembered_for_a_day_since_its_first_use)
{
	struct acquire_spec spec = keyed("k");
	uint64_t now = clock_wall_usec();
	struct answer a;

	world_add_pool(1, 1);
	cr_assert_str_eq(answer_to(&spec, &a), "");
	give_back(&a, false);
	RUN_UNTIL(count(SLOT_STATE_READY) == 1);
	cr_expect_str_eq(answer_to(&spec, &a), "LeaseGone");
	be_at(now + 23 * USEC_PER_HOUR);
	cr_expect(is_known("k"));
	be_at(now + 25 * USEC_PER_HOUR);
	cr_expect_not(is_known("k"));
}

Test(key, of_a_long_lease_is_remembered_for_an_hour_after_its_end)
{
	struct acquire_spec spec = keyed("k");
	uint64_t now = clock_wall_usec();
	struct answer a;

	world_add_pool(1, 1);
	spec.bind = LEASE_BIND_MANUAL;
	cr_assert_str_eq(answer_to(&spec, &a), "");
	be_at(now + 100 * USEC_PER_HOUR);
	cr_expect(is_known("k"), "its lease lives");
	give_back(&a, false);
	world_settle();
	be_at(now + 100 * USEC_PER_HOUR + 55 * USEC_PER_MIN);
	cr_expect(is_known("k"));
	be_at(now + 101 * USEC_PER_HOUR + USEC_PER_MIN);
	cr_expect_not(is_known("k"));
}

Test(key, is_not_kept_for_ever_by_a_clock_that_was_set_back)
{
	struct acquire_spec spec = keyed("k");
	uint64_t now = clock_wall_usec();
	struct answer a;

	world_add_pool(1, 1);
	cr_assert_str_eq(answer_to(&spec, &a), "");
	give_back(&a, false);
	world_settle();
	be_at(now - 10 * USEC_PER_HOUR);
	cr_expect(is_known("k"));
	be_at(now - 1000 * USEC_PER_HOUR);
	cr_expect_not(is_known("k"));
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

/* Delays stay between their bounds, and the deadline holds. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "libslot/retry.h"
#include "util/clock.h"

#define MS USEC_PER_MSEC

static const struct retry_policy policy = {
	.deadline_usec = 2000 * MS,
	.base_usec = 50 * MS,
	.cap_usec = 400 * MS,
};

Test(retry, every_delay_is_between_base_and_cap)
{
	for (int run = 0; run < 200; run++) {
		struct outage outage = { 0 };
		uint64_t now = 1000, at = 0;

		while (outage_next(&outage, &policy, now, &at)) {
			if (at < outage.until_usec) {
				cr_assert(ge(u64, at - now, 50 * MS));
				cr_assert(le(u64, at - now, 400 * MS));
			}
			now = at;
		}
	}
}

Test(retry, a_delay_is_at_most_three_times_the_one_before)
{
	for (int run = 0; run < 200; run++) {
		struct outage outage = { 0 };
		uint64_t at = 0, before = 50 * MS;

		while (outage_next(&outage, &policy, 1000, &at) && outage.attempts < 20) {
			cr_assert(le(u64, outage.delay_usec, before * 3));
			before = outage.delay_usec;
		}
	}
}

Test(retry, no_attempt_lies_behind_the_deadline_and_the_last_lies_on_it)
{
	struct outage outage = { 0 };
	uint64_t now = 7, at = 7;

	while (outage_next(&outage, &policy, now, &at)) {
		cr_assert(le(u64, at, 7 + 2000 * MS));
		now = at;
	}
	cr_assert(eq(u64, now, 7 + 2000 * MS));
}

Test(retry, the_number_of_attempts_is_a_limit_too)
{
	struct retry_policy few = policy;
	struct outage outage = { 0 };
	uint64_t at;

	few.attempts = 2;
	cr_assert(outage_next(&outage, &few, 1, &at));
	cr_assert(outage_next(&outage, &few, 1, &at));
	cr_assert(not(outage_next(&outage, &few, 1, &at)));
}

Test(retry, a_deadline_of_zero_means_never)
{
	struct retry_policy never = policy;
	struct outage outage = { 0 };
	uint64_t at = 42;

	never.deadline_usec = 0;
	cr_assert(not(outage_next(&outage, &never, 5, &at)));
	cr_assert(eq(u64, at, 42));
}

Test(retry, delays_differ_from_run_to_run)
{
	struct outage a = { 0 }, b = { 0 };
	uint64_t at;
	int same = 0;

	for (int i = 0; i < 16; i++) {
		outage_next(&a, &policy, 1, &at);
		outage_next(&b, &policy, 1, &at);
		same += a.delay_usec == b.delay_usec;
	}
	cr_assert(lt(int, same, 16));
}

Test(retry, endless_policies_do_not_overflow)
{
	struct retry_policy endless = { UINT64_MAX, UINT64_MAX / 2, UINT64_MAX, 0 };
	struct outage outage = { 0 };
	uint64_t at = 0;

	cr_assert(outage_next(&outage, &endless, UINT64_MAX - 5, &at));
	cr_assert(eq(u64, at, UINT64_MAX));
	cr_assert(eq(u64, usec_add(UINT64_MAX, 1), UINT64_MAX));
	cr_assert(eq(u64, usec_add(1, 2), 3));
}

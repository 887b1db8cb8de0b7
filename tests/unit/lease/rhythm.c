#include "lease/rhythm.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/clock.h"

Test(rhythm, nothing_was_heard)
{
	struct rhythm r = { 0 };

	cr_expect(eq(uint, rhythm_count(&r), 0));
	cr_expect(eq(u64, rhythm_quantile(&r, 500), 0));
}

Test(rhythm, a_quantile_is_never_too_short_and_at_most_a_fifth_too_long)
{
	for (uint64_t gap = USEC_PER_SEC; gap <= 4 * USEC_PER_HOUR; gap += gap / 37 + 1) {
		struct rhythm r = { 0 };
		uint64_t told;

		rhythm_add(&r, gap);
		told = rhythm_quantile(&r, 1000);
		cr_assert(ge(u64, told, gap));
		cr_assert(le(u64, told, gap + gap / 5 + 1), "%llu for %llu", (unsigned long long)told,
			  (unsigned long long)gap);
	}
}

Test(rhythm, what_is_shorter_or_longer_than_its_buckets_counts_in_the_outermost)
{
	struct rhythm r = { 0 };

	rhythm_add(&r, 0);
	rhythm_add(&r, 30 * USEC_PER_DAY);
	cr_expect(eq(uint, rhythm_count(&r), 2));
	cr_expect(le(u64, rhythm_quantile(&r, 500), 2 * USEC_PER_SEC));
	cr_expect(ge(u64, rhythm_quantile(&r, 1000), 4 * USEC_PER_HOUR));
}

Test(rhythm, quantiles_of_a_hundred)
{
	struct rhythm r = { 0 };

	for (int i = 0; i < 90; i++)
		rhythm_add(&r, 10 * USEC_PER_SEC);
	for (int i = 0; i < 10; i++)
		rhythm_add(&r, 1000 * USEC_PER_SEC);
	cr_expect(le(u64, rhythm_quantile(&r, 500), 12 * USEC_PER_SEC));
	cr_expect(le(u64, rhythm_quantile(&r, 900), 12 * USEC_PER_SEC));
	cr_expect(ge(u64, rhythm_quantile(&r, 901), 1000 * USEC_PER_SEC));
	cr_expect(ge(u64, rhythm_quantile(&r, 999), 1000 * USEC_PER_SEC));
}

Test(rhythm, a_bucket_that_is_full_stays_full)
{
	struct rhythm r = { 0 };

	for (int i = 0; i < 70000; i++)
		rhythm_add(&r, USEC_PER_MIN);
	cr_expect(eq(uint, rhythm_count(&r), UINT16_MAX));
}

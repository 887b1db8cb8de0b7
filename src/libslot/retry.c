/* Come back, but not all at once. */
#include "libslot/retry.h"

#include <string.h>

#include "util/clock.h"
#include "util/id.h"

const struct retry_policy retry_default = {
	.deadline_usec = 30 * USEC_PER_SEC,
	.base_usec = 50 * USEC_PER_MSEC,
	.cap_usec = 5 * USEC_PER_SEC,
};

uint64_t usec_add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* from @low to @high, both included */
static uint64_t draw(uint64_t low, uint64_t high)
{
	struct id random;
	uint64_t n;

	if (high <= low)
		return low;
	id_random(&random);
	memcpy(&n, random.bytes, sizeof(n));
	return low + n % (high - low + 1);
}

static uint64_t next_delay(const struct outage *outage, const struct retry_policy *policy)
{
	uint64_t high = policy->cap_usec;

	if (outage->delay_usec < high / 3)
		high = outage->delay_usec * 3;
	return draw(policy->base_usec, high);
}

bool outage_next(struct outage *outage, const struct retry_policy *policy, uint64_t now_usec,
		 uint64_t *ret_at_usec)
{
	if (outage->until_usec == 0) {
		*outage = (struct outage){
			.until_usec = usec_add(now_usec, policy->deadline_usec),
			.delay_usec = policy->base_usec,
		};
	}
	if (now_usec >= outage->until_usec)
		return false;
	if (policy->attempts > 0 && outage->attempts >= policy->attempts)
		return false;

	outage->attempts++;
	outage->delay_usec = next_delay(outage, policy);
	*ret_at_usec = usec_add(now_usec, outage->delay_usec);
	if (*ret_at_usec > outage->until_usec)
		*ret_at_usec = outage->until_usec;
	return true;
}

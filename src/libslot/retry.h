/**
 * DOC: retry - when to try again, and when to give up
 *
 * An outage begins with the first failure and has one deadline. The delays are
 * "decorrelated jitter": each is drawn between the base and three times the one
 * before, so that many clients of a daemon that restarts do not come back at once.
 */
#ifndef LIBSLOT_RETRY_H
#define LIBSLOT_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_policy {
	uint64_t deadline_usec; /* from the first failure; 0: never try again */
	uint64_t base_usec;
	uint64_t cap_usec;
	unsigned attempts; /* 0: no limit */
};

extern const struct retry_policy retry_default;

struct outage {
	uint64_t until_usec; /* CLOCK_BOOTTIME; 0: there is none */
	uint64_t delay_usec; /* the last one */
	unsigned attempts;
};

/**
 * outage_next - after a failure: when to try again
 * @now_usec: CLOCK_BOOTTIME
 * @ret_at_usec: the time of the next attempt, never behind the deadline
 *
 * False when it is time to give up. The first call begins the outage.
 */
bool outage_next(struct outage *outage, const struct retry_policy *policy, uint64_t now_usec,
		 uint64_t *ret_at_usec);

/* a sum of times; UINT64_MAX stays what it is: never */
uint64_t usec_add(uint64_t a, uint64_t b);

#endif

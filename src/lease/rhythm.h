/**
 * DOC: rhythm - how long a holder is usually silent
 *
 * A histogram of the gaps between the reports of one holder, small enough for its lease record: each
 * bucket is a quarter of an octave wide, from one second to four and a half hours, so a quantile is
 * at most a fifth too long and never too short.
 */
#ifndef LEASE_RHYTHM_H
#define LEASE_RHYTHM_H

#include <stdint.h>

#define RHYTHM_BUCKETS 56

struct rhythm {
	uint16_t n[RHYTHM_BUCKETS]; /* full buckets stay full */
};

/* one more silence of so many microseconds */
void rhythm_add(struct rhythm *r, uint64_t gap_usec);

/* how many were added */
unsigned rhythm_count(const struct rhythm *r);

/**
 * rhythm_quantile - the silence that so many of them did not exceed
 * @per_mille: 1 to 1000; 500 is the median
 *
 * In microseconds, rounded up to the end of its bucket; 0 when there are none.
 */
uint64_t rhythm_quantile(const struct rhythm *r, unsigned per_mille);

#endif

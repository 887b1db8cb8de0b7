#include "lease/rhythm.h"

#include "util/clock.h"

/* 2^(1/4), 2^(2/4), 2^(3/4) and 2 in 65536ths */
static const uint32_t quarter[] = { 77936, 92682, 110218, 131072 };

/* where a bucket ends */
static uint64_t bucket_end(unsigned bucket)
{
	return (USEC_PER_SEC << bucket / 4) * quarter[bucket % 4] / 65536;
}

void rhythm_add(struct rhythm *r, uint64_t gap_usec)
{
	unsigned bucket = 0;

	while (bucket < RHYTHM_BUCKETS - 1 && gap_usec > bucket_end(bucket))
		bucket++;
	if (r->n[bucket] < UINT16_MAX)
		r->n[bucket]++;
}

unsigned rhythm_count(const struct rhythm *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RHYTHM_BUCKETS; i++)
		n += r->n[i];
	return n;
}

uint64_t rhythm_quantile(const struct rhythm *r, unsigned per_mille)
{
	uint64_t wanted = ((uint64_t)rhythm_count(r) * per_mille + 999) / 1000, seen = 0;

	if (wanted == 0)
		return 0;
	for (unsigned i = 0; i < RHYTHM_BUCKETS; i++) {
		seen += r->n[i];
		if (seen >= wanted)
			return bucket_end(i);
	}
	return bucket_end(RHYTHM_BUCKETS - 1);
}

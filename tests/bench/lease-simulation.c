/*
 * A day of 1,000 agents in virtual time: how many that lived lose their lease, and how long the slot of
 * a dead one is away. usage: lease-simulation [SEED]
 *
 * Agents report with log-normal gaps (median one minute) and, beside that, work in their slot with
 * log-normal gaps of the same spread (median half a minute); 5 % die at some moment of the day. "Reports
 * only" is the worst case for silence: agents of which nothing but their reports is ever seen. Our rule
 * is lease/policy.c itself; the others are what pools usually do.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "lease/policy.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define AGENTS	 1000
#define DAY	 USEC_PER_DAY
#define LOOK_MAX (3 * USEC_PER_DAY) /* a lease that is still there so long after a death never ends */

enum rule { OURS, OURS_BOUND, MEDIAN_TIMES_5, FIXED_TTL };

struct agent {
	double sigma;
	bool works; /* something else than its reports is seen */
	uint64_t dies_usec; /* 0: it does not */
	uint64_t report_usec, work_usec; /* the next of each */
	uint64_t heard_usec, written_usec;
	uint32_t renewals;
	struct rhythm rhythm;
};

static uint64_t seed = 1;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 */
static double uniform(void)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return ((double)((z ^ z >> 31) >> 11) + 0.5) / 9007199254740992.0;
}

static uint64_t gap(double median_seconds, double sigma)
{
	double normal = sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());

	return (uint64_t)(median_seconds * exp(sigma * normal) * (double)USEC_PER_SEC);
}

/* everything that it does until then, which starts over from its last report when that is later */
static void live_until(struct agent *a, uint64_t now)
{
	while (a->work_usec <= now && (!a->dies_usec || a->work_usec < a->dies_usec)) {
		if (a->works)
			a->written_usec = a->work_usec;
		a->work_usec += gap(30, a->sigma);
	}
}

static bool is_dead(const struct agent *a, uint64_t now)
{
	return a->dies_usec && now >= a->dies_usec;
}

static struct lease_settings settings(void)
{
	return (struct lease_settings){
		.mode = LEASE_MODE_PHASES,
		.phases = { .silent = { 180 * USEC_PER_SEC, USEC_PER_MIN },
			    .first = { 240 * USEC_PER_SEC, USEC_PER_MIN },
			    .late = { 360 * USEC_PER_SEC, 90 * USEC_PER_SEC },
			    .middle = { 300 * USEC_PER_SEC, USEC_PER_MIN },
			    .early = { 240 * USEC_PER_SEC, USEC_PER_MIN } },
		.min_ttl_usec = USEC_PER_MIN,
		.max_ttl_usec = 4 * USEC_PER_HOUR,
		.abandon_after_usec = 2 * USEC_PER_HOUR,
		.look_again_usec = USEC_PER_MIN,
	};
}

/* when our rule ends the lease that was renewed last at heard_usec; 0: not before the next report */
static uint64_t ours_ends(struct agent *a, bool bound)
{
	struct lease_settings s = settings();
	struct lease_course c = { .labels = "", .renewals = a->renewals, .progress = 50 };
	struct lease_term t = a->renewals ? lease_term_at_renewal(&s, &c) : lease_term_at_grant(&s, &c);
	uint64_t now = a->heard_usec + t.ttl_usec + t.grace_usec;

	/* a bound process that ends is noticed at once; the lease ends after the grace */
	if (bound && a->dies_usec && a->dies_usec < a->report_usec)
		return a->dies_usec + t.grace_usec;
	while (now < a->report_usec || is_dead(a, a->report_usec)) {
		struct lease_evidence e = { .operation = LEASE_SIGN_NO, .processes = LEASE_SIGN_NO };
		struct lease_decision d;

		live_until(a, now);
		e.heard_usec = a->heard_usec;
		e.seen_usec = a->written_usec;
		e.bound = bound && !is_dead(a, now) ? LEASE_SIGN_YES : LEASE_SIGN_UNKNOWN;
		d = lease_judge(&s, &a->rhythm, &e, now);
		if (d.verdict == LEASE_OVER)
			return now;
		now = d.again_usec;
	}
	return 0;
}

static uint64_t median_ends(const struct agent *a)
{
	uint64_t allowed = rhythm_count(&a->rhythm) < 3 ? 5 * USEC_PER_MIN :
							   5 * rhythm_quantile(&a->rhythm, 500);

	return a->heard_usec + allowed;
}

static uint64_t ends(struct agent *a, enum rule rule)
{
	uint64_t end;

	switch (rule) {
	case OURS:
	case OURS_BOUND:
		return ours_ends(a, rule == OURS_BOUND);
	case MEDIAN_TIMES_5:
		end = median_ends(a);
		break;
	default:
		end = a->heard_usec + 5 * USEC_PER_MIN;
		break;
	}
	return end < a->report_usec || is_dead(a, a->report_usec) ? end : 0;
}

struct outcome {
	unsigned lived, robbed, died;
	uint64_t away[AGENTS]; /* of the dead: from death until the slot is back */
};

static void play(struct agent *a, enum rule rule, struct outcome *ret)
{
	uint64_t end = 0;

	a->report_usec = gap(60, a->sigma);
	a->work_usec = gap(30, a->sigma);
	while (!end && a->report_usec < DAY + LOOK_MAX) {
		end = ends(a, rule);
		if (end || (!a->dies_usec && a->report_usec > DAY))
			break;
		rhythm_add(&a->rhythm, a->report_usec - a->heard_usec);
		a->heard_usec = a->report_usec;
		a->renewals++;
		a->report_usec += gap(60, a->sigma);
	}
	if (end && !is_dead(a, end))
		ret->robbed += !a->dies_usec && end < DAY;
	else if (a->dies_usec && end)
		ret->away[ret->died++] = end - a->dies_usec;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double minutes(const struct outcome *o, double part)
{
	return o->died ? (double)o->away[(size_t)((double)(o->died - 1) * part)] / (double)USEC_PER_MIN : 0;
}

static void row(const char *name, enum rule rule, double sigma, bool works)
{
	static struct outcome o;

	o = (struct outcome){ 0 };
	for (int i = 0; i < AGENTS; i++) {
		struct agent a = { .sigma = sigma, .works = works };

		if (i % 20 == 0)
			a.dies_usec = 1 + (uint64_t)(uniform() * (double)DAY);
		else
			o.lived++;
		play(&a, rule, &o);
	}
	qsort(o.away, o.died, sizeof(o.away[0]), by_size);
	printf("| %-38s | %3.1f | %-16s | %6u | %10.1f | %10.1f |\n", name, sigma,
	       works ? "reports and work" : "reports only", o.robbed, minutes(&o, 0.5), minutes(&o, 0.99));
}

int main(int argc, char **argv)
{
	static const double sigmas[] = { 0.5, 1, 1.5 };
	static const struct {
		const char *name;
		enum rule rule;
	} rules[] = { { "slotd", OURS },
		      { "slotd, lease bound to a process", OURS_BOUND },
		      { "silent for 5 times the median gap", MEDIAN_TIMES_5 },
		      { "fixed TTL of 4 min and a grace of 1 min", FIXED_TTL } };

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	printf("%d agents, a day; %d live through it, the others die; minutes until a dead one's slot is back\n\n", AGENTS,
	       AGENTS - AGENTS / 20);
	printf("| rule | sigma | what is seen | robbed | median | p99 |\n| --- | --- | --- | --- | --- | --- |\n");
	for (size_t w = 0; w < 2; w++)
		for (size_t i = 0; i < ARRAY_SIZE(sigmas); i++)
			for (size_t k = 0; k < ARRAY_SIZE(rules); k++)
				row(rules[k].name, rules[k].rule, sigmas[i], w == 0);
	return 0;
}

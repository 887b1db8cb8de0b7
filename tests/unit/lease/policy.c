#include "lease/policy.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define S USEC_PER_SEC
#define M USEC_PER_MIN
#define H USEC_PER_HOUR

static struct lease_settings settings(enum lease_mode mode)
{
	return (struct lease_settings){
		.mode = mode,
		.phases = { .silent = { 180 * S, 60 * S },
			    .first = { 240 * S, 60 * S },
			    .late = { 360 * S, 90 * S },
			    .middle = { 300 * S, 60 * S },
			    .early = { 240 * S, 60 * S } },
		.ttl_usec = 4 * M,
		.grace_usec = M,
		.min_ttl_usec = M,
		.max_ttl_usec = 4 * H,
		.abandon_after_usec = 2 * H,
		.look_again_usec = M,
	};
}

/* --- terms --- */

Test(policy, phases_follow_the_reports)
{
	static const struct {
		uint32_t renewals;
		int32_t progress;
		unsigned ttl, grace;
	} rows[] = {
		{ 0, -1, 180, 60 },  { 1, -1, 240, 60 }, { 1, 90, 240, 60 }, { 2, -1, 240, 60 },
		{ 2, 0, 240, 60 },   { 2, 24, 240, 60 }, { 2, 25, 300, 60 }, { 9, 74, 300, 60 },
		{ 2, 75, 360, 90 },  { 5, 100, 360, 90 },
	};
	struct lease_settings s = settings(LEASE_MODE_PHASES);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lease_course c = { .labels = "", .renewals = rows[i].renewals,
					  .progress = rows[i].progress };
		struct lease_term t = c.renewals ? lease_term_at_renewal(&s, &c) : lease_term_at_grant(&s, &c);

		cr_expect_eq(t.ttl_usec, rows[i].ttl * S, "row %zu: %llu", i, (unsigned long long)t.ttl_usec);
		cr_expect_eq(t.grace_usec, rows[i].grace * S, "row %zu", i);
	}
}

Test(policy, phases_stay_within_the_bounds)
{
	struct lease_settings s = settings(LEASE_MODE_PHASES);
	struct lease_course c = { .labels = "", .progress = -1 };

	s.min_ttl_usec = 10 * M;
	cr_expect(eq(u64, lease_term_at_grant(&s, &c).ttl_usec, 10 * M));
	s.min_ttl_usec = S;
	s.max_ttl_usec = 100 * S;
	cr_expect(eq(u64, lease_term_at_grant(&s, &c).ttl_usec, 100 * S));
}

Test(policy, a_ttl_that_was_asked_for_holds_in_every_mode)
{
	for (int mode = LEASE_MODE_PHASES; mode <= LEASE_MODE_FIXED; mode++) {
		struct lease_settings s = settings(mode);
		struct lease_course c = { .labels = "epic", .priority = 20, .asked_ttl_usec = 7 * M,
					  .progress = 80 };

		cr_expect(eq(u64, lease_term_at_grant(&s, &c).ttl_usec, 7 * M));
		c.renewals = 6;
		cr_expect(eq(u64, lease_term_at_renewal(&s, &c).ttl_usec, 7 * M));
		c.asked_ttl_usec = 100 * H;
		cr_expect(eq(u64, lease_term_at_renewal(&s, &c).ttl_usec, 4 * H));
	}
}

Test(policy, fixed_is_fixed)
{
	struct lease_settings s = settings(LEASE_MODE_FIXED);
	struct lease_course c = { .labels = "epic", .priority = 20, .progress = 80, .estimate_usec = 9 * H };

	cr_expect(eq(u64, lease_term_at_grant(&s, &c).ttl_usec, 4 * M));
	c.renewals = 6;
	cr_expect(eq(u64, lease_term_at_renewal(&s, &c).ttl_usec, 4 * M));
}

Test(policy, multipliers_at_the_grant)
{
	static const struct {
		int32_t priority;
		const char *labels;
		double minutes; /* of a base of 100 */
	} rows[] = {
		{ 20, "", 50 },	     { 10, "", 75 },	      { 0, "", 100 },
		{ -10, "", 150 },    { 0, "simple", 50 },     { 0, "complex", 150 },
		{ 0, "research", 200 }, { 0, "epic", 300 },   { 0, "mine", 100 },
		{ 0, "mine,epic,simple", 300 }, { 0, "epics,simple", 50 }, { 20, "epic", 150 },
	};
	struct lease_settings s = settings(LEASE_MODE_MULTIPLIERS);

	s.max_ttl_usec = 100 * H;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lease_course c = { .priority = rows[i].priority, .labels = rows[i].labels,
					  .estimate_usec = 100 * M, .progress = -1 };

		cr_expect_eq(lease_term_at_grant(&s, &c).ttl_usec, (uint64_t)(rows[i].minutes * (double)M),
			     "row %zu", i);
	}
}

Test(policy, multipliers_at_a_renewal)
{
	static const struct {
		uint32_t renewals;
		int32_t progress;
		unsigned hours; /* estimate */
		double factor;
	} rows[] = {
		{ 1, 30, 1, 0.9 },
		{ 1, 51, 1, 0.75 * 0.9 },
		{ 1, 75, 1, 0.75 * 0.9 },
		{ 1, 76, 1, 0.5 * 0.9 },
		{ 2, 10, 1, 0.9 * 0.9 },
		{ 3, 10, 1, 0.5 * 0.9 * 0.9 * 0.9 },
		{ 3, -1, 1, 0.5 * 0.9 * 0.9 * 0.9 },
		{ 1, 30, 8, 0.9 },
		{ 1, 30, 9, 1.5 * 0.9 },
		{ 5, 30, 9, 1.5 * 0.9 * 0.9 * 0.9 * 0.9 * 0.9 },
		{ 6, 30, 9, 0.5 },
		{ 6, 90, 1, 0.5 * 0.9 * 0.9 * 0.9 * 0.9 * 0.9 * 0.9 },
	};
	struct lease_settings s = settings(LEASE_MODE_MULTIPLIERS);

	s.max_ttl_usec = 1000 * H;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lease_course c = { .labels = "epic", .priority = 20, .renewals = rows[i].renewals,
					  .progress = rows[i].progress, .estimate_usec = rows[i].hours * H };
		double wanted = rows[i].factor * (double)c.estimate_usec;
		double got = (double)lease_term_at_renewal(&s, &c).ttl_usec;

		cr_expect(got > wanted - 1000 && got < wanted + 1000, "row %zu: %f, not %f", i, got, wanted);
	}
}

Test(policy, no_term_is_shorter_than_allowed_after_however_many_renewals)
{
	struct lease_settings s = settings(LEASE_MODE_MULTIPLIERS);
	struct lease_course c = { .labels = "", .progress = 90, .renewals = UINT32_MAX };

	cr_expect(eq(u64, lease_term_at_renewal(&s, &c).ttl_usec, M));
}

Test(policy, an_estimate_beyond_all_bounds_gives_the_longest_time)
{
	struct lease_settings s = settings(LEASE_MODE_MULTIPLIERS);
	struct lease_course c = { .labels = "epic", .priority = -10, .progress = -1,
				  .estimate_usec = INT64_MAX };

	cr_expect(eq(u64, lease_term_at_grant(&s, &c).ttl_usec, 4 * H));
}

/* --- inquiry --- */

#define NOW (1000 * H)

static struct lease_evidence silent_for(uint64_t usec)
{
	return (struct lease_evidence){ .operation = LEASE_SIGN_NO, .processes = LEASE_SIGN_NO,
					.heard_usec = NOW - usec };
}

static struct lease_decision judge(const struct lease_evidence *e)
{
	static const struct rhythm none;
	struct lease_settings s = settings(LEASE_MODE_PHASES);

	return lease_judge(&s, &none, e, NOW);
}

#define EXPECT(e, v, why)                                                          \
	do {                                                                       \
		struct lease_decision d_ = judge(&(e));                            \
		cr_expect_eq(d_.verdict, v, "verdict %d", (int)d_.verdict);        \
		cr_expect_eq(d_.reason, why, "reason %d", (int)d_.reason);         \
		cr_expect(d_.verdict == LEASE_OVER || d_.again_usec > NOW);        \
	} while (0)

Test(inquiry, proof_ends_it_at_once)
{
	struct lease_evidence e = silent_for(S);

	e.bound = LEASE_SIGN_NO;
	e.processes = LEASE_SIGN_YES;
	e.operation = LEASE_SIGN_YES;
	EXPECT(e, LEASE_OVER, LEASE_REASON_BOUND_DEAD);
}

Test(inquiry, one_in_the_middle_of_a_merge_gets_its_extensions_and_no_more)
{
	struct lease_evidence e = silent_for(H);

	e.operation = LEASE_SIGN_YES;
	EXPECT(e, LEASE_EXTEND, LEASE_REASON_OPERATION);
	e.extensions = 1;
	EXPECT(e, LEASE_EXTEND, LEASE_REASON_OPERATION);
	e.extensions = 2;
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_SILENT);
	e.operation = LEASE_SIGN_UNKNOWN;
	e.extensions = 0;
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_SILENT);
}

Test(inquiry, a_sign_of_life_keeps_it_however_long_it_was_silent)
{
	struct lease_evidence e = silent_for(500 * H);

	e.processes = LEASE_SIGN_YES;
	EXPECT(e, LEASE_KEEP, LEASE_REASON_PROCESSES);
	e.processes = LEASE_SIGN_NO;
	e.bound = LEASE_SIGN_YES;
	EXPECT(e, LEASE_KEEP, LEASE_REASON_BOUND_ALIVE);
	e.bound = LEASE_SIGN_UNKNOWN;
	e.seen_usec = NOW - 5 * M;
	EXPECT(e, LEASE_KEEP, LEASE_REASON_RHYTHM);
}

Test(inquiry, silence_makes_suspect_and_only_abandon_after_ends)
{
	struct lease_evidence e = silent_for(15 * M);

	EXPECT(e, LEASE_KEEP, LEASE_REASON_RHYTHM);
	e = silent_for(15 * M + 1);
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_SILENT);
	e = silent_for(2 * H - 1);
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_SILENT);
	cr_expect(eq(u64, judge(&e).again_usec, NOW + 1));
	e = silent_for(2 * H);
	EXPECT(e, LEASE_OVER, LEASE_REASON_ABANDONED);
}

Test(inquiry, what_nobody_could_find_out_is_no_proof)
{
	struct lease_evidence e = silent_for(8 * H - 1);

	e.processes = LEASE_SIGN_UNKNOWN;
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_UNKNOWN);
	e.processes = LEASE_SIGN_NO;
	e.operation = LEASE_SIGN_UNKNOWN;
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_UNKNOWN);
	e.operation = LEASE_SIGN_NO;
	e.unread = true;
	EXPECT(e, LEASE_SUSPECT, LEASE_REASON_UNKNOWN);
}

Test(inquiry, what_nobody_can_find_out_for_long_holds_no_slot_for_ever)
{
	struct lease_evidence e = silent_for(8 * H);

	e.unread = true;
	e.operation = e.processes = LEASE_SIGN_UNKNOWN;
	EXPECT(e, LEASE_OVER, LEASE_REASON_ABANDONED);
	e.processes = LEASE_SIGN_YES;
	EXPECT(e, LEASE_KEEP, LEASE_REASON_PROCESSES);
}

Test(inquiry, abandon_after_zero_is_never)
{
	static const struct rhythm none;
	struct lease_settings s = settings(LEASE_MODE_PHASES);
	struct lease_evidence e = silent_for(900 * H);

	s.abandon_after_usec = 0;
	cr_expect_eq(lease_judge(&s, &none, &e, NOW).verdict, LEASE_SUSPECT);
}

Test(inquiry, the_allowed_silence_follows_the_rhythm)
{
	struct lease_settings s = settings(LEASE_MODE_PHASES);
	struct rhythm r = { 0 };

	cr_expect(eq(u64, lease_silence_allowed(&s, &r), 15 * M));
	for (int i = 0; i < 29; i++)
		rhythm_add(&r, 20 * M);
	cr_expect(eq(u64, lease_silence_allowed(&s, &r), 15 * M));
	rhythm_add(&r, 20 * M);
	cr_expect(ge(u64, lease_silence_allowed(&s, &r), 40 * M));
	cr_expect(le(u64, lease_silence_allowed(&s, &r), 48 * M));
	rhythm_add(&r, 3 * H);
	cr_expect(eq(u64, lease_silence_allowed(&s, &r), 2 * H));
}

Test(inquiry, the_simpler_rule_can_be_chosen)
{
	struct lease_settings s = settings(LEASE_MODE_PHASES);
	struct rhythm r = { 0 };

	s.silence_multiplier = 5;
	cr_expect(eq(u64, lease_silence_allowed(&s, &r), 15 * M));
	for (int i = 0; i < 3; i++)
		rhythm_add(&r, M);
	cr_expect(ge(u64, lease_silence_allowed(&s, &r), 5 * M));
	cr_expect(le(u64, lease_silence_allowed(&s, &r), 6 * M));
}

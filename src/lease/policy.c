#include "lease/policy.h"

#include <string.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define MANY_RENEWALS 5
#define LONG_WORK     (8 * USEC_PER_HOUR)

/* --- terms --- */

static struct lease_term within_bounds(const struct lease_settings *s, struct lease_term t)
{
	if (t.ttl_usec < s->min_ttl_usec)
		t.ttl_usec = s->min_ttl_usec;
	if (t.ttl_usec > s->max_ttl_usec)
		t.ttl_usec = s->max_ttl_usec;
	return t;
}

static struct lease_term of_phase(const struct lease_settings *s, const struct lease_course *c)
{
	const struct lease_phases *p = &s->phases;

	if (c->renewals == 0)
		return p->silent;
	if (c->renewals == 1)
		return p->first;
	if (c->progress >= 75)
		return p->late;
	if (c->progress >= 25)
		return p->middle;
	return p->early;
}

static double by_priority(int32_t priority)
{
	return priority >= 20 ? 0.5 : priority >= 10 ? 0.75 : priority >= 0 ? 1 : 1.5;
}

static double by_label(const char *labels)
{
	static const struct {
		const char *name;
		double factor;
	} known[] = { { "simple", 0.5 }, { "complex", 1.5 }, { "research", 2 }, { "epic", 3 } };

	for (size_t len; *labels; labels += len + (labels[len] == ',')) {
		len = strcspn(labels, ",");
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (strlen(known[i].name) == len && strncmp(known[i].name, labels, len) == 0)
				return known[i].factor;
	}
	return 1;
}

static double by_progress(const struct lease_course *c)
{
	if (c->progress > 75)
		return 0.5;
	if (c->progress > 50)
		return 0.75;
	return c->progress < 25 && c->renewals > 2 ? 0.5 : 1;
}

static struct lease_term times(const struct lease_settings *s, const struct lease_course *c, double factor)
{
	uint64_t base = c->estimate_usec ? c->estimate_usec : s->ttl_usec;

	double ttl = (double)base * factor;

	/* an estimate may be anything */
	return (struct lease_term){ ttl < (double)s->max_ttl_usec ? (uint64_t)ttl : s->max_ttl_usec, s->grace_usec };
}

static struct lease_term as_asked(const struct lease_settings *s, const struct lease_course *c)
{
	return (struct lease_term){ c->asked_ttl_usec ? c->asked_ttl_usec : s->ttl_usec, s->grace_usec };
}

struct lease_term lease_term_at_grant(const struct lease_settings *s, const struct lease_course *c)
{
	struct lease_term t = as_asked(s, c);

	if (!c->asked_ttl_usec && s->mode == LEASE_MODE_PHASES)
		t = of_phase(s, c);
	else if (!c->asked_ttl_usec && s->mode == LEASE_MODE_MULTIPLIERS)
		t = times(s, c, by_priority(c->priority) * by_label(c->labels));
	return within_bounds(s, t);
}

struct lease_term lease_term_at_renewal(const struct lease_settings *s, const struct lease_course *c)
{
	struct lease_term t = as_asked(s, c);
	double factor = by_progress(c);

	if (!c->asked_ttl_usec && s->mode == LEASE_MODE_PHASES)
		t = of_phase(s, c);
	if (c->asked_ttl_usec || s->mode != LEASE_MODE_MULTIPLIERS)
		return within_bounds(s, t);
	if (c->estimate_usec > LONG_WORK)
		factor *= 1.5;
	for (uint32_t i = 0; i < c->renewals && factor > 1e-6; i++)
		factor *= 0.9;
	if (c->renewals > MANY_RENEWALS && factor > 0.5)
		factor = 0.5;
	return within_bounds(s, times(s, c, factor));
}

/* --- inquiry --- */

uint64_t lease_silence_allowed(const struct lease_settings *s, const struct rhythm *r)
{
	uint64_t allowed = LEASE_SILENCE_USEC;

	if (s->silence_multiplier && rhythm_count(r) > 0)
		allowed = s->silence_multiplier * rhythm_quantile(r, 500);
	else if (!s->silence_multiplier && rhythm_count(r) >= LEASE_RHYTHM_GAPS)
		allowed = 2 * rhythm_quantile(r, 999);
	return allowed < LEASE_SILENCE_MOST_USEC ? allowed : LEASE_SILENCE_MOST_USEC;
}

static struct lease_decision keep(enum lease_reason reason, uint64_t silence, uint64_t again)
{
	return (struct lease_decision){ LEASE_KEEP, reason, silence, again };
}

static struct lease_decision suspect(enum lease_reason reason, uint64_t silence, uint64_t again)
{
	return (struct lease_decision){ LEASE_SUSPECT, reason, silence, again };
}

static struct lease_decision over(enum lease_reason reason, uint64_t silence)
{
	return (struct lease_decision){ LEASE_OVER, reason, silence, 0 };
}

static uint64_t silence_of(const struct lease_evidence *e, uint64_t now)
{
	uint64_t sign = e->seen_usec > e->heard_usec ? e->seen_usec : e->heard_usec;

	return now > sign ? now - sign : 0;
}

/* silent for longer than it usually is: what is known of it, and is it enough? */
static struct lease_decision judge_silence(const struct lease_settings *s, const struct lease_evidence *e,
					   uint64_t silence, uint64_t now)
{
	uint64_t limit = s->abandon_after_usec;

	if (limit == 0)
		return suspect(LEASE_REASON_SILENT, silence, now + s->look_again_usec);
	if (silence < limit)
		return suspect(LEASE_REASON_SILENT, silence, now - silence + limit);
	if (silence / LEASE_UNKNOWN_TIMES < limit &&
	    (e->processes == LEASE_SIGN_UNKNOWN || e->operation == LEASE_SIGN_UNKNOWN || e->unread))
		return suspect(LEASE_REASON_UNKNOWN, silence, now + s->look_again_usec);
	return over(LEASE_REASON_ABANDONED, silence);
}

struct lease_decision lease_judge(const struct lease_settings *s, const struct rhythm *r,
				  const struct lease_evidence *e, uint64_t now_usec)
{
	uint64_t silence = silence_of(e, now_usec), allowed = lease_silence_allowed(s, r);

	if (e->bound == LEASE_SIGN_NO)
		return over(LEASE_REASON_BOUND_DEAD, silence);
	if (e->other_boot)
		return over(LEASE_REASON_OTHER_BOOT, silence);
	if (e->operation == LEASE_SIGN_YES && e->extensions < LEASE_EXTENSIONS)
		return (struct lease_decision){ LEASE_EXTEND, LEASE_REASON_OPERATION, silence,
						now_usec + LEASE_EXTENSION_USEC };
	if (e->bound == LEASE_SIGN_YES)
		return keep(LEASE_REASON_BOUND_ALIVE, silence, now_usec + s->look_again_usec);
	if (e->processes == LEASE_SIGN_YES)
		return keep(LEASE_REASON_PROCESSES, silence, now_usec + s->look_again_usec);
	if (s->abandon_after_usec && s->abandon_after_usec <= allowed)
		allowed = s->abandon_after_usec - 1; /* who wants it back sooner than that, gets it */
	if (silence <= allowed)
		return keep(LEASE_REASON_RHYTHM, silence, now_usec - silence + allowed + 1);
	return judge_silence(s, e, silence, now_usec);
}

/*
 * What becomes of a lease whose holder was inquired about.
 *
 * lease/policy.c says what the result means: the lease is kept and asked about again, extended, suspect,
 * or over. What was decided is recorded when it is something else than the last time. A lease of
 * lease.max_age is inquired about as well, and told of; nothing is taken away for that.
 */
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

static void describe(const struct lease *lease, const struct inquiry_result *found,
		     const struct lease_decision *d, char *ret, size_t size)
{
	bool lives = d->reason == LEASE_REASON_BOUND_ALIVE || d->reason == LEASE_REASON_PROCESSES;
	char silence[DURATION_TEXT_SIZE];

	/* what was seen of it just now is a sign, and yet it was not heard */
	format_age(lives ? moment_age_usec(&lease->rec.heard) : d->silence_usec, silence);
	switch (d->reason) {
	case LEASE_REASON_BOUND_DEAD:
		snprintf(ret, size, "its holder is gone");
		break;
	case LEASE_REASON_OTHER_BOOT:
		snprintf(ret, size, "the machine was started again since its holder was heard");
		break;
	case LEASE_REASON_OPERATION:
		snprintf(ret, size, "in the middle of: %s; extension %u of %d", found->operation,
			 lease->rec.extensions + 1, LEASE_EXTENSIONS);
		break;
	case LEASE_REASON_BOUND_ALIVE:
		snprintf(ret, size, "not heard for %s, but its process lives", silence);
		break;
	case LEASE_REASON_PROCESSES:
		snprintf(ret, size, "not heard for %s, but %u process%s in the slot", silence,
			 found->n_processes, found->n_processes == 1 ? " is" : "es are");
		break;
	case LEASE_REASON_RHYTHM:
		snprintf(ret, size, "no sign for %s, which is not long for it", silence);
		break;
	case LEASE_REASON_SILENT:
		snprintf(ret, size, "no sign for %s", silence);
		break;
	case LEASE_REASON_UNKNOWN:
		snprintf(ret, size, "no sign for %s, but not everything could be looked at", silence);
		break;
	case LEASE_REASON_ABANDONED:
		snprintf(ret, size, "no sign for %s, nobody in the slot", silence);
		break;
	}
}

/* --- evidence --- */

static bool is_of_this_boot(const struct moment *m)
{
	return m->wall_usec && boot_id_is_same(&m->boot, clock_boot_id());
}

/* by how much the wall clock was set ahead since the last sign; negative: back */
static int64_t clock_was_set_by(const struct lease_record *r)
{
	bool was_seen = is_of_this_boot(&r->seen) && r->seen.boot_usec > r->heard.boot_usec;
	const struct moment *last = was_seen ? &r->seen : &r->heard;

	return is_of_this_boot(last) ? (int64_t)(moment_wall_usec(last) - last->wall_usec) : 0;
}

static uint64_t back_from(uint64_t now, uint64_t ago)
{
	return ago < now ? now - ago : 0;
}

/*
 * When something was written last, as CLOCK_BOOTTIME; 0: nobody can tell. The times of files are those of
 * the wall clock: if that was set since the last sign, what is from before then is as much older or
 * younger than it looks. The younger reading counts.
 */
static uint64_t written_at(const struct lease_record *r, const struct inquiry_result *found, uint64_t now)
{
	int64_t set_by = clock_was_set_by(r);
	uint64_t ahead = set_by > 0 ? (uint64_t)set_by : 0, back = set_by < 0 ? (uint64_t)-set_by : 0;
	uint64_t ago = found->written_ago_usec, at = 0, before = 0;

	if (found->has_written)
		at = back_from(now, ago >= ahead ? ago - ahead : ago);
	if (found->has_written_ahead && found->written_ahead_usec <= back)
		before = back_from(now, back - found->written_ahead_usec);
	if (before > at)
		at = before;
	return found->evidence.seen_usec > at ? found->evidence.seen_usec : at;
}

/* what is from before the machine slept is no older for that */
static uint64_t as_if_awake(const struct pools *p, uint64_t at)
{
	if (at == 0 || at >= p->woke_usec)
		return at;
	at += p->slept_usec - p->slept_before_usec;
	return at < p->woke_usec ? at : p->woke_usec;
}

/* a process that was seen is a sign of that moment, also when it is gone at the next look */
static void note_sign(struct lease *lease, const struct inquiry_result *found, const struct lease_evidence *e,
		      uint64_t now)
{
	struct pools *p = lease->slot->pool->pools;
	struct moment *seen = &lease->rec.seen;
	bool lives = e->processes == LEASE_SIGN_YES || e->bound == LEASE_SIGN_YES;
	uint64_t at = lives ? now : as_if_awake(p, written_at(&lease->rec, found, now));

	if (at == 0 || at > now || (is_of_this_boot(seen) && seen->boot_usec >= at))
		return;
	lease_edit(lease);
	*seen = moment_now();
	seen->boot_usec -= now - at;
	seen->wall_usec -= now - at;
	lease->rec.seen_slept_usec = clock_slept_usec();
	batch_put_lease(p->batch, &lease->rec);
	pools_changed(p);
}

/* that moment, as if the machine had not slept since: nobody can give a sign while it does */
static uint64_t without_sleep(const struct moment *m, uint64_t slept_then, uint64_t now)
{
	uint64_t slept = clock_slept_usec(), at = m->boot_usec;

	if (!is_of_this_boot(m))
		return 0;
	at += slept > slept_then ? slept - slept_then : 0;
	return at < now ? at : now;
}

static void collect(struct lease *lease, const struct inquiry_result *found, struct lease_evidence *e, uint64_t now)
{
	const struct lease_record *r = &lease->rec;

	e->other_boot = !is_of_this_boot(&r->heard);
	e->extensions = r->extensions;
	e->bound = lease_bound_sign(lease);
	note_sign(lease, found, e, now);
	e->heard_usec = without_sleep(&r->heard, r->heard_slept_usec, now);
	e->seen_usec = without_sleep(&r->seen, r->seen_slept_usec, now);
}

/* --- verdicts --- */

static const char *event_of(enum lease_verdict v)
{
	switch (v) {
	case LEASE_EXTEND:
		return "merge_conflict_extension";
	case LEASE_SUSPECT:
		return "lease_suspect";
	default:
		return "lease_kept";
	}
}

static uint64_t *counter_of(struct lease_stats_record *stats, enum lease_verdict v)
{
	switch (v) {
	case LEASE_EXTEND:
		return &stats->extensions;
	case LEASE_SUSPECT:
		return &stats->suspected;
	default:
		return &stats->stopped;
	}
}

static void extend(struct lease_record *rec)
{
	rec->deadline = moment_now();
	rec->deadline.wall_usec += LEASE_EXTENSION_USEC;
	rec->deadline.boot_usec += LEASE_EXTENSION_USEC;
	rec->extensions++;
	rec->warned = false;
}

/* it stays, and what is thought of it is recorded */
static void keep(struct lease *lease, const struct lease_decision *d, const char *why)
{
	struct slot *slot = lease->slot;
	uint8_t verdict = (uint8_t)(d->verdict + 1);
	bool is_new = lease->rec.verdict != verdict || lease->rec.reason != d->reason ||
		      d->verdict == LEASE_EXTEND;

	lease->again_usec = d->again_usec;
	if (is_new) {
		lease_edit(lease);
		lease->rec.verdict = verdict;
		lease->rec.reason = (uint8_t)d->reason;
		if (d->verdict != LEASE_SUSPECT)
			memset(&lease->rec.suspect, 0, sizeof(lease->rec.suspect));
		else if (!lease->rec.suspect.wall_usec)
			lease->rec.suspect = moment_now();
		if (d->verdict == LEASE_EXTEND)
			extend(&lease->rec);
		pools_event(slot->pool->pools, event_of(d->verdict), slot->pool, slot, lease, UID_SLOTD, "%s", why);
		log_info("%s: %s slot=%s agent=%s", event_of(d->verdict), why, slot->rec.name,
			 lease->rec.agent);
		pools_count(slot->pool->pools, counter_of(&slot->pool->pools->stats, d->verdict));
		batch_put_lease(slot->pool->pools->batch, &lease->rec);
	}
	lease_set_timer(lease);
}

/* nothing but a release ends it, and yet somebody should know */
static void suspect(struct lease *lease, struct lease_decision *d)
{
	char silence[DURATION_TEXT_SIZE], why[REASON_SIZE];

	d->verdict = LEASE_SUSPECT;
	snprintf(why, sizeof(why), "no sign for %s, nobody in the slot; it is bound to nothing",
		 format_age(d->silence_usec, silence));
	keep(lease, d, why);
}

static void judge(struct lease *lease, const struct inquiry_result *found, const struct lease_decision *d)
{
	char why[REASON_SIZE];

	describe(lease, found, d, why, sizeof(why));
	if (d->verdict == LEASE_OVER)
		lease_finish(lease, LEASE_END_EXPIRED, false, UID_SLOTD, why);
	else
		keep(lease, d, why);
}

/* --- age --- */

uint64_t lease_age_look(const struct lease *lease)
{
	uint64_t most = lease->slot->pool->conf->lease.max_age_usec;
	uint64_t age = moment_age_usec(&lease->rec.acquired), due = lease->rec.told_age_usec + most, at;

	if (most == 0)
		return UINT64_MAX;
	at = clock_boot_usec() + (due > age ? due - age : 0);
	return lease->age_again_usec > at ? lease->age_again_usec : at;
}

static const char *words_of_sign(enum lease_sign s, const char *yes, const char *no)
{
	return s == LEASE_SIGN_YES ? yes : s == LEASE_SIGN_NO ? no : "not known";
}

/*
 * A lease may be kept for ever by renewals, or by a process that hangs: at this age somebody is told
 * what is known of its holder. It is no reason to take it away.
 */
static void note_age(struct lease *lease, const struct inquiry_result *found, const struct lease_evidence *e,
		     const struct lease_decision *d)
{
	uint64_t age = moment_age_usec(&lease->rec.acquired);
	struct lease_record *r = &lease->rec;
	struct pools *p = lease->slot->pool->pools;
	char held[DURATION_TEXT_SIZE], silence[DURATION_TEXT_SIZE], why[REASON_SIZE];

	lease_edit(lease);
	batch_save(p->batch, &lease->age_again_usec, sizeof(lease->age_again_usec));
	lease->age_again_usec = 0;
	r->told_age_usec = age;
	snprintf(why, sizeof(why),
		 "held for %s, renewed %u %s; last sign of life %s ago; what it is bound to: %s; processes in "
		 "the slot: %s; in the middle of: %s",
		 format_age(age, held), r->renewals, text_plural(r->renewals, "time", "times"),
		 format_age(d->silence_usec, silence), words_of_sign(e->bound, "lives", "gone"),
		 words_of_sign(e->processes, "yes", "none"),
		 found->operation[0] ? found->operation : words_of_sign(e->operation, "something", "nothing"));
	pools_event(p, "lease_max_age", lease->slot->pool, lease->slot, lease, UID_SLOTD, "%s", why);
	log_warning("a lease has reached lease.max_age: %s slot=%s agent=%s", why, r->slot, r->agent);
	batch_put_lease(p->batch, r);
	lease_set_timer(lease);
}

static bool age_is_due(const struct lease *lease)
{
	uint64_t most = lease->slot->pool->conf->lease.max_age_usec;

	return most && moment_age_usec(&lease->rec.acquired) >= lease->rec.told_age_usec + most;
}

/* --- what an inquiry has found --- */

void lease_judge_now(struct lease *lease, const struct inquiry_result *found)
{
	struct lease_settings settings = lease_settings_of(lease->slot->pool->conf);
	struct lease_evidence evidence = found->evidence;
	uint64_t now = clock_boot_usec();
	struct lease_decision d;
	struct rhythm rhythm;

	leases_note_sleep(lease->slot->pool->pools);
	if (lease->ended || lease->slot->pool->pools->stopping)
		return;
	if (!age_is_due(lease) && !lease_is_past_grace(lease))
		return; /* renewed meanwhile */
	memcpy(&rhythm, lease->rec.rhythm, sizeof(rhythm));
	collect(lease, found, &evidence, now);
	d = lease_judge(&settings, &rhythm, &evidence, now);
	if (age_is_due(lease))
		note_age(lease, found, &evidence, &d);
	if (lease_is_past_grace(lease))
		judge(lease, found, &d);
	else if (lease->rec.bind == LEASE_BIND_MANUAL && (d.verdict == LEASE_SUSPECT || d.verdict == LEASE_OVER))
		suspect(lease, &d);
}

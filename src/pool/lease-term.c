/*
 * The time of a lease: its terms, the warning before their end, and the inquiry after it.
 *
 * A deadline that passes ends nothing. When the grace is over too, an inquiry is made (inquiry.c), and
 * lease/policy.c says what its result means: the lease is kept and asked about again, extended, suspect,
 * or over. What was decided is recorded when it is something else than the last time.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/log.h"
#include "util/parse.h"

#define INQUIRY_AGAIN_USEC (15 * USEC_PER_SEC) /* one that came to no end */

static bool has_deadline(const struct lease *lease)
{
	return lease->rec.deadline.wall_usec != 0;
}

static uint64_t grace_end(const struct lease *lease)
{
	return lease->rec.deadline.boot_usec + lease->rec.grace_usec;
}

bool lease_is_past_grace(const struct lease *lease)
{
	return has_deadline(lease) && clock_boot_usec() >= grace_end(lease);
}

static uint64_t warn_at(const struct lease *lease)
{
	uint64_t before = lease->slot->pool->conf->lease.warn_before_usec;
	uint64_t deadline = lease->rec.deadline.boot_usec;

	/* with a short ttl the warning comes in its last third, not at once */
	if (before > lease->rec.ttl_usec / 3)
		before = lease->rec.ttl_usec / 3;
	return deadline > before ? deadline - before : 0;
}

const char *lease_status(const struct lease *lease)
{
	uint64_t now = clock_boot_usec();

	if (lease->rec.suspect.wall_usec)
		return "suspect";
	if (has_deadline(lease) && now >= lease->rec.deadline.boot_usec)
		return "grace";
	if (has_deadline(lease) && now >= warn_at(lease))
		return "expiring_soon";
	return lease->rec.renewals ? "renewed" : "active";
}

static uint64_t next_look(const struct lease *lease)
{
	uint64_t end = grace_end(lease);

	if (!lease->rec.warned)
		return warn_at(lease);
	return lease->again_usec > end ? lease->again_usec : end;
}

void lease_set_timer(struct lease *lease)
{
	if (!has_deadline(lease)) {
		sd_event_source_set_enabled(lease->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(lease->timer, next_look(lease));
	sd_event_source_set_enabled(lease->timer, SD_EVENT_ONESHOT);
}

static void warn(struct lease *lease)
{
	struct slot *slot = lease->slot;
	char left[DURATION_TEXT_SIZE];
	uint64_t now = clock_boot_usec(), deadline = lease->rec.deadline.boot_usec;

	format_age(deadline > now ? deadline - now : 0, left);
	batch_save(slot->pool->pools->batch, &lease->rec, sizeof(lease->rec));
	lease->rec.warned = true;
	batch_put_lease(slot->pool->pools->batch, &lease->rec);
	pools_event(slot->pool->pools, "lease_expiring_soon", slot->pool, slot, lease, UID_SLOTD,
		    "%s left", left);
	log_info("lease expires soon: %s left slot=%s agent=%s", left, slot->rec.name,
		 lease->rec.agent);
}

/* --- terms --- */

static struct lease_term term_of(const struct conf_term *t)
{
	return (struct lease_term){ t->ttl_usec, t->grace_usec };
}

struct lease_settings lease_settings_of(const struct conf_pool *conf)
{
	static const enum lease_mode modes[] = {
		[CONF_LEASE_PHASES] = LEASE_MODE_PHASES,
		[CONF_LEASE_MULTIPLIERS] = LEASE_MODE_MULTIPLIERS,
		[CONF_LEASE_FIXED] = LEASE_MODE_FIXED,
	};

	return (struct lease_settings){
		.mode = modes[conf->lease.mode],
		.phases = { .silent = term_of(&conf->lease.phases.silent),
			    .first = term_of(&conf->lease.phases.first),
			    .late = term_of(&conf->lease.phases.late),
			    .middle = term_of(&conf->lease.phases.middle),
			    .early = term_of(&conf->lease.phases.early) },
		.ttl_usec = conf->lease.ttl_usec,
		.grace_usec = conf->lease.grace_usec,
		.min_ttl_usec = conf->lease.min_ttl_usec,
		.max_ttl_usec = conf->lease.max_ttl_usec,
		.abandon_after_usec = conf->lease.abandon_after_usec,
		.silence_multiplier = conf->lease.silence_multiplier,
		.look_again_usec = conf->lease.monitor_every_usec,
	};
}

static void set_term(struct lease_record *rec, const struct conf_pool *conf)
{
	struct lease_settings settings = lease_settings_of(conf);
	struct lease_course course = {
		.asked_ttl_usec = rec->asked_ttl_usec,
		.estimate_usec = rec->estimate_usec,
		.priority = rec->priority,
		.labels = rec->labels,
		.renewals = rec->renewals,
		.progress = rec->progress,
	};
	struct lease_term term = rec->renewals ? lease_term_at_renewal(&settings, &course) :
						 lease_term_at_grant(&settings, &course);

	rec->ttl_usec = term.ttl_usec;
	rec->grace_usec = term.grace_usec;
}

static void set_deadline(struct lease_record *rec)
{
	if (!(rec->bind & LEASE_BIND_TTL) && !rec->bound_end.wall_usec) {
		memset(&rec->deadline, 0, sizeof(rec->deadline));
		return;
	}
	rec->deadline = moment_now();
	rec->deadline.wall_usec += rec->ttl_usec;
	rec->deadline.boot_usec += rec->ttl_usec;
}

void lease_begin_term(struct lease_record *rec, const struct conf_pool *conf)
{
	set_term(rec, conf);
	set_deadline(rec);
}

static void undo_timer(void *arg)
{
	lease_set_timer(arg);
}

void lease_timer_follows(struct lease *lease)
{
	batch_undo(lease->slot->pool->pools->batch, undo_timer, lease);
}

void lease_edit(struct lease *lease)
{
	struct batch *b = lease->slot->pool->pools->batch;

	lease_timer_follows(lease);
	batch_save(b, &lease->rec, sizeof(lease->rec));
}

/* --- its timer --- */

int lease_on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	static const struct inquiry_result nothing;
	struct lease *lease = userdata;
	uint64_t now = clock_boot_usec();

	/* set again for one that has ended, it would be due before the commit for ever */
	if (lease->ended || !has_deadline(lease) || lease->slot->pool->pools->stopping)
		return 0;
	if (!lease->rec.warned && now >= warn_at(lease))
		warn(lease);
	if (now < grace_end(lease) || now < lease->again_usec) {
		lease_set_timer(lease);
		return 0;
	}
	/* one whose end cannot be recorded lives on, and has to be looked at again */
	lease->again_usec = now + INQUIRY_AGAIN_USEC;
	lease_set_timer(lease);
	if (lease_bound_sign(lease) == LEASE_SIGN_NO)
		lease_judge_now(lease, &nothing); /* that is proof: nobody has to be asked */
	else
		lease_inquire(lease);
	return 0;
}

/* --- renewing --- */

/* the gap since the last report, as far as one boot can tell */
static void note_gap(struct lease_record *rec, const struct moment *now)
{
	const struct moment *last = rec->renewals ? &rec->renewed : &rec->acquired;
	struct rhythm rhythm;

	static_assert(sizeof(rhythm) == sizeof(rec->rhythm), "a rhythm fits its field");
	if (!boot_id_is_same(&last->boot, &now->boot) || now->boot_usec < last->boot_usec)
		return;
	memcpy(&rhythm, rec->rhythm, sizeof(rhythm));
	rhythm_add(&rhythm, now->boot_usec - last->boot_usec);
	memcpy(rec->rhythm, &rhythm, sizeof(rhythm));
}

static void note_report(struct lease_record *rec, int32_t progress, const char *message)
{
	struct moment now = moment_now();

	note_gap(rec, &now);
	rec->renewed = now;
	rec->renewals++;
	rec->without_progress = progress > rec->progress ? 0 : rec->without_progress + 1;
	if (progress >= 0)
		rec->progress = progress;
	if (message)
		snprintf(rec->message, sizeof(rec->message), "%s", message);
}

/* what the lease's holder has said by now; either part may be missing */
static uint64_t tell_renewed(struct lease *lease)
{
	const struct lease_record *r = &lease->rec;
	struct slot *slot = lease->slot;
	char progress[32] = "";

	if (r->progress >= 0)
		snprintf(progress, sizeof(progress), "progress=%d%s", r->progress,
			 r->message[0] ? " " : "");
	return pools_event(slot->pool->pools, "lease_renewed", slot->pool, slot, lease, r->uid,
			   "%s%s", progress, r->message);
}

static bool is_above(uint32_t n, unsigned limit)
{
	return limit && n > limit;
}

/* worth a look by somebody; nothing is taken away for it */
static void note_stuck(struct lease *lease)
{
	const struct conf_pool *conf = lease->slot->pool->conf;
	struct lease_record *r = &lease->rec;
	bool many = is_above(r->renewals, conf->lease.max_renewals);
	bool same = is_above(r->without_progress, conf->lease.stuck_after);
	char why[80];

	if (!many && !same)
		r->stuck = false;
	if (r->stuck || (!many && !same))
		return;
	r->stuck = true;
	if (same)
		snprintf(why, sizeof(why), "renewed %u times without progress", r->without_progress);
	else
		snprintf(why, sizeof(why), "renewed %u times", r->renewals);
	pools_event(lease->slot->pool->pools, "lease_stuck", lease->slot->pool, lease->slot, lease, UID_SLOTD,
		    "%s", why);
	log_warning("a lease may be stuck: %s slot=%s agent=%s", why, r->slot, r->agent);
}

void lease_hear(struct lease *lease)
{
	struct pools *p = lease->slot->pool->pools;

	lease->rec.warned = false;
	lease->rec.heard = moment_now();
	lease->rec.verdict = 0;
	memset(&lease->rec.suspect, 0, sizeof(lease->rec.suspect));
	lease->again_usec = 0;
	lease_begin_term(&lease->rec, lease->slot->pool->conf);
	lease_set_timer(lease);
	batch_put_lease(p->batch, &lease->rec);
	pools_changed(p);
}

uint64_t lease_renew(struct lease *lease, int32_t progress, const char *message, bool touch)
{
	lease_edit(lease);
	if (!touch) {
		note_report(&lease->rec, progress, message);
		note_stuck(lease);
	}
	if (!touch)
		pools_count(lease->slot->pool->pools, &lease->slot->pool->pools->stats.renewals);
	lease_forgive(lease);
	lease_hear(lease);
	return touch ? 0 : tell_renewed(lease);
}

/* --- judging --- */

static void describe(const struct lease *lease, const struct inquiry_result *found,
		     const struct lease_decision *d, char *ret, size_t size)
{
	char silence[DURATION_TEXT_SIZE];

	format_age(d->silence_usec, silence);
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

static bool is_of_this_boot(const struct moment *m)
{
	return m->wall_usec && boot_id_is_same(&m->boot, clock_boot_id());
}

/* a process that was seen is a sign of that moment, also when it is gone at the next look */
static void note_sign(struct lease *lease, const struct lease_evidence *e, uint64_t now)
{
	struct moment *seen = &lease->rec.seen;
	bool lives = e->processes == LEASE_SIGN_YES || e->bound == LEASE_SIGN_YES;
	uint64_t at = lives ? now : e->seen_usec;

	if (at == 0 || at > now || (is_of_this_boot(seen) && seen->boot_usec >= at))
		return;
	lease_edit(lease);
	*seen = moment_now();
	seen->boot_usec -= now - at;
	seen->wall_usec -= now - at;
	batch_put_lease(lease->slot->pool->pools->batch, &lease->rec);
	pools_changed(lease->slot->pool->pools);
}

static void collect(struct lease *lease, struct lease_evidence *e, uint64_t now)
{
	const struct lease_record *r = &lease->rec;

	e->other_boot = !is_of_this_boot(&r->heard);
	e->heard_usec = e->other_boot ? 0 : r->heard.boot_usec;
	e->extensions = r->extensions;
	e->bound = lease_bound_sign(lease);
	note_sign(lease, e, now);
	e->seen_usec = is_of_this_boot(&r->seen) ? r->seen.boot_usec : 0;
}

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
		batch_put_lease(slot->pool->pools->batch, &lease->rec);
	}
	lease_set_timer(lease);
}

void lease_judge_now(struct lease *lease, const struct inquiry_result *found)
{
	struct lease_settings settings = lease_settings_of(lease->slot->pool->conf);
	struct lease_evidence evidence = found->evidence;
	uint64_t now = clock_boot_usec();
	struct lease_decision d;
	struct rhythm rhythm;
	char why[REASON_SIZE];

	if (lease->ended || !has_deadline(lease) || now < grace_end(lease))
		return; /* renewed or released meanwhile */
	if (lease->slot->pool->pools->stopping)
		return;
	memcpy(&rhythm, lease->rec.rhythm, sizeof(rhythm));
	collect(lease, &evidence, now);
	d = lease_judge(&settings, &rhythm, &evidence, now);
	describe(lease, found, &d, why, sizeof(why));
	if (d.verdict == LEASE_OVER)
		lease_finish(lease, LEASE_END_EXPIRED, false, UID_SLOTD, why);
	else
		keep(lease, &d, why);
}

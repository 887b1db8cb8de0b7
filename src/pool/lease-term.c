/*
 * The time of a lease: its terms, the warning before their end, and when its holder is inquired about.
 *
 * A deadline that passes ends nothing. When the grace is over too, an inquiry is made (inquiry.c), and
 * lease-judge.c says what becomes of the lease.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/log.h"
#include "util/parse.h"

#define INQUIRY_AGAIN_USEC (15 * USEC_PER_SEC) /* one that came to no end */
#define ASK_LATER_USEC	   USEC_PER_SEC	       /* one for which there was no room */

static bool has_deadline(const struct lease *lease)
{
	return lease->rec.deadline.wall_usec != 0;
}

static uint64_t grace_end(const struct lease *lease)
{
	uint64_t woke = lease->slot->pool->pools->woke_usec, deadline = lease->rec.deadline.boot_usec;

	return (deadline > woke ? deadline : woke) + lease->rec.grace_usec;
}

/* while it slept nobody could report: grace and silence begin when it has woken */
void leases_note_sleep(struct pools *p)
{
	uint64_t slept = clock_slept_usec();

	if (slept > p->slept_usec + USEC_PER_SEC) {
		p->slept_before_usec = p->slept_usec;
		p->woke_usec = clock_boot_usec();
	}
	p->slept_usec = slept;
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
	if (lease_is_past_grace(lease))
		return "expired";
	if (has_deadline(lease) && now >= lease->rec.deadline.boot_usec)
		return "grace";
	if (has_deadline(lease) && now >= warn_at(lease))
		return "expiring_soon";
	return lease->rec.renewals ? "renewed" : "active";
}

static uint64_t next_look(const struct lease *lease)
{
	uint64_t end = grace_end(lease);

	if (!has_deadline(lease))
		return UINT64_MAX;
	if (!lease->rec.warned)
		return warn_at(lease);
	return lease->again_usec > end ? lease->again_usec : end;
}

void lease_set_timer(struct lease *lease)
{
	uint64_t next = next_look(lease), age = lease_age_look(lease);

	if (age < next)
		next = age;
	sd_event_source_set_time(lease->timer, next);
	sd_event_source_set_enabled(lease->timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void warn(struct lease *lease)
{
	struct slot *slot = lease->slot;
	char left[DURATION_TEXT_SIZE];
	uint64_t now = clock_boot_usec(), deadline = lease->rec.deadline.boot_usec;

	format_age(deadline > now ? deadline - now : 0, left);
	/* without its timer: what cannot be recorded is not tried again before the grace is over */
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

void lease_ask_later(struct lease *lease)
{
	uint64_t soon = clock_boot_usec() + ASK_LATER_USEC;

	if (lease->again_usec > soon)
		lease->again_usec = soon;
	if (lease->age_again_usec > soon)
		lease->age_again_usec = soon;
	lease_set_timer(lease);
}

static bool is_to_be_judged(const struct lease *lease, uint64_t now)
{
	return lease_is_past_grace(lease) && now >= lease->again_usec;
}

int lease_on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	static const struct inquiry_result nothing;
	struct lease *lease = userdata;
	uint64_t now = clock_boot_usec();
	bool is_old = now >= lease_age_look(lease);

	leases_note_sleep(lease->slot->pool->pools);
	/* set again for one that has ended, it would be due before the commit for ever */
	if (lease->ended || lease->slot->pool->pools->stopping)
		return 0;
	if (has_deadline(lease) && !lease->rec.warned && now >= warn_at(lease))
		warn(lease);
	if (!is_old && !is_to_be_judged(lease, now)) {
		lease_set_timer(lease);
		return 0;
	}
	/* one whose end cannot be recorded lives on, and has to be looked at again */
	if (is_to_be_judged(lease, now))
		lease->again_usec = now + INQUIRY_AGAIN_USEC;
	if (is_old)
		lease->age_again_usec = now + INQUIRY_AGAIN_USEC;
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
	lease->rec.heard_slept_usec = clock_slept_usec();
	lease->rec.verdict = 0;
	memset(&lease->rec.suspect, 0, sizeof(lease->rec.suspect));
	lease->again_usec = 0;
	lease_begin_term(&lease->rec, lease->slot->pool->conf);
	lease_set_timer(lease);
	batch_put_lease(p->batch, &lease->rec);
	pools_changed(p);
}

uint64_t lease_note_last_words(struct lease *lease, int32_t progress, const char *message)
{
	struct pools *p = lease->slot->pool->pools;

	lease_edit(lease);
	note_report(&lease->rec, progress, message);
	pools_count(p, &p->stats.renewals);
	batch_put_lease(p->batch, &lease->rec);
	return tell_renewed(lease);
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

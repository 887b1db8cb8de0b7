/*
 * Between a clean tree and a ready slot: what the operator wants to be in it.
 *
 * The slot stays in the state that it is in, so that a crash begins again with the tree. What fails here is
 * not the slot's fault and may pass (a seed file is not there yet): the slot says why it is not ready, and it is
 * tried again, less and less often.
 */
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define RETRY_FIRST USEC_PER_SEC
#define RETRY_MOST  USEC_PER_MIN

/* --- the steps --- */

/* in this batch; its job starts after the commit */
static void set_due(struct slot *slot, enum furnish due)
{
	struct batch *b = slot->pool->pools->batch;

	slot_edit(slot);
	slot->rec.discard = true; /* what is in it from here on is nobody's work */
	slot_put(slot);
	batch_save(b, &slot->furnish, sizeof(slot->furnish));
	slot->furnish = due;
	batch_after(b, slot_work_after, slot);
}

void slot_furnished(struct slot *slot)
{
	slot->pool->trouble[0] = '\0';
	slot_move(slot, SLOT_STATE_READY, NULL);
}

/* nobody will have its slots: they go as they are */
static bool is_leaving(const struct pool *pool)
{
	return pool->rec.state == POOL_STATE_REMOVING || pool_is_draining(pool);
}

static void after_seeds(struct slot *slot)
{
	if (slot_wants_warmup(slot) && !is_leaving(slot->pool))
		set_due(slot, FURNISH_WARM);
	else
		slot_furnished(slot);
}

static void after_ports(struct slot *slot)
{
	if (slot->pool->conf->seed.files.n > 0 && !is_leaving(slot->pool))
		set_due(slot, FURNISH_SEED);
	else
		after_seeds(slot);
}

void slot_furnish(struct slot *slot)
{
	/* what a warm-up made is among what went */
	if (slot->pool->conf->clean.ignored == CONF_IGNORED_REMOVE)
		slot->rec.warmed[0] = '\0';
	if (is_leaving(slot->pool) || slot_take_ports(slot))
		after_ports(slot);
	else
		set_due(slot, FURNISH_PORTS);
}

/* it is not ready, and nothing is at work on it */
static bool is_put_off(const struct slot *slot)
{
	return (slot->furnish || slot->put_offs > 0) && !slot->job && !slot->gone;
}

bool slot_stop_furnishing(struct slot *slot)
{
	if (!is_put_off(slot))
		return false;
	slot_furnished(slot);
	return true;
}

/* straight away: half of what was to be in it is nobody's work */
static void send_away(struct slot *slot)
{
	if (!slot_stop_furnishing(slot))
		return;
	slot_edit(slot);
	slot->rec.discard = true;
	slot_move(slot, SLOT_STATE_REMOVING, "not furnished yet, and its pool goes");
}

void pool_stop_furnishing(struct pool *pool)
{
	static const enum slot_state states[] = { SLOT_STATE_CREATING, SLOT_STATE_CLEANING,
						  SLOT_STATE_RECOVERING };
	struct slot *slot, *tmp;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		list_for_each_safe(slot, tmp, &pool->slots[states[i]], link) {
			slot_stop_warming(slot);
			send_away(slot);
		}
	}
}

void pool_furnish_at_once(struct pool *pool)
{
	struct slot *slot;

	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each(slot, &pool->slots[i], link)
			if (slot->put_offs > 0)
				slot->put_offs = 0, slot->retry_after_usec = 0;
	pools_look_later(pool->pools, 0);
}

void slot_put_off(struct slot *slot, const char *event, const char *what, const char *why,
		  uint64_t first, uint64_t most)
{
	char reason[REASON_SIZE];

	snprintf(reason, sizeof(reason), "%.60s: %.180s", what, why);
	text_mend_utf8(reason);
	pool_note_trouble(slot->pool, "%s", reason);
	slot_edit(slot);
	snprintf(slot->rec.reason, sizeof(slot->rec.reason), "%s", reason);
	slot_put(slot);
	pools_event(slot->pool->pools, event, slot->pool, slot, NULL, UID_SLOTD, "%s", reason);
	slot_tell_delay(slot, reason);
	slot_repeat_later(slot, backoff_usec(++slot->put_offs, first, most));
}

/* nobody knows what it has left behind: another try begins with the tree */
static void lost(struct slot *slot, const char *what, const struct job_result *r)
{
	slot->furnish = FURNISH_NONE;
	slot_job_failed(slot, what, r);
}

/* --- ports --- */

static void try_ports(struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;
	char why[REASON_SIZE];

	if (is_leaving(slot->pool) || slot_take_ports(slot)) {
		after_ports(slot);
		return;
	}
	snprintf(why, sizeof(why), "no block of %u free ports is left from %u on (slots.ports)",
		 conf->slots.ports.count, conf->slots.ports.base);
	slot_put_off(slot, "ports_failed", "has no ports", why, RETRY_FIRST, RETRY_MOST);
}

/* --- seeds --- */

/* the operator's side of it, which another try alone does not change */
static bool is_of_operator(const struct job_result *r)
{
	return r->outcome == JOB_REFUSED &&
	       (text_is_equal(r->error, "NotFound") || text_is_equal(r->error, "Failed") ||
		text_is_equal(r->error, "NotPermitted"));
}

static void on_seeded(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;

	slot->job = NULL;
	CRASH_POINT("pool.seed.done");
	if (r->outcome == JOB_DONE)
		after_seeds(slot);
	else if (is_of_operator(r))
		slot_put_off(slot, "seed_failed", "cannot be seeded", r->message, RETRY_FIRST,
			     RETRY_MOST);
	else
		lost(slot, "cannot be seeded", r);
}

static void start_seed(struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;
	json_object *params;

	/* the configuration may have been changed since */
	if (conf->seed.files.n == 0 || is_leaving(slot->pool)) {
		after_seeds(slot);
		return;
	}
	params = json_object_new_object();
	json_set_string(params, "commit", slot->rec.head);
	json_set_string(params, "from", conf->seed.from);
	json_set(params, "files", conf_list_to_json(&conf->seed.files));
	slot_start_job(slot, "SlotSeed", params, DEADLINE_TREE, on_seeded);
}

void slot_furnish_work(struct slot *slot)
{
	switch (slot->furnish) {
	case FURNISH_PORTS:
		try_ports(slot);
		break;
	case FURNISH_SEED:
		start_seed(slot);
		break;
	case FURNISH_WARM:
		is_leaving(slot->pool) ? slot_furnished(slot) : slot_warm_work(slot);
		break;
	case FURNISH_NONE:
		break;
	}
}

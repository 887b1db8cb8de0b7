/*
 * What an asker or an operator clears away: requests that wait, delays before the next try, and in the
 * end everything that is held.
 */
#include <string.h>

#include "pool/private.h"
#include "util/process.h"

struct clearing {
	const struct clear_spec *spec;
	clear_fn fn;
	void *userdata;
};

static void tell(const struct clearing *c, const char *what, const struct pool *pool, const char *slot,
		 const struct acquire_spec *asked)
{
	struct cleared cleared = {
		.what = what,
		.pool = pool->rec.name,
		.slot = slot,
		.agent = asked ? asked->agent : "",
		.task = asked ? asked->task : "",
	};

	c->fn(&cleared, c->userdata);
}

/* --- requests --- */

/* by its name, or since whoever clears was started by whoever asked */
static bool is_of_caller(const struct clear_spec *spec, const struct acquire_spec *asked)
{
	if (asked->uid != spec->uid)
		return false;
	if (spec->agent[0])
		return strcmp(asked->agent, spec->agent) == 0;
	return asked->pid && process_descends_from((pid_t)spec->pid, (pid_t)asked->pid, asked->pid_start);
}

static bool is_to_be_cleared(const struct clear_spec *spec, const struct waiter *w)
{
	/* everyone's: those of a living connection wait for good reason, and end with it */
	if (spec->everyone)
		return w->away_until_usec && (!spec->agent[0] || strcmp(w->spec.agent, spec->agent) == 0);
	return is_of_caller(spec, &w->spec);
}

static void clear_waiters(struct pool *pool, const struct clearing *c)
{
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &pool->waiters, link) {
		if (!is_to_be_cleared(c->spec, w))
			continue;
		tell(c, "acquire", pool, NULL, &w->spec);
		waiter_refuse(w, "Conflict", "it was cleared: slotctl ping cleanup");
		pool_kick(pool);
	}
}

/* --- delays --- */

static void clear_delays(struct pool *pool, const struct clearing *c)
{
	uint64_t now = clock_boot_usec();
	struct slot *slot;

	for (int i = 0; i < SLOT_STATES; i++) {
		list_for_each(slot, &pool->slots[i], link) {
			if (slot->gone || slot->retry_after_usec <= now)
				continue;
			slot->retry_after_usec = 0;
			tell(c, "retry", pool, slot->rec.name, NULL);
		}
	}
	if (pool->create_after_usec > now || pool->open_after_usec > now)
		tell(c, "retry", pool, NULL, NULL);
	pool->create_after_usec = pool->open_after_usec = 0;
	pools_look_later(pool->pools, 0);
}

void pools_clear(struct pools *p, const struct clear_spec *spec, clear_fn fn, void *userdata)
{
	struct clearing c = { spec, fn, userdata };
	struct pool *pool;

	list_for_each(pool, &p->pools, link) {
		if (spec->everyone && !spec->may(pool, userdata))
			continue;
		clear_waiters(pool, &c);
		if (spec->everyone && !spec->agent[0])
			clear_delays(pool, &c);
	}
}

/* --- everything --- */

bool slot_reset(struct slot *slot, uint32_t uid)
{
	static const char why[] = "ping reset";

	if (slot->waiter)
		waiter_requeue(slot->waiter); /* its worker goes on; then the slot is cleaned */

	switch ((enum slot_state)slot->rec.state) {
	case SLOT_STATE_LEASED:
		lease_finish(slot->lease, LEASE_END_FORCED, false, uid, why);
		return true;
	case SLOT_STATE_READY:
		slot_clean(slot, false, why);
		return true;
	case SLOT_STATE_ISOLATED:
		slot_recover(slot, false, why);
		return true;
	case SLOT_STATE_CLEANING:
	case SLOT_STATE_RECOVERING:
	case SLOT_STATE_CREATING:
	case SLOT_STATE_PREPARING:
		return true; /* on its way by itself */
	default:
		return false;
	}
}

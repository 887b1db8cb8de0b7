/* Herding slots between lists happens here. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define TO(state) (1u << SLOT_STATE_##state)

/*
 * The edges of design.md, and two more: a removal that would lose work is taken back, and what could
 * not be made goes without a trace, as there is nothing in it to keep.
 */
static const unsigned edges[SLOT_STATES] = {
	[SLOT_STATE_CREATING] = TO(READY) | TO(ISOLATED) | TO(REMOVING),
	[SLOT_STATE_READY] = TO(PREPARING) | TO(LEASED) | TO(CLEANING) | TO(RECOVERING) |
			     TO(ISOLATED) | TO(REMOVING),
	[SLOT_STATE_PREPARING] = TO(LEASED) | TO(CLEANING) | TO(RECOVERING) | TO(ISOLATED),
	[SLOT_STATE_LEASED] = TO(CLEANING) | TO(RECOVERING) | TO(ISOLATED),
	[SLOT_STATE_CLEANING] = TO(READY) | TO(RECOVERING) | TO(ISOLATED),
	[SLOT_STATE_RECOVERING] = TO(READY) | TO(ISOLATED),
	[SLOT_STATE_ISOLATED] = TO(RECOVERING) | TO(REMOVING),
	[SLOT_STATE_REMOVING] = TO(ISOLATED),
};

/* puts the slot on the list that its record names; also how a rollback puts it back */
static void slot_relist(void *arg)
{
	struct slot *slot = arg;
	struct pool *pool = slot->pool;

	if (slot->listed)
		pool->count[slot->listed]--;
	list_del(&slot->link);
	slot->listed = slot->rec.state;
	pool->count[slot->listed]++;
	list_append(&pool->slots[slot->listed], &slot->link);
}

struct slot *slot_new(struct pool *pool, const struct slot_record *rec)
{
	struct slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->rec = *rec;
	slot->pool = pool;
	list_init(&slot->link);
	list_init(&slot->settle);
	if (map_put(pool->pools->slots, slot->rec.name, slot) < 0) {
		free(slot);
		return NULL;
	}
	pool->total++;
	slot_relist(slot);
	return slot;
}

static void settle_refuse(struct settle_waiter *w, const char *error, const char *why)
{
	struct slot *slot = w->slot;
	struct refusal no = { 0 };

	refuse(&no, error, "%s", why);
	list_del(&w->link);
	w->fn(slot->rec.name, slot->rec.state, slot->rec.reason, &no, w->userdata);
	free(w);
}

void slot_free(struct slot *slot)
{
	struct settle_waiter *s, *tmp;
	struct pool *pool = slot->pool;

	/* slotd stops: nobody hears it any more, but what waits has to be freed by its owner */
	list_for_each_safe(s, tmp, &slot->settle, link)
		settle_refuse(s, "ShuttingDown", "slotd is stopping; ask again in a moment");
	if (slot->lease)
		lease_free(slot->lease);
	leftovers_free(slot);
	pool->count[slot->listed]--;
	pool->total--;
	list_del(&slot->link);
	map_remove(pool->pools->slots, slot->rec.name);
	free(slot);
}

/* --- changing --- */

void slot_edit(struct slot *slot)
{
	/* undone in reverse: first the record, then its place */
	batch_undo(slot->pool->pools->batch, slot_relist, slot);
	batch_save(slot->pool->pools->batch, &slot->rec, sizeof(slot->rec));
}

void slot_put(struct slot *slot)
{
	batch_put_slot(slot->pool->pools->batch, &slot->rec);
	pools_changed(slot->pool->pools);
}

/* those who wait for the slot to settle, on their way through a commit */
struct settled {
	struct slot *slot;
	struct list waiters; /* settle_waiter */
	char name[NAME_SIZE];
	enum slot_state state;
	char reason[REASON_SIZE];
};

static void tell_settled(void *arg, int error, const struct fault *why)
{
	struct settled *s = arg;
	struct settle_waiter *w, *tmp;

	list_for_each_safe(w, tmp, &s->waiters, link) {
		list_del(&w->link);
		if (error) {
			/* not settled after all: they go on waiting */
			list_append(&s->slot->settle, &w->link);
			continue;
		}
		w->fn(s->name, s->state, s->reason, NULL, w->userdata);
		free(w);
	}
	free(s);
}

static void settle(struct slot *slot, enum slot_state state, const char *reason)
{
	struct settle_waiter *w, *tmp;
	struct settled *s;

	if (list_is_empty(&slot->settle))
		return;
	s = calloc(1, sizeof(*s));
	if (!s)
		return; /* they are told at the next state instead */
	s->slot = slot;
	s->state = state;
	list_init(&s->waiters);
	memcpy(s->name, slot->rec.name, sizeof(s->name));
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	list_for_each_safe(w, tmp, &slot->settle, link) {
		list_del(&w->link);
		list_append(&s->waiters, &w->link);
	}
	batch_after(slot->pool->pools->batch, tell_settled, s);
}

void slot_tell_delay(struct slot *slot, const char *reason)
{
	settle(slot, slot->rec.state, reason);
	pools_changed(slot->pool->pools);
}

static void undo_settle(void *arg)
{
	settle_refuse(arg, "LedgerFailed", "nothing was changed, the ledger could not be written");
}

int slot_follow(struct slot *slot, slot_settled_fn fn, slot_left_fn fn_left, void *userdata)
{
	struct settle_waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->slot = slot;
	w->fn = fn;
	w->left = fn_left;
	w->userdata = userdata;
	list_append(&slot->settle, &w->link);
	batch_undo(slot->pool->pools->batch, undo_settle, w);
	pools_changed(slot->pool->pools);
	return 0;
}

int slot_on_settled(struct slot *slot, slot_settled_fn fn, void *userdata)
{
	return slot_follow(slot, fn, NULL, userdata);
}

void slot_tell_left(struct slot *slot)
{
	struct settle_waiter *w, *tmp;

	list_for_each_safe(w, tmp, &slot->settle, link)
		if (w->left)
			w->left(slot, w->userdata);
}

void slot_work_after(void *arg, int error, const struct fault *why)
{
	if (!error)
		slot_work(arg);
}

static const char *event_of(enum slot_state to)
{
	switch (to) {
	case SLOT_STATE_READY:
		return "slot_ready";
	case SLOT_STATE_ISOLATED:
		return "slot_isolated";
	case SLOT_STATE_RECOVERING:
		return "slot_recovering";
	case SLOT_STATE_REMOVING:
		return "slot_removing";
	default:
		return NULL; /* told by the lease's event, or of no interest */
	}
}

/* nobody works in it any more, and somebody may have */
static bool is_left(enum slot_state s)
{
	return s == SLOT_STATE_CLEANING || s == SLOT_STATE_RECOVERING || s == SLOT_STATE_REMOVING;
}

void slot_forget_holder(struct slot *slot)
{
	struct slot_record *r = &slot->rec;

	memset(&r->left_lease, 0, sizeof(r->left_lease));
	r->left_uid = 0;
	r->left_task[0] = r->left_base[0] = '\0';
	r->left_since_usec = r->left_usec = 0;
	r->unsure = false;
	r->left_by[0] = '\0';
}

void slot_move(struct slot *slot, enum slot_state to, const char *reason)
{
	struct pools *p = slot->pool->pools;
	const char *event = event_of(to);

	assert(edges[slot->rec.state] & (1u << to));
	slot_edit(slot);
	slot->rec.state = to;
	slot->rec.since_usec = clock_wall_usec();
	slot->rec.attempts = 0;
	snprintf(slot->rec.reason, sizeof(slot->rec.reason), "%s", reason ? reason : "");
	text_mend_utf8(slot->rec.reason);
	if (to == SLOT_STATE_ISOLATED) {
		slot->rec.unsure = false; /* who brings it back decides */
		slot->rec.isolated_usec = slot->rec.since_usec;
		snprintf(slot->rec.isolated_by, sizeof(slot->rec.isolated_by), "slotd");
		log_warning("slot isolated: %s slot=%s pool=%s", slot->rec.reason, slot->rec.name,
			    slot->rec.pool);
	}
	if (to == SLOT_STATE_REMOVING)
		leftovers_free(slot); /* others count, and who was there before is looked for again */
	if (is_left(to) && slot->rec.left_usec == 0)
		slot->rec.left_usec = slot->rec.since_usec;
	if (to == SLOT_STATE_READY) {
		slot_forget_holder(slot);
		leftovers_settle(slot);
		slot->rec.discard = slot->rec.forget = false;
		slot->rec.isolated_usec = 0;
		slot->rec.isolated_by[0] = '\0';
		slot->rec.boot = *clock_boot_id();
	}
	slot->retry_after_usec = 0;
	if (slot->furnish) {
		batch_save(p->batch, &slot->furnish, sizeof(slot->furnish));
		slot->furnish = FURNISH_NONE;
	}
	if (slot->stamped || slot->put_offs) {
		batch_save(p->batch, &slot->stamped, sizeof(slot->stamped));
		batch_save(p->batch, &slot->put_offs, sizeof(slot->put_offs));
		slot->stamped = false;
		slot->put_offs = 0;
	}
	slot_relist(slot);
	slot_put(slot);
	if (event)
		pools_event(p, event, slot->pool, slot, NULL, UID_SLOTD, "%s", slot->rec.reason);
	if (to == SLOT_STATE_READY || to == SLOT_STATE_ISOLATED)
		settle(slot, to, slot->rec.reason);
	else
		batch_after(p->batch, slot_work_after, slot);
	pool_kick(slot->pool);
}

static void slot_gone(void *arg, int error, const struct fault *why)
{
	struct slot *slot = arg;
	struct pool *pool = slot->pool;

	if (error)
		return;
	slot_free(slot);
	pool_kick(pool);
}

void slot_forget(struct slot *slot)
{
	struct pools *p = slot->pool->pools;

	pools_event(p, "slot_removed", slot->pool, slot, NULL, UID_SLOTD, "%s", "");
	batch_save(p->batch, &slot->gone, sizeof(slot->gone));
	slot->gone = true;
	batch_delete_slot(p->batch, slot->rec.name);
	settle(slot, SLOT_STATE_REMOVING, slot->rec.reason);
	batch_after(p->batch, slot_gone, slot);
	pools_changed(p);
}

/* --- making --- */

static void undo_create(void *arg)
{
	slot_free(arg);
}

/* numbers are never used again: a path, once given out, means one slot for ever */
static uint64_t next_number(struct pool *pool)
{
	struct pools *p = pool->pools;
	struct token_record t = { .next_n = pool->next_n + 1 };

	batch_save(p->batch, &pool->next_n, sizeof(pool->next_n));
	batch_put_token(p->batch, pool->rec.name, &t);
	return pool->next_n++;
}

struct slot *slot_create(struct pool *pool, uint32_t uid)
{
	struct pools *p = pool->pools;
	struct slot_record rec = { .state = SLOT_STATE_CREATING };
	struct slot *slot;

	rec.since_usec = rec.created_usec = clock_wall_usec();
	snprintf(rec.name, sizeof(rec.name), "%.62s-%llu", pool->rec.name,
		 (unsigned long long)next_number(pool));
	memcpy(rec.pool, pool->rec.name, sizeof(rec.pool));
	memcpy(rec.target, pool->rec.head, sizeof(rec.target));
	slot = slot_new(pool, &rec);
	if (!slot)
		return NULL;
	batch_undo(p->batch, undo_create, slot);
	slot_put(slot);
	pools_event(p, "slot_creating", pool, slot, NULL, uid, "at %s", rec.target);
	batch_after(p->batch, slot_work_after, slot);
	return slot;
}

int slot_add(struct pool *pool, uint32_t uid, struct slot **ret, struct refusal *ret_refusal)
{
	if (!pool_is_open_for_acquire(pool, ret_refusal))
		return -ECANCELED;
	if (pool->rec.state != POOL_STATE_ACTIVE || pool->rec.head[0] == '\0')
		return refuse(ret_refusal, "Unavailable", "pool %s has no commit to stand on yet",
			      pool->rec.name);
	if (pool_disk_is_low(pool))
		return refuse(ret_refusal, "Unavailable", "pool %s: %s", pool->rec.name,
			      pool_problem(pool));
	if (pool_total(pool) >= pool_max(pool))
		return refuse(ret_refusal, "Unavailable",
			      "pool %s has %u %s, its max: slotctl pool resize %s --max N",
			      pool->rec.name, pool_total(pool),
			      text_plural(pool_total(pool), "slot", "slots"), pool->rec.name);
	*ret = slot_create(pool, uid);
	return *ret ? 0 : refuse(ret_refusal, "Internal", "out of memory");
}

int slot_remove(struct slot *slot, bool discard, uint32_t uid, struct refusal *ret_refusal)
{
	enum slot_state state;

	discard |= slot_stop_furnishing(slot);
	state = slot->rec.state;
	if (state == SLOT_STATE_REMOVING && slot->rec.discard >= discard)
		return 0; /* asked again: who asks waits for the same end */
	if (state == SLOT_STATE_LEASED)
		return refuse(ret_refusal, "Conflict", "slot %s is leased: slotctl release %s first",
			      slot->rec.name, slot->rec.name);
	if (state != SLOT_STATE_READY && state != SLOT_STATE_ISOLATED)
		return refuse(ret_refusal, "Conflict", "slot %s is %s; wait until it is ready",
			      slot->rec.name, slot_state_to_string(state));
	slot_edit(slot);
	slot->rec.discard = discard;
	slot_move(slot, SLOT_STATE_REMOVING, discard ? "removed, unsaved work included" : "removed");
	pools_event(slot->pool->pools, "slot_remove_asked", slot->pool, slot, NULL, uid, "%s",
		    discard ? "discard" : "");
	return 0;
}

/* --- looking --- */

struct slot *slot_first(const struct pool *pool, enum slot_state state)
{
	return list_first(&pool->slots[state], struct slot, link);
}

struct slot *slot_next(struct pools *p, struct pool *pool, struct slot *slot)
{
	enum slot_state state = slot ? slot->listed : SLOT_STATE_CREATING;
	struct list *l = slot ? slot->link.next : pool->slots[state].next;

	for (;;) {
		if (l == &pool->slots[state]) {
			if (++state == SLOT_STATES)
				return NULL;
			l = pool->slots[state].next;
		} else if (list_entry(l, struct slot, link)->gone) {
			l = l->next;
		} else {
			return list_entry(l, struct slot, link);
		}
	}
}

const struct slot_record *slot_record(const struct slot *slot)
{
	return &slot->rec;
}

struct pool *slot_pool(const struct slot *slot)
{
	return slot->pool;
}

struct lease *slot_lease(const struct slot *slot)
{
	return slot->lease;
}

char *slot_path(const struct slot *slot)
{
	return text_printf("%s/%s", slot->pool->slots_dir, slot->rec.name);
}

char *slot_tmp_path(const struct slot *slot)
{
	return text_printf("%s/" SLOT_TMP_PREFIX "%s", slot->pool->slots_dir, slot->rec.name);
}

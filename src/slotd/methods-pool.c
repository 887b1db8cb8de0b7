/* Pools and slots: the operators' part. */
#include <stdlib.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

/* a call that waits for a pool */
struct pool_call {
	struct slotd *d;
	struct rpc_call *call;
	struct pool_waiter *waiter;
};

static void pool_call_free(struct pool_call *pc)
{
	rpc_call_on_gone(pc->call, NULL, NULL);
	rpc_call_unref(pc->call);
	free(pc);
}

static void on_asker_gone(struct rpc_call *call, void *userdata)
{
	struct pool_call *pc = userdata;

	pool_waiter_forget(pc->waiter);
	pool_call_free(pc);
}

static struct pool_call *pool_call_new(struct slotd *d, struct rpc_call *call)
{
	struct pool_call *pc = calloc(1, sizeof(*pc));

	if (!pc)
		return NULL;
	pc->d = d;
	pc->call = rpc_call_ref(call);
	rpc_call_on_gone(call, on_asker_gone, pc);
	return pc;
}

static void on_pool_progress(json_object *progress, void *userdata)
{
	struct pool_call *pc = userdata;
	json_object *o;

	/* what was not read in time is of yesterday: the next one says more */
	if (!rpc_call_wants_more(pc->call) || !rpc_call_has_room(pc->call))
		return;
	o = json_set(json_object_new_object(), "pool", NULL);
	(void)rpc_reply_more(pc->call, json_set(o, "progress", json_object_get(progress)));
}

static void on_pool_done(struct pool *pool, const struct refusal *refusal, void *userdata)
{
	struct pool_call *pc = userdata;
	json_object *o;

	if (refusal->error) {
		answer_refusal(pc->call, refusal);
	} else {
		o = json_set(json_object_new_object(), "pool", pool_info(pc->d, pool));
		if (strcmp(rpc_call_method(pc->call), "PoolAdd") == 0)
			json_set(o, "progress", NULL);
		rpc_reply(pc->call, o);
	}
	pool_call_free(pc);
}

METHOD(pool_add)
{
	const char *name = json_get_string(params, "pool"), *why;
	struct refusal no = { 0 };
	struct slotd *d = userdata;
	struct pool_call *pc;

	if (!caller_may(d, call, NULL, CONF_ACCESS_OPERATE)) {
		answer_not_permitted(call, NULL, "add a pool");
		return 0;
	}
	if (parse_pool_name(name, &why) < 0) {
		rpc_error(call, "io.slotd.pool.Conflict", NULL, "\"%.80s\" is no pool name: %s", name,
			  why);
		return 0;
	}
	pc = pool_call_new(d, call);
	if (!pc)
		return fault_oom(f);
	if (pool_add(d->pools, name, json_get_string(params, "url"), json_get_string(params, "path"),
		     json_get_string(params, "ref"), json_get_int(params, "ready", -1),
		     json_get_int(params, "max", -1), rpc_call_peer(call)->uid, on_pool_progress,
		     on_pool_done, pc, &pc->waiter, &no) < 0) {
		answer_refusal(call, &no);
		pool_call_free(pc);
	}
	return 0;
}

METHOD(pool_fetch)
{
	struct slotd *d = userdata;
	struct pool *pool = find_pool(d, call, params, CONF_ACCESS_OPERATE);
	struct refusal no = { 0 };
	struct pool_call *pc;

	if (!pool)
		return 0;
	pc = pool_call_new(d, call);
	if (!pc)
		return fault_oom(f);
	if (pool_fetch(pool, on_pool_done, pc, &pc->waiter, &no) < 0) {
		answer_refusal(call, &no);
		pool_call_free(pc);
	}
	return 0;
}

/* --- removing: nobody can call it off, so the call is only kept for its answer --- */

static void on_removed(const char *name, const struct pool_removal *removal,
		       const struct refusal *refusal, void *userdata)
{
	struct rpc_call *call = userdata;
	json_object *o, *branches, *salvage;

	if (refusal->error) {
		answer_refusal(call, refusal);
	} else {
		branches = json_object_new_array();
		for (size_t i = 0; i < removal->n_branches; i++)
			json_object_array_add(branches,
					      json_object_new_string(removal->branches[i]));
		salvage = json_object_new_array();
		for (size_t i = 0; i < removal->n_salvage; i++)
			json_object_array_add(salvage, json_object_new_string(removal->salvage[i]));
		o = json_set_string(json_object_new_object(), "pool", name);
		json_set(o, "salvage", salvage);
		json_set(o, "store", string_or_null(removal->store));
		json_set_bool(o, "deleted", removal->deleted);
		rpc_reply(call, json_set(o, "branches", branches));
	}
	rpc_call_unref(call);
}

METHOD(pool_remove)
{
	struct slotd *d = userdata;
	struct pool *pool = find_pool(d, call, params, CONF_ACCESS_OPERATE);
	struct refusal no = { 0 };

	if (!pool)
		return 0;
	if (pool_remove(pool, json_get_bool(params, "deleteStore", false), rpc_call_peer(call)->uid,
			on_removed, rpc_call_ref(call), &no) < 0) {
		answer_refusal(call, &no);
		rpc_call_unref(call);
		return 0;
	}
	pool_note_remover(pool, rpc_call_peer(call)->pid);
	return 0;
}

METHOD(pool_resize)
{
	struct slotd *d = userdata;
	struct pool *pool = find_pool(d, call, params, CONF_ACCESS_OPERATE);
	struct refusal no = { 0 };

	if (!pool)
		return 0;
	if (pool_resize(pool, json_get_int(params, "ready", -1), json_get_int(params, "max", -1),
			rpc_call_peer(call)->uid, &no) < 0) {
		answer_refusal(call, &no);
		return 0;
	}
	answer_after_commit(d, call,
			    json_set(json_object_new_object(), "pool", pool_info(d, pool)));
	return 0;
}

static int set_paused(struct rpc_call *call, json_object *params, struct slotd *d, bool paused,
		      bool draining)
{
	struct pool *pool = find_pool(d, call, params, CONF_ACCESS_OPERATE);

	if (!pool)
		return 0;
	pool_set_paused(pool, paused, draining, rpc_call_peer(call)->uid);
	answer_after_commit(d, call,
			    json_set(json_object_new_object(), "pool", pool_info(d, pool)));
	return 0;
}

METHOD(pool_pause)
{
	return set_paused(call, params, userdata, true, false);
}

METHOD(pool_resume)
{
	return set_paused(call, params, userdata, false, false);
}

METHOD(pool_drain)
{
	return set_paused(call, params, userdata, false, true);
}

/* --- slots --- */

struct slot_call {
	struct slotd *d;
	struct rpc_call *call;
};

static void slot_call_free(struct slot_call *sc)
{
	rpc_call_unref(sc->call);
	free(sc);
}

static int wait_for_slot(struct slotd *d, struct rpc_call *call, struct slot *slot,
			 slot_settled_fn fn, struct fault *f)
{
	struct slot_call *sc = calloc(1, sizeof(*sc));

	if (!sc)
		return fault_oom(f);
	sc->d = d;
	sc->call = rpc_call_ref(call);
	if (slot_on_settled(slot, fn, sc) < 0) {
		slot_call_free(sc);
		return fault_oom(f);
	}
	return 0;
}

/* it is ready, or why not; @failed: what is said of one that is not */
static void answer_ready(struct slot_call *sc, const char *name, enum slot_state state, const char *failed,
			 const char *reason, const struct refusal *refusal)
{
	struct slot *slot = pools_find_slot(sc->d->pools, name);

	if (refusal)
		answer_refusal(sc->call, refusal);
	else if (state == SLOT_STATE_READY && slot)
		rpc_reply(sc->call, json_set(json_object_new_object(), "slot",
					     slot_info(sc->d, sc->call, slot)));
	else
		rpc_error(sc->call, state == SLOT_STATE_ISOLATED ? "io.slotd.pool.Isolated" :
								   "io.slotd.pool.Unavailable",
			  NULL, "slot %s %s: %s", name, failed, reason);
	slot_call_free(sc);
}

static void on_added(const char *name, enum slot_state state, const char *reason,
		     const struct refusal *refusal, void *userdata)
{
	answer_ready(userdata, name, state, "could not be made", reason, refusal);
}

METHOD(slot_add)
{
	struct slotd *d = userdata;
	struct pool *pool = find_pool(d, call, params, CONF_ACCESS_OPERATE);
	struct refusal no = { 0 };
	struct slot *slot;

	if (!pool)
		return 0;
	if (slot_add(pool, rpc_call_peer(call)->uid, &slot, &no) < 0) {
		answer_refusal(call, &no);
		return 0;
	}
	return wait_for_slot(d, call, slot, on_added, f);
}

static void on_slot_removed(const char *name, enum slot_state state, const char *reason,
			    const struct refusal *refusal, void *userdata)
{
	struct slot_call *sc = userdata;
	struct slot *slot = pools_find_slot(sc->d->pools, name);
	bool is_held = slot && slot_is_held_by_processes(slot);

	if (refusal)
		answer_refusal(sc->call, refusal);
	else if (state == SLOT_STATE_REMOVING)
		rpc_reply(sc->call, json_set_string(json_object_new_object(), "slot", name));
	else
		rpc_error(sc->call, "io.slotd.pool.Conflict", NULL, "slot %s was not removed: %s (%s)", name,
			  reason, is_held ? "it goes when they have ended" : "--discard removes it with that");
	slot_call_free(sc);
}

/* NULL: there is none, or the caller may not operate it, and that has been answered */
static struct slot *find_slot_to_operate(struct slotd *d, struct rpc_call *call, json_object *params)
{
	const char *name = json_get_string(params, "slot");
	struct slot *slot = pools_find_slot(d->pools, name);

	if (!slot) {
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "slot"),
			  "there is no slot %s; slotctl slots shows them", name);
		return NULL;
	}
	if (!caller_may(d, call, slot_pool(slot), CONF_ACCESS_OPERATE)) {
		answer_not_permitted(call, slot_pool(slot), "operate");
		return NULL;
	}
	return slot;
}

static void on_warmed(const char *name, enum slot_state state, const char *reason,
		      const struct refusal *refusal, void *userdata)
{
	answer_ready(userdata, name, state, "is not warm", reason, refusal);
}

METHOD(slot_warm)
{
	struct slotd *d = userdata;
	struct slot *slot = find_slot_to_operate(d, call, params);
	struct refusal no = { 0 };

	if (!slot)
		return 0;
	if (slot_warm(slot, rpc_call_peer(call)->uid, &no) < 0) {
		answer_refusal(call, &no);
		return 0;
	}
	return wait_for_slot(d, call, slot, on_warmed, f);
}

METHOD(slot_remove)
{
	struct slotd *d = userdata;
	struct slot *slot = find_slot_to_operate(d, call, params);
	struct refusal no = { 0 };

	if (!slot)
		return 0;
	if (slot_remove(slot, json_get_bool(params, "discard", false), rpc_call_peer(call)->uid,
			&no) < 0) {
		answer_refusal(call, &no);
		return 0;
	}
	slot_note_leaver(slot, rpc_call_peer(call)->pid);
	return wait_for_slot(d, call, slot, on_slot_removed, f);
}

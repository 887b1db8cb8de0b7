/* Is it well, and what is done about it when it is not: ping and what begins with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/clock.h"

/* --- is it well --- */

METHOD(ping)
{
	struct slotd *d = userdata;
	json_object *o = json_object_new_object();

	json_set_string(o, "version", SLOTD_VERSION);
	json_set_int(o, "uptimeUsec", (int64_t)(clock_boot_usec() - d->started_usec));
	json_set_int(o, "pid", getpid());
	rpc_reply(call, o);
	return 0;
}

static json_object *ledger_health(struct slotd *d)
{
	struct ledger_info info = { 0 };
	struct fault f = FAULT_NONE;
	json_object *o = json_object_new_object();

	json_set_bool(o, "ok", ledger_info(pools_ledger(d->pools), &info, &f) == 0 && !pools_unwritten(d->pools)[0]);
	json_set_int(o, "mapBytes", (int64_t)info.map_bytes);
	json_set_int(o, "usedBytes", (int64_t)info.used_bytes);
	json_set_int(o, "commits", (int64_t)info.commits);
	json_set_int(o, "records", (int64_t)info.records);
	json_set_int(o, "sequence", (int64_t)ledger_last_sequence(pools_ledger(d->pools)));
	return o;
}

static void add_pending(const struct waiter_info *w, void *userdata)
{
	json_object_array_add(userdata,
			      json_object_new_string(w->spec->agent[0] ? w->spec->agent : "-"));
}

static void add_stuck(json_object *list, const char *what, const char *pool, const char *message)
{
	json_object *o = json_set_string(json_object_new_object(), "what", what);

	json_set_string(o, "pool", pool);
	json_object_array_add(list, json_set_string(o, "message", message));
}

static void add_stuck_worker(const char *pool, pid_t pid, void *userdata)
{
	char text[80];

	snprintf(text, sizeof(text), "worker %d was killed and does not end", (int)pid);
	add_stuck(userdata, "worker", pool, text);
}

/* what does not go on by itself, or not for now */
static json_object *list_stuck(struct slotd *d)
{
	json_object *list = json_object_new_array();
	_cleanup_(freep) char *salvage = salvage_problem(d);
	struct pool *pool;

	for (pool = pool_next(d->pools, NULL); pool; pool = pool_next(d->pools, pool))
		if (pool_problem(pool)[0])
			add_stuck(list, "pool", pool_record(pool)->name, pool_problem(pool));
	if (pools_unwritten(d->pools)[0])
		add_stuck(list, "ledger", NULL, pools_unwritten(d->pools));
	if (salvage)
		add_stuck(list, "salvage", NULL, salvage);
	jobs_each_stuck(d->jobs, add_stuck_worker, list);
	if (jobs_shortage(d->jobs)[0])
		add_stuck(list, "jobs", NULL, jobs_shortage(d->jobs));
	return list;
}

READ(ping_health)
{
	json_object *stuck;
	json_object *o = json_object_new_object(), *pending = json_object_new_array();
	struct slotd *d = userdata;
	unsigned agents = pools_count_leases(d->pools);
	struct pool *pool;

	if (!caller_may(d, call, NULL, CONF_ACCESS_OBSERVE)) {
		json_object_put(o);
		json_object_put(pending);
		answer_not_permitted(call, NULL, "ask for the health of slotd");
		return 0;
	}
	for (pool = pool_next(d->pools, NULL); pool; pool = pool_next(d->pools, pool))
		pool_each_waiter(pool, add_pending, pending);
	stuck = list_stuck(d);
	json_set_bool(o, "ok", json_object_array_length(stuck) == 0);
	json_set(o, "pendingGrants", pending);
	json_set_int(o, "activeAgents", agents);
	json_set_int(o, "assigned", agents);
	json_set_int(o, "activeOperations", jobs_count_running(d->jobs));
	json_set_bool(o, "shutdownPending", d->stopping);
	json_set_int(o, "leases", agents);
	json_set_int(o, "queue", pools_count_waiters(d->pools));
	json_set_int(o, "workers", jobs_count_workers(d->jobs));
	json_set(o, "breakers", json_object_new_array());
	json_set(o, "ledger", ledger_health(d));
	json_set(o, "stuck", stuck);
	rpc_reply(call, o);
	return 0;
}

/* --- clearing --- */

struct clearing {
	struct slotd *d;
	struct rpc_call *call;
	json_object *list;
};

static bool may_clear(const struct pool *pool, void *userdata)
{
	struct clearing *c = userdata;

	return caller_may(c->d, c->call, pool, CONF_ACCESS_OPERATE);
}

/* somebody who operates no pool at all has no business here */
static bool operates_any(struct slotd *d, const struct rpc_call *call)
{
	struct pool *pool;

	for (pool = pool_next(d->pools, NULL); pool; pool = pool_next(d->pools, pool))
		if (caller_may(d, call, pool, CONF_ACCESS_OPERATE))
			return true;
	return caller_may(d, call, NULL, CONF_ACCESS_OPERATE);
}

static void add_cleared(const struct cleared *c, void *userdata)
{
	struct clearing *clearing = userdata;
	json_object *o = json_set_string(json_object_new_object(), "what", c->what);

	json_set_string(o, "pool", c->pool);
	json_set(o, "slot", string_or_null(c->slot));
	json_set(o, "agent", string_or_null(c->agent));
	json_set(o, "task", string_or_null(c->task));
	json_object_array_add(clearing->list, o);
}

METHOD(ping_cleanup)
{
	struct clear_spec spec = {
		.everyone = json_get_bool(params, "all", false),
		.uid = rpc_call_peer(call)->uid,
		.pid = (uint32_t)rpc_call_peer(call)->pid,
		.may = may_clear,
	};
	struct slotd *d = userdata;
	struct clearing c = { d, call, NULL };

	if (spec.everyone && !operates_any(d, call)) {
		answer_not_permitted(call, NULL, "clear what is not its own");
		return 0;
	}
	if (copy_param(call, params, "agent", spec.agent, sizeof(spec.agent)) < 0)
		return 0;
	c.list = json_object_new_array();
	pools_clear(d->pools, &spec, add_cleared, &c);
	answer_after_commit(d, call, json_set(json_object_new_object(), "cleared", c.list));
	return 0;
}

/* --- everything back --- */

struct reset_call {
	struct slotd *d;
	struct rpc_call *call;
	json_object *slots;
	unsigned pending;
	struct refusal refusal; /* of the first that could not be recorded */
};

static void answer_reset(struct reset_call *r)
{
	if (--r->pending > 0)
		return;
	if (r->refusal.error) {
		answer_refusal(r->call, &r->refusal);
		json_object_put(r->slots);
	} else {
		rpc_reply(r->call, json_set(json_object_new_object(), "slots", r->slots));
	}
	rpc_call_unref(r->call);
	free(r);
}

static void on_reset(const char *slot, enum slot_state state, const char *reason,
		     const struct refusal *refusal, void *userdata)
{
	struct reset_call *r = userdata;
	json_object *o = json_set_string(json_object_new_object(), "slot", slot);

	if (refusal && !r->refusal.error)
		r->refusal = *refusal;
	json_set_string(o, "state", state == SLOT_STATE_REMOVING ? "gone" : slot_state_to_string(state));
	json_set(o, "reason", state == SLOT_STATE_READY ? NULL : string_or_null(reason));
	json_object_array_add(r->slots, o);
	answer_reset(r);
}

/* they move from list to list, so they are counted out first */
static void reset_pool(struct reset_call *r, struct pool *pool, const struct rpc_peer *by)
{
	size_t n;
	_cleanup_(freep) struct slot **slots = slots_in_order(r->d, pool, SIZE_MAX, &n);

	for (size_t i = 0; i < n; i++) {
		if (slot_lease(slots[i]))
			slot_note_leaver(slots[i], by->pid);
		if (slot_reset(slots[i], by->uid) && slot_on_settled(slots[i], on_reset, r) == 0)
			r->pending++;
	}
}

METHOD(ping_reset)
{
	struct slotd *d = userdata;
	struct reset_call *r;
	struct pool *pool;

	if (!operates_any(d, call)) {
		answer_not_permitted(call, NULL, "take every slot back");
		return 0;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return fault_oom(f);
	*r = (struct reset_call){ d, rpc_call_ref(call), json_object_new_array(), 1, { 0 } };
	for (pool = pool_next(d->pools, NULL); pool; pool = pool_next(d->pools, pool))
		if (caller_may(d, call, pool, CONF_ACCESS_OPERATE))
			reset_pool(r, pool, rpc_call_peer(call));
	answer_reset(r);
	pools_commit_if_large(d->pools);
	return 0;
}

/* --- statistics --- */

struct tally {
	unsigned total, active, expiring, grace, expired, suspect, stuck;
	json_object *by_status;
};

static void count(struct tally *t, const struct lease *lease)
{
	const char *status = lease_status(lease);

	t->total++;
	t->active += strcmp(status, "active") == 0 || strcmp(status, "renewed") == 0;
	t->expiring += strcmp(status, "expiring_soon") == 0;
	t->grace += strcmp(status, "grace") == 0;
	t->expired += strcmp(status, "expired") == 0;
	t->suspect += strcmp(status, "suspect") == 0;
	t->stuck += lease_record(lease)->stuck;
	json_set_int(t->by_status, status, json_get_int(t->by_status, status, 0) + 1);
}

READ(stats)
{
	struct slotd *d = userdata;
	const struct lease_stats_record *s = pools_lease_stats(d->pools);
	json_object *o = json_object_new_object();
	struct tally t = { .by_status = json_object_new_object() };
	struct lease *lease;

	if (!caller_may(d, call, NULL, CONF_ACCESS_OBSERVE)) {
		json_object_put(t.by_status);
		json_object_put(o);
		answer_not_permitted(call, NULL, "see the statistics of slotd");
		return 0;
	}
	for (lease = lease_next(d->pools, NULL); lease; lease = lease_next(d->pools, lease))
		if (caller_may(d, call, slot_pool(lease_slot(lease)), CONF_ACCESS_OBSERVE))
			count(&t, lease);
	json_set_int(o, "total", t.total);
	json_set_int(o, "active", t.active);
	json_set_int(o, "expiringSoon", t.expiring);
	json_set_int(o, "grace", t.grace);
	json_set_int(o, "expired", t.expired);
	json_set_int(o, "suspect", t.suspect);
	json_set_int(o, "stuck", t.stuck);
	json_set(o, "byStatus", t.by_status);
	json_set_int(o, "renewals", (int64_t)s->renewals);
	json_set_int(o, "extensions", (int64_t)s->extensions);
	json_set_int(o, "suspected", (int64_t)s->suspected);
	json_set_int(o, "recoveries", (int64_t)s->recoveries);
	json_set_int(o, "recoveriesStopped", (int64_t)s->stopped);
	json_set_int(o, "recoveriesSkippedTerminal", (int64_t)s->terminal);
	json_set_int(o, "lateReports", (int64_t)s->late_reports);
	json_set_int(o, "handoffs", (int64_t)s->handoffs);
	rpc_reply(call, json_set(json_object_new_object(), "leases", o));
	return 0;
}

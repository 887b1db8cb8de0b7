/* What there is: status, slots, leases, who waits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/parse.h"
#include "util/text.h"

#define CHUNK 200 /* entries of a list in one reply of a stream */

/* --- status --- */

static const char *pool_state_name(const struct pool *pool)
{
	switch ((enum pool_state)pool_record(pool)->state) {
	case POOL_STATE_OPENING:
		return "opening";
	case POOL_STATE_BROKEN:
		return "broken";
	case POOL_STATE_REMOVING:
		return "removing";
	case POOL_STATE_ACTIVE:
		break;
	}
	return "active";
}

static json_object *unsupported_of(const struct pool *pool)
{
	const char *text = pool_record(pool)->unsupported;
	json_object *o = text[0] ? json_tokener_parse(text) : NULL;

	return o ? o : json_object_new_array();
}

static json_object *counts_of(struct pool *pool)
{
	static const struct {
		const char *name;
		enum slot_state state;
	} states[] = {
		{ "ready", SLOT_STATE_READY },	     { "preparing", SLOT_STATE_PREPARING },
		{ "leased", SLOT_STATE_LEASED },     { "cleaning", SLOT_STATE_CLEANING },
		{ "creating", SLOT_STATE_CREATING }, { "recovering", SLOT_STATE_RECOVERING },
		{ "isolated", SLOT_STATE_ISOLATED }, { "removing", SLOT_STATE_REMOVING },
	};
	const struct check_record *check = pool_last_check(pool);
	const struct pool_record *r = pool_record(pool);
	json_object *o = json_object_new_object();

	json_set_string(o, "name", r->name);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		json_set_int(o, states[i].name, pool_count(pool, states[i].state));
	json_set_int(o, "total", pool_total(pool));
	json_set_int(o, "max", pool_max(pool));
	json_set_int(o, "waiting", pool_waiting(pool));
	json_set_bool(o, "paused", r->paused);
	json_set_bool(o, "draining", pool_is_draining(pool));
	json_set_string(o, "state", pool_state_name(pool));
	json_set(o, "problem", string_or_null(pool_problem(pool)));
	json_set(o, "head", string_or_null(r->head));
	json_set(o, "unsupported", unsupported_of(pool));
	json_set(o, "checkedAtUsec", check ? usec_or_null(moment_wall_usec(&check->at)) : NULL);
	json_set_int(o, "checkErrors", check ? (int64_t)check->errors : 0);
	json_set_int(o, "checkWarnings", check ? (int64_t)check->warnings : 0);
	return o;
}

/* what an operator should look at */
static uint64_t findings_of(struct pool *pool)
{
	const struct check_record *check = pool_last_check(pool);

	return pool_count(pool, SLOT_STATE_ISOLATED) +
	       (pool_record(pool)->state == POOL_STATE_BROKEN) +
	       (check ? check->errors + check->warnings : 0);
}

char *salvage_problem(struct slotd *d)
{
	_cleanup_(freep) char *above = salvages_excess_sentence(d->pools, salvages_excess(d->pools));
	char total[SIZE_TEXT_SIZE];

	if (!above)
		return NULL;
	return text_printf("what was saved takes %s, %s, and is too young to go by itself: slotctl salvage list",
			   format_size(salvages_bytes(d->pools), total), above);
}

/* of slotd as a whole */
static json_object *problems_of(struct slotd *d, const struct rpc_call *call)
{
	_cleanup_(freep) char *salvage = salvage_problem(d);
	json_object *list = json_object_new_array();

	if (salvage && caller_may(d, call, NULL, CONF_ACCESS_OBSERVE))
		json_object_array_add(list, json_object_new_string(salvage));
	return list;
}

READ(status)
{
	json_object *list = json_object_new_array(), *o = json_object_new_object();
	struct slotd *d = userdata;
	json_object *problems = problems_of(d, call);
	size_t findings = json_object_array_length(problems);
	struct pool *pool;

	for (pool = pool_next(d->pools, NULL); pool; pool = pool_next(d->pools, pool)) {
		if (!caller_may(d, call, pool, CONF_ACCESS_OBSERVE))
			continue;
		json_object_array_add(list, counts_of(pool));
		findings += findings_of(pool);
	}
	json_set_string(o, "version", SLOTD_VERSION);
	json_set_int(o, "uptimeUsec", (int64_t)(clock_boot_usec() - d->started_usec));
	json_set(o, "pools", list);
	json_set(o, "problems", problems);
	json_set_int(o, "findings", (int64_t)findings);
	rpc_reply(call, o);
	return 0;
}

/* --- lists that may be long --- */

void stream_add(struct stream *s, json_object *entry)
{
	json_object *o;

	json_object_array_add(s->list, entry);
	if (!s->more || s->r < 0 || json_object_array_length(s->list) < CHUNK)
		return;
	o = json_set(json_object_new_object(), s->key, s->list);
	s->list = json_object_new_array();
	s->r = rpc_reply_more(s->call, o);
}

struct stream stream_start(struct rpc_call *call, const char *key, bool more)
{
	return (struct stream){ .call = call, .key = key, .list = json_object_new_array(),
				.more = more };
}

/* the pools that a list is about: the one named, or all that the caller may see */
static struct pool *next_listed(struct slotd *d, const struct rpc_call *call, const char *name,
				struct pool *pool)
{
	if (name)
		return pool ? NULL : pools_find(d->pools, name);
	do {
		pool = pool_next(d->pools, pool);
	} while (pool && !caller_may(d, call, pool, CONF_ACCESS_OBSERVE));
	return pool;
}

/* false: answered */
static bool may_list(struct slotd *d, struct rpc_call *call, json_object *params)
{
	return !json_get_string(params, "pool") ||
	       find_pool(d, call, params, CONF_ACCESS_OBSERVE) != NULL;
}

/* the id is the key to the lease: only its holder and operators see all of it */
static json_object *shown_lease(struct slotd *d, const struct rpc_call *call, struct lease *lease)
{
	char start[12] = "";

	if (!lease)
		return NULL;
	if (caller_may(d, call, slot_pool(lease_slot(lease)), CONF_ACCESS_OPERATE) ||
	    rpc_call_peer(call)->uid == lease_record(lease)->uid)
		return json_object_new_string(lease_id(lease));
	memcpy(start, lease_id(lease), 8);
	return json_object_new_string(strcat(start, "..."));
}

json_object *slot_info(struct slotd *d, const struct rpc_call *call, struct slot *slot)
{
	const struct slot_record *r = slot_record(slot);
	struct lease *lease = slot_lease(slot);
	const struct lease_record *l = lease ? lease_record(lease) : NULL;
	_cleanup_(freep) char *path = slot_path(slot);
	json_object *o = json_object_new_object();

	json_set_string(o, "slot", r->name);
	json_set_string(o, "pool", r->pool);
	json_set_string(o, "path", path);
	json_set_string(o, "state", slot_state_to_string(r->state));
	json_set(o, "reason", string_or_null(r->reason));
	json_set(o, "lease", shown_lease(d, call, lease));
	json_set(o, "agent", l ? string_or_null(l->agent) : NULL);
	json_set(o, "task", l ? string_or_null(l->task) : NULL);
	json_set(o, "head", string_or_null(r->head));
	json_set(o, "branch", string_or_null(r->branch));
	json_set_int(o, "sinceAtUsec", (int64_t)r->since_usec);
	json_set_int(o, "allocations", (int64_t)r->allocations);
	json_set_int(o, "usedUsec", (int64_t)r->used_usec);
	json_set(o, "diskBytes", usec_or_null(r->disk_bytes));
	json_set(o, "portBase", usec_or_null(r->port_base));
	json_set(o, "isolatedAtUsec", usec_or_null(r->isolated_usec));
	json_set(o, "isolatedBy", string_or_null(r->isolated_by));
	json_set(o, "meta", l && l->meta[0] ? json_tokener_parse(l->meta) : NULL);
	return o;
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *const *x = a, *const *y = b;
	const char *n = slot_record(*x)->name, *m = slot_record(*y)->name;
	size_t i = strlen(n), j = strlen(m);

	/* of one pool: the shorter number is the smaller */
	return i != j ? (i > j) - (i < j) : strcmp(n, m);
}

struct slot **slots_in_order(struct slotd *d, struct pool *pool, size_t most, size_t *ret_n)
{
	size_t total = pool_total(pool);
	struct slot **slots = calloc((total < most ? total : most) + 1, sizeof(*slots));
	struct slot *slot;
	size_t n = 0;

	for (slot = slot_next(d->pools, pool, NULL); slot && slots && n < most && n < total;
	     slot = slot_next(d->pools, pool, slot))
		slots[n++] = slot;
	if (n)
		qsort(slots, n, sizeof(*slots), compare_slots);
	*ret_n = n;
	return slots;
}

static void list_slots(struct slotd *d, struct pool *pool, enum slot_state wanted, struct stream *s)
{
	size_t n;
	_cleanup_(freep) struct slot **slots = slots_in_order(d, pool, SIZE_MAX, &n);

	for (size_t i = 0; i < n; i++)
		if (!wanted || slot_record(slots[i])->state == wanted)
			stream_add(s, slot_info(d, s->call, slots[i]));
}

READ(slots)
{
	const char *name = json_get_string(params, "pool");
	const char *state = json_get_string(params, "state");
	struct slotd *d = userdata;
	enum slot_state wanted = 0;
	struct pool *pool = NULL;
	struct stream s;

	if (state && slot_state_from_string(state, &wanted) < 0) {
		rpc_error_parameter(call, "state");
		return 0;
	}
	if (!may_list(d, call, params))
		return 0;
	s = stream_start(call, "slots", rpc_call_wants_more(call));
	while ((pool = next_listed(d, call, name, pool)))
		list_slots(d, pool, wanted, &s);
	rpc_reply(call, json_set(json_object_new_object(), s.key, s.list));
	return 0;
}

/* --- leases --- */

static json_object *bind_to_json(uint8_t bind)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = { { LEASE_BIND_PROCESS, "process" },
		      { LEASE_BIND_CONNECTION, "connection" },
		      { LEASE_BIND_TTL, "ttl" },
		      { LEASE_BIND_MANUAL, "manual" } };
	struct text t = { 0 };
	json_object *o;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (bind & names[i].bit)
			text_addf(&t, "%s%s", t.len ? "+" : "", names[i].name);
	o = json_object_new_string(t.data ? t.data : "");
	text_deinit(&t);
	return o;
}

static json_object *lease_info(struct slotd *d, const struct rpc_call *call, struct lease *lease)
{
	const struct lease_record *r = lease_record(lease);
	json_object *o = json_object_new_object();

	json_set(o, "lease", shown_lease(d, call, lease));
	json_set_string(o, "slot", r->slot);
	json_set_string(o, "pool", r->pool);
	json_set(o, "agent", string_or_null(r->agent));
	json_set(o, "task", string_or_null(r->task));
	json_set_string(o, "status", lease_status(lease));
	json_set(o, "bind", bind_to_json(r->bind));
	json_set_int(o, "acquiredAtUsec", (int64_t)moment_wall_usec(&r->acquired));
	json_set(o, "expiresAtUsec", usec_or_null(moment_wall_usec(&r->deadline)));
	json_set(o, "renewedAtUsec", usec_or_null(moment_wall_usec(&r->renewed)));
	json_set_int(o, "renewals", r->renewals);
	json_set(o, "progress", r->progress >= 0 ? json_object_new_int(r->progress) : NULL);
	json_set(o, "message", string_or_null(r->message));
	json_set_int(o, "graceUsec", (int64_t)r->grace_usec);
	json_set_int(o, "mergeExtensions", r->extensions);
	return o;
}

struct lease_stats {
	unsigned total, expired, expiring, high, renewals;
	int64_t terminal;
	json_object *by_status;
};

static void count_lease(struct lease_stats *s, struct lease *lease)
{
	const struct lease_record *r = lease_record(lease);
	const char *status = lease_status(lease);

	s->total++;
	s->expired += strcmp(status, "suspect") == 0 || strcmp(status, "grace") == 0 ||
		      strcmp(status, "expired") == 0;
	s->expiring += strcmp(status, "expiring_soon") == 0;
	s->renewals += r->renewals;
	s->high += r->renewals > pool_conf(slot_pool(lease_slot(lease)))->lease.stuck_after;
	json_set_int(s->by_status, status, json_get_int(s->by_status, status, 0) + 1);
}

static json_object *stats_to_json(const struct lease_stats *s)
{
	json_object *o = json_object_new_object();

	json_set_int(o, "totalActive", s->total);
	json_set_int(o, "expired", s->expired);
	json_set_int(o, "expiringSoon", s->expiring);
	json_set_int(o, "highRenewalCount", s->high);
	json_set_double(o, "averageRenewalCount", s->total ? (double)s->renewals / s->total : 0.0);
	json_set(o, "byStatus", s->by_status);
	json_set_int(o, "recoveriesSkippedTerminal", s->terminal);
	return o;
}

READ(leases)
{
	const char *name = json_get_string(params, "pool");
	json_object *list = json_object_new_array(), *o;
	struct lease_stats stats = { 0 };
	struct slotd *d = userdata;
	struct pool *pool = NULL;
	struct slot *slot;

	if (!may_list(d, call, params)) {
		json_object_put(list);
		return 0;
	}
	stats.by_status = json_object_new_object();
	stats.terminal = (int64_t)pools_lease_stats(d->pools)->terminal;
	while ((pool = next_listed(d, call, name, pool))) {
		for (slot = slot_next(d->pools, pool, NULL); slot;
		     slot = slot_next(d->pools, pool, slot)) {
			if (!slot_lease(slot))
				continue;
			json_object_array_add(list, lease_info(d, call, slot_lease(slot)));
			count_lease(&stats, slot_lease(slot));
		}
	}
	o = json_set(json_object_new_object(), "leases", list);
	rpc_reply(call, json_set(o, "stats", stats_to_json(&stats)));
	return 0;
}

/* --- who waits --- */

static void add_waiter(const struct waiter_info *w, void *userdata)
{
	json_object *o = json_object_new_object();

	json_set_string(o, "pool", pool_record(w->spec->pool)->name);
	json_set_int(o, "position", w->position);
	json_set(o, "agent", string_or_null(w->spec->agent));
	json_set(o, "task", string_or_null(w->spec->task));
	json_set(o, "branch", string_or_null(w->spec->branch));
	json_set_int(o, "priority", w->priority);
	json_set_int(o, "sinceAtUsec", (int64_t)w->since_usec);
	json_set_int(o, "deadlineAtUsec", (int64_t)w->deadline_usec);
	json_set_string(o, "reason", w->reason);
	json_object_array_add(userdata, o);
}

static int compare_position(const void *a, const void *b)
{
	json_object *x = *(json_object *const *)a, *y = *(json_object *const *)b;
	int r = strcmp(json_get_string(x, "pool"), json_get_string(y, "pool"));
	int64_t i = json_get_int(x, "position", 0), j = json_get_int(y, "position", 0);

	return r ? r : (i > j) - (i < j);
}

READ(queue)
{
	const char *name = json_get_string(params, "pool");
	json_object *list;
	struct slotd *d = userdata;
	struct pool *pool = NULL;

	if (!may_list(d, call, params))
		return 0;
	list = json_object_new_array();
	while ((pool = next_listed(d, call, name, pool)))
		pool_each_waiter(pool, add_waiter, list);
	json_object_array_sort(list, compare_position);
	rpc_reply(call, json_set(json_object_new_object(), "queue", list));
	return 0;
}

/* --- pools --- */

json_object *pool_info(struct slotd *d, struct pool *pool)
{
	const struct pool_record *r = pool_record(pool);
	_cleanup_(freep) char *url = text_redact_url(r->url);
	json_object *o = json_object_new_object();

	json_set_string(o, "name", r->name);
	json_set_string(o, "source", r->from_file ? "file" : "runtime");
	json_set(o, "url", string_or_null(url));
	json_set(o, "path", string_or_null(r->path));
	json_set(o, "ref", string_or_null(r->full_ref[0] ? r->full_ref : r->ref));
	json_set(o, "head", string_or_null(r->head));
	json_set_string(o, "store", r->common_dir[0] ? r->common_dir : pool_store(pool));
	json_set_string(o, "slotsDirectory", pool_slots_dir(pool));
	json_set_int(o, "slotsReady", pool_ready_wanted(pool));
	json_set_int(o, "slotsMax", pool_max(pool));
	json_set_string(o, "state", pool_state_name(pool));
	json_set(o, "problem", string_or_null(pool_problem(pool)));
	json_set_bool(o, "paused", r->paused);
	json_set_bool(o, "draining", pool_is_draining(pool));
	json_set(o, "fetchedAtUsec", usec_or_null(r->fetched.wall_usec));
	json_set(o, "unsupported", unsupported_of(pool));
	return o;
}

READ(pool_list)
{
	json_object *list = json_object_new_array();
	struct slotd *d = userdata;
	struct pool *pool = NULL;

	while ((pool = next_listed(d, call, NULL, pool)))
		json_object_array_add(list, pool_info(d, pool));
	rpc_reply(call, json_set(json_object_new_object(), "pools", list));
	return 0;
}

READ(pool_show)
{
	struct slotd *d = userdata;
	struct pool *pool = find_pool(d, call, params, CONF_ACCESS_OBSERVE);

	if (pool)
		rpc_reply(call, json_set(json_object_new_object(), "pool", pool_info(d, pool)));
	return 0;
}

/* --- the configuration --- */

METHOD(config_show)
{
	struct slotd *d = userdata;
	_cleanup_(freep) char *yaml = NULL;
	json_object *o;

	if (!caller_may(d, call, NULL, CONF_ACCESS_OPERATE)) {
		answer_not_permitted(call, NULL, "read the configuration");
		return 0;
	}
	yaml = conf_to_yaml(d->conf);
	if (!yaml)
		return fault_oom(f);
	o = json_set(json_object_new_object(), "file", string_or_null(d->conf->file));
	rpc_reply(call, json_set_string(o, "yaml", yaml));
	return 0;
}

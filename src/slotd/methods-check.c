/* Is everything whole? Of several pools at once, in one answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/text.h"

#define FINDINGS_MOST 1000 /* in one answer */

/* one pool of a call */
struct part {
	struct check_call *cc;
	struct pool *pool; /* valid until it is over */
	char name[NAME_SIZE];
	json_object *slots; /* the names of those that were asked about; NULL: all */
	struct check_asker *asker; /* NULL: it is over, or was never begun */
	struct refusal refusal; /* error NULL: there is a result */
	json_object *findings, *meanings, *unsettled;
	uint64_t counts[3]; /* info, warning, error */
	bool truncated;
	uint64_t objects, packs, objects_read;
};

struct check_call {
	struct slotd *d;
	struct rpc_call *call;
	enum pool_check_depth depth;
	bool strict, since_last;
	uint64_t began_usec;
	struct part *parts;
	size_t n, left;
};

/* --- life --- */

static void check_call_free(struct check_call *cc)
{
	rpc_call_on_gone(cc->call, NULL, NULL);
	for (size_t i = 0; i < cc->n; i++) {
		check_asker_forget(cc->parts[i].asker);
		json_object_put(cc->parts[i].slots);
		json_object_put(cc->parts[i].findings);
		json_object_put(cc->parts[i].meanings);
		json_object_put(cc->parts[i].unsettled);
	}
	free(cc->parts);
	rpc_call_unref(cc->call);
	free(cc);
}

static void on_asker_gone(struct rpc_call *call, void *userdata)
{
	check_call_free(userdata);
}

/* as many parts as there can be: each target is of one pool */
static struct check_call *check_call_new(struct slotd *d, struct rpc_call *call, size_t parts)
{
	struct check_call *cc = calloc(1, sizeof(*cc));

	if (!cc)
		return NULL;
	cc->parts = calloc(parts + 1, sizeof(*cc->parts));
	if (!cc->parts) {
		free(cc);
		return NULL;
	}
	cc->d = d;
	cc->call = rpc_call_ref(call);
	cc->began_usec = clock_boot_usec();
	rpc_call_on_gone(call, on_asker_gone, cc);
	return cc;
}

/* --- the answer --- */

static int severity_of(json_object *finding)
{
	const char *text = json_get_string(finding, "severity");

	return strcmp(text, "error") == 0 ? 2 : strcmp(text, "warning") == 0 ? 1 : 0;
}

static bool is_in(json_object *names, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(names); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name) == 0)
			return true;
	return false;
}

/* what concerns the store concerns each slot */
static bool is_wanted(const struct part *p, json_object *finding)
{
	const char *slot = json_get_string(finding, "slot");

	return (!p->slots || !slot || is_in(p->slots, slot)) &&
	       (!p->cc->since_last || json_get_bool(finding, "sinceLast", true));
}

/* what is told of; counted anew where that is not all */
static void select_findings(struct part *p)
{
	json_object *all = p->findings, *wanted;

	if (!all || (!p->slots && !p->cc->since_last))
		return;
	wanted = json_object_new_array();
	memset(p->counts, 0, sizeof(p->counts));
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		json_object *finding = json_object_array_get_idx(all, i);

		if (!is_wanted(p, finding))
			continue;
		p->counts[severity_of(finding)]++;
		json_object_array_add(wanted, json_object_get(finding));
	}
	json_object_put(all);
	p->findings = wanted;
}

static void add_findings(const struct part *p, int severity, json_object *to, bool *truncated)
{
	for (size_t i = 0; p->findings && i < json_object_array_length(p->findings); i++) {
		json_object *finding = json_object_array_get_idx(p->findings, i);

		if (severity_of(finding) != severity)
			continue;
		if (json_object_array_length(to) < FINDINGS_MOST)
			json_object_array_add(to, json_object_get(finding));
		else
			*truncated = true;
	}
}

static void add_meanings(json_object *to, json_object *findings, json_object *from)
{
	for (size_t i = 0; from && i < json_object_array_length(findings); i++) {
		const char *id = json_get_string(json_object_array_get_idx(findings, i), "id");

		if (json_get_string(from, id))
			json_set_string(to, id, json_get_string(from, id));
	}
}

static void add_unsettled(json_object *to, const struct part *p)
{
	for (size_t i = 0; p->unsettled && i < json_object_array_length(p->unsettled); i++) {
		json_object *slot = json_object_array_get_idx(p->unsettled, i);

		if (!p->slots || is_in(p->slots, json_object_get_string(slot)))
			json_object_array_add(to, json_object_get(slot));
	}
}

static json_object *counts_to_json(const uint64_t *counts)
{
	json_object *o = json_set_int(json_object_new_object(), "error", (int64_t)counts[2]);

	json_set_int(o, "warning", (int64_t)counts[1]);
	return json_set_int(o, "info", (int64_t)counts[0]);
}

/* the sums of all parts */
static json_object *reply_of(struct check_call *cc)
{
	json_object *findings = json_object_new_array(), *meanings = json_object_new_object();
	json_object *unsettled = json_object_new_array(), *problems = json_object_new_array();
	json_object *o = json_object_new_object();
	uint64_t counts[3] = { 0 }, objects = 0, packs = 0, objects_read = 0;
	bool truncated = false;

	for (size_t i = 0; i < cc->n; i++) {
		struct part *p = &cc->parts[i];

		select_findings(p);
		for (int s = 0; s < 3; s++)
			counts[s] += p->counts[s];
		objects += p->objects;
		packs += p->packs;
		objects_read += p->objects_read;
		truncated |= p->truncated;
		add_unsettled(unsettled, p);
		if (p->refusal.error)
			json_object_array_add(problems, json_object_new_string(p->refusal.why.text));
	}
	for (int s = 2; s >= 0; s--)
		for (size_t i = 0; i < cc->n; i++)
			add_findings(&cc->parts[i], s, findings, &truncated);
	for (size_t i = 0; i < cc->n; i++)
		add_meanings(meanings, findings, cc->parts[i].meanings);
	json_set_bool(o, "ok", counts[2] == 0 && !(cc->strict && counts[1]) && json_object_array_length(problems) == 0);
	json_set_int(o, "objects", (int64_t)objects);
	json_set_int(o, "packs", (int64_t)packs);
	json_set_int(o, "objectsRead", (int64_t)objects_read);
	json_set_int(o, "elapsedUsec", (int64_t)(clock_boot_usec() - cc->began_usec));
	json_set(o, "findings", findings);
	json_set_bool(o, "truncated", truncated);
	json_set(o, "counts", counts_to_json(counts));
	json_set(o, "meanings", meanings);
	json_set(o, "unsettled", unsettled);
	return json_set(o, "problems", problems);
}

/* the first refusal, when nothing at all was checked */
static const struct refusal *refusal_of(const struct check_call *cc)
{
	for (size_t i = 0; i < cc->n; i++)
		if (!cc->parts[i].refusal.error)
			return NULL;
	return cc->n ? &cc->parts[0].refusal : NULL;
}

static void answer(struct check_call *cc)
{
	const struct refusal *no = refusal_of(cc);

	if (no)
		answer_refusal(cc->call, no);
	else
		rpc_reply(cc->call, reply_of(cc));
	check_call_free(cc);
}

/* --- while it goes on --- */

static void on_progress(json_object *progress, void *userdata)
{
	struct part *p = userdata;
	json_object *o;

	/* what was not read in time is of yesterday: the next one says more */
	if (!rpc_call_wants_more(p->cc->call) || !rpc_call_has_room(p->cc->call))
		return;
	o = json_set_string(json_object_new_object(), "pool", p->name);
	(void)rpc_reply_more(p->cc->call, json_set(o, "progress", json_object_get(progress)));
}

static void take_result(struct part *p, const struct pool_check_result *r)
{
	p->findings = json_object_get(r->findings);
	p->meanings = json_object_get(r->meanings);
	p->unsettled = json_object_get(r->unsettled);
	p->counts[2] = r->errors;
	p->counts[1] = r->warnings;
	p->counts[0] = r->infos;
	p->truncated = r->truncated;
	p->objects = r->objects;
	p->packs = r->packs;
	p->objects_read = r->objects_read;
}

static void on_checked(struct pool *pool, const struct pool_check_result *result,
		       const struct refusal *refusal, void *userdata)
{
	struct part *p = userdata;

	p->asker = NULL;
	if (refusal->error)
		p->refusal = *refusal;
	else
		take_result(p, result);
	if (--p->cc->left == 0)
		answer(p->cc);
}

/* --- what is asked about --- */

static struct part *part_of(struct check_call *cc, struct pool *pool)
{
	struct part *p;

	for (size_t i = 0; i < cc->n; i++)
		if (cc->parts[i].pool == pool)
			return &cc->parts[i];
	p = &cc->parts[cc->n++];
	p->cc = cc;
	p->pool = pool;
	snprintf(p->name, sizeof(p->name), "%s", pool_record(pool)->name);
	return p;
}

static void add_pool(struct check_call *cc, struct pool *pool)
{
	struct part *p = part_of(cc, pool);

	json_object_put(p->slots);
	p->slots = NULL;
}

/* unless all of its pool was asked about */
static void add_slot(struct check_call *cc, struct slot *slot)
{
	size_t before = cc->n;
	struct part *p = part_of(cc, slot_pool(slot));
	const char *name = slot_record(slot)->name;

	if (cc->n > before)
		p->slots = json_object_new_array();
	if (p->slots && !is_in(p->slots, name))
		json_object_array_add(p->slots, json_object_new_string(name));
}

/* all that is read again costs everybody something */
static bool may_check(struct check_call *cc, const struct pool *pool)
{
	return caller_may(cc->d, cc->call, pool,
			  cc->depth == POOL_CHECK_FULL ? CONF_ACCESS_OPERATE : CONF_ACCESS_OBSERVE);
}

/* false: answered */
static bool add_target(struct check_call *cc, const char *name)
{
	struct pool *pool = pools_find(cc->d->pools, name);
	struct slot *slot = pool ? NULL : pools_find_slot(cc->d->pools, name);

	if (!pool && !slot) {
		rpc_error(cc->call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "slot"),
			  "there is no pool or slot %.100s; slotctl pool list and slotctl slots show them", name);
		return false;
	}
	if (!may_check(cc, pool ? pool : slot_pool(slot))) {
		answer_not_permitted(cc->call, pool ? pool : slot_pool(slot), "check");
		return false;
	}
	if (pool)
		add_pool(cc, pool);
	else
		add_slot(cc, slot);
	return true;
}

/* of all that the caller may look at: it would be wrong to say nothing of one that it may not check so */
static bool add_all(struct check_call *cc)
{
	struct pool *pool;

	for (pool = pool_next(cc->d->pools, NULL); pool; pool = pool_next(cc->d->pools, pool))
		if (caller_may(cc->d, cc->call, pool, CONF_ACCESS_OBSERVE) &&
		    !add_target(cc, pool_record(pool)->name))
			return false;
	return true;
}

static bool add_targets(struct check_call *cc, json_object *targets)
{
	size_t n = targets ? json_object_array_length(targets) : 0;

	for (size_t i = 0; i < n; i++)
		if (!add_target(cc, json_object_get_string(json_object_array_get_idx(targets, i))))
			return false;
	return n || add_all(cc);
}

/* --- asking --- */

/* the slots that were named, by now; NULL: all of the pool. The caller frees it */
static struct slot **slots_of(struct part *p, size_t *ret_n)
{
	size_t n = p->slots ? json_object_array_length(p->slots) : 0;
	struct slot **slots = n ? calloc(n, sizeof(*slots)) : NULL;

	*ret_n = 0;
	for (size_t i = 0; slots && i < n; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(p->slots, i));

		slots[(*ret_n)++] = pools_find_slot(p->cc->d->pools, name);
	}
	return slots;
}

static void begin(struct part *p)
{
	size_t n;
	_cleanup_(freep) struct slot **slots = slots_of(p, &n);

	if (pool_check(p->pool, p->cc->depth, slots, n, on_progress, on_checked, p, &p->asker, &p->refusal) < 0)
		p->cc->left--;
}

static bool read_depth(json_object *params, enum pool_check_depth *ret)
{
	static const char *const names[] = { [POOL_CHECK_QUICK] = "quick",
					     [POOL_CHECK_PLAIN] = "plain",
					     [POOL_CHECK_FULL] = "full" };
	const char *depth = json_get_string(params, "depth");

	*ret = POOL_CHECK_PLAIN;
	for (size_t i = POOL_CHECK_QUICK; depth && i < ARRAY_SIZE(names); i++) {
		*ret = (enum pool_check_depth)i;
		if (strcmp(names[i], depth) == 0)
			return true;
	}
	return !depth;
}

static size_t count_pools(struct slotd *d)
{
	struct pool *pool;
	size_t n = 0;

	for (pool = pool_next(d->pools, NULL); pool; pool = pool_next(d->pools, pool))
		n++;
	return n;
}

METHOD(check)
{
	json_object *targets = json_get_array(params, "targets");
	enum pool_check_depth depth;
	struct slotd *d = userdata;
	struct check_call *cc;

	if (!read_depth(params, &depth)) {
		rpc_error_parameter(call, "depth");
		return 0;
	}
	cc = check_call_new(d, call, (targets ? json_object_array_length(targets) : 0) + count_pools(d));
	if (!cc)
		return fault_oom(f);
	cc->depth = depth;
	cc->strict = json_get_bool(params, "strict", false);
	cc->since_last = json_get_bool(params, "sinceLast", false);
	if (!add_targets(cc, targets)) {
		check_call_free(cc);
		return 0;
	}
	cc->left = cc->n;
	for (size_t i = 0; i < cc->n; i++)
		begin(&cc->parts[i]);
	if (cc->left == 0)
		answer(cc); /* nothing to check, or nothing that can be */
	return 0;
}

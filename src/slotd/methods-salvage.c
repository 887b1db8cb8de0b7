/* What was saved of slots: listed, shown, dropped, made into branches. Restoring is slotctl's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#define NAMES_MOST 20 /* in one sentence */

/* --- as JSON --- */

static json_object *lease_or_null(const struct salvage_record *r)
{
	char id[ID_TEXT_SIZE];

	return id_is_null(&r->lease) ? NULL : json_object_new_string(id_to_string(&r->lease, id));
}

static json_object *entry_of(const struct salvage *s)
{
	const struct salvage_record *r = salvage_record(s);
	_cleanup_(freep) char *ref = salvage_ref(s);
	json_object *o = json_object_new_object();

	json_set_string(o, "id", salvage_id(s));
	json_set_string(o, "pool", r->pool);
	json_set_string(o, "slot", r->slot);
	json_set(o, "lease", lease_or_null(r));
	json_set(o, "agent", string_or_null(r->agent));
	json_set(o, "task", string_or_null(r->task));
	json_set_string(o, "commit", r->commit);
	json_set_string(o, "ref", ref ? ref : "");
	json_set_int(o, "takenAtUsec", (int64_t)r->taken_usec);
	json_set_string(o, "summary", r->summary);
	json_set_int(o, "bytes", (int64_t)r->bytes);
	return o;
}

static json_object *ids_of(struct slotd *d, const struct id *lease)
{
	json_object *list = json_object_new_array();

	for (struct salvage *s = salvage_next(d->pools, NULL); s; s = salvage_next(d->pools, s))
		if (id_is_equal(&salvage_record(s)->lease, lease))
			json_object_array_add(list, json_object_new_string(salvage_id(s)));
	return list;
}

json_object *salvage_to_json(struct slotd *d, const struct id *lease)
{
	unsigned n;
	const struct salvage *s = salvage_find_by_lease(d->pools, lease, &n);
	_cleanup_(freep) char *ref = s ? salvage_ref(s) : NULL;
	json_object *o;

	if (!s || !ref)
		return NULL;
	o = json_set_string(json_object_new_object(), "id", salvage_id(s));
	json_set_string(o, "ref", ref);
	json_set_string(o, "commit", salvage_record(s)->commit);
	json_set_string(o, "summary", salvage_record(s)->summary);
	return json_set(o, "all", n > 1 ? ids_of(d, lease) : NULL);
}

/* --- the list --- */

static bool is_asked_for(const struct salvage_record *r, json_object *params)
{
	const char *pool = json_get_string(params, "pool"), *slot = json_get_string(params, "slot");
	const char *lease = json_get_string(params, "lease");
	char id[ID_TEXT_SIZE];

	return (!pool || strcmp(r->pool, pool) == 0) && (!slot || strcmp(r->slot, slot) == 0) &&
	       (!lease || strcmp(id_to_string(&r->lease, id), lease) == 0);
}

READ(salvage_list)
{
	const char *lease = json_get_string(params, "lease");
	struct slotd *d = userdata;
	struct stream s;
	struct id id;

	if (lease && id_from_string(lease, &id) < 0) {
		rpc_error_parameter(call, "lease");
		return 0;
	}
	if (json_get_string(params, "pool") && !find_pool(d, call, params, CONF_ACCESS_OBSERVE))
		return 0;
	s = stream_start(call, "salvage", rpc_call_wants_more(call));
	for (struct salvage *v = salvage_next(d->pools, NULL); v; v = salvage_next(d->pools, v)) {
		const struct pool *pool = pools_find(d->pools, salvage_record(v)->pool);

		if (is_asked_for(salvage_record(v), params) && caller_may(d, call, pool, CONF_ACCESS_OBSERVE))
			stream_add(&s, entry_of(v));
	}
	rpc_reply(call, json_set(json_object_new_object(), s.key, s.list));
	return 0;
}

/* --- one of them --- */

struct asker {
	struct slotd *d;
	struct rpc_call *call;
};

static bool may_observe(const char *pool, void *userdata)
{
	struct asker *a = userdata;

	return caller_may(a->d, a->call, pools_find(a->d->pools, pool), CONF_ACCESS_OBSERVE);
}

/* who held the lease may decide about what it left, and whoever operates the pool; answers when not */
static bool may_change(struct slotd *d, struct rpc_call *call, const struct salvage *s)
{
	const struct salvage_record *r = salvage_record(s);
	const struct pool *pool = pools_find(d->pools, r->pool);

	if (caller_may(d, call, pool, CONF_ACCESS_OPERATE) ||
	    (r->uid != UINT32_MAX && rpc_call_peer(call)->uid == r->uid))
		return true;
	answer_not_permitted(call, pool, "decide about what others left in");
	return false;
}

/* what "id" means; answers and returns NULL when that is nothing, or several */
static struct salvage *find(struct slotd *d, struct rpc_call *call, json_object *params)
{
	const char *what = json_get_string(params, "id");
	struct asker a = { d, call };
	struct salvage *s = NULL;
	int r = salvage_find(d->pools, what, may_observe, &a, &s);

	if (r == SALVAGE_E_AMBIGUOUS)
		rpc_error(call, "io.slotd.pool.Conflict", NULL,
			  "%s means several; name one in full: slotctl salvage list", what);
	else if (r == SALVAGE_E_ABSENT)
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "salvage"),
			  "nothing that was saved is called %s; slotctl salvage list shows all", what);
	return s;
}

/* a call that waits for a worker */
struct salvage_request {
	struct slotd *d;
	struct rpc_call *call;
	json_object *entry; /* as it was when it was asked */
	char *branch;	    /* that is to be made */
};

static struct salvage_request *request_new(struct slotd *d, struct rpc_call *call, const struct salvage *s,
					   const char *branch)
{
	struct salvage_request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->d = d;
	q->call = rpc_call_ref(call);
	q->entry = entry_of(s);
	q->branch = text_dup(branch);
	return q;
}

static void request_free(struct salvage_request *q)
{
	json_object_put(q->entry);
	rpc_call_unref(q->call);
	free(q->branch);
	free(q);
}

/* asked in vain, or on its way */
static int ask(struct salvage_request *q, struct salvage *s, const char *method, json_object *params,
	       salvage_done_fn fn)
{
	struct refusal no = { 0 };

	if (salvage_ask(s, method, params, fn, q, &no) < 0) {
		answer_refusal(q->call, &no);
		request_free(q);
	}
	return 0;
}

/* --- show --- */

/* "Changed while it was read: a, b, and 3 more" */
static void say_names(json_object *list, const char *what, json_object *names)
{
	size_t n = names ? json_object_array_length(names) : 0;
	_cleanup_(text_deinit) struct text t = { 0 };

	if (n == 0)
		return;
	for (size_t i = 0; i < n && i < NAMES_MOST; i++)
		text_addf(&t, "%s%s", i ? ", " : "",
			  json_object_get_string(json_object_array_get_idx(names, i)));
	if (n > NAMES_MOST)
		text_addf(&t, ", and %zu more", n - NAMES_MOST);
	if (t.data)
		say(list, "%s: %s", what, t.data);
}

static void say_stashes(json_object *list, json_object *stashes)
{
	size_t n = stashes ? json_object_array_length(stashes) : 0;

	for (size_t i = 0; i < n; i++) {
		json_object *stash = json_object_array_get_idx(stashes, i);
		const char *commit = json_get_string(stash, "commit");
		const char *message = json_get_string(stash, "message");

		say(list, "Stash %.12s, which is kept with it: %s", commit ? commit : "", message ? message : "");
	}
}

static json_object *details_of(json_object *shown)
{
	json_object *list = json_object_new_array();
	int64_t commits = json_get_int(shown, "commits", 0);

	say_names(list, "In progress", json_get_array(shown, "operations"));
	if (commits > 0)
		say(list, "%lld %s on no branch.", (long long)commits,
		    text_plural((unsigned long long)commits, "commit", "commits"));
	say_stashes(list, json_get_array(shown, "stashes"));
	say_names(list, "Changed, though git was told not to look", json_get_array(shown, "hidden"));
	say_names(list, "Changed while it was read, and saved as it was then", json_get_array(shown, "unstable"));
	say_names(list, "Not saved, as there is nothing in it", json_get_array(shown, "special"));
	return list;
}

static void copy_string(json_object *to, const char *key, json_object *from)
{
	json_set_string(to, key, json_get_string(from, key));
}

/* as its slots are cleaned */
static json_object *keep_of(const struct pool *pool)
{
	const struct conf_pool *conf = pool ? pool_conf(pool) : NULL;

	return conf && conf->clean.ignored == CONF_IGNORED_KEEP ? conf_list_to_json(&conf->clean.keep) : NULL;
}

static void on_shown(json_object *shown, const struct refusal *refusal, void *userdata)
{
	struct salvage_request *q = userdata;
	const char *pool_name = json_get_string(q->entry, "pool");
	const struct pool *pool = pools_find(q->d->pools, pool_name);
	json_object *o;

	if (refusal->error) {
		answer_refusal(q->call, refusal);
	} else {
		o = json_set(json_object_new_object(), "entry", json_object_get(q->entry));
		copy_string(o, "commit", q->entry);
		copy_string(o, "ref", q->entry);
		json_set_string(o, "store", pool ? pool_record(pool)->common_dir : "");
		copy_string(o, "base", shown);
		copy_string(o, "head", shown);
		copy_string(o, "branch", shown);
		json_set(o, "details", details_of(shown));
		copy_string(o, "diffstat", shown);
		json_set(o, "keep", keep_of(pool));
		rpc_reply(q->call, o);
	}
	request_free(q);
}

READ(salvage_show)
{
	struct slotd *d = userdata;
	struct salvage *s = find(d, call, params);
	struct salvage_request *q = s ? request_new(d, call, s, NULL) : NULL;

	if (!s)
		return 0;
	if (!q)
		return fault_oom(f);
	return ask(q, s, "SalvageShow",
		   json_set_string(json_object_new_object(), "commit", salvage_record(s)->commit), on_shown);
}

/* --- drop --- */

static void on_dropped(json_object *reply, const struct refusal *refusal, void *userdata)
{
	struct salvage_request *q = userdata;
	json_object *o;

	if (refusal->error) {
		answer_refusal(q->call, refusal);
	} else {
		o = json_object_new_object();
		copy_string(o, "id", q->entry);
		rpc_reply(q->call, o);
	}
	request_free(q);
}

METHOD(salvage_drop)
{
	struct slotd *d = userdata;
	struct salvage *s = find(d, call, params);
	struct refusal no = { 0 };
	struct salvage_request *q;
	char why[64];

	if (!s || !may_change(d, call, s))
		return 0;
	q = request_new(d, call, s, NULL);
	if (!q)
		return fault_oom(f);
	snprintf(why, sizeof(why), "as uid %u asked", rpc_call_peer(call)->uid);
	if (salvage_drop(s, rpc_call_peer(call)->uid, why, on_dropped, q, &no) < 0) {
		answer_refusal(call, &no);
		request_free(q);
	}
	return 0;
}

/* --- branch --- */

static void on_branched(json_object *reply, const struct refusal *refusal, void *userdata)
{
	struct salvage_request *q = userdata;
	struct slotd *d = q->d;
	json_object *o;

	if (refusal->error) {
		answer_refusal(q->call, refusal);
	} else {
		pools_event(d->pools, "salvage_branched",
			    pools_find(d->pools, json_get_string(q->entry, "pool")),
			    pools_find_slot(d->pools, json_get_string(q->entry, "slot")), NULL,
			    rpc_call_peer(q->call)->uid, "%s: branch %s", json_get_string(q->entry, "id"),
			    q->branch);
		o = json_set_string(json_object_new_object(), "branch", q->branch);
		copy_string(o, "commit", reply);
		answer_after_commit(d, q->call, o);
	}
	request_free(q);
}

METHOD(salvage_branch)
{
	const char *branch = json_get_string(params, "branch");
	struct slotd *d = userdata;
	struct salvage *s = find(d, call, params);
	struct salvage_request *q;
	json_object *o;

	if (!s || !may_change(d, call, s))
		return 0;
	if (parse_branch_name(branch) < 0 || strlen(branch) >= REF_SIZE) {
		rpc_error_parameter(call, "branch");
		return 0;
	}
	q = request_new(d, call, s, branch);
	if (!q || !q->branch) {
		if (q)
			request_free(q);
		return fault_oom(f);
	}
	o = json_set_string(json_object_new_object(), "commit", salvage_record(s)->commit);
	return ask(q, s, "SalvageBranch", json_set_string(o, "branch", branch), on_branched);
}

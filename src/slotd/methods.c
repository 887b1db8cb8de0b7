/* The table of methods, and what handlers share. */
#include "slotd/methods.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/text.h"

static const struct rpc_method methods[] = {
	{ "Acquire", method_acquire },	     { "Release", method_release },
	{ "Renew", method_renew },	     { "Touch", method_touch },
	{ "Finish", method_finish },	     { "Status", method_status },
	{ "Slots", method_slots },	     { "Leases", method_leases },
	{ "Explain", method_explain },    { "Handoff", method_handoff },
	{ "Queue", method_queue },	     { "PoolList", method_pool_list },
	{ "PoolShow", method_pool_show },    { "PoolAdd", method_pool_add },
	{ "PoolRemove", method_pool_remove }, { "PoolResize", method_pool_resize },
	{ "PoolPause", method_pool_pause },  { "PoolResume", method_pool_resume },
	{ "PoolDrain", method_pool_drain },  { "PoolFetch", method_pool_fetch },
	{ "SlotAdd", method_slot_add },	     { "SlotRemove", method_slot_remove },
	{ "SalvageList", method_salvage_list }, { "SalvageShow", method_salvage_show },
	{ "SalvageDrop", method_salvage_drop }, { "SalvageBranch", method_salvage_branch },
	{ "SlotWarm", method_slot_warm },    { "Check", method_check },
	{ "Ping", method_ping },	     { "PingHealth", method_ping_health },
	{ "PingCleanup", method_ping_cleanup }, { "PingReset", method_ping_reset },
	{ "Stats", method_stats },
	{ "Events", method_events },	     { "ConfigShow", method_config_show },
	{ NULL, NULL },
};

int methods_register(struct slotd *d, struct fault *f)
{
	return rpc_service_add_interface(d->service, io_slotd_pool_varlink, methods, f);
}

/* --- who may --- */

bool caller_is_self(const struct rpc_call *call)
{
	return rpc_call_peer(call)->uid == geteuid();
}

bool caller_may(const struct slotd *d, const struct rpc_call *call, const struct pool *pool,
		enum conf_access_right right)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	const struct conf_pool *conf = pool ? pool_conf(pool) : &d->conf->defaults;

	return caller_is_self(call) || conf_pool_allows(conf, peer->uid, peer->gid, right);
}

void answer_not_permitted(struct rpc_call *call, const struct pool *pool, const char *what)
{
	rpc_error(call, "io.slotd.pool.NotPermitted", NULL,
		  "uid %u may not %s%s%s; ask uid %u, or have it add you to access.users or "
		  "access.operators",
		  rpc_call_peer(call)->uid, what, pool ? " pool " : "",
		  pool ? pool_record(pool)->name : "", geteuid());
}

/* --- parameters and answers --- */

void answer_refusal(struct rpc_call *call, const struct refusal *refusal)
{
	answer_refusal_with(call, refusal, json_object_new_object());
}

void answer_refusal_with(struct rpc_call *call, const struct refusal *refusal, json_object *params)
{
	_cleanup_(freep) char *name = text_printf("io.slotd.pool.%s", refusal->error);

	if (!name) {
		json_object_put(params);
		rpc_error(call, "io.slotd.pool.Internal", NULL, "out of memory");
		return;
	}
	if (strcmp(refusal->error, "Busy") == 0 || strcmp(refusal->error, "QuotaReached") == 0)
		json_set(params, "retryAfterUsec", usec_or_null(refusal->retry_after_usec));
	if (strcmp(refusal->error, "BranchInUse") == 0) {
		json_set_string(params, "branch", refusal->branch);
		json_set(params, "path", string_or_null(refusal->detail));
	}
	rpc_error(call, name, params, "%s", refusal->why.text);
}

struct pool *find_pool(struct slotd *d, struct rpc_call *call, json_object *params,
		       enum conf_access_right right)
{
	const char *name = json_get_string(params, "pool");
	struct pool *pool = pools_find(d->pools, name);

	/* whether a pool exists is nobody's business who may not look at it */
	if (pool && !caller_may(d, call, pool, right)) {
		answer_not_permitted(call, pool,
				     right == CONF_ACCESS_OPERATE ? "operate" : "look at");
		return NULL;
	}
	if (!pool)
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "pool"),
			  "there is no pool %s; slotctl pool list shows them", name);
	return pool;
}

int copy_param(struct rpc_call *call, json_object *params, const char *key, char *ret, size_t size)
{
	const char *value = json_get_string(params, key);

	if (!value) {
		ret[0] = '\0';
		return 0;
	}
	if (strlen(value) >= size) {
		rpc_error_parameter(call, key);
		return -EINVAL;
	}
	memcpy(ret, value, strlen(value) + 1);
	return 0;
}

json_object *string_or_null(const char *s)
{
	return s && s[0] ? json_object_new_string(s) : NULL;
}

json_object *usec_or_null(uint64_t usec)
{
	return usec ? json_object_new_int64((int64_t)usec) : NULL;
}

void say(json_object *sentences, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		json_object_array_add(sentences, json_object_new_string(text));
}

struct late_read {
	struct slotd *d;
	struct rpc_call *call;
	json_object *params;
	rpc_method_fn read;
};

/* whether it was written or undone: what memory says now is what the disk says */
static void read_late(void *arg, int error, const struct fault *why)
{
	struct late_read *l = arg;
	struct fault f = FAULT_NONE;

	if (l->read(l->call, l->params, l->d, &f) < 0)
		rpc_error(l->call, "io.slotd.pool.Internal", NULL, "%s", f.text);
	json_object_put(l->params);
	rpc_call_unref(l->call);
	free(l);
}

int read_committed(struct slotd *d, struct rpc_call *call, json_object *params, rpc_method_fn read,
		   struct fault *f)
{
	struct late_read *l;

	if (!pools_commit_is_due(d->pools))
		return read(call, params, d, f);
	l = calloc(1, sizeof(*l));
	if (!l)
		return fault_oom(f);
	*l = (struct late_read){ d, rpc_call_ref(call), json_object_get(params), read };
	pools_after_commit(d->pools, read_late, l);
	pools_commit_if_large(d->pools);
	return 0;
}

struct late_answer {
	struct rpc_call *call;
	json_object *reply; /* or: */
	char *error, *message;
};

static void finish_late(struct late_answer *a)
{
	if (a->reply)
		rpc_reply(a->call, TAKE(a->reply));
	else
		rpc_error(a->call, a->error, NULL, "%s", a->message);
}

static void answer_late(void *arg, int error, const struct fault *why)
{
	struct late_answer *a = arg;

	if (error)
		rpc_error(a->call, "io.slotd.pool.LedgerFailed", NULL,
			  "nothing was changed, the ledger could not be written: %s", why->text);
	else
		finish_late(a);
	json_object_put(a->reply);
	free(a->error);
	free(a->message);
	rpc_call_unref(a->call);
	free(a);
}

void answer_after_commit(struct slotd *d, struct rpc_call *call, json_object *reply)
{
	struct late_answer *a = calloc(1, sizeof(*a));

	if (!a) {
		json_object_put(reply);
		rpc_error(call, "io.slotd.pool.Internal", NULL, "out of memory");
		return;
	}
	a->call = rpc_call_ref(call);
	a->reply = reply;
	pools_after_commit(d->pools, answer_late, a);
	pools_commit_if_large(d->pools);
}

void answer_error_after_commit(struct slotd *d, struct rpc_call *call, const char *error, const char *fmt,
			       ...)
{
	struct late_answer *a = calloc(1, sizeof(*a));
	va_list ap;

	va_start(ap, fmt);
	if (!a || vasprintf(&a->message, fmt, ap) < 0 || !(a->error = text_dup(error))) {
		va_end(ap);
		if (a)
			free(a->message);
		free(a);
		rpc_error(call, "io.slotd.pool.Internal", NULL, "out of memory");
		return;
	}
	va_end(ap);
	a->call = rpc_call_ref(call);
	pools_after_commit(d->pools, answer_late, a);
	pools_commit_if_large(d->pools);
}

/* Acquire: from a call to a request that the pools understand, and from a lease to its reply. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/parse.h"
#include "util/process.h"
#include "util/text.h"

struct acquire_call {
	struct slotd *d;
	struct rpc_call *call;
	struct pool *pool;
	struct waiter *waiter;
};

static json_object *base_of(const struct lease *lease, const struct pool_record *pool)
{
	json_object *o = json_object_new_object();
	int64_t behind = lease_behind(lease);
	bool fetched = pool->fetched.wall_usec != 0;

	json_set(o, "ref", string_or_null(pool->full_ref));
	json_set(o, "ageUsec", fetched ? json_object_new_int64((int64_t)moment_age_usec(&pool->fetched)) : NULL);
	json_set(o, "behind", behind >= 0 ? json_object_new_int64(behind) : NULL);
	return o;
}

static json_object *lease_reply(struct slotd *d, const struct lease *lease)
{
	const struct lease_record *r = lease_record(lease);
	const struct slot *slot = lease_slot(lease);
	const struct pool_record *pool = pool_record(slot_pool(slot));
	_cleanup_(freep) char *path = slot_path(slot);
	_cleanup_(freep) char *git_dir =
		text_printf("%s/worktrees/slotd-%s", pool->common_dir, r->slot);
	_cleanup_(freep) char *tmp = slot_tmp_path(slot);
	json_object *o = json_object_new_object();

	json_set_string(o, "lease", lease_id(lease));
	json_set_int(o, "token", (int64_t)r->token);
	json_set_string(o, "slot", r->slot);
	json_set_string(o, "pool", r->pool);
	json_set_string(o, "path", path);
	json_set_string(o, "commonDir", pool->common_dir);
	json_set_string(o, "gitDir", git_dir);
	json_set_string(o, "head", r->base);
	json_set(o, "branch", string_or_null(r->branch));
	json_set(o, "agent", string_or_null(r->agent));
	json_set(o, "task", string_or_null(r->task));
	json_set_int(o, "acquiredAtUsec", (int64_t)moment_wall_usec(&r->acquired));
	json_set(o, "expiresAtUsec", usec_or_null(moment_wall_usec(&r->deadline)));
	json_set(o, "base", base_of(lease, pool));
	json_set_string(o, "tmpDir", tmp);
	json_set(o, "portBase", usec_or_null(slot_record(slot)->port_base));
	json_set(o, "portCount", usec_or_null(slot_record(slot)->port_count));
	json_set(o, "handoff", handoff_to_json(d, &r->handoff, r->branch));
	json_set_int(o, "sequence", (int64_t)r->sequence);
	return o;
}

static void on_acquired(struct lease *lease, const struct refusal *refusal, void *userdata)
{
	struct acquire_call *a = userdata;

	rpc_call_on_gone(a->call, NULL, NULL);
	if (lease)
		rpc_reply(a->call, lease_reply(a->d, lease));
	else
		answer_no_slot(a->d, a->call, a->pool, refusal);
	rpc_call_unref(a->call);
	free(a);
}

static void on_acquirer_gone(struct rpc_call *call, void *userdata)
{
	struct acquire_call *a = userdata;

	waiter_abandon(a->waiter);
	rpc_call_unref(a->call);
	free(a);
}

static struct pool *pool_for_acquire(struct slotd *d, struct rpc_call *call, json_object *params)
{
	const char *directory = json_get_string(params, "directory");
	const char *common_dir = json_get_string(params, "commonDir");
	struct pool *pool;

	if (json_get_string(params, "pool"))
		return find_pool(d, call, params, CONF_ACCESS_OBSERVE);
	if (!directory && !common_dir) {
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "pool"),
			  "name a pool, or ask from inside a repository");
		return NULL;
	}
	pool = pools_find_by_place(d->pools, directory, common_dir);
	if (!pool)
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "pool"),
			  "no pool has the repository of %s; make one: slotctl pool add NAME --path DIR",
			  directory ? directory : common_dir);
	return pool;
}

/* git refuses directories of another owner, so a slot would be of no use to it */
static bool may_acquire(struct rpc_call *call)
{
	if (caller_is_self(call))
		return true;
	rpc_error(call, "io.slotd.pool.NotPermitted", NULL,
		  "slots belong to uid %u and git refuses them to uid %u: run a daemon of your own "
		  "(slotctl --user), or have agents run as uid %u",
		  geteuid(), rpc_call_peer(call)->uid, geteuid());
	return false;
}

/* one word of a binding; 0: it is none. "process:4711" names the process */
static uint8_t bind_of(const char *word, size_t len, pid_t *ret_pid)
{
	static const struct {
		const char *name;
		uint8_t bit;
	} words[] = { { "ttl", LEASE_BIND_TTL },
		      { "process", LEASE_BIND_PROCESS },
		      { "connection", LEASE_BIND_CONNECTION },
		      { "manual", LEASE_BIND_MANUAL } };
	char text[32], *colon;
	int64_t pid;

	if (len >= sizeof(text))
		return 0;
	memcpy(text, word, len);
	text[len] = '\0';
	colon = strchr(text, ':');
	if (colon && (strncmp(text, "process:", 8) != 0 || parse_int(colon + 1, &pid) < 0 || pid <= 0 ||
		      pid > INT32_MAX))
		return 0;
	if (colon) {
		*colon = '\0';
		*ret_pid = (pid_t)pid;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, text) == 0)
			return words[i].bit;
	return 0;
}

static int parse_bind(struct rpc_call *call, const char *text, uint8_t *ret, pid_t *ret_pid)
{
	uint8_t bind = 0;

	*ret = 0;
	while (text && *text) {
		size_t n = strcspn(text, "+");

		uint8_t bit = bind_of(text, n, ret_pid);

		if (!bit || bind & bit || (text[n] == '+' && !text[n + 1])) {
			rpc_error_parameter(call, "bind");
			return -EINVAL;
		}
		bind |= bit;
		text += n + (text[n] == '+');
	}
	if (bind & LEASE_BIND_MANUAL && bind != LEASE_BIND_MANUAL) {
		rpc_error_parameter(call, "bind");
		return -EINVAL;
	}
	*ret = bind;
	return 0;
}

static int parse_meta(struct rpc_call *call, json_object *params, char *ret, size_t size)
{
	json_object *meta = json_get_object(params, "meta");
	const char *text;

	ret[0] = '\0';
	if (!meta)
		return 0;
	text = json_object_to_json_string_ext(meta, JSON_C_TO_STRING_PLAIN);
	if (strlen(text) >= size) {
		rpc_error_parameter(call, "meta");
		return -EINVAL;
	}
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

/* "agent/{agent}" with what this request says; -EINVAL: it says nothing there */
static int expand_branch(const char *pattern, const struct acquire_spec *spec, char *ret,
			 size_t size)
{
	size_t at = 0;

	while (*pattern) {
		const char *value = NULL;
		size_t skip = 1, n = 1;

		if (text_has_prefix(pattern, "{agent}")) {
			value = spec->agent;
			skip = 7;
		} else if (text_has_prefix(pattern, "{task}")) {
			value = spec->task;
			skip = 6;
		}
		if (value && !value[0])
			return -EINVAL;
		n = value ? strlen(value) : 1;
		if (at + n >= size)
			return -EINVAL;
		memcpy(ret + at, value ? value : pattern, n);
		at += n;
		pattern += skip;
	}
	ret[at] = '\0';
	return 0;
}

static int fill_times(struct rpc_call *call, json_object *params, struct acquire_spec *spec)
{
	int64_t wait = json_get_int(params, "waitUsec", -1);
	int64_t ttl = json_get_int(params, "ttlUsec", 0);
	int64_t estimate = json_get_int(params, "estimateUsec", 0);

	if (json_object_object_get(params, "waitUsec") && wait < 0) {
		rpc_error_parameter(call, "waitUsec");
		return -EINVAL;
	}
	if (ttl < 0 || (json_object_object_get(params, "ttlUsec") && ttl == 0)) {
		rpc_error_parameter(call, "ttlUsec");
		return -EINVAL;
	}
	spec->has_wait = wait >= 0;
	spec->wait_usec = wait >= 0 ? (uint64_t)wait : 0;
	if (spec->wait_usec > 30 * USEC_PER_DAY)
		spec->wait_usec = 30 * USEC_PER_DAY;
	spec->ttl_usec = (uint64_t)ttl;
	if (json_object_object_get(params, "estimateUsec") && estimate <= 0) {
		rpc_error_parameter(call, "estimateUsec");
		return -EINVAL;
	}
	spec->estimate_usec = (uint64_t)estimate;
	return 0;
}

/* one string: "simple,frontend" */
static int join_labels(struct rpc_call *call, json_object *labels, char *ret, size_t size)
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; labels && i < json_object_array_length(labels); i++) {
		const char *label = json_object_get_string(json_object_array_get_idx(labels, i));
		size_t len = strlen(label);

		if (len == 0 || strchr(label, ',') || at + len + 2 > size) {
			rpc_error_parameter(call, "labels");
			return -EINVAL;
		}
		at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? "," : "", label);
	}
	return 0;
}

/* a command line tool asks for whoever runs it */
static int fill_holder(struct rpc_call *call, json_object *params, struct acquire_spec *spec)
{
	pid_t peer = rpc_call_peer(call)->pid;
	int64_t holder = json_get_int(params, "holder", peer);
	uint64_t start = holder > 0 && holder < INT32_MAX ? process_start_time((pid_t)holder) : 0;

	if (holder != peer && !process_descends_from(peer, (pid_t)holder, start)) {
		rpc_error_parameter(call, "holder");
		return -EINVAL;
	}
	spec->pid = (uint32_t)holder;
	spec->pid_start = start;
	return 0;
}

/* "process" alone is the holder; without a word the pool's binding holds */
static int fill_bind(struct rpc_call *call, json_object *params, struct acquire_spec *spec)
{
	const char *text = json_get_string(params, "bind");
	pid_t pid = (pid_t)spec->pid;

	spec->bind_by_pool = !text;
	if (!text)
		text = pool_conf(spec->pool)->lease.bind;
	if (parse_bind(call, text, &spec->bind, &pid) < 0)
		return -EINVAL;
	/* who asks for somebody else, as slotctl does, hangs up at once */
	if (spec->bind_by_pool && spec->bind & LEASE_BIND_CONNECTION &&
	    spec->pid != (uint32_t)rpc_call_peer(call)->pid) {
		spec->bind &= (uint8_t)~LEASE_BIND_CONNECTION;
		spec->bind |= spec->bind ? 0 : LEASE_BIND_TTL;
	}
	if (spec->bind & LEASE_BIND_CONNECTION)
		spec->conn_id = rpc_call_conn_id(call);
	if (!(spec->bind & LEASE_BIND_PROCESS))
		return 0;
	spec->bound_pid = (uint32_t)pid;
	spec->bound_start = process_start_time(pid);
	if (spec->bound_start)
		return 0;
	rpc_error(call, "io.slotd.pool.NotFound", json_set_string(json_object_new_object(), "what", "process"),
		  "there is no process %d to bind the lease to", (int)pid);
	return -ESRCH;
}

static int fill_spec(struct rpc_call *call, json_object *params, struct acquire_spec *spec)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	const char *pattern = pool_conf(spec->pool)->branch;

	if (copy_param(call, params, "ref", spec->ref, sizeof(spec->ref)) < 0 ||
	    copy_param(call, params, "branch", spec->branch, sizeof(spec->branch)) < 0 ||
	    copy_param(call, params, "agent", spec->agent, sizeof(spec->agent)) < 0 ||
	    copy_param(call, params, "task", spec->task, sizeof(spec->task)) < 0 ||
	    copy_param(call, params, "key", spec->key, sizeof(spec->key)) < 0 ||
	    copy_param(call, params, "resume", spec->resume, sizeof(spec->resume)) < 0 ||
	    parse_meta(call, params, spec->meta, sizeof(spec->meta)) < 0 ||
	    join_labels(call, json_get_array(params, "labels"), spec->labels, sizeof(spec->labels)) < 0 ||
	    fill_times(call, params, spec) < 0 || fill_holder(call, params, spec) < 0 ||
	    fill_bind(call, params, spec) < 0)
		return -EINVAL;
	spec->branch_by_pool = !spec->branch[0];
	if (!spec->branch[0] && pattern && pattern[0] &&
	    expand_branch(pattern, spec, spec->branch, sizeof(spec->branch)) < 0) {
		rpc_error(call, "io.slotd.pool.Conflict", NULL,
			  "pool %s makes the branch %s: give the agent or task that it names",
			  pool_record(spec->pool)->name, pattern);
		return -EINVAL;
	}
	if (spec->branch[0] && parse_branch_name(spec->branch) < 0) {
		rpc_error_parameter(call, "branch");
		return -EINVAL;
	}
	spec->priority = (int32_t)json_get_int(params, "priority", 0);
	spec->uid = peer->uid;
	return 0;
}

METHOD(acquire)
{
	struct acquire_spec spec = { 0 };
	struct slotd *d = userdata;
	struct acquire_call *a;

	if (!may_acquire(call))
		return 0;
	spec.pool = pool_for_acquire(d, call, params);
	if (!spec.pool || fill_spec(call, params, &spec) < 0)
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return fault_oom(f);
	a->d = d;
	a->pool = spec.pool;
	a->call = rpc_call_ref(call);
	/* told when the connection goes; set before, as the answer may come at once */
	rpc_call_on_gone(call, on_acquirer_gone, a);
	lease_acquire(d->pools, &spec, on_acquired, a, &a->waiter);
	pools_commit_if_large(d->pools);
	return 0;
}

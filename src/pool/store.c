/*
 * A pool's store: watched, fetched, looked at.
 *
 * One job at a time works on a store as a whole; which one is due is decided at the end of this
 * file. The first, opening, has a file of its own: store-open.c.
 */
#include <stdio.h>
#include <string.h>

#include "pool/store-private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"

/* --- what its jobs have in common --- */

json_object *store_credentials(const struct conf_pool *c)
{
	json_object *o = json_object_new_object(), *helper = NULL;

	if (c->credentials.helper.n) {
		helper = json_object_new_array();
		for (size_t i = 0; i < c->credentials.helper.n; i++)
			json_object_array_add(helper,
					      json_object_new_string(c->credentials.helper.items[i]));
	}
	json_set_string(o, "sshKey", c->credentials.ssh_key);
	json_set_string(o, "knownHosts", c->credentials.known_hosts);
	json_set_string(o, "tokenFile", c->credentials.token_file);
	json_set(o, "helper", helper);
	return o;
}

static void on_progress(json_object *params, void *userdata)
{
	struct pool *pool = userdata;
	json_object *progress = json_get_object(params, "progress");
	struct pool_waiter *a, *tmp;

	list_for_each_safe(a, tmp, &pool->askers, link)
		if (a->progress && progress)
			a->progress(progress, a->userdata);
}

void store_job_start(struct pool *pool, const char *method, json_object *params,
		     uint64_t deadline_usec, bool background, job_done_fn done)
{
	struct job_spec spec = {
		.method = method,
		.params = params,
		.lock = pool->rec.name,
		.background = background,
		.deadline_usec = deadline_usec,
		.done = done,
		.progress = background ? on_progress : NULL,
		.userdata = pool,
	};

	if (job_start(pool->site, &spec, &pool->store_job) < 0)
		pools_look_later(pool->pools, USEC_PER_SEC);
}

bool store_job_repeat_if_lost(struct pool *pool, const struct job_result *r)
{
	if (pool_is_going(pool) || (r->outcome != JOB_LOST && r->outcome != JOB_LATE)) {
		pool->store_attempts = 0;
		return false;
	}
	if (++pool->store_attempts >= pool_retry_attempts(pool)) {
		pool->store_attempts = 0;
		return false;
	}
	log_info("%s; tried again with a fresh worker pool=%s attempts=%u", r->message,
		 pool->rec.name, pool->store_attempts);
	pools_look_later(pool->pools, backoff_usec(pool->store_attempts, 500 * USEC_PER_MSEC,
						   10 * USEC_PER_SEC));
	return true;
}

const char *store_job_error(const struct job_result *r)
{
	static const char *const same[] = { "NotFound", "Unsupported", "NotPermitted", "Conflict",
					    "InUse" };

	for (size_t i = 0; r->error && i < ARRAY_SIZE(same); i++)
		if (strcmp(r->error, same[i]) == 0)
			return strcmp(same[i], "InUse") == 0 ? "Conflict" : same[i];
	return "GitFailed";
}

/* --- what is seen of it --- */

static void on_refs_moved(struct watch *w, void *userdata)
{
	struct pool *pool = userdata;

	pool->refs_moved = true;
	pool->head_is_stale = true;
	pool_run_store_jobs(pool);
}

static void start_watch(struct pool *pool)
{
	struct fault f = FAULT_NONE;

	if (pool->watch)
		return;
	if (watch_refs(pool->pools->event, pool->rec.common_dir, on_refs_moved, pool, &pool->watch,
		       &f) < 0)
		log_warning("refs are not watched, each acquire looks at them: %s pool=%s", f.text,
			    pool->rec.name);
}

/* what was seen could not be recorded: look again */
static void undo_head(void *arg)
{
	struct pool *pool = arg;

	pool->refs_moved = pool->head_is_stale = true;
}

/* without a watch nobody tells when a ref moves: then it is always stale */
static void set_head(struct pool *pool, const char *head)
{
	const char *to = head ? head : "";

	pool->head_is_stale = !pool->watch || pool->refs_moved;
	if (strcmp(pool->rec.head, to) == 0)
		return;
	batch_undo(pool->pools->batch, undo_head, pool);
	pool_edit(pool);
	snprintf(pool->rec.head, sizeof(pool->rec.head), "%s", to);
	pool_put(pool);
	pools_event(pool->pools, "pool_head", pool, NULL, NULL, UID_SLOTD, "%s", to);
}

void store_set_unsupported(struct pool *pool, json_object *list)
{
	json_object *fitting;
	size_t n;

	if (!list)
		return;
	/* drop from the end until the rest fits the record */
	fitting = json_object_new_array();
	n = json_object_array_length(list);
	for (size_t i = 0; i < n; i++)
		json_object_array_add(fitting, json_object_get(json_object_array_get_idx(list, i)));
	while (strlen(json_object_to_json_string_ext(fitting, JSON_C_TO_STRING_PLAIN)) >=
	       sizeof(pool->rec.unsupported))
		json_object_array_del_idx(fitting, --n, 1);
	snprintf(pool->rec.unsupported, sizeof(pool->rec.unsupported), "%s",
		 json_object_to_json_string_ext(fitting, JSON_C_TO_STRING_PLAIN));
	json_object_put(fitting);
}

/* --- fetching and resolving --- */

static void schedule_fetch(struct pool *pool)
{
	uint64_t every = pool->conf->fetch.every_usec;

	pool->fetch_after_usec = every && pool_has_origin(pool) ? clock_boot_usec() + every : 0;
	if (pool->fetch_after_usec)
		pools_look_later(pool->pools, every);
}

static void tell_fetched(struct pool *pool, const struct job_result *r)
{
	struct refusal no = { 0 };

	if (r->outcome != JOB_DONE)
		refuse(&no, store_job_error(r), "pool %s: %.200s", pool->rec.name, r->message);
	pool_fetch_ends(pool, &no);
}

static void on_fetched(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED)
		return;
	fresh_fetch_tried(pool, r->outcome == JOB_DONE);
	pool_kick(pool); /* who waits for it waits no longer, whether it is tried again or not */
	if (store_job_repeat_if_lost(pool, r))
		return;
	fresh_fetch_ended(pool, r->outcome == JOB_DONE);
	schedule_fetch(pool);
	if (r->outcome == JOB_DONE) {
		pool_edit(pool);
		pool->rec.fetched = moment_now();
		pool_put(pool);
		pool->refs_moved = true;
		set_head(pool, json_get_string(r->params, "head"));
	} else {
		log_warning("fetch failed: %s pool=%s", r->message, pool->rec.name);
		pools_event(pool->pools, "fetch_failed", pool, NULL, NULL, UID_SLOTD, "%s",
			    r->message);
	}
	tell_fetched(pool, r);
	pool_run_store_jobs(pool);
}

static void on_resolved(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;
	char was[META_SIZE];

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || store_job_repeat_if_lost(pool, r)) {
		pool->refs_moved = true;
		return;
	}
	if (r->outcome == JOB_DONE) {
		set_head(pool, json_get_string(r->params, "head"));
		memcpy(was, pool->rec.unsupported, sizeof(was));
		pool_edit(pool);
		store_set_unsupported(pool, json_get_array(r->params, "unsupported"));
		if (strcmp(was, pool->rec.unsupported) != 0)
			pool_put(pool);
	} else {
		log_warning("cannot look at the refs: %s pool=%s", r->message, pool->rec.name);
		pool->refs_moved = true;
		pools_look_later(pool->pools, 5 * USEC_PER_SEC);
	}
	if (!pool_has_origin(pool))
		tell_fetched(pool, r);
	pool_kick(pool);
	if (r->outcome == JOB_DONE)
		pool_run_store_jobs(pool);
}

static void look_at_refs(struct pool *pool)
{
	json_object *params = json_object_new_object();

	pool->refs_moved = false; /* what moves from now on is seen by the next look */
	if (!pool_has_origin(pool))
		pool_fetch_begins(pool);
	json_set_string(params, "ref", pool->conf->ref);
	store_job_start(pool, "StoreResolve", params, DEADLINE_SHORT, false, on_resolved);
}

void store_follow(struct pool *pool, const char *head)
{
	schedule_fetch(pool);
	start_watch(pool);
	pool->refs_moved = true; /* between the worker's look and the watch a ref may have moved */
	set_head(pool, head);
}

static void fetch(struct pool *pool)
{
	json_object *params = json_object_new_object();

	pool_fetch_begins(pool);
	json_set_string(params, "url", pool->rec.url);
	json_set_string(params, "ref", pool->rec.full_ref);
	json_set(params, "credentials", store_credentials(pool->conf));
	store_job_start(pool, "StoreFetch", params, pool->conf->fetch.timeout_usec, true, on_fetched);
}

static void fetch_or_wait(struct pool *pool)
{
	if (pool->fetch_wanted || !pool_disk_is_low(pool)) {
		fetch(pool);
		return;
	}
	schedule_fetch(pool); /* the next one may find room */
	pool->fetch_is_due = false;
	pool_kick(pool);
}

static bool fetch_is_due(const struct pool *pool, uint64_t now)
{
	return pool_has_origin(pool) &&
	       (pool->fetch_wanted || pool->fetch_is_due ||
		(pool->fetch_after_usec && now >= pool->fetch_after_usec));
}

/* --- what is due --- */

void pool_run_store_jobs(struct pool *pool)
{
	uint64_t now = clock_boot_usec();

	if (pool->gone || pool->fresh || pool->store_job || pool->pools->stopping)
		return;
	if (pool->failure) {
		store_take_away_again(pool);
		return;
	}
	if (pool_waits_for_room(pool))
		return;
	switch ((enum pool_state)pool->rec.state) {
	case POOL_STATE_OPENING:
		pool_open_store(pool);
		break;
	case POOL_STATE_BROKEN:
		if (now >= pool->open_after_usec)
			pool_open_store(pool);
		else
			pools_look_later(pool->pools, pool->open_after_usec - now);
		break;
	case POOL_STATE_ACTIVE:
		if (!pool->opened)
			pool_open_store(pool);
		else if (fetch_is_due(pool, now))
			fetch_or_wait(pool);
		else if ((pool->refs_moved && pool->watch) || pool->fetch_wanted)
			look_at_refs(pool);
		else if (pool_salvages_look(pool))
			break;
		else if (pool->fetch_after_usec == 0)
			schedule_fetch(pool);
		else
			pools_look_later(pool->pools, pool->fetch_after_usec - now);
		break;
	case POOL_STATE_REMOVING:
		break;
	}
}

int pool_fetch(struct pool *pool, pool_done_fn fn, void *userdata, struct pool_waiter **ret,
	       struct refusal *ret_refusal)
{
	if (pool->rec.state != POOL_STATE_ACTIVE)
		return refuse(ret_refusal, "Unavailable", "pool %s is not active: %s", pool->rec.name,
			      pool->rec.problem[0] ? pool->rec.problem : "its store is being opened");
	if (pool_disk_is_low(pool))
		return refuse(ret_refusal, "Unavailable", "pool %s: %s", pool->rec.name,
			      pool_problem(pool));
	if (pool_ask(pool, ASK_FETCH, NULL, fn, userdata, ret) < 0)
		return refuse(ret_refusal, "Internal", "out of memory");
	pool->fetch_wanted = true;
	pool_run_store_jobs(pool);
	return 0;
}

/*
 * A pool's store: opened, fetched, looked at.
 *
 * One job at a time works on a store as a whole. A clone is made in <store>.new and appears
 * under its name by one rename, so what has the name is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define OPEN_RETRY_FIRST (30 * USEC_PER_SEC)
#define OPEN_RETRY_MOST	 (10 * USEC_PER_MIN)

static bool is_adopted(const struct pool *pool)
{
	return pool->rec.path[0] != '\0';
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* --- where its workers work --- */

/* a clone that was never finished is done in a directory of its own */
static int clone_dir(struct pool *pool, char **ret, struct fault *f)
{
	*ret = text_printf("%s.new", pool->store);
	return *ret ? fs_mkdir_all(*ret, 0755, f) : fault_oom(f);
}

/* the jobs of a site end with it, without a call; they are due again */
static void close_site(struct pool *pool)
{
	struct slot *slot;

	job_site_free(TAKE(pool->site));
	pool->store_job = NULL;
	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each(slot, &pool->slots[i], link)
			slot->job = NULL;
}

static int open_site(struct pool *pool, const char *store, struct fault *f)
{
	int r = pool_make_slots_dir(pool, f);

	if (r < 0)
		return r;
	close_site(pool);
	pool->cloning = strcmp(store, pool->store) != 0;
	return job_site_new(pool->pools->jobs, pool->rec.name, store, is_adopted(pool),
			    pool->slots_dir, &pool->site, f);
}

int pool_open_site(struct pool *pool, struct fault *f)
{
	return open_site(pool, pool->store, f);
}

void pool_close_store(struct pool *pool)
{
	watch_free(TAKE(pool->watch));
	close_site(pool);
}

/* --- refs that move --- */

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

static void set_unsupported(struct pool *pool, json_object *list)
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

/* --- opening --- */

static void schedule_fetch(struct pool *pool)
{
	uint64_t every = pool->conf->fetch.every_usec;

	pool->fetch_after_usec = every && !is_adopted(pool) ? clock_boot_usec() + every : 0;
	if (pool->fetch_after_usec)
		pools_look_later(pool->pools, every);
}

static json_object *credentials(const struct conf_pool *c)
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

/* what its jobs bring is of no use any more; the removal goes on when they are over */
static bool is_going(const struct pool *pool)
{
	return pool->rec.state == POOL_STATE_REMOVING;
}

/*
 * A job that lost its worker is tried again on a fresh one, as often as the strategy says; true: it
 * is, and nothing else is to be done now.
 */
static bool repeat_if_lost(struct pool *pool, const struct job_result *r)
{
	if (is_going(pool) || (r->outcome != JOB_LOST && r->outcome != JOB_LATE)) {
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

static const char *error_for_caller(const struct job_result *r)
{
	static const char *const same[] = { "NotFound", "Unsupported", "NotPermitted", "InUse" };

	for (size_t i = 0; r->error && i < ARRAY_SIZE(same); i++)
		if (strcmp(r->error, same[i]) == 0)
			return strcmp(same[i], "InUse") == 0 ? "Conflict" : same[i];
	return "GitFailed";
}

static void tell_failed(void *arg, int error, const struct fault *why)
{
	struct pool *pool = arg;

	pool_tell(pool, ASK_OPEN, pool->failure);
}

static void taken_away(void *userdata)
{
	struct pool *pool = userdata;

	pool->taken_away = true;
	batch_after(pool->pools->batch, tell_failed, pool);
	pools_event(pool->pools, "pool_failed", pool, NULL, NULL, UID_SLOTD, "%s",
		    pool->failure->why.text);
	pool_drop(pool);
}

/* made at run time and never usable: soon it is as if it had not been asked for */
static void take_away(struct pool *pool, const struct refusal *why)
{
	_cleanup_(freep) char *clone = text_printf("%s.new", pool->store);

	pool->failure = malloc(sizeof(*pool->failure));
	if (!pool->failure)
		return; /* the next try will fail as well */
	*pool->failure = *why;
	pool_kick(pool); /* who waits for it is told */
	close_site(pool);
	(void)pool_drop_slots_dir(pool); /* it was made for this pool; another's is not empty */
	if (is_adopted(pool) || !clone ||
	    tree_delete_start(pool->pools, clone, taken_away, pool) < 0)
		taken_away(pool);
}

static void open_failed(struct pool *pool, const char *error, const char *message)
{
	struct pools *p = pool->pools;
	struct refusal no = { 0 };

	if (is_going(pool)) {
		pool_kick(pool); /* it was removed while it was being opened */
		return;
	}
	log_warning("pool cannot be opened: %s pool=%s", message, pool->rec.name);
	refuse(&no, error, "pool %s: %.200s", pool->rec.name, message);
	if (!pool->rec.from_file && pool->rec.common_dir[0] == '\0') {
		take_away(pool, &no);
		return;
	}
	pool->open_failures++;
	pool->open_after_usec = clock_boot_usec() + backoff_usec(pool->open_failures,
								 OPEN_RETRY_FIRST, OPEN_RETRY_MOST);
	pools_look_later(p, pool->open_after_usec - clock_boot_usec());
	pool_edit(pool);
	pool->rec.state = POOL_STATE_BROKEN;
	snprintf(pool->rec.problem, sizeof(pool->rec.problem), "%s", message);
	pool_put(pool);
	pools_event(p, "pool_broken", pool, NULL, NULL, UID_SLOTD, "%s", message);
	pool_tell(pool, ASK_OPEN, &no);
	pool_tell(pool, ASK_FETCH, &no);
	pool_kick(pool);
}

static void tell_opened(void *arg, int error, const struct fault *why)
{
	struct pool *pool = arg;
	struct refusal no = { 0 };

	if (error) {
		refuse(&no, "LedgerFailed", "%s", why->text);
		pools_look_later(pool->pools, USEC_PER_SEC);
	}
	pool_tell(pool, ASK_OPEN, &no);
	pool_look_at_slots(pool);
}

static void tell_world(struct pool *pool)
{
	pools_event(pool->pools, "pool_active", pool, NULL, NULL, UID_SLOTD, "%s",
		    pool->rec.full_ref);
	log_info("pool is active: %s at %.12s pool=%s", pool->rec.full_ref, pool->rec.head,
		 pool->rec.name);
}

static void opened(struct pool *pool, json_object *params, const char *common_dir)
{
	bool fetched = !is_adopted(pool) && pool->rec.fetched.wall_usec == 0;
	const char *ref = json_get_string(params, "ref");

	pool_edit(pool);
	if (!is_going(pool))
		pool->rec.state = POOL_STATE_ACTIVE;
	pool->rec.problem[0] = '\0';
	snprintf(pool->rec.common_dir, sizeof(pool->rec.common_dir), "%s", common_dir);
	snprintf(pool->rec.full_ref, sizeof(pool->rec.full_ref), "%s", ref ? ref : "HEAD");
	if (fetched)
		pool->rec.fetched = moment_now();
	set_unsupported(pool, json_get_array(params, "unsupported"));
	pool_put(pool);
	pool->open_failures = 0;
	schedule_fetch(pool);
	if (!pool->opened && !is_going(pool))
		pool_adopt_directories(pool, "found on disk, the ledger did not know it");
	pool->opened = !pool->reopen;
	start_watch(pool);
	pool->refs_moved = true; /* between the worker's look and the watch a ref may have moved */
	set_head(pool, json_get_string(params, "head"));
	if (!is_going(pool))
		tell_world(pool);
	batch_after(pool->pools->batch, tell_opened, pool);
	pools_copy_soon(pool->pools);
	pool_kick(pool);
	pool_run_store_jobs(pool);
}

/* <store>.new becomes <store>: from now on it is complete */
static int publish_clone(struct pool *pool, struct fault *f)
{
	_cleanup_(freep) char *new_dir = text_printf("%s.new", pool->store);
	_cleanup_(freep) char *stores = text_printf("%s/stores", pool->pools->conf->state_dir);

	if (!new_dir || !stores)
		return fault_oom(f);
	CRASH_POINT("pool.clone.before-rename");
	if (renameat2(AT_FDCWD, new_dir, AT_FDCWD, pool->store, RENAME_NOREPLACE) < 0)
		return fault_errno(f, -errno, "cannot rename %s", new_dir);
	CRASH_POINT("pool.clone.after-rename");
	if (fs_sync_dir_at(AT_FDCWD, stores) < 0)
		return fault_errno(f, -errno, "cannot sync %s", stores);
	return pool_open_site(pool, f);
}

static void on_cloned(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;
	struct fault f = FAULT_NONE;

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || repeat_if_lost(pool, r))
		return;
	if (r->outcome != JOB_DONE) {
		open_failed(pool, error_for_caller(r), r->message);
		return;
	}
	if (publish_clone(pool, &f) < 0) {
		open_failed(pool, "Internal", f.text);
		return;
	}
	opened(pool, r->params, pool->store);
}

static bool is_same_dir(const char *a, const char *b)
{
	struct stat x, y;

	return strcmp(a, b) == 0 || (a[0] && stat(a, &x) == 0 && stat(b, &y) == 0 &&
				     x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* one repository, one pool, by whatever path it was named */
static struct pool *find_other(const struct pool *pool, const char *common_dir)
{
	struct pool *other;

	list_for_each(other, &pool->pools->pools, link)
		if (other != pool && !other->gone && is_same_dir(other->rec.common_dir, common_dir))
			return other;
	return NULL;
}

static void on_opened(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata, *other = NULL;
	const char *common_dir;
	char text[REASON_SIZE];

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || repeat_if_lost(pool, r))
		return;
	if (r->outcome != JOB_DONE) {
		open_failed(pool, error_for_caller(r), r->message);
		return;
	}
	common_dir = json_get_string(r->params, "commonDir");
	if (common_dir && pool->rec.common_dir[0] == '\0')
		other = find_other(pool, common_dir);
	if (other) {
		snprintf(text, sizeof(text), "%.120s is the repository of pool %.64s already", common_dir,
			 other->rec.name);
		open_failed(pool, "Exists", text);
		return;
	}
	opened(pool, r->params, common_dir ? common_dir : pool->store);
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

static void start_store_job(struct pool *pool, const char *method, json_object *params,
			    uint64_t deadline, bool background, job_done_fn done)
{
	struct job_spec spec = {
		.method = method,
		.params = params,
		.lock = pool->rec.name,
		.background = background,
		.deadline_usec = deadline,
		.done = done,
		.progress = background ? on_progress : NULL,
		.userdata = pool,
	};

	if (job_start(pool->site, &spec, &pool->store_job) < 0)
		pools_look_later(pool->pools, USEC_PER_SEC);
}

void pool_open_store(struct pool *pool)
{
	_cleanup_(freep) char *clone = NULL;
	bool cloning = !is_adopted(pool) && !exists(pool->store);
	json_object *params = json_object_new_object();
	const char *url = pool->rec.url;
	struct fault f = FAULT_NONE;
	int r;

	pool->reopen = false;
	r = cloning ? clone_dir(pool, &clone, &f) : 0;
	if (r == 0 && (cloning || pool->cloning || !pool->site))
		r = open_site(pool, cloning ? clone : pool->store, &f);
	if (r < 0) {
		json_object_put(params);
		open_failed(pool, "Internal", f.text);
		return;
	}
	json_set_string(params, "url", is_adopted(pool) ? NULL : url);
	json_set_string(params, "ref", pool->conf->ref);
	json_set(params, "credentials", cloning ? credentials(pool->conf) : NULL);
	json_set_bool(params, "fresh", cloning);
	json_set_string(params, "owner", pool->pools->conf->state_dir);
	start_store_job(pool, "StoreOpen", params, pool->conf->fetch.timeout_usec, true,
			cloning ? on_cloned : on_opened);
}

/* --- fetching and resolving --- */

static void tell_fetched(struct pool *pool, const struct job_result *r)
{
	struct refusal no = { 0 };

	if (r->outcome != JOB_DONE)
		refuse(&no, error_for_caller(r), "pool %s: %.200s", pool->rec.name, r->message);
	pool_fetch_ends(pool, &no);
}

static void on_fetched(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || repeat_if_lost(pool, r))
		return;
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
	pool_kick(pool);
	pool_run_store_jobs(pool);
}

static void on_resolved(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;
	char was[META_SIZE];

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || repeat_if_lost(pool, r)) {
		pool->refs_moved = true;
		return;
	}
	if (r->outcome == JOB_DONE) {
		set_head(pool, json_get_string(r->params, "head"));
		memcpy(was, pool->rec.unsupported, sizeof(was));
		pool_edit(pool);
		set_unsupported(pool, json_get_array(r->params, "unsupported"));
		if (strcmp(was, pool->rec.unsupported) != 0)
			pool_put(pool);
	} else {
		log_warning("cannot look at the refs: %s pool=%s", r->message, pool->rec.name);
		pool->refs_moved = true;
		pools_look_later(pool->pools, 5 * USEC_PER_SEC);
	}
	if (is_adopted(pool))
		tell_fetched(pool, r);
	pool_kick(pool);
	if (r->outcome == JOB_DONE)
		pool_run_store_jobs(pool);
}

void pool_look_at_refs(struct pool *pool)
{
	json_object *params = json_object_new_object();

	pool->refs_moved = false; /* what moves from now on is seen by the next look */
	if (is_adopted(pool))
		pool_fetch_begins(pool);
	json_set_string(params, "ref", pool->conf->ref);
	start_store_job(pool, "StoreResolve", params, DEADLINE_SHORT, false, on_resolved);
}

static void fetch(struct pool *pool)
{
	json_object *params = json_object_new_object();

	pool_fetch_begins(pool);
	json_set_string(params, "url", pool->rec.url);
	json_set_string(params, "ref", pool->rec.full_ref);
	json_set(params, "credentials", credentials(pool->conf));
	start_store_job(pool, "StoreFetch", params, pool->conf->fetch.timeout_usec, true, on_fetched);
}

static void fetch_or_wait(struct pool *pool)
{
	if (pool->fetch_wanted || !pool_disk_is_low(pool))
		fetch(pool);
	else
		schedule_fetch(pool); /* the next one may find room */
}

void pool_run_store_jobs(struct pool *pool)
{
	uint64_t now = clock_boot_usec();

	if (pool->gone || pool->fresh || pool->store_job || pool->pools->stopping)
		return;
	if (pool->failure) {
		if (pool->taken_away)
			taken_away(pool); /* that could not be recorded */
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
		else if (!is_adopted(pool) &&
		    (pool->fetch_wanted || (pool->fetch_after_usec && now >= pool->fetch_after_usec)))
			fetch_or_wait(pool);
		else if ((pool->refs_moved && pool->watch) || pool->fetch_wanted)
			pool_look_at_refs(pool);
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

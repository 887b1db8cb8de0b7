/*
 * A pool's store: cloned or opened, closed; taken away if that never succeeded.
 *
 * A clone is made in <store>.new and appears under its name by one rename, so what has the
 * name is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pool/store-private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define OPEN_RETRY_FIRST (30 * USEC_PER_SEC)
#define OPEN_RETRY_MOST	 (10 * USEC_PER_MIN)

/* --- where its workers work --- */

/* a clone that was never finished is done in a directory of its own */
static int clone_dir(struct pool *pool, char **ret, struct fault *f)
{
	*ret = text_printf("%s.new", pool->store);
	return *ret ? fs_mkdir_all(*ret, 0755, f) : fault_oom(f);
}

/* what it has left is not known: a slot that was not ready yet begins with its tree again */
static void forget_job(struct slot *slot)
{
	slot->job = NULL;
	slot->warming = false;
	slot->furnish = FURNISH_NONE;
}

/* the jobs of a site end with it, without a call; they are due again */
static void close_site(struct pool *pool)
{
	struct slot *slot;

	job_site_free(TAKE(pool->site));
	job_site_free(TAKE(pool->run_site));
	inquiries_lose_jobs(pool);
	salvages_lose_jobs(pool);
	checks_lose_jobs(pool);
	pool->store_job = pool->maintain_job = NULL;
	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each(slot, &pool->slots[i], link)
			forget_job(slot);
}

static int open_site(struct pool *pool, const char *store, struct fault *f)
{
	int r = pool_make_slots_dir(pool, f);

	if (r < 0)
		return r;
	close_site(pool);
	pool->cloning = strcmp(store, pool->store) != 0;
	r = job_site_new_for_commands(pool->pools->jobs, pool->rec.name, store, pool->slots_dir,
				      &pool->run_site, f);
	return r < 0 ? r : job_site_new(pool->pools->jobs, pool->rec.name, store, pool_is_adopted(pool),
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

/* --- it cannot be opened --- */

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
	if (pool_is_adopted(pool) || !clone ||
	    tree_delete_start(pool->pools, clone, taken_away, pool) < 0)
		taken_away(pool);
}

void store_take_away_again(struct pool *pool)
{
	if (pool->taken_away)
		taken_away(pool);
}

static void open_failed(struct pool *pool, const char *error, const char *message)
{
	struct pools *p = pool->pools;
	struct refusal no = { 0 };

	if (pool_is_going(pool)) {
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

/* --- it is open --- */

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
	bool fetched = !pool_is_adopted(pool) && pool->rec.fetched.wall_usec == 0;
	const char *ref = json_get_string(params, "ref");

	pool_edit(pool);
	if (!pool_is_going(pool))
		pool->rec.state = POOL_STATE_ACTIVE;
	pool->rec.problem[0] = '\0';
	snprintf(pool->rec.common_dir, sizeof(pool->rec.common_dir), "%s", common_dir);
	snprintf(pool->rec.full_ref, sizeof(pool->rec.full_ref), "%s", ref ? ref : "HEAD");
	if (fetched)
		pool->rec.fetched = moment_now();
	store_set_unsupported(pool, json_get_array(params, "unsupported"));
	pool_put(pool);
	pool->open_failures = 0;
	if (!pool->opened && !pool_is_going(pool))
		pool_adopt_directories(pool, "found on disk, the ledger did not know it");
	pool->opened = !pool->reopen;
	pool->salvages_known = false;
	store_follow(pool, json_get_string(params, "head"));
	if (!pool_is_going(pool))
		tell_world(pool);
	batch_after(pool->pools->batch, tell_opened, pool);
	pools_copy_soon(pool->pools);
	maintain_look(pool);
	checks_look(pool);
	pool_kick(pool);
	pool_run_store_jobs(pool);
}

/* --- opening --- */

/* the job is over; false: it brought nothing, and what that means for the pool is done */
static bool has_opened(struct pool *pool, const struct job_result *r)
{
	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || store_job_repeat_if_lost(pool, r))
		return false;
	if (r->outcome != JOB_DONE)
		open_failed(pool, store_job_error(r), r->message);
	return r->outcome == JOB_DONE;
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

	if (!has_opened(pool, r))
		return;
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

	if (!has_opened(pool, r))
		return;
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

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

void pool_open_store(struct pool *pool)
{
	_cleanup_(freep) char *clone = NULL;
	bool cloning = !pool_is_adopted(pool) && !exists(pool->store);
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
	json_set_string(params, "url", pool_is_adopted(pool) ? NULL : url);
	json_set_string(params, "ref", pool->conf->ref);
	json_set(params, "credentials", cloning ? store_credentials(pool->conf) : NULL);
	json_set_bool(params, "fresh", cloning);
	json_set_string(params, "owner", pool->pools->conf->state_dir);
	store_job_start(pool, "StoreOpen", params, pool->conf->fetch.timeout_usec, true,
			cloning ? on_cloned : on_opened);
}

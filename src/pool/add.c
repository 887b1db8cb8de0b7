/* A pool that is made at run time: recorded first, then its store is opened. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/text.h"

static int check_new(struct pools *p, const char *name, const char *url, const char *path,
		     const char *ref, struct refusal *ret)
{
	struct pool *other = pools_find(p, name);

	if (other && other->rec.from_file)
		return refuse(ret, "Exists", "pool %s exists; it is defined in %s:%u", name,
			      p->conf->file, other->conf->line);
	if (other)
		return refuse(ret, "Exists", "pool %s exists; choose another name", name);
	if (map_find(p->by_name, name))
		return refuse(ret, "Conflict", "pool %s is just being removed; try again", name);
	if ((url && strlen(url) >= PATH_SIZE) || (path && strlen(path) >= PATH_SIZE) ||
	    (ref && strlen(ref) >= REF_SIZE))
		return refuse(ret, "Unsupported", "url, path or ref is too long");
	list_for_each(other, &p->pools, link)
		if (path && !other->gone && strcmp(other->rec.path, path) == 0)
			return refuse(ret, "Exists", "%s is the repository of pool %s already", path,
				      other->rec.name);
	return 0;
}

static void undo_add(void *arg)
{
	struct refusal no = { 0 };

	refuse(&no, "LedgerFailed", "the pool could not be recorded; nothing was changed");
	pool_refuse_waiters(arg, &no);
	pool_tell(arg, ASK_OPEN, &no);
	pool_free(arg);
}

static void open_after_commit(void *arg, int error, const struct fault *why)
{
	struct pool *pool = arg;

	if (error)
		return; /* freed by undo_add() */
	pool->fresh = false;
	pool_run_store_jobs(pool);
}

int pool_add(struct pools *p, const char *name, const char *url, const char *path, const char *ref,
	     int64_t ready, int64_t max, uint32_t uid, pool_progress_fn progress, pool_done_fn fn,
	     void *userdata, struct pool_waiter **ret, struct refusal *ret_refusal)
{
	struct pool_record rec = { .state = POOL_STATE_OPENING, .ready = (int32_t)ready,
				   .max = (int32_t)max };
	struct conf_pool *probe = NULL;
	struct fault f = FAULT_NONE;
	_cleanup_(freep) char *shown = text_redact_url(url ? url : path ? path : "");
	struct pool *pool;

	if (conf_pool_new(p->conf, name, url, path, ref, ready, max, &probe, &f) < 0)
		return refuse(ret_refusal, "Conflict", "%s", f.text);
	conf_pool_free(probe);
	if (check_new(p, name, url, path, ref, ret_refusal) < 0)
		return -ECANCELED;
	snprintf(rec.name, sizeof(rec.name), "%s", name);
	snprintf(rec.url, sizeof(rec.url), "%s", url ? url : "");
	snprintf(rec.path, sizeof(rec.path), "%s", path ? path : "");
	snprintf(rec.ref, sizeof(rec.ref), "%s", ref ? ref : "");
	rec.created_usec = clock_wall_usec();
	pool = pool_new(p, &rec, &f);
	if (!pool)
		return refuse(ret_refusal, "Internal", "%s", f.text);
	if (url && pool_disk_is_low(pool)) {
		refuse(ret_refusal, "Unavailable", "pool %s is not cloned: %s", name, pool_problem(pool));
		pool_free(pool);
		return -ECANCELED;
	}
	if (pool_ask(pool, ASK_OPEN, progress, fn, userdata, ret) < 0) {
		pool_free(pool);
		return refuse(ret_refusal, "Internal", "out of memory");
	}
	pool->fresh = true;
	batch_undo(p->batch, undo_add, pool);
	pool_put(pool);
	pools_event(p, "pool_added", pool, NULL, NULL, uid, "%s", shown ? shown : "");
	batch_after(p->batch, open_after_commit, pool);
	return 0;
}

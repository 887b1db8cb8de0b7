/*
 * What was saved stays until it may go, and what is recorded is what is there.
 *
 * The stores have the last word: when one is opened, a worker lists its salvages, and the records follow.
 * Dropping is in three steps: that it is to go is recorded, then a job deletes the ref, then the record
 * goes; so a drop that was killed is found, and finished. What is too old goes by itself, and the oldest go
 * where there is too much of it, or there are too many; but nothing that was saved within a day, for nobody
 * has seen that yet.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/store-private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define LOOK_RETRY_USEC	 (5 * USEC_PER_MIN)
#define ROUND_EVERY_USEC (10 * USEC_PER_MIN)
#define UNSEEN_USEC	 USEC_PER_DAY /* what is younger makes no room */
#define DROPS_AT_ONCE	 16

/* --- asking a worker about one --- */

/* a job, and who waits for its end */
struct salvage_call {
	struct list link; /* pools.salvage_calls, while the job is under way */
	struct pools *pools;
	char pool[NAME_SIZE];
	char name[SALVAGE_NAME_SIZE]; /* of the salvage */
	bool drops;
	const char *method;
	json_object *params; /* kept for another try */
	char lock[NAME_SIZE + 8];
	job_done_fn done;
	unsigned attempts;
	struct job *job;
	salvage_done_fn fn; /* NULL: nobody waits */
	void *userdata;
};

static struct salvage *salvage_of(const struct salvage_call *call)
{
	struct salvage *s = map_find(call->pools->salvages_by_name, call->name);

	return s && !s->gone ? s : NULL;
}

/* told, and freed */
static void call_end(struct salvage_call *call, json_object *reply, const struct refusal *refusal)
{
	struct salvage *s = call->drops ? salvage_of(call) : NULL;

	list_del(&call->link);
	if (s)
		s->busy = false;
	call->pools->n_salvage_drops -= call->drops;
	if (call->fn)
		call->fn(reply, refusal, call->userdata);
	json_object_put(call->params);
	free(call);
}

__attribute__((format(printf, 3, 4))) static void call_refuse(struct salvage_call *call, const char *error,
							      const char *fmt, ...)
{
	struct refusal no = { 0 };
	char why[REASON_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	refuse(&no, error, "%s", why);
	call_end(call, NULL, &no);
}

static struct salvage_call *call_new(const struct salvage *s, bool drops, salvage_done_fn fn, void *userdata)
{
	struct salvage_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	list_init(&call->link);
	call->pools = s->pools;
	memcpy(call->pool, s->rec.pool, sizeof(call->pool));
	memcpy(call->name, s->name, sizeof(call->name));
	call->drops = drops;
	call->fn = fn;
	call->userdata = userdata;
	s->pools->n_salvage_drops += drops;
	return call;
}

static struct pool *open_pool(struct pools *p, const char *name)
{
	struct pool *pool = pools_find(p, name);

	return pool && pool->site && !pool->cloning && !p->stopping ? pool : NULL;
}

/* also for another try; -ENOTCONN: the pool's store is not open */
static int call_start(struct salvage_call *call)
{
	struct pool *pool = open_pool(call->pools, call->pool);
	struct job_spec spec = {
		.method = call->method,
		.lock = call->lock,
		.background = call->drops && !call->fn,
		.deadline_usec = DEADLINE_SLOT,
		.done = call->done,
		.userdata = call,
	};

	if (!pool)
		return -ENOTCONN;
	spec.params = json_object_get(call->params);
	if (job_start(pool->site, &spec, &call->job) < 0)
		return -ENOMEM;
	list_append(&call->pools->salvage_calls, &call->link);
	return 0;
}

/* a worker that was lost says nothing about the salvage: a fresh one is asked, as often as the strategy says */
static bool is_tried_again(struct salvage_call *call, const struct job_result *r)
{
	const struct pool *pool = pools_find(call->pools, call->pool);

	if ((r->outcome != JOB_LOST && r->outcome != JOB_LATE) || !pool ||
	    ++call->attempts >= pool_retry_attempts(pool))
		return false;
	log_info("%s; tried again with a fresh worker salvage=%s attempts=%u", r->message, call->name,
		 call->attempts);
	return call_start(call) == 0;
}

/* there is no answer, or not yet: who waits is told, or it is tried again; false: there is one */
static bool has_failed(struct salvage_call *call, const struct job_result *r)
{
	call->job = NULL;
	list_del(&call->link);
	if (r->outcome == JOB_DONE)
		return false;
	if (is_tried_again(call, r))
		return true;
	if (r->outcome == JOB_CANCELED)
		call_refuse(call, "ShuttingDown", "slotd is stopping; ask again in a moment");
	else if (r->outcome == JOB_REFUSED)
		call_refuse(call, store_job_error(r), "%s", r->message);
	else
		call_refuse(call, "Internal", "%s; try again", r->message);
	return true;
}

static void on_answered(const struct job_result *r, void *userdata)
{
	static const struct refusal none;
	struct salvage_call *call = userdata;

	if (!has_failed(call, r))
		call_end(call, r->params, &none);
}

int salvage_ask(struct salvage *s, const char *method, json_object *params, salvage_done_fn fn,
		void *userdata, struct refusal *ret_refusal)
{
	struct salvage_call *call = call_new(s, false, fn, userdata);

	if (!call) {
		json_object_put(params);
		return refuse(ret_refusal, "Internal", "out of memory");
	}
	call->method = method;
	call->params = params;
	call->done = on_answered;
	/* it changes nothing that a slot's own job does */
	snprintf(call->lock, sizeof(call->lock), "%s.look", s->rec.slot);
	if (call_start(call) == 0)
		return 0;
	json_object_put(call->params);
	free(call);
	return refuse(ret_refusal, "Unavailable", "the store of pool %s cannot be read just now; see: slotctl "
		      "status", s->rec.pool);
}

void salvages_lose_jobs(struct pool *pool)
{
	struct salvage_call *call, *tmp;

	list_for_each_safe(call, tmp, &pool->pools->salvage_calls, link)
		if (strcmp(call->pool, pool->rec.name) == 0)
			call_refuse(call, "Unavailable", "the store of pool %s was closed", pool->rec.name);
}

/* --- dropping --- */

static void finish_drop(struct salvage *s)
{
	struct pool *pool = pools_find(s->pools, s->rec.pool);

	salvage_event(s, "salvage_dropped", s->rec.drop_uid, "%s: %s", s->id, s->rec.dropping);
	log_notice("saved work was dropped: %s salvage=%s commit=%s agent=%s", s->rec.dropping, s->id,
		   s->rec.commit, s->rec.agent);
	if (pool)
		pool->salvage_drops++;
	salvage_delete(s);
}

static void tell_dropped(void *arg, int error, const struct fault *why)
{
	static const struct refusal none;
	struct salvage_call *call = arg;

	if (error)
		call_refuse(call, "LedgerFailed", "%s", why->text);
	else
		call_end(call, NULL, &none);
}

/* what a worker would not do is not to be done; who asked is told */
static void take_back(struct salvage *s, const char *why)
{
	log_warning("saved work could not be dropped: %s salvage=%s", why, s->id);
	batch_save(s->pools->batch, &s->rec, sizeof(s->rec));
	s->rec.dropping[0] = '\0';
	s->rec.drop_uid = UINT32_MAX;
	batch_put_salvage(s->pools->batch, &s->rec);
	pools_changed(s->pools);
}

static bool will_pass(const struct job_result *r)
{
	return text_is_equal(r->error, "Transient") || text_is_equal(r->error, "StoreGone") ||
	       text_is_equal(r->error, "NoSpace");
}

static void on_dropped(const struct job_result *r, void *userdata)
{
	struct salvage_call *call = userdata;
	struct salvage *s = salvage_of(call);

	CRASH_POINT("pool.salvage.dropped");
	if (s && r->outcome == JOB_REFUSED && !will_pass(r))
		take_back(s, r->message);
	if (has_failed(call, r))
		return;
	if (s)
		finish_drop(s);
	pools_after_commit(call->pools, tell_dropped, call);
}

/* the ledger knows that it goes */
static void start_drop(struct salvage_call *call)
{
	struct salvage *s = salvage_of(call);
	_cleanup_(freep) char *ref = s ? salvage_ref(s) : NULL;

	if (!ref) {
		call_refuse(call, "NotFound", "it is gone already");
		return;
	}
	call->method = "SalvageDrop";
	call->params = json_set_string(json_object_new_object(), "ref", ref);
	json_set_string(call->params, "commit", s->rec.commit);
	call->done = on_dropped;
	/* under the slot's lock: no job of the slot counts its salvages meanwhile */
	snprintf(call->lock, sizeof(call->lock), "%s", s->rec.slot);
	CRASH_POINT("pool.salvage.before-drop");
	if (call_start(call) < 0)
		call_refuse(call, "Unavailable", "the store of pool %s cannot be written just now; it goes "
			    "as soon as that is possible", call->pool);
}

static void drop_recorded(void *arg, int error, const struct fault *why)
{
	struct salvage_call *call = arg;

	if (error)
		call_refuse(call, "LedgerFailed", "%s", why->text);
	else
		start_drop(call);
}

static int drop(struct salvage *s, uint32_t uid, const char *why, salvage_done_fn fn, void *userdata)
{
	struct batch *b = s->pools->batch;
	struct salvage_call *call = call_new(s, true, fn, userdata);

	if (!call)
		return -ENOMEM;
	batch_save(b, &s->rec, sizeof(s->rec));
	snprintf(s->rec.dropping, sizeof(s->rec.dropping), "%s", why);
	s->rec.drop_uid = uid;
	s->busy = true; /* until the call ends, whatever becomes of it */
	batch_put_salvage(b, &s->rec);
	pools_after_commit(s->pools, drop_recorded, call);
	return 0;
}

int salvage_drop(struct salvage *s, uint32_t uid, const char *why, salvage_done_fn fn, void *userdata,
		 struct refusal *ret_refusal)
{
	if (s->busy)
		return refuse(ret_refusal, "Conflict", "%s is just being dropped (%s)", s->id,
			      s->rec.dropping);
	if (!open_pool(s->pools, s->rec.pool))
		return refuse(ret_refusal, "Unavailable", "the store of pool %s cannot be written just now; "
			      "see: slotctl status", s->rec.pool);
	if (drop(s, uid, why, fn, userdata) < 0)
		return refuse(ret_refusal, "Internal", "out of memory");
	return 0;
}

/* a drop under way that has no job: slotd or its worker has died since */
static void drop_again(struct salvage *s)
{
	struct salvage_call *call = call_new(s, true, NULL, NULL);

	if (!call)
		return;
	s->busy = true;
	start_drop(call);
}

/* --- what has to go --- */

static bool may_drop_more(const struct pools *p)
{
	return p->n_salvage_drops < DROPS_AT_ONCE;
}

static bool is_droppable(const struct salvage *s)
{
	return !s->rec.dropping[0] && open_pool(s->pools, s->rec.pool);
}

/* @usec: of the clock that nobody sets, unless it was another boot */
static bool is_older(const struct salvage *s, uint64_t usec)
{
	return moment_age_usec(&s->rec.known) >= usec;
}

static void drop_by_policy(struct salvage *s, const char *why)
{
	if (drop(s, UID_SLOTD, why, NULL, NULL) < 0)
		log_warning("no memory to drop what was saved salvage=%s", s->id);
}

static void finish_drops(struct pools *p)
{
	for (struct salvage *s = salvage_next(p, NULL); s && may_drop_more(p); s = salvage_next(p, s))
		if (s->rec.dropping[0] && !s->busy && open_pool(p, s->rec.pool))
			drop_again(s);
}

static void drop_old(struct pools *p)
{
	char kept[DURATION_TEXT_SIZE], why[REASON_SIZE];

	snprintf(why, sizeof(why), "older than salvage.keep (%s)",
		 format_duration(p->conf->salvage.keep_usec, kept));
	for (struct salvage *s = salvage_next(p, NULL); s && may_drop_more(p); s = salvage_next(p, s))
		if (is_droppable(s) && is_older(s, p->conf->salvage.keep_usec))
			drop_by_policy(s, why);
}

struct salvage_excess salvages_excess(struct pools *p)
{
	uint64_t bytes = 0, most_bytes = p->conf->salvage.max_size_bytes;
	size_t n = 0, most = p->conf->salvage.max_count ? p->conf->salvage.max_count : SIZE_MAX;

	for (struct salvage *s = salvage_next(p, NULL); s; s = salvage_next(p, s)) {
		if (s->rec.dropping[0])
			continue;
		bytes += s->rec.bytes;
		n++;
	}
	return (struct salvage_excess){
		.bytes = bytes > most_bytes ? bytes - most_bytes : 0,
		.n = n > most ? n - most : 0,
	};
}

static bool may_make_room(const struct salvage *s)
{
	return is_droppable(s) && is_older(s, UNSEEN_USEC);
}

static void drop_for_count(struct pools *p)
{
	size_t excess = salvages_excess(p).n;
	char why[REASON_SIZE];

	snprintf(why, sizeof(why), "the oldest, and there are more than salvage.max_count (%u)",
		 p->conf->salvage.max_count);
	for (struct salvage *s = salvage_next(p, NULL); s && excess && may_drop_more(p);
	     s = salvage_next(p, s)) {
		if (!may_make_room(s))
			continue;
		excess--;
		drop_by_policy(s, why);
	}
}

static void drop_for_room(struct pools *p)
{
	uint64_t excess = salvages_excess(p).bytes;
	char most[SIZE_TEXT_SIZE], why[REASON_SIZE];

	snprintf(why, sizeof(why), "the oldest, and all together are more than salvage.max_size (%s)",
		 format_size(p->conf->salvage.max_size_bytes, most));
	for (struct salvage *s = salvage_next(p, NULL); s && excess && may_drop_more(p);
	     s = salvage_next(p, s)) {
		if (s->rec.bytes == 0 || !may_make_room(s))
			continue;
		excess -= s->rec.bytes < excess ? s->rec.bytes : excess;
		drop_by_policy(s, why);
	}
}

char *salvages_excess_sentence(const struct pools *p, struct salvage_excess excess)
{
	char most[SIZE_TEXT_SIZE], above[SIZE_TEXT_SIZE];
	_cleanup_(text_deinit) struct text t = { 0 };

	if (excess.bytes)
		text_addf(&t, "%s more than salvage.max_size (%s)", format_size(excess.bytes, above),
			  format_size(p->conf->salvage.max_size_bytes, most));
	if (excess.n)
		text_addf(&t, "%s%zu more than salvage.max_count (%u)", excess.bytes ? " and " : "", excess.n,
			  p->conf->salvage.max_count);
	return t.failed ? NULL : TAKE(t.data);
}

/* said once, until there is room again */
static void note_excess(struct pools *p)
{
	struct salvage_excess excess = salvages_excess(p);
	bool was_over = p->salvage_is_over;
	_cleanup_(freep) char *what = NULL;

	p->salvage_is_over = excess.bytes > 0 || excess.n > 0;
	if (!p->salvage_is_over || was_over)
		return;
	what = salvages_excess_sentence(p, excess);
	pools_event(p, "salvage_over_limit", NULL, NULL, NULL, UID_SLOTD,
		    "%s: what was saved within a day is not dropped for room", what ? what : "too much");
	log_warning("more work is saved than is to be kept, and it is too young to go: %s", what ? what : "");
}

void salvages_expire(struct pools *p)
{
	uint64_t now = clock_boot_usec();

	if (now < p->salvage_round_usec)
		return;
	finish_drops(p);
	drop_old(p);
	drop_for_count(p);
	drop_for_room(p);
	note_excess(p);
	/* those for which there was no room come when these are done */
	p->salvage_round_usec = may_drop_more(p) ? now + ROUND_EVERY_USEC : now + USEC_PER_SEC;
	pools_look_later(p, p->salvage_round_usec - now);
}

void salvages_expire_soon(struct pools *p)
{
	p->salvage_round_usec = 0;
	pools_look_later(p, 0);
}

/* --- what the stores have --- */

void salvages_look_again(struct pool *pool)
{
	if (!pool)
		return;
	pool->salvages_known = false;
	pools_look_later(pool->pools, USEC_PER_SEC);
}

/* one of another pool that exists is not to be had by a ref of its name in this store */
static bool is_of_another(struct pool *pool, const struct salvage_record *rec)
{
	const struct salvage *s = salvage_find_by_name(pool->pools, rec->slot, &rec->lease, rec->n);

	return s && strcmp(s->rec.pool, pool->rec.name) != 0 && pools_find(pool->pools, s->rec.pool);
}

static void copy_label(char *to, const char *from)
{
	snprintf(to, LABEL_SIZE, "%s", from ? from : "");
	text_mend_utf8(to);
}

/* it was taken then, by the wall clock: nothing else is known. A time to come is no reason to keep it for ever. */
static void set_known(struct salvage_record *rec)
{
	rec->known = moment_now();
	if (rec->taken_usec >= rec->known.wall_usec)
		return;
	memset(&rec->known, 0, sizeof(rec->known));
	rec->known.wall_usec = rec->taken_usec;
}

static void note_listed(struct pool *pool, json_object *from)
{
	struct salvage_record rec;
	struct salvage *s;
	bool is_new;

	if (salvage_read(from, &rec) < 0 || is_of_another(pool, &rec)) {
		log_warning("a ref in the store is none of a salvage of this pool pool=%s ref=%s",
			    pool->rec.name, json_get_string(from, "ref"));
		return;
	}
	memcpy(rec.pool, pool->rec.name, sizeof(rec.pool));
	copy_label(rec.agent, json_get_string(from, "agent"));
	copy_label(rec.task, json_get_string(from, "task"));
	set_known(&rec);
	s = salvage_enter(pool->pools, &rec, &is_new);
	if (!s)
		return;
	s->seen_by = pool->salvage_look;
	if (is_new) {
		salvage_event(s, "salvage_found", UID_SLOTD, "%s: %s", s->id, s->rec.summary);
		log_notice("saved work that nothing was known of is in the store salvage=%s", s->id);
	}
}

/* it is there, and that is all that can be said of it */
static void note_damaged(struct pool *pool, json_object *from)
{
	const char *message = json_get_string(from, "message");
	struct salvage_record rec;
	struct salvage *s = NULL;

	log_warning("a salvage is damaged: %s pool=%s ref=%s", message ? message : "", pool->rec.name,
		    json_get_string(from, "ref"));
	if (salvage_read(from, &rec) == 0)
		s = salvage_find_by_name(pool->pools, rec.slot, &rec.lease, rec.n);
	if (s)
		s->seen_by = pool->salvage_look;
}

static void lose(struct salvage *s)
{
	if (s->rec.dropping[0]) {
		finish_drop(s); /* slotd died between the two */
		return;
	}
	salvage_event(s, "salvage_lost", UID_SLOTD, "%s: its ref is gone, nobody here has deleted it (commit "
		      "%s)", s->id, s->rec.commit);
	log_warning("saved work is gone from its store salvage=%s commit=%s", s->id, s->rec.commit);
	salvage_delete(s);
}

static void each_of(json_object *list, struct pool *pool, void (*fn)(struct pool *pool, json_object *from))
{
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
		fn(pool, json_object_array_get_idx(list, i));
}

static void compare(struct pool *pool, json_object *reply)
{
	struct pools *p = pool->pools;

	each_of(json_get_array(reply, "salvage"), pool, note_listed);
	each_of(json_get_array(reply, "damaged"), pool, note_damaged);
	for (struct salvage *s = salvage_next(p, NULL); s; s = salvage_next(p, s)) {
		if (strcmp(s->rec.pool, pool->rec.name) == 0 && s->seen_by != pool->salvage_look &&
		    s->since_look < pool->salvage_look && !s->busy)
			lose(s);
	}
	salvages_expire_soon(p);
}

static void on_listed(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;

	pool->store_job = NULL;
	pool->salvages_known = false;
	pool_kick(pool);
	if (r->outcome == JOB_CANCELED || store_job_repeat_if_lost(pool, r))
		return;
	if (r->outcome != JOB_DONE) {
		log_warning("cannot look at what was saved: %s pool=%s", r->message, pool->rec.name);
		pool->salvage_after_usec = clock_boot_usec() + LOOK_RETRY_USEC;
		pools_look_later(pool->pools, LOOK_RETRY_USEC);
	} else if (pool->salvage_drops == pool->salvage_look_drops) {
		pool->salvages_known = true;
		compare(pool, r->params);
	} /* else: some of it is gone since, so it is looked again */
	pool_run_store_jobs(pool);
}

bool pool_salvages_look(struct pool *pool)
{
	if (!pool->site || pool->salvages_known || clock_boot_usec() < pool->salvage_after_usec)
		return false;
	pool->salvages_known = true;
	pool->salvage_look = ++pool->pools->salvage_looks;
	pool->salvage_look_drops = pool->salvage_drops;
	store_job_start(pool, "SalvageList", json_object_new_object(), DEADLINE_SLOT, false, on_listed);
	return true;
}

/* --- a pool goes: its store keeps them, and here they are not known any more --- */

size_t salvages_leave(struct pool *pool, char ***ret_refs)
{
	struct pools *p = pool->pools;
	size_t n = 0;

	*ret_refs = calloc(map_count(p->salvages_by_name) + 1, sizeof(char *));
	for (struct salvage *s = salvage_next(p, NULL); s; s = salvage_next(p, s)) {
		if (strcmp(s->rec.pool, pool->rec.name) != 0)
			continue;
		if (*ret_refs && ((*ret_refs)[n] = salvage_ref(s)))
			n++;
		salvage_delete(s);
	}
	return n;
}

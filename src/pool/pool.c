/* A pool has states, and lists of slots in theirs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define REFILL_QUIET_USEC  (25 * USEC_PER_MSEC)
#define REFILL_LATEST_USEC (250 * USEC_PER_MSEC)
#define ROOM_RETRY_USEC	   (10 * USEC_PER_SEC)

/* --- life --- */

static int make_paths(struct pool *pool)
{
	const struct conf *c = pool->pools->conf;
	const struct pool_record *rec = &pool->rec;

	pool->slots_dir = text_printf("%s/%s", c->slots_dir, rec->name);
	pool->store = rec->path[0] ? strdup(rec->path) :
				     text_printf("%s/stores/%s.git", c->state_dir, rec->name);
	return pool->slots_dir && pool->store ? 0 : -ENOMEM;
}

/* the list of pools is in order of name */
static void insert_by_name(struct pools *p, struct pool *pool)
{
	struct pool *at;

	list_for_each(at, &p->pools, link)
		if (strcmp(at->rec.name, pool->rec.name) > 0)
			break;
	list_insert_before(&at->link, &pool->link);
}

struct number_search {
	const char *name;
	uint64_t next_n;
};

static int find_number(const char *name, const struct token_record *r, void *userdata)
{
	struct number_search *s = userdata;

	if (strcmp(name, s->name) == 0)
		s->next_n = r->next_n;
	return 0;
}

/* a pool that is made again under an old name goes on counting where the old one stopped */
static int load_number(struct pool *pool, struct fault *f)
{
	struct number_search s = { .name = pool->rec.name, .next_n = 1 };
	int r = ledger_each_token(pool->pools->ledger, find_number, &s, f);

	pool->next_n = s.next_n ? s.next_n : 1;
	return r;
}

struct pool *pool_new(struct pools *p, const struct pool_record *rec, struct fault *f)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		goto oom;
	pool->rec = *rec;
	pool->pools = p;
	pool->head_is_stale = pool->refs_moved = true;
	list_init(&pool->link);
	list_init(&pool->waiters);
	list_init(&pool->askers);
	list_init(&pool->look_asks);
	list_init(&pool->checks);
	list_init(&pool->check_askers);
	for (int i = 0; i < SLOT_STATES; i++)
		list_init(&pool->slots[i]);
	if (make_paths(pool) < 0 || map_put(p->by_name, pool->rec.name, pool) < 0) {
		free(pool->slots_dir);
		free(pool->store);
		free(pool);
		goto oom;
	}
	insert_by_name(p, pool);
	if (load_number(pool, f) < 0 || check_load(pool, f) < 0 || pool_bind_conf(pool, p->conf, f) < 0) {
		pool_free(pool);
		return NULL;
	}
	return pool;
oom:
	fault_oom(f);
	return NULL;
}

void pool_free(struct pool *pool)
{
	struct refusal no = { 0 };
	struct slot *slot, *st;

	if (!pool)
		return;
	look_stop(pool);
	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each_safe(slot, st, &pool->slots[i], link)
			slot_free(slot);
	refuse(&no, "ShuttingDown", "slotd is stopping; ask again in a moment");
	pool_refuse_waiters(pool, &no);
	pool_tell(pool, ASK_OPEN, &no);
	pool_tell(pool, ASK_FETCH, &no);
	pool_removal_abandon(pool);
	pool_close_store(pool);
	free(pool->failure);
	map_remove(pool->pools->by_name, pool->rec.name);
	list_del(&pool->link);
	conf_pool_free(pool->own_conf);
	free(pool->slots_dir);
	free(pool->store);
	free(pool);
}

/* the file's definition, or one of its own with the file's defaults underneath */
int pool_bind_conf(struct pool *pool, struct conf *conf, struct fault *f)
{
	const struct conf_pool *from_file =
		pool->rec.from_file ? conf_find_pool(conf, pool->rec.name) : NULL;
	const struct pool_record *r = &pool->rec;
	struct conf_pool *own = NULL;
	int rc;

	if (!from_file) {
		rc = conf_pool_new(conf, r->name, r->url[0] ? r->url : NULL,
				   r->path[0] ? r->path : NULL, r->ref[0] ? r->ref : NULL,
				   r->ready, r->max, &own, f);
		if (rc < 0)
			return rc;
	}
	conf_pool_free(pool->own_conf);
	pool->own_conf = own;
	pool->conf = from_file ? from_file : own;
	return 0;
}

/* --- changing --- */

void pool_edit(struct pool *pool)
{
	batch_save(pool->pools->batch, &pool->rec, sizeof(pool->rec));
}

void pool_put(struct pool *pool)
{
	batch_put_pool(pool->pools->batch, &pool->rec);
	pools_changed(pool->pools);
}

void pool_kick(struct pool *pool)
{
	if (pool->pools->stopping)
		return;
	pool->kicked = true;
	pools_changed(pool->pools);
}

void pool_set_paused(struct pool *pool, bool paused, bool draining, uint32_t uid)
{
	pool_edit(pool);
	pool->rec.paused = paused;
	pool->rec.draining = draining;
	pool_put(pool);
	pools_event(pool->pools, draining ? "pool_draining" : paused ? "pool_paused" : "pool_resumed",
		    pool, NULL, NULL, uid, "%s", "");
	pool_kick(pool);
}

int pool_resize(struct pool *pool, int64_t ready, int64_t max, uint32_t uid,
		struct refusal *ret_refusal)
{
	int64_t new_ready = ready < 0 ? pool_ready_wanted(pool) : ready;
	int64_t new_max = max < 0 ? pool_max(pool) : max;

	if (pool->rec.from_file)
		return refuse(ret_refusal, "Conflict",
			      "pool %s is defined in %s:%u; change slots.ready and slots.max there",
			      pool->rec.name, pool->pools->conf->file, pool->conf->line);
	if (new_max < 1 || new_max > 100000 || new_ready > new_max)
		return refuse(ret_refusal, "Conflict",
			      "ready %lld and max %lld do not go together: 0 <= ready <= max, max >= 1",
			      (long long)new_ready, (long long)new_max);
	pool_edit(pool);
	pool->rec.ready = (int32_t)new_ready;
	pool->rec.max = (int32_t)new_max;
	pool_put(pool);
	pools_event(pool->pools, "pool_resized", pool, NULL, NULL, uid, "ready=%lld max=%lld",
		    (long long)new_ready, (long long)new_max);
	pool_kick(pool);
	return 0;
}

/* --- who asks about it --- */

int pool_ask(struct pool *pool, enum ask ask, pool_progress_fn progress, pool_done_fn fn,
	     void *userdata, struct pool_waiter **ret)
{
	struct pool_waiter *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->ask = ask;
	a->progress = progress;
	a->done = fn;
	a->userdata = userdata;
	list_append(&pool->askers, &a->link);
	if (ret)
		*ret = a;
	return 0;
}

void pool_waiter_forget(struct pool_waiter *w)
{
	if (!w)
		return;
	w->done = NULL;
	w->progress = NULL;
}

static void tell(struct pool *pool, enum ask ask, bool all, const struct refusal *refusal)
{
	static const struct refusal none;
	struct pool_waiter *a, *tmp;

	list_for_each_safe(a, tmp, &pool->askers, link) {
		if (a->ask != ask || (!all && !a->begun))
			continue;
		list_del(&a->link);
		if (a->done)
			a->done(pool, refusal ? refusal : &none, a->userdata);
		free(a);
	}
}

void pool_tell(struct pool *pool, enum ask ask, const struct refusal *refusal)
{
	tell(pool, ask, true, refusal);
}

void pool_fetch_begins(struct pool *pool)
{
	struct pool_waiter *a;

	list_for_each(a, &pool->askers, link)
		a->begun = true;
}

void pool_fetch_ends(struct pool *pool, const struct refusal *refusal)
{
	struct pool_waiter *a;

	tell(pool, ASK_FETCH, false, refusal);
	pool->fetch_wanted = false;
	list_for_each(a, &pool->askers, link)
		pool->fetch_wanted |= a->ask == ASK_FETCH;
}

/* --- making and shedding slots --- */

bool pool_is_draining(const struct pool *pool)
{
	return pool->rec.draining || pool->absent;
}

bool pool_is_open_for_acquire(struct pool *pool, struct refusal *ret)
{
	const struct pool_record *r = &pool->rec;

	if (pool->pools->stopping)
		refuse(ret, "ShuttingDown", "slotd is stopping; ask again in a moment");
	else if (r->state == POOL_STATE_REMOVING)
		refuse(ret, "Unavailable", "pool %s is being removed", r->name);
	else if (pool->failure)
		refuse(ret, "Unavailable", "%s", pool->failure->why.text);
	else if (r->state == POOL_STATE_BROKEN)
		refuse(ret, "Unavailable", "pool %s cannot serve: %s", r->name, r->problem);
	else if (pool->absent)
		refuse(ret, "Unavailable", "pool %s is draining: the configuration has it no more",
		       r->name);
	else if (r->draining)
		refuse(ret, "Unavailable", "pool %s is draining: slotctl pool resume %s", r->name,
		       r->name);
	else if (r->paused)
		refuse(ret, "Unavailable", "pool %s is paused: slotctl pool resume %s", r->name,
		       r->name);
	else
		return true;
	return false;
}

/* the directory of the slots may be yet to be made: then it will be on the disk of all of them */
static bool is_below(const char *path, const char *parent, uint64_t reserve, uint64_t *ret_free)
{
	if (reserve == 0)
		return false;
	if (fs_free_bytes(path, ret_free) < 0 && fs_free_bytes(parent, ret_free) < 0)
		return false;
	return *ret_free < reserve;
}

static void describe_low_disk(struct pool *pool, const char *path, uint64_t free_bytes)
{
	char has[SIZE_TEXT_SIZE], keeps[SIZE_TEXT_SIZE];

	snprintf(pool->disk_low, sizeof(pool->disk_low),
		 "%s are free at %.60s, and disk.reserve is %s: no slots are made, nothing is fetched",
		 format_size(free_bytes, has), path,
		 format_size(pool->pools->conf->disk.reserve_bytes, keeps));
}

bool pool_disk_is_low(struct pool *pool)
{
	const struct conf *conf = pool->pools->conf;
	uint64_t reserve = conf->disk.reserve_bytes, bytes;
	bool was = pool->disk_low[0];

	pool->disk_low[0] = '\0';
	if (is_below(pool->slots_dir, conf->slots_dir, reserve, &bytes))
		describe_low_disk(pool, conf->slots_dir, bytes);
	else if (is_below(conf->state_dir, conf->state_dir, reserve, &bytes))
		describe_low_disk(pool, conf->state_dir, bytes);
	if (pool->disk_low[0] && !was)
		log_warning("%s pool=%s", pool->disk_low, pool->rec.name);
	return pool->disk_low[0];
}

bool pool_waits_for_room(struct pool *pool)
{
	bool wants = pool->rec.state == POOL_STATE_ACTIVE ? !pool->opened :
							    pool->rec.state != POOL_STATE_REMOVING;
	struct stat st;

	if (!wants || pool->rec.path[0] || lstat(pool->store, &st) == 0 || !pool_disk_is_low(pool))
		return false;
	pools_look_later(pool->pools, ROOM_RETRY_USEC);
	return true;
}

void pool_note_trouble(struct pool *pool, const char *fmt, ...)
{
	char was[sizeof(pool->trouble)];
	va_list ap;

	memcpy(was, pool->trouble, sizeof(was));
	va_start(ap, fmt);
	vsnprintf(pool->trouble, sizeof(pool->trouble), fmt, ap);
	va_end(ap);
	if (strcmp(was, pool->trouble) != 0)
		log_warning("%s pool=%s", pool->trouble, pool->rec.name);
}

const char *pool_problem(const struct pool *pool)
{
	if (pool->rec.problem[0])
		return pool->rec.problem;
	return pool->disk_low[0] ? pool->disk_low : pool->trouble;
}

static bool may_create(struct pool *pool)
{
	uint64_t now = clock_boot_usec();

	if (pool->rec.head[0] == '\0' || pool_total(pool) >= pool_max(pool))
		return false;
	if (now < pool->create_after_usec) {
		pools_look_later(pool->pools, pool->create_after_usec - now);
		return false;
	}
	if (pool_disk_is_low(pool)) {
		pools_look_later(pool->pools, ROOM_RETRY_USEC);
		return false;
	}
	return true;
}

/* ready slots that nobody may have any more; the least recently used go first */
static void shed(struct pool *pool, unsigned keep)
{
	struct slot *slot, *tmp;

	list_for_each_safe(slot, tmp, &pool->slots[SLOT_STATE_READY], link) {
		if (pool->total - pool->count[SLOT_STATE_REMOVING] <= keep)
			return;
		slot_move(slot, SLOT_STATE_REMOVING, keep ? "above the pool's max" : "draining");
	}
}

/*
 * Stock is made when a burst of acquires is over: making slots takes the processors that the next
 * acquire needs. Who waits for a slot waits for no such thing.
 */
static bool in_a_burst(struct pool *pool)
{
	uint64_t now = clock_boot_usec();

	if (pool->n_waiting > 0 || now >= pool->granted_usec + REFILL_QUIET_USEC ||
	    now >= pool->burst_since_usec + REFILL_LATEST_USEC)
		return false;
	pools_look_later(pool->pools, REFILL_QUIET_USEC);
	return true;
}

void pool_note_grant(struct pool *pool)
{
	uint64_t now = clock_boot_usec();

	if (now >= pool->granted_usec + REFILL_QUIET_USEC ||
	    now >= pool->burst_since_usec + REFILL_LATEST_USEC)
		pool->burst_since_usec = now;
	pool->granted_usec = now;
}

/*
 * Ready slots follow their pool's commit, one after the other and while nobody waits, so that the next
 * acquire has nothing to prepare.
 */
static void bring_up_to_date(struct pool *pool)
{
	struct slot *slot;

	if (pool->n_waiting || pool->count[SLOT_STATE_RECOVERING] || pool->head_is_stale ||
	    pool->rec.head[0] == '\0')
		return;
	list_for_each(slot, &pool->slots[SLOT_STATE_READY], link) {
		bool moved = strcmp(slot->rec.head, pool->rec.head) != 0;

		if (slot->gone || (!moved && !slot_is_cold(slot)))
			continue;
		slot_recover(slot, false, moved ? "its pool has moved" : "it is to be warmed up");
		return;
	}
}

void pool_refill(struct pool *pool)
{
	unsigned want, have;

	if (pool->gone || pool->rec.state != POOL_STATE_ACTIVE || !pool->site ||
	    pool->pools->stopping)
		return;
	if (pool->disk_low[0])
		(void)pool_disk_is_low(pool); /* room may have come back, though no slot is wanted */
	if (pool_is_draining(pool)) {
		pool_stop_furnishing(pool);
		shed(pool, 0);
		return;
	}
	shed(pool, pool_max(pool));
	want = pool_ready_wanted(pool) + pool->n_waiting;
	have = pool->count[SLOT_STATE_READY] + pool->count[SLOT_STATE_CREATING] +
	       pool->count[SLOT_STATE_CLEANING] + pool->count[SLOT_STATE_RECOVERING];
	if (in_a_burst(pool))
		return;
	if (have >= want) {
		bring_up_to_date(pool);
		return;
	}
	while (have < want && may_create(pool) && slot_create(pool, UID_SLOTD))
		have++;
}

/* --- looking --- */

struct pool *pool_next(struct pools *p, struct pool *pool)
{
	struct list *l = pool ? pool->link.next : p->pools.next;

	while (l != &p->pools && list_entry(l, struct pool, link)->gone)
		l = l->next;
	return l == &p->pools ? NULL : list_entry(l, struct pool, link);
}

const struct pool_record *pool_record(const struct pool *pool)
{
	return &pool->rec;
}

const struct conf_pool *pool_conf(const struct pool *pool)
{
	return pool->conf;
}

unsigned pool_ready_wanted(const struct pool *pool)
{
	return pool->rec.ready >= 0 ? (unsigned)pool->rec.ready : pool->conf->slots.ready;
}

unsigned pool_max(const struct pool *pool)
{
	return pool->rec.max >= 0 ? (unsigned)pool->rec.max : pool->conf->slots.max;
}

unsigned pool_count(const struct pool *pool, enum slot_state state)
{
	return pool->count[state];
}

unsigned pool_total(const struct pool *pool)
{
	return pool->total;
}

unsigned pool_waiting(const struct pool *pool)
{
	return pool->n_waiting;
}

const char *pool_store(const struct pool *pool)
{
	return pool->store;
}

const char *pool_slots_dir(const struct pool *pool)
{
	return pool->slots_dir;
}

int64_t pool_retry_attempts(const struct pool *pool)
{
	const struct conf_strategy *s =
		conf_find_strategy(pool->pools->conf, pool->conf->strategy);

	return s && s->retry.attempts ? s->retry.attempts : 3;
}

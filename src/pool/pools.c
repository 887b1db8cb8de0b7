/* Where a turn of the loop becomes one commit. */
#include "pool/pools.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/text.h"

/* a batch is committed early when it has become large or old, so that nobody starves it */
#define BATCH_WRITES 1024
#define BATCH_USEC   (3 * USEC_PER_MSEC)

#define COPY_EVERY_USEC (15 * USEC_PER_MIN)
#define COPY_SOON_USEC	(2 * USEC_PER_SEC)

int refuse(struct refusal *ret, const char *error, const char *fmt, ...)
{
	va_list ap;

	memset(ret, 0, sizeof(*ret));
	ret->error = error;
	va_start(ap, fmt);
	vsnprintf(ret->why.text, sizeof(ret->why.text), fmt, ap);
	va_end(ap);
	return -ECANCELED;
}

uint64_t backoff_usec(unsigned failures, uint64_t first, uint64_t most)
{
	uint64_t usec = first;

	while (failures-- > 1 && usec < most)
		usec *= 2;
	return usec < most ? usec : most;
}

/* --- the turn --- */

void pools_changed(struct pools *p)
{
	if (sd_event_source_get_enabled(p->commit, NULL) > 0)
		return;
	p->batch_since_usec = clock_boot_usec();
	sd_event_source_set_enabled(p->commit, SD_EVENT_ONESHOT);
}

static void serve_kicked(struct pools *p)
{
	struct pool *pool, *tmp;

	list_for_each_safe(pool, tmp, &p->pools, link) {
		if (!pool->kicked)
			continue;
		pool->kicked = false;
		pool_serve(pool);
		pool_refill(pool);
		pool_removal_step(pool);
	}
}

/* what a check begins with is in the ledger */
static void serve_checks(struct pools *p)
{
	struct pool *pool, *tmp;

	list_for_each_safe(pool, tmp, &p->pools, link)
		checks_serve(pool);
}

static void announce_events(struct pools *p)
{
	uint64_t last = ledger_last_sequence(p->ledger);

	if (last == p->announced)
		return;
	p->announced = last;
	if (p->on_events)
		p->on_events(p->on_events_userdata);
}

int pools_commit(struct pools *p, struct fault *f)
{
	struct pool *pool;
	int r;

	serve_kicked(p);
	if (p->stats_changed)
		batch_put_lease_stats(p->batch, &p->stats);
	p->stats_changed = false;
	if (batch_is_empty(p->batch)) {
		serve_checks(p);
		return 0;
	}
	r = batch_commit(p->batch, f);
	if (r < 0) {
		log_error("the ledger could not be written, nothing was changed: %s", f->text);
		snprintf(p->unwritten, sizeof(p->unwritten), "%s", f->text);
		/* what memory was put back to has to be looked at again, but not at full speed */
		pools_look_later(p, USEC_PER_SEC);
		list_for_each(pool, &p->pools, link)
			pool->kicked = false;
		if (r == -ENOTRECOVERABLE)
			sd_event_exit(p->event, EXIT_FAILURE);
		return r;
	}
	p->unwritten[0] = '\0';
	announce_events(p);
	serve_checks(p);
	return 0;
}

void pools_count(struct pools *p, uint64_t *counter)
{
	batch_save(p->batch, counter, sizeof(*counter));
	++*counter;
	p->stats_changed = true;
	pools_changed(p);
}

const struct lease_stats_record *pools_lease_stats(const struct pools *p)
{
	return &p->stats;
}

static int on_commit(sd_event_source *s, void *userdata)
{
	struct pools *p = userdata;
	struct fault f = FAULT_NONE;
	bool kicked = false;
	struct pool *pool;

	if (pools_commit(p, &f) < 0)
		return 0;
	list_for_each(pool, &p->pools, link)
		kicked |= pool->kicked;
	if (kicked || !batch_is_empty(p->batch))
		pools_changed(p);
	return 0;
}

void pools_after_commit(struct pools *p, batch_after_fn fn, void *arg)
{
	batch_after(p->batch, fn, arg);
	pools_changed(p);
}

const char *pools_unwritten(const struct pools *p)
{
	return p->unwritten;
}

bool pools_commit_is_due(const struct pools *p)
{
	return !batch_is_empty(p->batch) || sd_event_source_get_enabled(p->commit, NULL) > 0;
}

void pools_commit_if_large(struct pools *p)
{
	struct fault f = FAULT_NONE;

	if (sd_event_source_get_enabled(p->commit, NULL) <= 0)
		return;
	if (batch_count(p->batch) >= BATCH_WRITES ||
	    clock_boot_usec() - p->batch_since_usec > BATCH_USEC)
		(void)pools_commit(p, &f); /* who waits is told; logged there */
}

uint64_t pools_event(struct pools *p, const char *kind, struct pool *pool, struct slot *slot,
		     struct lease *lease, uint32_t uid, const char *fmt, ...)
{
	struct event_record e = { .uid = uid };
	va_list ap;

	snprintf(e.kind, sizeof(e.kind), "%s", kind);
	if (pool)
		snprintf(e.pool, sizeof(e.pool), "%s", pool->rec.name);
	if (slot)
		snprintf(e.slot, sizeof(e.slot), "%s", slot->rec.name);
	if (lease) {
		memcpy(e.lease, lease->id_text, sizeof(e.lease));
		e.token = lease->rec.token;
	}
	va_start(ap, fmt);
	vsnprintf(e.detail, sizeof(e.detail), fmt, ap);
	va_end(ap);
	text_mend_utf8(e.detail);
	pools_changed(p);
	return batch_event(p->batch, &e);
}

/* --- the janitor: everything that waits for a time --- */

void pools_look_later(struct pools *p, uint64_t usec)
{
	uint64_t at, next = clock_boot_usec() + usec;

	if (sd_event_source_get_enabled(p->janitor, NULL) > 0 &&
	    sd_event_source_get_time(p->janitor, &at) >= 0 && at <= next)
		return;
	sd_event_source_set_time(p->janitor, next);
	sd_event_source_set_enabled(p->janitor, SD_EVENT_ONESHOT);
}

void pool_look_at_slots(struct pool *pool)
{
	static const enum slot_state busy[] = { SLOT_STATE_CREATING, SLOT_STATE_CLEANING,
						SLOT_STATE_RECOVERING, SLOT_STATE_REMOVING,
						SLOT_STATE_PREPARING };
	struct slot *slot, *tmp;

	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		list_for_each_safe(slot, tmp, &pool->slots[busy[i]], link)
			slot_work(slot);
}

static int on_janitor(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct pools *p = userdata;
	struct pool *pool;

	if (p->stopping)
		return 0;
	handoffs_expire(p);
	keys_expire(p);
	salvages_expire(p);
	leases_note_sleep(p);
	leases_look_at_bound(p);
	list_for_each(pool, &p->pools, link) {
		pool_look_at_slots(pool);
		pool_run_store_jobs(pool);
		maintain_look(pool);
		checks_look(pool);
		pool_kick(pool);
	}
	pools_look_later(p, USEC_PER_MIN);
	return 0;
}

/* --- the periodic copy --- */

static int on_copy_done(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct pools *p = userdata;

	if (si->si_code != CLD_EXITED || si->si_status != 0)
		log_warning("the copy of the ledger failed; the one before is kept status=%d",
			    si->si_status);
	p->copy_child = sd_event_source_unref(p->copy_child);
	return 0;
}

static int on_copy(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct pools *p = userdata;
	struct fault f = FAULT_NONE;
	uint64_t last = ledger_last_sequence(p->ledger);
	pid_t pid;

	sd_event_source_set_time_relative(p->copy_timer, COPY_EVERY_USEC);
	sd_event_source_set_enabled(p->copy_timer, SD_EVENT_ONESHOT);
	if (last == p->copied_sequence || p->copy_child)
		return 0;
	pid = ledger_copy_start(p->ledger, &f);
	if (pid < 0) {
		log_warning("cannot copy the ledger: %s", f.text);
		return 0;
	}
	p->copied_sequence = last;
	if (sd_event_add_child(p->event, &p->copy_child, pid, WEXITED, on_copy_done, p) < 0)
		log_warning("cannot watch the copy of the ledger pid=%d", (int)pid);
	return 0;
}

void pools_copy_soon(struct pools *p)
{
	sd_event_source_set_time_relative(p->copy_timer, COPY_SOON_USEC);
	sd_event_source_set_enabled(p->copy_timer, SD_EVENT_ONESHOT);
}

/* --- life --- */

static int add_sources(struct pools *p)
{
	int r;

	r = sd_event_add_defer(p->event, &p->commit, on_commit, p);
	if (r >= 0)
		r = sd_event_source_set_priority(p->commit, PRIORITY_COMMIT);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->commit, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(p->event, &p->janitor, CLOCK_BOOTTIME, USEC_PER_SEC,
					       5 * USEC_PER_MSEC, on_janitor, p);
	if (r >= 0)
		r = sd_event_source_set_priority(p->janitor, PRIORITY_JANITOR);
	if (r >= 0)
		r = sd_event_add_time_relative(p->event, &p->copy_timer, CLOCK_BOOTTIME,
					       COPY_SOON_USEC, USEC_PER_SEC, on_copy, p);
	if (r >= 0)
		r = sd_event_source_set_priority(p->copy_timer, PRIORITY_JANITOR);
	return r < 0 ? r : 0;
}

int pools_new(sd_event *event, struct jobs *jobs, struct ledger *ledger, struct conf *conf,
	      struct pools **ret, struct fault *f)
{
	struct pools *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return fault_oom(f);
	p->event = sd_event_ref(event);
	p->jobs = jobs;
	p->ledger = ledger;
	p->conf = conf_ref(conf);
	list_init(&p->pools);
	list_init(&p->all_leases);
	list_init(&p->inquiries);
	list_init(&p->ended_keys);
	list_init(&p->handoffs);
	list_init(&p->salvages);
	list_init(&p->salvage_calls);
	p->batch = batch_new(ledger);
	p->by_name = map_new();
	p->slots = map_new();
	p->leases = map_new();
	p->keys = map_new();
	p->handoffs_by_lease = map_new();
	p->handoff_names = map_new();
	p->salvages_by_name = map_new();
	p->announced = ledger_last_sequence(ledger);
	p->slept_usec = clock_slept_usec();
	if (!p->batch || !p->by_name || !p->slots || !p->leases || !p->keys || !p->handoffs_by_lease ||
	    !p->handoff_names || !p->salvages_by_name) {
		pools_free(p);
		return fault_oom(f);
	}
	r = commands_new(event, &p->commands, f);
	if (r < 0) {
		pools_free(p);
		return r;
	}
	r = add_sources(p);
	if (r < 0) {
		pools_free(p);
		return fault_errno(f, r, "cannot add to the event loop");
	}
	*ret = p;
	return 0;
}

unsigned pools_stop(struct pools *p)
{
	struct waiter *w, *wt;
	struct pool *pool;
	unsigned n = 0;

	p->stopping = true;
	sd_event_source_set_enabled(p->janitor, SD_EVENT_OFF);
	sd_event_source_set_enabled(p->copy_timer, SD_EVENT_OFF);
	list_for_each(pool, &p->pools, link) {
		watch_free(TAKE(pool->watch));
		pool_stop_warming(pool);
		checks_stop(pool);
		list_for_each_safe(w, wt, &pool->waiters, link) {
			waiter_refuse(w, "ShuttingDown", "slotd is stopping; ask again in a moment");
			n++;
		}
	}
	return n;
}

void pools_free(struct pools *p)
{
	struct fault f = FAULT_NONE;
	struct pool *pool, *tmp;
	struct key *key, *kt;

	if (!p)
		return;
	p->stopping = true;
	if (p->batch && p->commit) {
		(void)pools_commit(p, &f); /* logged there */
		batch_rollback(p->batch, 0); /* what the last answers recorded comes with the next start */
	}
	commands_free(p->commands);
	inquiries_free(p);
	list_for_each_safe(pool, tmp, &p->pools, link)
		pool_free(pool);
	list_for_each_safe(key, kt, &p->ended_keys, link)
		key_free(key);
	handoffs_free(p);
	salvages_free(p);
	batch_free(p->batch);
	sd_event_source_disable_unref(p->commit);
	sd_event_source_disable_unref(p->janitor);
	sd_event_source_disable_unref(p->monitor);
	sd_event_source_disable_unref(p->copy_timer);
	sd_event_source_disable_unref(p->copy_child);
	map_free(p->by_name);
	map_free(p->slots);
	map_free(p->leases);
	map_free(p->keys);
	map_free(p->handoffs_by_lease);
	map_free(p->handoff_names);
	map_free(p->salvages_by_name);
	conf_unref(p->conf);
	sd_event_unref(p->event);
	free(p);
}

/* --- finding --- */

struct pool *pools_find(struct pools *p, const char *name)
{
	struct pool *pool = map_find(p->by_name, name);

	return pool && !pool->gone ? pool : NULL;
}

struct slot *pools_find_slot(struct pools *p, const char *name)
{
	struct slot *slot = map_find(p->slots, name);

	return slot && !slot->gone ? slot : NULL;
}

struct lease *pools_find_lease(struct pools *p, const struct id *id)
{
	char text[ID_TEXT_SIZE];
	struct lease *lease = map_find(p->leases, id_to_string(id, text));

	return lease && !lease->ended ? lease : NULL;
}

/* is path equal to dir or below it? */
static bool path_is_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

struct slot *pools_find_slot_by_path(struct pools *p, const char *path)
{
	struct pool *pool;

	list_for_each(pool, &p->pools, link) {
		char name[NAME_SIZE];
		const char *rest;

		if (pool->gone || !path_is_in(path, pool->slots_dir))
			continue;
		rest = path + strlen(pool->slots_dir);
		rest += *rest == '/';
		if (strcspn(rest, "/") >= sizeof(name))
			continue;
		memcpy(name, rest, strcspn(rest, "/"));
		name[strcspn(rest, "/")] = '\0';
		return pools_find_slot(p, name);
	}
	return NULL;
}

/* while a repository is being opened, what its operator called it has to do */
static bool is_repository_of(const struct pool *pool, const char *common_dir)
{
	const char *path = pool->rec.path;
	size_t len = strlen(path);

	if (pool->rec.common_dir[0])
		return strcmp(common_dir, pool->rec.common_dir) == 0;
	return len && strncmp(common_dir, path, len) == 0 &&
	       (common_dir[len] == '\0' || strcmp(common_dir + len, "/.git") == 0);
}

struct pool *pools_find_by_place(struct pools *p, const char *directory, const char *common_dir)
{
	struct slot *slot = directory ? pools_find_slot_by_path(p, directory) : NULL;
	struct pool *pool;

	if (slot)
		return slot->pool;
	list_for_each(pool, &p->pools, link)
		if (!pool->gone && common_dir && is_repository_of(pool, common_dir))
			return pool;
	return NULL;
}

struct conf *pools_conf(struct pools *p)
{
	return p->conf;
}

struct batch *pools_batch(struct pools *p)
{
	return p->batch;
}

struct ledger *pools_ledger(struct pools *p)
{
	return p->ledger;
}

struct jobs *pools_jobs(struct pools *p)
{
	return p->jobs;
}

unsigned pools_count_waiters(const struct pools *p)
{
	const struct pool *pool;
	unsigned n = 0;

	list_for_each(pool, &p->pools, link)
		n += pool->n_waiting;
	return n;
}

unsigned pools_count_leases(const struct pools *p)
{
	return p->n_leases;
}

void pools_on_events(struct pools *p, void (*fn)(void *userdata), void *userdata)
{
	p->on_events = fn;
	p->on_events_userdata = userdata;
}

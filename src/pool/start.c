/*
 * From the ledger into memory, and on from where a crash left things.
 *
 * What was under way is found by state: creating, cleaning, recovering and removing have a
 * job that may be repeated; preparing was never handed out and is cleaned; ready slots of
 * another boot are proved by content, since their files were never synced. After the ledger
 * was rebuilt from a copy, nothing but its leases is believed: every other slot is looked at
 * for unsaved work and for processes in it, directories that no record names get one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/log.h"
#include "util/parse.h"

struct loading {
	struct pools *p;
	struct fault *f;
	bool rebuilt;
};

/* --- records --- */

static int load_pool(const struct pool_record *rec, void *userdata)
{
	struct loading *l = userdata;

	return pool_new(l->p, rec, l->f) ? 0 : -EINVAL;
}

static int load_slot(const struct slot_record *rec, void *userdata)
{
	struct loading *l = userdata;
	struct pool *pool = pools_find(l->p, rec->pool);
	size_t pool_len;
	uint64_t n;

	if (!pool || parse_slot_name(rec->name, &pool_len, &n) < 0) {
		log_error("slot without its pool, left alone slot=%s pool=%s", rec->name, rec->pool);
		return 0;
	}
	if (n >= pool->next_n)
		pool->next_n = n + 1;
	return slot_new(pool, rec) ? 0 : fault_oom(l->f);
}

/* a restart or a reboot costs nobody the lease: at least the grace is left */
static void give_grace(struct lease_record *rec)
{
	struct moment now = moment_now();

	if (rec->deadline.wall_usec == 0)
		return;
	if (!boot_id_is_same(&rec->deadline.boot, &now.boot) ||
	    rec->deadline.boot_usec < now.boot_usec)
		rec->deadline = now;
}

static int load_lease(const struct lease_record *rec, void *userdata)
{
	struct loading *l = userdata;
	struct slot *slot = pools_find_slot(l->p, rec->slot);
	struct lease_record given = *rec;
	struct lease *lease;

	if (!slot || !id_is_equal(&slot->rec.lease, &rec->id)) {
		log_error("lease without its slot, dropped slot=%s", rec->slot);
		batch_delete_lease(l->p->batch, &rec->id);
		pools_changed(l->p);
		return 0;
	}
	give_grace(&given);
	lease = lease_new(slot, &given);
	if (!lease)
		return fault_oom(l->f);
	if (memcmp(&given.deadline, &rec->deadline, sizeof(given.deadline)) != 0) {
		batch_put_lease(l->p->batch, &lease->rec);
		pools_changed(l->p);
	}
	return 0;
}

static int load_key(const struct key_record *rec, void *userdata)
{
	struct loading *l = userdata;
	struct key *key = key_load(l->p, rec);
	struct lease *lease;

	if (!key)
		return fault_oom(l->f);
	if (rec->end != LEASE_END_NONE)
		return 0;
	lease = pools_find_lease(l->p, &rec->lease);
	if (lease)
		lease->key = key;
	else
		key_end(l->p, key, LEASE_END_EXPIRED);
	return 0;
}

static int load_handoff(const struct handoff_record *rec, void *userdata)
{
	struct loading *l = userdata;
	struct handoff *h;

	return handoff_load(l->p, rec, &h) < 0 ? fault_oom(l->f) : 0;
}

static int load_salvage(const struct salvage_record *rec, void *userdata)
{
	struct loading *l = userdata;

	return salvage_load(l->p, rec) < 0 ? fault_oom(l->f) : 0;
}

/* its asker may come back; of a pool that is gone, or a wait that is over, nobody does */
static int load_ticket(const struct ticket_record *rec, void *userdata)
{
	struct loading *l = userdata;

	if (!ticket_load(l->p, rec)) {
		batch_delete_ticket(l->p->batch, rec->uid, rec->key);
		pools_changed(l->p);
	}
	return 0;
}

static int load_stats(const struct lease_stats_record *rec, void *userdata)
{
	struct loading *l = userdata;

	l->p->stats = *rec;
	return 0;
}

static int load_records(struct pools *p, struct loading *l, struct fault *f)
{
	int r = ledger_each_pool(p->ledger, load_pool, l, f);
	struct lease *lease;

	if (r == 0)
		r = ledger_each_slot(p->ledger, load_slot, l, f);
	if (r == 0)
		r = ledger_each_lease(p->ledger, load_lease, l, f);
	if (r == 0)
		r = ledger_each_key(p->ledger, load_key, l, f);
	if (r == 0)
		r = ledger_each_handoff(p->ledger, load_handoff, l, f);
	if (r == 0)
		r = ledger_each_salvage(p->ledger, load_salvage, l, f);
	if (r == 0)
		r = ledger_each_ticket(p->ledger, load_ticket, l, f);
	if (r == 0)
		r = ledger_each_lease_stats(p->ledger, load_stats, l, f);
	if (r == 0 && (handoffs_sort(p) < 0 || salvages_sort(p) < 0))
		r = fault_oom(f);
	list_for_each(lease, &p->all_leases, link)
		handoff_is_given(p, &lease->rec.handoff, 1);
	return r;
}

/* --- what was under way --- */

static void lose_lease(struct slot *slot)
{
	slot_edit(slot);
	slot->rec.unsure = true;
	slot_clean(slot, false, "its lease was lost");
}

static void take_up(struct slot *slot)
{
	enum slot_state s = slot->rec.state;

	if (s == SLOT_STATE_PREPARING)
		slot_clean(slot, true, "its acquire was lost in a restart");
	else if (s == SLOT_STATE_LEASED && !slot->lease)
		lose_lease(slot);
	else if (s == SLOT_STATE_READY && !boot_id_is_same(&slot->rec.boot, clock_boot_id()))
		/* nobody had it: what differs was not written in time */
		slot_recover(slot, true, "after a restart of the machine");
}

static void take_up_all(struct loading *l)
{
	struct slot *slot, *next;
	struct pool *pool;

	list_for_each(pool, &l->p->pools, link) {
		for (slot = slot_next(l->p, pool, NULL); slot; slot = next) {
			next = slot_next(l->p, pool, slot);
			if (l->rebuilt && !slot->lease)
				slot_inquire(slot, "the ledger was rebuilt");
			else
				take_up(slot);
		}
	}
}

static void start_pool(struct pool *pool, bool rebuilt)
{
	struct fault f = FAULT_NONE;

	if (rebuilt)
		pool_adopt_directories(pool, "found on disk when the ledger was rebuilt");
	if (pool->rec.state == POOL_STATE_ACTIVE || pool->rec.state == POOL_STATE_REMOVING) {
		if (pool_open_site(pool, &f) < 0)
			log_error("pool cannot work: %s pool=%s", f.text, pool->rec.name);
	}
	/* every store is opened anew: what it lacks and where it stands is said by a worker */
	pool_run_store_jobs(pool);
	pool_kick(pool);
}

/* --- the configuration's pools --- */

static int check_conf_pool(struct pools *p, const struct conf *conf, const struct conf_pool *c,
			   struct fault *f)
{
	struct pool *pool = pools_find(p, c->name);
	const char *url = c->url ? c->url : "", *path = c->path ? c->path : "";

	if (!pool)
		return 0;
	if (!pool->rec.from_file)
		return fault(f, -EEXIST, "%s:%u:%u: pool %s exists already, made at run time from "
			     "%.100s; rename one, or slotctl pool remove %s", conf->file, c->line,
			     c->column, c->name, pool->rec.url[0] ? pool->rec.url : pool->rec.path,
			     c->name);
	if (strcmp(pool->rec.url, url) != 0 || strcmp(pool->rec.path, path) != 0)
		return fault(f, -EINVAL, "%s:%u:%u: pool %s has a store of %.100s; give the new "
			     "repository another pool name", conf->file, c->line, c->column, c->name,
			     pool->rec.url[0] ? pool->rec.url : pool->rec.path);
	return 0;
}

static int add_conf_pool(struct pools *p, const struct conf_pool *c, struct fault *f)
{
	struct pool_record rec = { .state = POOL_STATE_OPENING, .ready = -1, .max = -1,
				   .from_file = true };
	struct pool *pool;

	snprintf(rec.name, sizeof(rec.name), "%s", c->name);
	snprintf(rec.url, sizeof(rec.url), "%s", c->url ? c->url : "");
	snprintf(rec.path, sizeof(rec.path), "%s", c->path ? c->path : "");
	snprintf(rec.ref, sizeof(rec.ref), "%s", c->ref ? c->ref : "");
	rec.created_usec = clock_wall_usec();
	pool = pool_new(p, &rec, f);
	if (!pool)
		return -ENOMEM;
	pool_put(pool);
	pools_event(p, "pool_added", pool, NULL, NULL, UID_SLOTD, "from the configuration");
	return 0;
}

static void leave_or_return(struct pool *pool, const struct conf_pool *c)
{
	const char *ref = c && c->ref ? c->ref : "";

	if (!pool->rec.from_file)
		return;
	if (!c != pool->absent) {
		pool->absent = !c;
		pools_event(pool->pools, c ? "pool_resumed" : "pool_draining", pool, NULL, NULL,
			    UID_SLOTD, "%s the configuration", c ? "back in" : "gone from");
		pool_kick(pool);
	}
	if (c && strcmp(pool->rec.ref, ref) != 0) {
		pool_edit(pool);
		snprintf(pool->rec.ref, sizeof(pool->rec.ref), "%s", ref);
		pool_put(pool);
		pool->opened = false; /* a worker says what the ref means */
		pool->reopen = true;  /* one that looks now was asked for the old one */
		pool_run_store_jobs(pool);
	}
	if (!c)
		log_notice("pool is gone from the configuration: its leases live on, its store stays "
			   "pool=%s", pool->rec.name);
}

int pools_bring_in_conf(struct pools *p, struct conf *conf, struct fault *f)
{
	struct conf *old = p->conf;
	struct lease *lease;
	struct pool *pool;
	int r;

	for (size_t i = 0; i < conf->n_pools; i++) {
		r = check_conf_pool(p, conf, &conf->pools[i], f);
		if (r < 0)
			return r;
	}
	p->conf = conf_ref(conf);
	list_for_each(pool, &p->pools, link) {
		r = pool_bind_conf(pool, conf, f);
		if (r < 0)
			log_error("pool keeps its earlier settings: %s pool=%s", f->text,
				  pool->rec.name);
		leave_or_return(pool, pool->rec.from_file ? conf_find_pool(conf, pool->rec.name) :
							    NULL);
	}
	for (size_t i = 0; i < conf->n_pools; i++) {
		if (pools_find(p, conf->pools[i].name))
			continue;
		r = add_conf_pool(p, &conf->pools[i], f);
		if (r < 0)
			return r;
	}
	list_for_each(lease, &p->all_leases, link)
		lease_set_timer(lease); /* by what holds now */
	conf_unref(old);
	ledger_set_events_keep(p->ledger, conf->events.keep);
	return 0;
}

void pools_bring_back(struct pools *p, const char *name)
{
	const struct conf_pool *c = conf_find_pool(p->conf, name);
	struct fault f = FAULT_NONE;

	if (!c || p->stopping)
		return;
	if (add_conf_pool(p, c, &f) < 0) {
		log_error("pool of the configuration cannot be made: %s pool=%s", f.text, name);
		return;
	}
	pool_run_store_jobs(pools_find(p, name));
}

int pools_reload(struct pools *p, struct conf *conf, struct fault *f)
{
	struct pool *pool;
	int r = pools_bring_in_conf(p, conf, f);

	if (r < 0)
		return r;
	list_for_each(pool, &p->pools, link) {
		pool->fetch_after_usec = pool->maintain_after_usec = 0;
		pool_furnish_at_once(pool);
		pool_run_store_jobs(pool);
		maintain_look(pool);
		pool_kick(pool);
	}
	return 0;
}

/* --- everything --- */

int pools_start(struct pools *p, bool rebuilt, struct fault *f)
{
	struct loading l = { .p = p, .f = f, .rebuilt = rebuilt };
	struct lease *lease;
	struct pool *pool;
	int r;

	r = load_records(p, &l, f);
	if (r == 0)
		r = pools_bring_in_conf(p, p->conf, f);
	if (r < 0)
		return r;
	take_up_all(&l);
	list_for_each(lease, &p->all_leases, link)
		lease_bind_again(lease);
	list_for_each(pool, &p->pools, link)
		start_pool(pool, rebuilt);
	pools_finish_deletions(p);
	r = pools_commit(p, f);
	list_for_each(pool, &p->pools, link)
		pool_look_at_slots(pool);
	pools_look_later(p, USEC_PER_SEC);
	return r < 0 ? r : monitor_start(p, f);
}

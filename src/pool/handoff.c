/*
 * What a lease leaves to whoever goes on with its work.
 *
 * It is recorded in the commit that ends the lease, kept for lease.handoff_for, and the newest of a task
 * or a branch counts. The next lease of the task, else of the branch, is offered it when the work did
 * not come to an end of its own; who names it by --resume gets it in any case. A report that comes too
 * late for the lease is kept here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#define HANDOFFS_MOST 4096 /* bounds memory when leases are many and short */
#define INDEX_SIZE    (NAME_SIZE + REF_SIZE + 4)

struct handoff {
	struct handoff_record rec;
	struct pools *pools;
	struct list link; /* pools.handoffs: oldest first */
	char id_text[ID_TEXT_SIZE];
	char by_task[INDEX_SIZE], by_branch[INDEX_SIZE]; /* keys of pools.handoff_names; "": none */
	struct handoff *task_before, *branch_before;	 /* whom it replaced there, in this batch */
	unsigned leases; /* under way that were given it */
	bool dropping; /* in this batch */
};

const struct handoff_record *handoff_record(const struct handoff *h)
{
	return &h->rec;
}

/* --- finding --- */

static void index_name(char type, const char *pool, const char *name, char *ret, size_t size)
{
	ret[0] = '\0';
	if (name[0])
		snprintf(ret, size, "%c\n%s\n%s", type, pool, name);
}

static struct handoff *newest(const struct pools *p, char type, const char *pool, const char *name)
{
	char key[INDEX_SIZE];

	index_name(type, pool, name, key, sizeof(key));
	return key[0] ? map_find(p->handoff_names, key) : NULL;
}

struct handoff *handoff_find(const struct pools *p, const struct id *lease)
{
	char text[ID_TEXT_SIZE];

	return map_find(p->handoffs_by_lease, id_to_string(lease, text));
}

/* oldest first: the last one wins */
struct handoff *handoff_find_by_name(struct pools *p, const char *name)
{
	struct handoff *h, *best = NULL;

	list_for_each(h, &p->handoffs, link)
		if (strcmp(h->rec.task, name) == 0 || strcmp(h->rec.branch, name) == 0)
			best = h;
	return best;
}

struct handoff *handoff_find_by_slot(struct pools *p, const char *slot)
{
	struct handoff *h, *best = NULL;

	list_for_each(h, &p->handoffs, link)
		if (strcmp(h->rec.slot, slot) == 0)
			best = h;
	return best;
}

/* --- the index --- */

static int enter_name(struct pools *p, char *key, struct handoff *h)
{
	if (!key[0])
		return 0;
	map_remove(p->handoff_names, key);
	return map_put(p->handoff_names, key, h);
}

static int enter(struct pools *p, struct handoff *h)
{
	int r = enter_name(p, h->by_task, h);

	return r < 0 ? r : enter_name(p, h->by_branch, h);
}

static void leave_name(struct pools *p, const char *key, const struct handoff *h)
{
	if (key[0] && map_find(p->handoff_names, key) == h)
		map_remove(p->handoff_names, key);
}

static void forget(struct pools *p, struct handoff *h)
{
	map_remove(p->handoffs_by_lease, h->id_text);
	leave_name(p, h->by_task, h);
	leave_name(p, h->by_branch, h);
	list_del(&h->link);
	p->n_handoffs--;
	free(h);
}

int handoff_load(struct pools *p, const struct handoff_record *rec, struct handoff **ret)
{
	struct handoff *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->rec = *rec;
	h->pools = p;
	id_to_string(&rec->lease, h->id_text);
	index_name('t', rec->pool, rec->task, h->by_task, sizeof(h->by_task));
	index_name('b', rec->pool, rec->branch, h->by_branch, sizeof(h->by_branch));
	h->task_before = h->by_task[0] ? map_find(p->handoff_names, h->by_task) : NULL;
	h->branch_before = h->by_branch[0] ? map_find(p->handoff_names, h->by_branch) : NULL;
	list_append(&p->handoffs, &h->link);
	p->n_handoffs++;
	if (map_put(p->handoffs_by_lease, h->id_text, h) < 0 || enter(p, h) < 0) {
		forget(p, h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

static int compare_ends(const void *a, const void *b)
{
	const struct moment *x = &(*(struct handoff *const *)a)->rec.ended;
	const struct moment *y = &(*(struct handoff *const *)b)->rec.ended;

	if (boot_id_is_same(&x->boot, &y->boot))
		return (x->boot_usec > y->boot_usec) - (x->boot_usec < y->boot_usec);
	return (x->wall_usec > y->wall_usec) - (x->wall_usec < y->wall_usec);
}

/* the ledger gives them in the order of their ids */
int handoffs_sort(struct pools *p)
{
	_cleanup_(freep) struct handoff **all = calloc(p->n_handoffs + 1, sizeof(struct handoff *));
	struct handoff *h, *tmp;
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	list_for_each_safe(h, tmp, &p->handoffs, link) {
		list_del(&h->link);
		all[n++] = h;
	}
	qsort(all, n, sizeof(*all), compare_ends);
	for (size_t i = 0; i < n; i++) {
		list_append(&p->handoffs, &all[i]->link);
		(void)enter(p, all[i]); /* its names have their places already */
	}
	return 0;
}

void handoffs_free(struct pools *p)
{
	struct handoff *h, *tmp;

	list_for_each_safe(h, tmp, &p->handoffs, link)
		forget(p, h);
}

/* --- leaving one --- */

static void bring_back(struct pools *p, char *key, const struct handoff *h, struct handoff *before)
{
	leave_name(p, key, h);
	if (before)
		(void)enter_name(p, key == h->by_task ? before->by_task : before->by_branch, before);
}

/* whom it replaced in the index is the newest again */
static void undo_leave(void *arg)
{
	struct handoff *h = arg;
	struct pools *p = h->pools;

	bring_back(p, h->by_task, h, h->task_before);
	bring_back(p, h->by_branch, h, h->branch_before);
	forget(p, h);
}

void handoff_leave(struct lease *lease, enum lease_end how, bool discarded, uint64_t held_usec,
		   const char *reason)
{
	const struct lease_record *r = &lease->rec;
	struct pools *p = lease->slot->pool->pools;
	struct handoff_record rec = {
		.lease = r->id,
		.uid = r->uid,
		.end = (uint8_t)how,
		.declared = lease->declared,
		.discarded = discarded,
		.progress = r->progress,
		.held_usec = held_usec,
		.ended = moment_now(),
	};
	struct handoff *h;

	memcpy(rec.slot, r->slot, sizeof(rec.slot));
	memcpy(rec.pool, r->pool, sizeof(rec.pool));
	memcpy(rec.agent, r->agent, sizeof(rec.agent));
	memcpy(rec.task, r->task, sizeof(rec.task));
	memcpy(rec.branch, r->branch, sizeof(rec.branch));
	memcpy(rec.base, r->base, sizeof(rec.base));
	memcpy(rec.message, r->message, sizeof(rec.message));
	snprintf(rec.reason, sizeof(rec.reason), "%s", reason);
	text_mend_utf8(rec.reason);
	if (handoff_load(p, &rec, &h) < 0)
		return; /* no memory: the lease ends all the same */
	batch_undo(p->batch, undo_leave, h);
	batch_put_handoff(p->batch, &h->rec);
}

static uint64_t kept_usec(struct pools *p, const struct handoff_record *r)
{
	const struct pool *pool = pools_find(p, r->pool);

	return (pool ? pool->conf : &p->conf->defaults)->lease.handoff_for_usec;
}

static bool is_stale(struct pools *p, const struct handoff_record *r)
{
	return moment_age_usec(&r->ended) >= kept_usec(p, r);
}

bool handoff_is_offered(struct pools *p, const struct handoff *h)
{
	return !is_stale(p, &h->rec);
}

uint64_t handoff_expires_usec(struct pools *p, const struct handoff *h)
{
	return moment_wall_usec(&h->rec.ended) + kept_usec(p, &h->rec);
}

static void undo_drop(void *arg)
{
	((struct handoff *)arg)->dropping = false;
}

static void after_drop(void *arg, int error, const struct fault *why)
{
	struct handoff *h = arg;

	if (!error)
		forget(h->pools, h);
}

/* it is there until that is on disk */
static void drop(struct handoff *h)
{
	struct pools *p = h->pools;

	h->dropping = true;
	batch_undo(p->batch, undo_drop, h);
	batch_delete_handoff(p->batch, &h->rec.lease);
	batch_after(p->batch, after_drop, h);
	pools_changed(p);
}

void handoffs_expire(struct pools *p)
{
	unsigned above = p->n_handoffs > HANDOFFS_MOST ? p->n_handoffs - HANDOFFS_MOST : 0;
	struct handoff *h;

	/* a lease under way still names the one that it was given */
	list_for_each(h, &p->handoffs, link) {
		if (h->dropping || h->leases)
			continue;
		if (above)
			above--;
		else if (!is_stale(p, &h->rec))
			continue;
		drop(h);
	}
}

void handoff_is_given(struct pools *p, const struct id *lease, int change)
{
	struct handoff *h = id_is_null(lease) ? NULL : handoff_find(p, lease);

	if (h)
		h->leases = (unsigned)((int)h->leases + change);
}

/* --- offering one --- */

/* its work did not come to an end that its holder chose */
static bool is_unfinished(const struct handoff_record *r)
{
	if (r->declared == LEASE_DECLARED_DONE)
		return false; /* be it said too late for its lease */
	return r->end == LEASE_END_EXPIRED || r->end == LEASE_END_FORCED ||
	       r->declared == LEASE_DECLARED_FAILED || r->declared == LEASE_DECLARED_BLOCKED;
}

const struct handoff *handoff_offer(struct pools *p, const struct acquire_spec *spec)
{
	const char *pool = spec->pool->rec.name;
	const struct handoff *h = newest(p, 't', pool, spec->task);

	if (!id_is_null(&spec->resumed))
		return handoff_find(p, &spec->resumed);
	if (!h)
		h = newest(p, 'b', pool, spec->branch);
	return h && is_unfinished(&h->rec) && !is_stale(p, &h->rec) ? h : NULL;
}

static struct handoff *find_resumed(struct pools *p, const struct acquire_spec *spec)
{
	const char *pool = spec->pool->rec.name;
	struct handoff *h;
	struct id id;

	if (id_from_string(spec->resume, &id) == 0) {
		h = handoff_find(p, &id);
		return h && strcmp(h->rec.pool, pool) == 0 ? h : NULL;
	}
	h = newest(p, 't', pool, spec->resume);
	return h ? h : newest(p, 'b', pool, spec->resume);
}

/* the branch goes on where it may be checked out; else at its commit, beside who has it */
static void take_branch_of(struct acquire_spec *spec, const struct handoff_record *r)
{
	if (spec->ref[0] || (spec->branch[0] && !spec->branch_by_pool) || !r->branch[0])
		return;
	if (pool_branch_is_free(spec->pool, r->branch))
		memcpy(spec->branch, r->branch, sizeof(spec->branch));
	else if (strlen(r->branch) + strlen("refs/heads/") < sizeof(spec->ref))
		snprintf(spec->ref, sizeof(spec->ref), "refs/heads/%.240s", r->branch);
}

void handoff_resume_as(struct acquire_spec *spec, const struct acquire_spec *first)
{
	spec->resumed = first->resumed;
	memcpy(spec->wanted_slot, first->wanted_slot, sizeof(spec->wanted_slot));
	memcpy(spec->task, first->task, sizeof(spec->task));
	memcpy(spec->branch, first->branch, sizeof(spec->branch));
	memcpy(spec->ref, first->ref, sizeof(spec->ref));
}

int handoff_resume(struct pools *p, struct acquire_spec *spec, struct refusal *ret)
{
	const struct handoff *h = spec->resume[0] ? find_resumed(p, spec) : NULL;
	char kept[DURATION_TEXT_SIZE];

	if (!spec->resume[0])
		return 0;
	if (!h || is_stale(p, &h->rec))
		return refuse(ret, "NotFound",
			      "nothing is left of %.100s in pool %s: no lease, task or branch of that name "
			      "ended there in the last %s", spec->resume, spec->pool->rec.name,
			      format_age(spec->pool->conf->lease.handoff_for_usec, kept));
	spec->resumed = h->rec.lease;
	memcpy(spec->wanted_slot, h->rec.slot, sizeof(spec->wanted_slot));
	if (!spec->task[0])
		memcpy(spec->task, h->rec.task, sizeof(spec->task));
	take_branch_of(spec, &h->rec);
	return 0;
}

/* --- late reports --- */

/* was it heard already, too late as now? What says nothing at all is no report. */
static bool is_known(const struct handoff_record *r, int32_t progress, const char *message,
		     enum lease_declared declared)
{
	if (r->end == LEASE_END_FINISHED || (progress < 0 && !message && !declared))
		return false;
	return (progress < 0 || progress == r->progress) && (!declared || declared == r->declared) &&
	       (!message || strncmp(message, r->message, sizeof(r->message) - 1) == 0);
}

bool handoff_report(struct pools *p, const struct id *lease, uint32_t uid, int32_t progress,
		    const char *message, enum lease_declared declared)
{
	struct handoff *h = handoff_find(p, lease);

	if (!h || h->rec.uid != uid)
		return false;
	/* the answer may have been lost: who says it again is told again that it is kept */
	if (is_known(&h->rec, progress, message, declared))
		return true;
	/* who has declared his end has said all; a report that was overtaken by a later one is no news */
	if (h->rec.declared || (progress >= 0 && progress < h->rec.progress))
		return false;
	if (progress <= h->rec.progress && !declared && !message)
		return false;
	batch_save(p->batch, &h->rec, sizeof(h->rec));
	if (progress > h->rec.progress)
		h->rec.progress = progress;
	if (message)
		snprintf(h->rec.message, sizeof(h->rec.message), "%s", message);
	if (declared)
		h->rec.declared = (uint8_t)declared;
	batch_put_handoff(p->batch, &h->rec);
	pools_count(p, &p->stats.late_reports);
	pools_event(p, "late_report", pools_find(p, h->rec.pool), NULL, NULL, uid, "lease %.8s had ended: %s%s",
		    h->id_text, lease_declared_to_string(declared), message ? message : "");
	return true;
}

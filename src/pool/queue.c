/*
 * Who asks, who waits, who is next.
 *
 * An acquire becomes a waiter at once; waiters are served at the end of the turn, after
 * everything that was given back in it, in the order of priority (one more for each minute
 * waited) and, among equals, of arrival. A waiter leaves when it was granted a lease,
 * refused, or abandoned; it is told after the commit.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define AGE_STEP_USEC USEC_PER_MIN

/* --- the end of a waiter --- */

static void waiter_free(struct waiter *w)
{
	sd_event_source_disable_unref(w->timer);
	free(w);
}

static void leave_queue(struct waiter *w)
{
	if (list_is_empty(&w->link))
		return;
	if (!w->slot)
		w->spec.pool->n_waiting--;
	list_del(&w->link);
}

static void refuse_now(struct waiter *w)
{
	leave_queue(w);
	if (w->slot)
		w->slot->waiter = NULL;
	if (w->fn)
		w->fn(NULL, &w->refusal, w->userdata);
	waiter_free(w);
}

void waiter_refuse(struct waiter *w, const char *error, const char *fmt, ...)
{
	char text[sizeof(w->refusal.why.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	refuse(&w->refusal, error, "%s", text);
	refuse_now(w);
}

static void tell_granted(void *arg, int error, const struct fault *why)
{
	struct waiter *w = arg;

	if (error) {
		refuse(&w->refusal, "LedgerFailed", "the lease could not be recorded: %s", why->text);
		if (w->fn)
			w->fn(NULL, &w->refusal, w->userdata);
	} else if (w->fn) {
		w->fn(w->lease, &w->refusal, w->userdata);
	} else if (!w->spec.key[0] && !w->lease->ended) {
		/* nobody heard of it and nobody can ask for it again */
		lease_finish(w->lease, LEASE_END_RELEASED, true, w->spec.uid,
			     "its asker was gone before it was told");
	}
	waiter_free(w);
}

void waiter_grant(struct waiter *w, struct slot *slot, const char *head, const char *branch)
{
	leave_queue(w);
	w->slot = NULL;
	slot->waiter = NULL;
	w->lease = lease_grant(slot, w, head, branch);
	if (!w->lease) {
		waiter_refuse(w, "Internal", "out of memory");
		return;
	}
	pool_note_grant(slot->pool);
	batch_after(w->pools->batch, tell_granted, w);
}

void waiter_abandon(struct waiter *w)
{
	if (!w)
		return;
	w->fn = NULL;
	if (w->lease)
		return; /* tell_granted() sees to it */
	if (w->slot) {
		/* its worker goes on; the slot is cleaned when it is done */
		w->slot->waiter = NULL;
		list_del(&w->link);
	}
	leave_queue(w);
	pool_kick(w->spec.pool);
	waiter_free(w);
}

/* --- choosing --- */

static int64_t effective_priority(const struct waiter *w, uint64_t now)
{
	return w->spec.priority + (int64_t)((now - w->since_usec) / AGE_STEP_USEC);
}

/* warm caches first: same agent and branch, then same agent, then where the pool stands */
static int fitness(const struct slot *slot, const struct waiter *w)
{
	const struct slot_record *r = &slot->rec;
	bool agent = w->spec.agent[0] && strcmp(w->spec.agent, r->last_agent) == 0;
	bool branch = w->spec.branch[0] && strcmp(w->spec.branch, r->last_branch) == 0;
	bool head = strcmp(r->head, slot->pool->rec.head) == 0;

	return (agent && branch) * 8 + branch * 4 + agent * 2 + head;
}

/*
 * A ready slot that somebody moved, deleted or robbed of its .git is not given to anybody. What it is
 * in detail was proved when it became ready.
 */
static bool is_in_place(struct slot *slot)
{
	_cleanup_(freep) char *path = slot_path(slot), *git = path ? text_printf("%s/.git", path) : NULL;
	struct stat st;

	if (!git)
		return true; /* no memory: the worker will tell */
	if (lstat(path, &st) < 0 && errno == ENOENT) {
		slot_move(slot, SLOT_STATE_REMOVING, "its directory is gone");
		return false;
	}
	if (S_ISDIR(st.st_mode) && st.st_dev == slot->rec.dev && st.st_ino == slot->rec.ino &&
	    lstat(git, &st) == 0 && S_ISREG(st.st_mode))
		return true;
	slot_recover(slot, false, "it is not as it was made");
	return false;
}

static struct slot *choose_slot(struct pool *pool, const struct waiter *w)
{
	struct slot *slot, *best = NULL;
	int best_fitness = -1;

	/* the list begins with the least recently used */
	list_for_each(slot, &pool->slots[SLOT_STATE_READY], link) {
		int n = slot->gone ? -1 : fitness(slot, w);

		if (n > best_fitness) {
			best = slot;
			best_fitness = n;
		}
	}
	return best;
}

static const char *branch_of(const struct slot *slot)
{
	if (slot->lease)
		return slot->lease->rec.branch;
	return slot->waiter ? slot->waiter->spec.branch : slot->rec.branch;
}

/* the slot that has this branch, is getting it, or has not been cleaned of it yet */
static struct slot *branch_holder(struct pool *pool, const char *branch)
{
	static const enum slot_state states[] = { SLOT_STATE_LEASED, SLOT_STATE_PREPARING,
						  SLOT_STATE_CLEANING, SLOT_STATE_RECOVERING,
						  SLOT_STATE_ISOLATED };
	struct slot *slot;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		list_for_each(slot, &pool->slots[states[i]], link)
			if (!slot->gone && strcmp(branch_of(slot), branch) == 0)
				return slot;
	return NULL;
}

/* on its way to be clean: soon it has no branch any more */
static bool is_leaving(const struct slot *slot)
{
	return slot->rec.state == SLOT_STATE_CLEANING || slot->rec.state == SLOT_STATE_RECOVERING ||
	       (slot->rec.state == SLOT_STATE_PREPARING && !slot->waiter);
}

/* must this one wait until a slot has let go of its branch? */
static bool is_held_up(const struct waiter *w)
{
	struct slot *slot = w->spec.branch[0] ? branch_holder(w->spec.pool, w->spec.branch) : NULL;

	return slot && is_leaving(slot);
}

static struct waiter *first_in_line(struct pool *pool)
{
	uint64_t now = clock_boot_usec();
	struct waiter *w, *best = NULL;

	list_for_each(w, &pool->waiters, link)
		if (!w->slot && !is_held_up(w) &&
		    (!best || effective_priority(w, now) > effective_priority(best, now)))
			best = w;
	return best;
}

static bool wants_pool_ref(const struct waiter *w)
{
	const struct pool *pool = w->spec.pool;
	const char *ref = w->spec.ref;

	return ref[0] == '\0' || strcmp(ref, pool->rec.full_ref) == 0 ||
	       (pool->rec.ref[0] && strcmp(ref, pool->rec.ref) == 0);
}

/* the slot is ready again; its waiter, if it still waits, is back in line */
static void undo_give(void *arg)
{
	struct slot *slot = arg;
	struct waiter *w = slot->waiter;

	slot->waiter = NULL;
	if (!w)
		return;
	w->slot = NULL;
	w->spec.pool->n_waiting++;
}

static void give(struct waiter *w, struct slot *slot)
{
	struct pool *pool = w->spec.pool;

	if (!w->spec.branch[0] && wants_pool_ref(w) && !pool->head_is_stale &&
	    strcmp(slot->rec.head, pool->rec.head) == 0) {
		waiter_grant(w, slot, slot->rec.head, "");
		return;
	}
	batch_undo(pool->pools->batch, undo_give, slot);
	w->slot = slot;
	slot->waiter = w;
	pool->n_waiting--;
	slot_edit(slot);
	memcpy(slot->rec.target, pool->rec.head, sizeof(slot->rec.target));
	/* whatever becomes of it, this branch may be checked out there until it was cleaned */
	memcpy(slot->rec.branch, w->spec.branch, sizeof(slot->rec.branch));
	slot_move(slot, SLOT_STATE_PREPARING, NULL);
}

/* --- waiting --- */

static uint64_t first_lease_end(const struct pool *pool)
{
	uint64_t first = 0, now = clock_boot_usec();
	const struct slot *slot;

	list_for_each(slot, &pool->slots[SLOT_STATE_LEASED], link) {
		const struct lease_record *r = slot->lease ? &slot->lease->rec : NULL;
		uint64_t end = r && r->deadline.wall_usec ? r->deadline.boot_usec + r->grace_usec : 0;

		if (end && (first == 0 || end < first))
			first = end;
	}
	return first > now ? first - now : 0;
}

static bool waiting_can_help(const struct pool *pool)
{
	unsigned dead = pool->count[SLOT_STATE_ISOLATED];

	return pool->total < pool_max(pool) || dead < pool->total;
}

/* a slot is being made, or may be */
static bool one_is_coming(const struct pool *pool)
{
	const unsigned *n = pool->count;

	return pool->rec.state == POOL_STATE_OPENING || n[SLOT_STATE_READY] ||
	       n[SLOT_STATE_CREATING] || n[SLOT_STATE_CLEANING] || n[SLOT_STATE_RECOVERING] ||
	       n[SLOT_STATE_REMOVING] || pool->total < pool_max(pool);
}

static const struct slot *any_isolated(const struct pool *pool)
{
	return list_first(&pool->slots[SLOT_STATE_ISOLATED], struct slot, link);
}

static void refuse_unavailable(struct waiter *w)
{
	struct pool *pool = w->spec.pool;
	const struct slot *slot = any_isolated(pool);

	waiter_refuse(w, "Unavailable",
		      "all %u slots of pool %s are isolated; %s: %.120s (see: slotctl slots %s)",
		      pool->total, pool->rec.name, slot ? slot->rec.name : "-",
		      slot ? slot->rec.reason : "-", pool->rec.name);
}

static void refuse_busy(struct waiter *w)
{
	struct pool *pool = w->spec.pool;
	const struct pool_record *r = &pool->rec;

	if (r->state == POOL_STATE_ACTIVE && r->head[0] == '\0') {
		waiter_refuse(w, "Unavailable",
			      "the repository of pool %s has no commit yet; make one, then ask again",
			      r->name);
		return;
	}
	if (!waiting_can_help(pool)) {
		refuse_unavailable(w);
		return;
	}
	refuse(&w->refusal, "Busy", "no slot of pool %s became free: %u of %u leased, %u waiting%s%.200s%s",
	       r->name, pool->count[SLOT_STATE_LEASED], pool_max(pool), pool->n_waiting,
	       pool_problem(pool)[0] ? "; " : "", pool_problem(pool),
	       w->spec.has_wait ? "" : "; --wait DUR waits for one");
	w->refusal.retry_after_usec = first_lease_end(pool);
	refuse_now(w);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct waiter *w = userdata;

	/* one that is being prepared for gets its slot, or its reason, soon */
	if (!w->slot && !w->lease)
		refuse_busy(w);
	return 0;
}

static void start_timer(struct waiter *w)
{
	if (w->timer)
		return;
	if (sd_event_add_time(w->pools->event, &w->timer, CLOCK_BOOTTIME, w->deadline_usec,
			      10 * USEC_PER_MSEC, on_deadline, w) < 0)
		waiter_refuse(w, "Internal", "cannot set a timer");
}

/* what becomes of those for whom there is no slot now */
static void let_wait(struct pool *pool, struct waiter *w)
{
	struct refusal no = { 0 };
	bool unborn = pool->rec.state == POOL_STATE_ACTIVE && pool->rec.head[0] == '\0' &&
		      !pool->head_is_stale;

	if (!pool_is_open_for_acquire(pool, &no)) {
		w->refusal = no;
		refuse_now(w);
	} else if (!waiting_can_help(pool)) {
		refuse_unavailable(w);
	} else if (unborn || clock_boot_usec() >= w->deadline_usec ||
		   (!w->spec.has_wait && !one_is_coming(pool))) {
		refuse_busy(w);
	} else {
		start_timer(w);
	}
}

static bool take_branch(struct pool *pool, struct waiter *w)
{
	struct slot *holder = w->spec.branch[0] ? branch_holder(pool, w->spec.branch) : NULL;

	if (!holder)
		return true;
	refuse(&w->refusal, "BranchInUse", "branch %s is checked out in slot %s (%.100s/%s)",
	       w->spec.branch, holder->rec.name, pool->slots_dir, holder->rec.name);
	snprintf(w->refusal.detail, sizeof(w->refusal.detail), "%.900s/%s", pool->slots_dir,
		 holder->rec.name);
	memcpy(w->refusal.branch, w->spec.branch, sizeof(w->refusal.branch));
	refuse_now(w);
	return false;
}

void pool_serve(struct pool *pool)
{
	struct refusal no = { 0 };
	struct waiter *w, *tmp;
	struct slot *slot;

	while (pool->rec.state == POOL_STATE_ACTIVE && pool_is_open_for_acquire(pool, &no) &&
	       (w = first_in_line(pool))) {
		if (!take_branch(pool, w))
			continue;
		slot = choose_slot(pool, w);
		if (!slot)
			break;
		if (is_in_place(slot))
			give(w, slot);
	}
	list_for_each_safe(w, tmp, &pool->waiters, link)
		if (!w->slot)
			let_wait(pool, w);
}

/* the pool goes, so nobody's wait for it can come to a good end */
void pool_refuse_waiters(struct pool *pool, const struct refusal *why)
{
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &pool->waiters, link)
		waiter_refuse(w, why->error, "%s", why->why.text);
}

/* --- the end of a preparation --- */

void waiter_requeue(struct waiter *w)
{
	w->slot->waiter = NULL;
	w->slot = NULL;
	w->spec.pool->n_waiting++;
	pool_kick(w->spec.pool);
}

static bool is_answer(const char *error)
{
	static const char *const answers[] = { "NotFound", "BranchInUse", "Unsupported" };

	for (size_t i = 0; error && i < ARRAY_SIZE(answers); i++)
		if (strcmp(error, answers[i]) == 0)
			return true;
	return false;
}

/*
 * The slot is preparing, its job is over. Granted; or refused where the request is at fault; or the
 * slot is sent away to be cleaned and the waiter gets another one.
 */
void waiter_prepared(struct waiter *w, const struct job_result *r)
{
	struct slot *slot = w->slot;

	if (r->outcome == JOB_DONE) {
		const char *branch = json_object_get_string(
			json_object_object_get(r->params, "branch"));

		waiter_grant(w, slot, slot->rec.head, branch ? branch : "");
		return;
	}
	if (r->outcome == JOB_CANCELED) {
		waiter_refuse(w, "ShuttingDown", "slotd is stopping; ask again in a moment");
		return;
	}
	if (is_answer(r->error)) {
		const char *path = json_object_get_string(json_object_object_get(r->params, "path"));

		refuse(&w->refusal, r->error, "%s", r->message);
		snprintf(w->refusal.detail, sizeof(w->refusal.detail), "%s", path ? path : "");
		memcpy(w->refusal.branch, w->spec.branch, sizeof(w->refusal.branch));
		refuse_now(w);
	} else if (++w->attempts >= pool_retry_attempts(w->spec.pool)) {
		waiter_refuse(w, "GitFailed", "no slot could be prepared: %s", r->message);
	} else {
		log_warning("cannot prepare a slot, another one is tried: %s slot=%s", r->message,
			    slot->rec.name);
		waiter_requeue(w);
	}
	slot_clean(slot, true, r->message);
}

/* --- asking --- */

/* the same key asks again, from a new connection: it keeps the place, the old asker is let go */
static struct waiter *find_same(struct pools *p, const struct acquire_spec *spec)
{
	struct pool *pool;
	struct waiter *w;

	if (!spec->key[0])
		return NULL;
	list_for_each(pool, &p->pools, link)
		list_for_each(w, &pool->waiters, link)
			if (w->spec.uid == spec->uid && strcmp(w->spec.key, spec->key) == 0)
				return w;
	return NULL;
}

/* the grant may be of this very turn: he is told when it is on disk, as its first asker is */
static struct waiter *tell_after_commit(struct pools *p, const struct acquire_spec *spec,
					struct lease *lease, acquire_fn fn, void *userdata)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	list_init(&w->link);
	w->pools = p;
	w->spec = *spec;
	w->fn = fn;
	w->userdata = userdata;
	w->lease = lease;
	batch_after(p->batch, tell_granted, w);
	pools_changed(p);
	return w;
}

static bool answer_from_key(struct pools *p, const struct acquire_spec *spec, const uint8_t *request,
			    acquire_fn fn, void *userdata, struct waiter **ret)
{
	struct key *key = spec->key[0] ? key_find(p, spec->uid, spec->key) : NULL;
	struct refusal no = { 0 };
	struct lease *lease;

	if (!key)
		return false;
	lease = key->rec.end == LEASE_END_NONE ? pools_find_lease(p, &key->rec.lease) : NULL;
	if (memcmp(key->rec.request, request, sizeof(key->rec.request)) != 0)
		refuse(&no, "KeyReused", "key %.60s was used for another request; take a new one",
		       spec->key);
	else if (!lease)
		refuse(&no, "LeaseGone", "the lease that key %.60s got has ended", spec->key);
	if (!no.error && !batch_is_empty(p->batch)) {
		*ret = tell_after_commit(p, spec, lease, fn, userdata);
		if (*ret)
			return true;
		refuse(&no, "Internal", "out of memory");
	}
	fn(no.error ? NULL : lease, &no, userdata);
	return true;
}

/* true: it waits for the new asker now; false: he was refused */
static bool take_over(struct waiter *w, const uint8_t *request, acquire_fn fn, void *userdata)
{
	struct refusal no = { 0 };

	if (memcmp(w->request, request, sizeof(w->request)) != 0) {
		refuse(&no, "KeyReused", "key %.60s waits for another request; take a new one",
		       w->spec.key);
		fn(NULL, &no, userdata);
		return false;
	}
	if (w->fn) {
		refuse(&no, "Conflict", "the same key asked again on another connection");
		w->fn(NULL, &no, w->userdata);
	}
	w->fn = fn;
	w->userdata = userdata;
	return true;
}

static struct waiter *waiter_new(struct pools *p, const struct acquire_spec *spec,
				 const uint8_t *request, acquire_fn fn, void *userdata)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->pools = p;
	w->spec = *spec;
	memcpy(w->request, request, sizeof(w->request));
	w->fn = fn;
	w->userdata = userdata;
	w->since_usec = clock_boot_usec();
	w->since_wall_usec = clock_wall_usec();
	w->wait_usec = spec->has_wait ? spec->wait_usec : DEFAULT_WAIT_USEC;
	w->deadline_usec = w->since_usec + w->wait_usec;
	list_append(&spec->pool->waiters, &w->link);
	spec->pool->n_waiting++;
	return w;
}

void lease_acquire(struct pools *p, const struct acquire_spec *spec, acquire_fn fn, void *userdata,
		   struct waiter **ret)
{
	uint8_t request[32];
	struct refusal no = { 0 };
	struct waiter *w;

	*ret = NULL;
	key_hash_request(spec, request);
	if (answer_from_key(p, spec, request, fn, userdata, ret))
		return;
	w = find_same(p, spec);
	if (w) {
		if (take_over(w, request, fn, userdata))
			*ret = w; /* else the asker, and ret with him, is gone */
		return;
	}
	w = pool_is_open_for_acquire(spec->pool, &no) ?
		    waiter_new(p, spec, request, fn, userdata) :
		    NULL;
	if (!w) {
		if (!no.error)
			refuse(&no, "Internal", "out of memory");
		fn(NULL, &no, userdata);
		return;
	}
	*ret = w;
	pool_kick(spec->pool);
}

/* --- looking --- */

static unsigned position_of(const struct pool *pool, const struct waiter *w, uint64_t now)
{
	int64_t priority = effective_priority(w, now);
	const struct waiter *other;
	unsigned position = 1;
	bool before = true;

	list_for_each(other, &pool->waiters, link) {
		int64_t theirs = effective_priority(other, now);

		if (other == w)
			before = false;
		else if (!other->slot && (theirs > priority || (theirs == priority && before)))
			position++;
	}
	return position;
}

static void describe_wait(const struct pool *pool, const struct waiter *w, char *ret, size_t size)
{
	const unsigned *n = pool->count;

	if (w->slot)
		snprintf(ret, size, "slot %s is being prepared", w->slot->rec.name);
	else
		snprintf(ret, size, "%u leased, %u isolated, %u being made or cleaned, max %u",
			 n[SLOT_STATE_LEASED], n[SLOT_STATE_ISOLATED],
			 n[SLOT_STATE_CREATING] + n[SLOT_STATE_CLEANING] + n[SLOT_STATE_RECOVERING],
			 pool_max(pool));
}

void pool_each_waiter(struct pool *pool, void (*fn)(const struct waiter_info *w, void *userdata),
		      void *userdata)
{
	uint64_t now = clock_boot_usec();
	struct waiter *w;

	list_for_each(w, &pool->waiters, link) {
		struct waiter_info info = {
			.spec = &w->spec,
			.position = w->slot ? 0 : position_of(pool, w, now),
			.since_usec = w->since_wall_usec,
			.deadline_usec = w->since_wall_usec + w->wait_usec,
			.priority = (int32_t)effective_priority(w, now),
		};

		describe_wait(pool, w, info.reason, sizeof(info.reason));
		fn(&info, userdata);
	}
}

/*
 * Who is next, and which slot is his.
 *
 * Waiters are served at the end of the turn, after everything that was given back in it, in the
 * order of priority (one more for each minute waited) and, among equals, of arrival. The fittest
 * ready slot is granted when it stands where it should, else prepared first. Who gets none waits
 * on, as long as waiting can help.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

/* --- whose turn --- */

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

bool pool_branch_is_free(struct pool *pool, const char *branch)
{
	struct slot *slot = branch_holder(pool, branch);

	return !slot || is_leaving(slot);
}

/* must this one wait until a slot has let go of its branch? */
static bool is_held_up(const struct waiter *w)
{
	struct slot *slot = w->spec.branch[0] ? branch_holder(w->spec.pool, w->spec.branch) : NULL;

	return slot && is_leaving(slot);
}

/* slots that an agent has, or is getting; those without a name are one agent */
static unsigned count_held(const struct pool *pool, const char *agent)
{
	const struct slot *slot;
	unsigned n = 0;

	list_for_each(slot, &pool->slots[SLOT_STATE_LEASED], link)
		n += slot->lease && strcmp(slot->lease->rec.agent, agent) == 0;
	list_for_each(slot, &pool->slots[SLOT_STATE_PREPARING], link)
		n += slot->waiter && strcmp(slot->waiter->spec.agent, agent) == 0;
	return n;
}

/* must this one wait until it has given a slot back? */
static bool is_at_quota(const struct waiter *w)
{
	unsigned quota = w->spec.pool->conf->slots.quota_per_agent;

	return quota && count_held(w->spec.pool, w->spec.agent) >= quota;
}

static struct waiter *first_in_line(struct pool *pool)
{
	uint64_t now = clock_boot_usec();
	struct waiter *w, *best = NULL;

	list_for_each(w, &pool->waiters, link)
		if (!w->slot && !w->away_until_usec && !is_held_up(w) && !is_at_quota(w) &&
		    !fresh_is_waited_for(w) &&
		    (!best || waiter_priority(w, now) > waiter_priority(best, now)))
			best = w;
	return best;
}

/* true: it may be checked out; false: the waiter was refused */
static bool take_branch(struct pool *pool, struct waiter *w)
{
	struct slot *holder = w->spec.branch[0] ? branch_holder(pool, w->spec.branch) : NULL;
	struct refusal no = { 0 };

	if (!holder)
		return true;
	refuse(&no, "BranchInUse", "branch %s is checked out in slot %s (%.100s/%s)",
	       w->spec.branch, holder->rec.name, pool->slots_dir, holder->rec.name);
	snprintf(no.detail, sizeof(no.detail), "%.900s/%s", pool->slots_dir, holder->rec.name);
	memcpy(no.branch, w->spec.branch, sizeof(no.branch));
	waiter_refuse_with(w, &no);
	return false;
}

/* --- which slot --- */

/* the slot that is gone on with, then warm caches: same agent and branch, then same agent, then where the pool stands */
static int fitness(const struct slot *slot, const struct waiter *w)
{
	const struct slot_record *r = &slot->rec;
	bool agent = w->spec.agent[0] && strcmp(w->spec.agent, r->last_agent) == 0;
	bool branch = w->spec.branch[0] && strcmp(w->spec.branch, r->last_branch) == 0;
	bool head = strcmp(r->head, slot->pool->rec.head) == 0;

	bool wanted = strcmp(w->spec.wanted_slot, r->name) == 0;

	return wanted * 16 + (agent && branch) * 8 + branch * 4 + agent * 2 + head;
}

/* its ports, and a directory for temporary files, which somebody may have tidied away */
static bool has_what_it_needs(struct slot *slot)
{
	_cleanup_(freep) char *tmp = slot_tmp_path(slot);

	if (tmp && mkdir(tmp, 0700) < 0 && errno != EEXIST)
		log_warning("cannot make %s: %s slot=%s", tmp, strerror(errno), slot->rec.name);
	if (slot_take_ports(slot))
		return true;
	slot_recover(slot, false, "somebody else listens on its ports");
	return false;
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
		return has_what_it_needs(slot);
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

/* --- giving --- */

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

	if (!w->spec.branch[0] && wants_pool_ref(w) && !pool->head_is_stale && !pool_has_acquire_run(pool) &&
	    strcmp(slot->rec.head, pool->rec.head) == 0) {
		w->behind = 0;
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

static void refuse_unavailable(struct waiter *w)
{
	struct pool *pool = w->spec.pool;
	const struct slot *slot = slot_first(pool, SLOT_STATE_ISOLATED);

	waiter_refuse(w, "Unavailable",
		      "pool %s has %u %s isolated; %s: %.120s (see: slotctl slots %s)",
		      pool->rec.name, pool->total,
		      text_plural(pool->total, "slot, and it is", "slots, and all are"),
		      slot ? slot->rec.name : "-", slot ? slot->rec.reason : "-", pool->rec.name);
}

static void refuse_quota(struct waiter *w)
{
	struct pool *pool = w->spec.pool;
	struct refusal no = { 0 };

	refuse(&no, "QuotaReached", "%s%.100s holds %u of the %u slots of pool %s that one agent may hold",
	       w->spec.agent[0] ? "agent " : "who gives no --agent", w->spec.agent,
	       count_held(pool, w->spec.agent), pool->conf->slots.quota_per_agent, pool->rec.name);
	no.retry_after_usec = first_lease_end(pool);
	waiter_refuse_with(w, &no);
}

static void refuse_busy(struct waiter *w)
{
	struct pool *pool = w->spec.pool;
	const struct pool_record *r = &pool->rec;
	struct refusal no = { 0 };

	if (is_at_quota(w)) {
		refuse_quota(w);
		return;
	}

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
	refuse(&no, "Busy", "no slot of pool %s became free: %u of %u leased, %u waiting%s%.200s%s",
	       r->name, pool->count[SLOT_STATE_LEASED], pool_max(pool), pool->n_waiting,
	       pool_problem(pool)[0] ? "; " : "", pool_problem(pool),
	       w->spec.has_wait ? "" : "; --wait DUR waits for one");
	no.retry_after_usec = first_lease_end(pool);
	waiter_refuse_with(w, &no);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct waiter *w = userdata;

	/* one that is being prepared for gets its slot, or its reason, soon */
	if (w->slot || w->lease)
		return 0;
	if (fresh_is_waited_for(w))
		fresh_gives_up(w);
	else
		refuse_busy(w);
	return 0;
}

void waiter_set_timer(struct waiter *w)
{
	uint64_t at = w->deadline_usec;

	if (w->away_until_usec && w->away_until_usec < at)
		at = w->away_until_usec;
	if (w->fetch_until_usec && w->fetch_until_usec < at)
		at = w->fetch_until_usec;
	w->timer = sd_event_source_disable_unref(w->timer);
	if (sd_event_add_time(w->pools->event, &w->timer, CLOCK_BOOTTIME, at, 10 * USEC_PER_MSEC, on_deadline,
			      w) < 0)
		log_warning("cannot set a timer: who waits is looked at now and then pool=%s",
			    w->spec.pool->rec.name);
}

static void wait_on(struct waiter *w)
{
	if (!w->timer)
		waiter_set_timer(w);
	ticket_put(w);
}

/* what becomes of those for whom there is no slot now */
static void let_wait(struct pool *pool, struct waiter *w)
{
	struct refusal no = { 0 };
	bool unborn = pool->rec.state == POOL_STATE_ACTIVE && pool->rec.head[0] == '\0' &&
		      !pool->head_is_stale;

	if (!pool_is_open_for_acquire(pool, &no)) {
		waiter_refuse_with(w, &no);
	} else if (!waiting_can_help(pool)) {
		refuse_unavailable(w);
	} else if (unborn || clock_boot_usec() >= w->deadline_usec ||
		   (!w->spec.has_wait && (is_at_quota(w) || !one_is_coming(pool)))) {
		refuse_busy(w);
	} else {
		wait_on(w);
	}
}

/* --- serving --- */

void pool_serve(struct pool *pool)
{
	struct refusal no = { 0 };
	struct waiter *w, *tmp;
	struct slot *slot;

	if (pool->rec.state == POOL_STATE_ACTIVE)
		fresh_look(pool);
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
		if (!w->slot && !w->away_until_usec)
			let_wait(pool, w);
}

/* --- the end of a preparation --- */

static bool is_answer(const char *error)
{
	static const char *const answers[] = { "NotFound", "BranchInUse", "Unsupported" };

	for (size_t i = 0; error && i < ARRAY_SIZE(answers); i++)
		if (strcmp(error, answers[i]) == 0)
			return true;
	return false;
}

static bool is_of_hook(const struct job_result *r)
{
	return r->error && strcmp(r->error, "HookFailed") == 0;
}

static void refuse_as_answered(struct waiter *w, const struct job_result *r)
{
	const char *path = json_get_string(r->params, "path");
	struct refusal no = { 0 };

	refuse(&no, r->error, "%s", r->message);
	snprintf(no.detail, sizeof(no.detail), "%s", path ? path : "");
	memcpy(no.branch, w->spec.branch, sizeof(no.branch));
	waiter_refuse_with(w, &no);
}

/*
 * The slot is preparing, its job is over. Granted; or refused where the request is at fault; or the
 * slot is sent away to be cleaned and the waiter gets another one.
 */
void waiter_prepared(struct waiter *w, const struct job_result *r)
{
	struct slot *slot = w->slot;

	if (r->outcome == JOB_DONE) {
		const char *branch = json_get_string(r->params, "branch");

		w->behind = json_get_int(r->params, "behind", -1);
		waiter_grant(w, slot, slot->rec.head, branch ? branch : "");
		return;
	}
	if (r->outcome == JOB_CANCELED) {
		waiter_refuse(w, "ShuttingDown", "slotd is stopping; ask again in a moment");
		return;
	}
	if (is_answer(r->error)) {
		refuse_as_answered(w, r);
	} else if (++w->attempts >= pool_retry_attempts(w->spec.pool)) {
		waiter_refuse(w, is_of_hook(r) ? "HookFailed" : "GitFailed",
			      "no slot could be prepared: %s", r->message);
	} else {
		log_warning("cannot prepare a slot, another one is tried: %s slot=%s", r->message,
			    slot->rec.name);
		waiter_requeue(w);
	}
	slot_clean(slot, true, r->message);
}

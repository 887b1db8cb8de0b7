/*
 * Who asks, and who waits.
 *
 * An acquire becomes a waiter at once, unless its key has an answer already. A waiter leaves when
 * it was granted a lease, refused, or abandoned; it is told after the commit. Whose turn it is, and
 * who need not wait on, is decided in serve.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"

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

void waiter_refuse_with(struct waiter *w, const struct refusal *no)
{
	leave_queue(w);
	ticket_drop(w);
	if (w->slot)
		w->slot->waiter = NULL;
	if (w->fn)
		w->fn(NULL, no, w->userdata);
	waiter_free(w);
}

void waiter_refuse(struct waiter *w, const char *error, const char *fmt, ...)
{
	struct refusal no = { .error = error };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(no.why.text, sizeof(no.why.text), fmt, ap);
	va_end(ap);
	waiter_refuse_with(w, &no);
}

/* the pool goes, so nobody's wait for it can come to a good end */
void pool_refuse_waiters(struct pool *pool, const struct refusal *why)
{
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &pool->waiters, link)
		waiter_refuse_with(w, why);
}

static void tell_granted(void *arg, int error, const struct fault *why)
{
	struct refusal no = { 0 };
	struct waiter *w = arg;

	if (error) {
		refuse(&no, "LedgerFailed", "the lease could not be recorded: %s", why->text);
		if (w->fn)
			w->fn(NULL, &no, w->userdata);
	} else if (w->fn) {
		w->fn(w->lease, &no, w->userdata);
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
	ticket_drop(w);
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
	if (w->slot)
		waiter_requeue(w); /* its worker goes on; the slot is cleaned when it is done */
	pool_kick(w->spec.pool);
	if (waiter_goes_away(w))
		return;
	leave_queue(w);
	ticket_drop(w);
	waiter_free(w);
}

void waiter_requeue(struct waiter *w)
{
	w->slot->waiter = NULL;
	w->slot = NULL;
	w->spec.pool->n_waiting++;
	pool_kick(w->spec.pool);
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
	if (!no.error)
		lease_bind(lease, spec);
	if (!no.error && !batch_is_empty(p->batch)) {
		*ret = tell_after_commit(p, spec, lease, fn, userdata);
		if (*ret)
			return true;
		refuse(&no, "Internal", "out of memory");
	}
	fn(no.error ? NULL : lease, &no, userdata);
	return true;
}

/* from now on, whenever it came */
static void set_wait(struct waiter *w)
{
	w->deadline_usec = clock_boot_usec() + (w->spec.has_wait ? w->spec.wait_usec : DEFAULT_WAIT_USEC);
}

/* true: it waits for the new asker now; false: he was refused */
static bool take_over(struct waiter *w, const struct acquire_spec *spec, const uint8_t *request,
		      acquire_fn fn, void *userdata)
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
	w->spec = *spec;
	set_wait(w);
	ticket_prolong(w);
	if (w->timer || w->away_until_usec) {
		w->away_until_usec = 0;
		waiter_set_timer(w);
	}
	pool_kick(w->spec.pool);
	return true;
}

struct waiter *waiter_new(struct pools *p, const struct acquire_spec *spec, const uint8_t *request,
			  acquire_fn fn, void *userdata)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->pools = p;
	w->spec = *spec;
	memcpy(w->request, request, sizeof(w->request));
	w->fn = fn;
	w->userdata = userdata;
	w->behind = -1;
	w->since_usec = clock_boot_usec();
	w->since_wall_usec = clock_wall_usec();
	set_wait(w);
	w->number = ++p->last_ticket;
	list_append(&spec->pool->waiters, &w->link);
	spec->pool->n_waiting++;
	return w;
}

void lease_acquire(struct pools *p, const struct acquire_spec *spec, acquire_fn fn, void *userdata,
		   struct waiter **ret)
{
	uint8_t request[32];
	struct acquire_spec whole;
	struct refusal no = { 0 };
	struct waiter *w;

	*ret = NULL;
	key_hash_request(spec, request);
	if (answer_from_key(p, spec, request, fn, userdata, ret))
		return;
	whole = *spec;
	w = find_same(p, spec);
	/* what it meant when it was asked first: by now its own slot has the branch */
	if (w && !id_is_null(&w->spec.resumed))
		handoff_resume_as(&whole, &w->spec);
	else
		handoff_resume(p, &whole, &no);
	if (!no.error && w) {
		if (take_over(w, &whole, request, fn, userdata))
			*ret = w; /* else the asker, and ret with him, is gone */
		return;
	}
	w = !no.error && pool_is_open_for_acquire(spec->pool, &no) ?
		    waiter_new(p, &whole, request, fn, userdata) :
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

int64_t waiter_priority(const struct waiter *w, uint64_t now)
{
	return w->spec.priority + (int64_t)((now - w->since_usec) / AGE_STEP_USEC);
}

static unsigned position_of(const struct pool *pool, const struct waiter *w, uint64_t now)
{
	int64_t priority = waiter_priority(w, now);
	const struct waiter *other;
	unsigned position = 1;
	bool before = true;

	list_for_each(other, &pool->waiters, link) {
		int64_t theirs = waiter_priority(other, now);

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

	if (w->away_until_usec)
		snprintf(ret, size, "its asker is gone; the place is kept for a minute");
	else if (fresh_is_waited_for(w))
		snprintf(ret, size, "the last fetch is older than fetch.max_age: the origin is asked first");
	else if (w->slot)
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
			.deadline_usec = w->since_wall_usec + (w->deadline_usec - w->since_usec),
			.priority = (int32_t)waiter_priority(w, now),
		};

		describe_wait(pool, w, info.reason, sizeof(info.reason));
		fn(&info, userdata);
	}
}

/*
 * How old may be what an acquire is given?
 *
 * When the last successful fetch is older than fetch.max_age, whoever waits for a slot waits for a
 * fetch first: all of them for the same one, also when it was under way before they came. Whether it is
 * too old is asked of the pool at each serving and remembered nowhere, so who stood in line for an hour
 * gets what is fresh then, and a reload that changes max_age, or takes it away, holds for those who wait
 * already.
 *
 * Nobody waits longer than fetch.timeout, or than he said himself that he would: then the slot is given
 * on what is there, and the answer tells how old that is. The fetch goes on, and until it has come to
 * its end nobody waits for it again. After one that failed nobody waits for the next before max_age has
 * passed since, twice that after the second in a row, and so on up to FRESH_PAUSE_MOST; those that
 * fetch.every makes try all the same, and the first that succeeds ends the pause.
 *
 * Nothing of this is in the ledger but the time of the last success, which comes in one commit with the
 * head that it brought. A crash before that commit leaves refs that have moved and an old time: the next
 * acquire fetches once more. What a crash loses with the pauses is one try at an origin that is gone. A
 * waiter that is abandoned, or refused because its pool goes, takes nothing with it: the fetch is the
 * store's, and ends by itself or with it.
 */
#include "pool/private.h"

#define FRESH_PAUSE_MOST (10 * USEC_PER_MIN)

bool pool_has_origin(const struct pool *pool)
{
	const struct conf_pool *c = pool->conf;

	return !pool_is_adopted(pool) || c->fetch.every_usec || c->fetch.max_age_usec;
}

/* the last try brought nothing, and it is too soon to wait for another */
static bool is_pausing(const struct pool *pool)
{
	uint64_t max_age = pool->conf->fetch.max_age_usec, pause;

	if (pool->fetch_failed_usec == 0)
		return false;
	pause = backoff_usec(pool->fetch_failures, max_age,
			     max_age > FRESH_PAUSE_MOST ? max_age : FRESH_PAUSE_MOST);
	return clock_boot_usec() < pool->fetch_failed_usec + pause;
}

static bool is_stale(struct pool *pool)
{
	uint64_t max_age = pool->conf->fetch.max_age_usec;
	const struct moment *fetched = &pool->rec.fetched;

	if (max_age == 0 || (fetched->wall_usec && moment_age_usec(fetched) <= max_age))
		return false;
	return !pool->fetch_is_late && !is_pausing(pool) && !pool_disk_is_low(pool);
}

void fresh_fetch_tried(struct pool *pool, bool done)
{
	pool->fetch_is_late = false;
	pool->fetch_failed_usec = done ? 0 : clock_boot_usec();
	if (done)
		pool->fetch_failures = 0;
}

void fresh_fetch_ended(struct pool *pool, bool done)
{
	pool->fetch_is_due = false;
	pool->fetch_failures += !done;
}

/* --- who waits --- */

static void let_go(struct waiter *w)
{
	if (!w->fetch_until_usec)
		return;
	w->fetch_until_usec = 0;
	if (w->timer)
		waiter_set_timer(w);
}

static void hold(struct waiter *w, uint64_t now)
{
	uint64_t until = now + w->spec.pool->conf->fetch.timeout_usec;

	if (w->fetch_until_usec)
		return;
	w->fetch_until_usec = until < w->deadline_usec ? until : w->deadline_usec;
	if (w->timer)
		waiter_set_timer(w);
}

void fresh_look(struct pool *pool)
{
	uint64_t now = clock_boot_usec();
	bool stale = pool->n_waiting > 0 && is_stale(pool);
	struct waiter *w;

	list_for_each (w, &pool->waiters, link) {
		/* who has no time to wait is not made to, and the next one may find it done */
		if (stale && !w->slot && !w->away_until_usec && now < w->deadline_usec)
			hold(w, now);
		else
			let_go(w);
	}
	if (stale && !pool->fetch_is_due) {
		pool->fetch_is_due = true;
		pool_run_store_jobs(pool);
	}
}

bool fresh_is_waited_for(const struct waiter *w)
{
	return w->fetch_until_usec != 0;
}

void fresh_gives_up(struct waiter *w)
{
	struct pool *pool = w->spec.pool;

	if (clock_boot_usec() < w->deadline_usec) {
		pool->fetch_is_late = true;
		let_go(w);
	}
	/* who would not wait longer says nothing about the origin, and at the serving gets what there is, or his refusal */
	w->fetch_until_usec = 0;
	pool_kick(pool);
}

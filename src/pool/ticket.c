/*
 * The place in the line of an acquire with a key.
 *
 * It is in the ledger from the moment that the acquire has to wait, until it is granted or refused. When
 * its connection goes, or slotd is started again, the waiter stays where it was for TICKET_USEC, is
 * passed over, and goes on waiting there when the same key asks again.
 */
#include <string.h>

#include "pool/private.h"

#define TICKET_USEC USEC_PER_MIN

void ticket_put(struct waiter *w)
{
	const struct acquire_spec *spec = &w->spec;
	struct ticket_record rec = {
		.uid = spec->uid,
		.number = w->number,
		.priority = spec->priority,
		.since = moment_now(),
		.wait_usec = w->deadline_usec - w->since_usec,
	};

	if (!spec->key[0] || w->has_ticket)
		return;
	memcpy(rec.key, spec->key, sizeof(rec.key));
	memcpy(rec.request, w->request, sizeof(rec.request));
	memcpy(rec.pool, spec->pool->rec.name, sizeof(rec.pool));
	memcpy(rec.agent, spec->agent, sizeof(rec.agent));
	memcpy(rec.task, spec->task, sizeof(rec.task));
	memcpy(rec.branch, spec->branch, sizeof(rec.branch));
	rec.since.boot_usec = w->since_usec;
	rec.since.wall_usec = w->since_wall_usec;
	/* not taken back when the commit fails: it may be gone by then, and only a restart would miss it */
	w->has_ticket = true;
	batch_put_ticket(w->pools->batch, &rec);
	pools_changed(w->pools);
}

void ticket_prolong(struct waiter *w)
{
	if (!w->has_ticket)
		return;
	w->has_ticket = false;
	ticket_put(w);
}

void ticket_drop(struct waiter *w)
{
	/* who is sent away because slotd stops comes back to its place */
	if (!w->has_ticket || w->pools->stopping)
		return;
	w->has_ticket = false;
	batch_delete_ticket(w->pools->batch, w->spec.uid, w->spec.key);
	pools_changed(w->pools);
}

static unsigned count_away(struct pools *p, uint32_t uid)
{
	const struct pool *pool;
	const struct waiter *w;
	unsigned n = 0;

	list_for_each(pool, &p->pools, link)
		list_for_each(w, &pool->waiters, link)
			n += w->away_until_usec && w->spec.uid == uid;
	return n;
}

static void go_away(struct waiter *w)
{
	w->fn = NULL;
	w->away_until_usec = clock_boot_usec() + TICKET_USEC;
	waiter_set_timer(w);
}

bool waiter_goes_away(struct waiter *w)
{
	struct pools *p = w->pools;

	if (!w->has_ticket || p->stopping || count_away(p, w->spec.uid) >= p->conf->limits.pending_per_uid)
		return false;
	go_away(w);
	return true;
}

/* --- after a restart --- */

static void put_in_order(struct waiter *w)
{
	struct list *head = &w->spec.pool->waiters, *at;

	list_del(&w->link);
	at = head->prev;
	while (at != head && list_entry(at, struct waiter, link)->number > w->number)
		at = at->prev;
	list_insert_before(at->next, &w->link);
}

bool ticket_load(struct pools *p, const struct ticket_record *rec)
{
	struct acquire_spec spec = {
		.pool = pools_find(p, rec->pool),
		.uid = rec->uid,
		.priority = rec->priority,
		.has_wait = true,
		.wait_usec = rec->wait_usec,
	};
	struct waiter *w;

	if (rec->number > p->last_ticket)
		p->last_ticket = rec->number;
	if (!spec.pool || !boot_id_is_same(&rec->since.boot, clock_boot_id()) ||
	    clock_boot_usec() >= rec->since.boot_usec + rec->wait_usec)
		return false;
	memcpy(spec.key, rec->key, sizeof(spec.key));
	memcpy(spec.agent, rec->agent, sizeof(spec.agent));
	memcpy(spec.task, rec->task, sizeof(spec.task));
	memcpy(spec.branch, rec->branch, sizeof(spec.branch));
	w = waiter_new(p, &spec, rec->request, NULL, NULL);
	if (!w)
		return false;
	w->has_ticket = true;
	w->number = rec->number;
	w->since_usec = rec->since.boot_usec;
	w->since_wall_usec = rec->since.wall_usec;
	w->deadline_usec = rec->since.boot_usec + rec->wait_usec;
	put_in_order(w);
	go_away(w); /* all that waited, however many they were */
	return true;
}

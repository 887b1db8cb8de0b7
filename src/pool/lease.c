/* At most one a slot, each with a token higher than all before. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"

#define LEASE_ACCURACY_USEC (50 * USEC_PER_MSEC)

/* --- life --- */

struct lease *lease_new(struct slot *slot, const struct lease_record *rec)
{
	struct pools *p = slot->pool->pools;
	struct lease *lease = calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->rec = *rec;
	lease->slot = slot;
	lease->behind = -1;
	list_init(&lease->link);
	id_to_string(&rec->id, lease->id_text);
	if (sd_event_add_time(p->event, &lease->timer, CLOCK_BOOTTIME, UINT64_MAX,
			      LEASE_ACCURACY_USEC, lease_on_timer, lease) < 0 ||
	    map_put(p->leases, lease->id_text, lease) < 0) {
		sd_event_source_disable_unref(lease->timer);
		free(lease);
		return NULL;
	}
	list_append(&p->all_leases, &lease->link);
	p->n_leases++;
	slot->lease = lease;
	handoff_is_given(p, &rec->handoff, 1);
	lease_set_timer(lease);
	return lease;
}

void lease_free(struct lease *lease)
{
	struct pools *p = lease->slot->pool->pools;

	if (lease->slot->lease == lease)
		lease->slot->lease = NULL;
	if (lease->key && list_is_empty(&lease->key->link) && !lease->ended) {
		/* the daemon ends, the lease does not: its key goes with the memory only */
		map_remove(p->keys, lease->key->name);
		key_free(lease->key);
	}
	lease_stop_inquiry(lease);
	lease_unbind(lease);
	handoff_is_given(p, &lease->rec.handoff, -1);
	map_remove(p->leases, lease->id_text);
	list_del(&lease->link);
	p->n_leases--;
	sd_event_source_disable_unref(lease->timer);
	free(lease);
}

/* --- granting --- */

static void undo_grant(void *arg)
{
	struct lease *lease = arg;

	lease->key = NULL; /* undone by itself, before */
	lease_free(lease);
}

static void fill_record(struct lease_record *rec, const struct waiter *w, const struct slot *slot,
			const char *head, const char *branch)
{
	const struct acquire_spec *spec = &w->spec;
	const struct handoff *handoff = handoff_offer(w->pools, spec);
	const struct conf_pool *conf = slot->pool->conf;

	rec->id = w->lease_id;
	if (id_is_null(&rec->id))
		id_random(&rec->id);
	memcpy(rec->slot, slot->rec.name, sizeof(rec->slot));
	memcpy(rec->pool, slot->rec.pool, sizeof(rec->pool));
	rec->token = slot->rec.token;
	rec->uid = spec->uid;
	rec->pid = spec->pid;
	rec->pid_start = spec->pid_start;
	memcpy(rec->agent, spec->agent, sizeof(rec->agent));
	memcpy(rec->task, spec->task, sizeof(rec->task));
	memcpy(rec->ref, spec->ref, sizeof(rec->ref));
	memcpy(rec->meta, spec->meta, sizeof(rec->meta));
	snprintf(rec->branch, sizeof(rec->branch), "%s", branch);
	snprintf(rec->base, sizeof(rec->base), "%s", head);
	rec->bind = spec->bind ? spec->bind : LEASE_BIND_TTL;
	rec->bound_pid = spec->bound_pid;
	rec->bound_start = spec->bound_start;
	rec->priority = spec->priority;
	memcpy(rec->labels, spec->labels, sizeof(rec->labels));
	rec->estimate_usec = spec->estimate_usec;
	rec->asked_ttl_usec = spec->ttl_usec;
	rec->acquired = rec->heard = moment_now();
	rec->heard_slept_usec = clock_slept_usec();
	rec->progress = -1;
	if (handoff)
		rec->handoff = handoff_record(handoff)->lease;
	lease_begin_term(rec, conf);
}

/* above every token that this slot ever had, and above the floor that a rebuilt ledger sets */
uint64_t lease_next_token(const struct slot *slot)
{
	uint64_t floor = ledger_generation(slot->pool->pools->ledger)->token_floor;
	uint64_t last = slot->rec.token > floor ? slot->rec.token : floor;

	return last + 1;
}

static void note_handoff(struct lease *lease)
{
	struct pools *p = lease->slot->pool->pools;
	char from[ID_TEXT_SIZE];

	pools_event(p, "lease_handoff", lease->slot->pool, lease->slot, lease, lease->rec.uid,
		    "goes on with the work of lease %.8s", id_to_string(&lease->rec.handoff, from));
	pools_count(p, &p->stats.handoffs);
}

struct lease *lease_grant(struct slot *slot, struct waiter *w, const char *head, const char *branch)
{
	struct pools *p = slot->pool->pools;
	struct token_record token = { 0 };
	struct lease_record rec = { 0 };
	struct lease *lease;

	slot_edit(slot);
	batch_save(p->batch, &slot->lease, sizeof(slot->lease));
	slot->rec.token = token.token = lease_next_token(slot);
	fill_record(&rec, w, slot, head, branch);
	lease = lease_new(slot, &rec);
	if (!lease)
		return NULL;
	lease->behind = w->behind;
	batch_undo(p->batch, undo_grant, lease);
	if (w->spec.key[0])
		lease->key = key_grant(p, w, &rec);
	slot->rec.lease = rec.id;
	slot->rec.allocations++;
	/* head and branch may be the slot's own fields: what was made of them is copied */
	memcpy(slot->rec.head, rec.base, sizeof(slot->rec.head));
	memcpy(slot->rec.branch, rec.branch, sizeof(slot->rec.branch));
	slot_move(slot, SLOT_STATE_LEASED, NULL);
	batch_put_token(p->batch, slot->rec.name, &token);
	lease->rec.sequence = pools_event(p, "lease_created", slot->pool, slot, lease, rec.uid,
					  "%s%s%s", rec.agent, rec.branch[0] ? " on " : "",
					  rec.branch);
	if (!id_is_null(&rec.handoff))
		note_handoff(lease);
	lease_bind(lease, &w->spec); /* whose process may have ended by now */
	/* not by default: a log on the ledger's disk makes the next commit wait for it */
	log_debug("lease", "lease given slot=%s agent=%s token=%llu", slot->rec.name, rec.agent,
		  (unsigned long long)rec.token);
	batch_put_lease(p->batch, &lease->rec);
	return lease;
}

/* --- ending --- */

static const char *event_of(enum lease_end how)
{
	switch (how) {
	case LEASE_END_FINISHED:
		return "lease_finished";
	case LEASE_END_EXPIRED:
		return "lease_recovered";
	case LEASE_END_FORCED:
		return "lease_forced";
	default:
		return "lease_released";
	}
}

static void after_end(void *arg, int error, const struct fault *why)
{
	struct lease *lease = arg;
	struct pools *p = lease->slot->pool->pools;
	const struct handoff *left = error ? NULL : handoff_find(p, &lease->rec.id);

	if (left && handoff_record(left)->end == LEASE_END_EXPIRED)
		recovered_tell(lease, handoff_record(left)->held_usec, handoff_record(left)->reason);
	if (!error)
		lease_free(lease);
}

void lease_declare(struct lease *lease, enum lease_declared declared, const char *message)
{
	struct batch *b = lease->slot->pool->pools->batch;

	lease_edit(lease);
	batch_save(b, &lease->declared, sizeof(lease->declared));
	lease->declared = (uint8_t)declared;
	if (message)
		snprintf(lease->rec.message, sizeof(lease->rec.message), "%s", message);
}

/* a holder that lives and declares its end should have been heard before */
static void note_terminal(struct lease *lease)
{
	struct pools *p = lease->slot->pool->pools;

	if (!lease_is_past_grace(lease))
		return;
	pools_count(p, &p->stats.terminal);
	log_warning("a lease that was about to be recovered was finished by its holder: its reports do not "
		    "arrive in time slot=%s agent=%s", lease->rec.slot, lease->rec.agent);
}

/* until the slot is clean: what is saved of it is theirs */
static void remember_holder(struct slot_record *slot, const struct lease_record *lease)
{
	slot->left_lease = lease->id;
	slot->left_uid = lease->uid;
	memcpy(slot->left_task, lease->task, sizeof(slot->left_task));
	memcpy(slot->left_base, lease->base, sizeof(slot->left_base));
	slot->left_since_usec = lease->acquired.wall_usec;
}

uint64_t lease_finish(struct lease *lease, enum lease_end how, bool discard, uint32_t uid,
		      const char *detail)
{
	struct slot *slot = lease->slot;
	struct pools *p = slot->pool->pools;
	uint64_t held = moment_age_usec(&lease->rec.acquired), sequence;

	if (how == LEASE_END_FINISHED)
		note_terminal(lease);
	if (how == LEASE_END_EXPIRED)
		pools_count(p, &p->stats.recoveries);

	sequence = pools_event(p, event_of(how), slot->pool, slot, lease, uid, "%s%s%s",
			       discard ? "discard" : "", discard && detail[0] ? " " : "", detail);
	log_info("lease over: %s slot=%s agent=%s token=%llu", event_of(how), slot->rec.name,
		 lease->rec.agent, (unsigned long long)lease->rec.token);
	lease_timer_follows(lease);
	batch_save(p->batch, &lease->ended, sizeof(lease->ended));
	batch_save(p->batch, &slot->lease, sizeof(slot->lease));
	slot_edit(slot);
	lease->ended = true;
	lease_stop_inquiry(lease);
	slot->lease = NULL;
	memset(&slot->rec.lease, 0, sizeof(slot->rec.lease));
	slot->rec.used_usec += held;
	slot->rec.released_usec = clock_wall_usec();
	remember_holder(&slot->rec, &lease->rec);
	memcpy(slot->rec.last_agent, lease->rec.agent, sizeof(slot->rec.last_agent));
	memcpy(slot->rec.last_branch, lease->rec.branch, sizeof(slot->rec.last_branch));
	batch_delete_lease(p->batch, &lease->rec.id);
	handoff_leave(lease, how, discard, held, detail);
	if (lease->key)
		key_end(p, lease->key, how);
	slot->rec.forget = discard;
	slot->rec.hook_due = slot->pool->conf->release.run.n > 0;
	slot_clean(slot, discard, how == LEASE_END_EXPIRED ? "its lease expired" : NULL);
	p->n_recovered += how == LEASE_END_EXPIRED;
	batch_after(p->batch, after_end, lease);
	return sequence;
}

/* --- looking --- */

struct lease *lease_next(struct pools *p, struct lease *lease)
{
	struct list *l = lease ? lease->link.next : p->all_leases.next;

	while (l != &p->all_leases && list_entry(l, struct lease, link)->ended)
		l = l->next;
	return l == &p->all_leases ? NULL : list_entry(l, struct lease, link);
}

const struct lease_record *lease_record(const struct lease *lease)
{
	return &lease->rec;
}

struct slot *lease_slot(const struct lease *lease)
{
	return lease->slot;
}

int64_t lease_behind(const struct lease *lease)
{
	bool same = strcmp(lease->rec.base, lease->slot->pool->rec.head) == 0;

	return lease->behind < 0 && same ? 0 : lease->behind;
}

const char *lease_id(const struct lease *lease)
{
	return lease->id_text;
}

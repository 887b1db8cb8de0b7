/* What is known of a slot or a lease, and what happened to it, in sentences. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lease/policy.h"
#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

#define LOOK_BACK    20000 /* events that are looked through; reading them keeps the loop from others */
#define MOST_EVENTS  200

/* what is asked about */
struct subject {
	struct slot *slot;   /* NULL: gone */
	struct lease *lease; /* NULL: none, or it has ended */
	char slot_name[NAME_SIZE];
	char pool_name[NAME_SIZE];
	char lease_id[ID_TEXT_SIZE]; /* only what happened to this lease; "": all of the slot */
	bool is_found;
};

struct telling {
	struct subject *subject;
	json_object *sentences;
};

/* --- what is asked about --- */

static void found(struct subject *s, struct slot *slot, struct lease *lease)
{
	s->is_found = true;
	s->slot = slot;
	s->lease = lease;
	memcpy(s->slot_name, slot_record(slot)->name, sizeof(s->slot_name));
	memcpy(s->pool_name, slot_record(slot)->pool, sizeof(s->pool_name));
}

/* a lease that has ended is known from its events */
static int find_ended(const struct event_record *e, void *userdata)
{
	struct subject *s = userdata;

	if (strcmp(e->lease, s->lease_id) != 0)
		return 0;
	s->is_found = true;
	memcpy(s->slot_name, e->slot, sizeof(s->slot_name));
	memcpy(s->pool_name, e->pool, sizeof(s->pool_name));
	return -ECANCELED;
}

static uint64_t begin_of_history(struct slotd *d)
{
	uint64_t last = ledger_last_sequence(pools_ledger(d->pools));

	return last > LOOK_BACK ? last - LOOK_BACK : 0;
}

static int find_lease_subject(struct slotd *d, const char *text, const struct id *id, struct subject *s,
			      struct fault *f)
{
	struct lease *lease = pools_find_lease(d->pools, id);
	int r = 0;

	snprintf(s->lease_id, sizeof(s->lease_id), "%s", text);
	if (lease) {
		found(s, lease_slot(lease), lease);
	} else {
		r = ledger_read_events(pools_ledger(d->pools), begin_of_history(d), LOOK_BACK, find_ended, s, f);
		s->slot = s->is_found ? pools_find_slot(d->pools, s->slot_name) : NULL;
	}
	return r == -ECANCELED ? 0 : r;
}

static int find_subject(struct slotd *d, const char *what, struct subject *s, struct fault *f)
{
	struct slot *slot;
	struct id id;

	if (id_from_string(what, &id) == 0)
		return find_lease_subject(d, what, &id, s, f);
	slot = what[0] == '/' ? pools_find_slot_by_path(d->pools, what) : pools_find_slot(d->pools, what);
	if (slot)
		found(s, slot, slot_lease(slot));
	return 0;
}

/* --- how it is --- */

static void say_slot(const struct subject *s, json_object *list)
{
	const struct slot_record *r = slot_record(s->slot);

	say(list, "Slot %s of pool %s is %s%s%s.", r->name, r->pool, slot_state_to_string(r->state),
	    r->reason[0] ? ": " : "", r->reason);
}

static void say_binding(const struct lease_record *r, json_object *list)
{
	if (r->bound_end.wall_usec)
		say(list, "What it is bound to has ended: it is over after its grace, unless its holder reports.");
	else if (r->bind & LEASE_BIND_PROCESS)
		say(list, "It is bound to process %u, which lives.", r->bound_pid);
	else if (r->bind & LEASE_BIND_CONNECTION)
		say(list, "It is bound to a connection, which is open.");
	else if (r->bind & LEASE_BIND_MANUAL)
		say(list, "Nothing but a release ends it.");
}

static void say_time(const struct lease_record *r, json_object *list)
{
	uint64_t now = clock_wall_usec(), end = moment_wall_usec(&r->deadline);
	char age[DURATION_TEXT_SIZE];

	if (!end)
		return;
	format_age(end > now ? end - now : now - end, age);
	if (end > now)
		say(list, "Its time ends in %s; then an inquiry is made.", age);
	else
		say(list, "Its time ended %s ago; it can still be renewed.", age);
}

static const char *words_of_status(const char *status)
{
	static const struct {
		const char *status, *words;
	} known[] = { { "renewed", "active" },
		      { "expiring_soon", "about to run out" },
		      { "grace", "in its grace" },
		      { "expired", "past its grace" } };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].status, status) == 0)
			return known[i].words;
	return status;
}

static void say_lease(const struct subject *s, json_object *list)
{
	const struct lease_record *r = lease_record(s->lease);
	char held[DURATION_TEXT_SIZE];

	format_age(moment_age_usec(&r->acquired), held);
	say(list, "%s%s holds it for %s%s%s; its lease is %s, renewed %u %s.",
	    r->agent[0] ? "Agent " : "Somebody", r->agent, held, r->task[0] ? ", for " : "", r->task,
	    words_of_status(lease_status(s->lease)), r->renewals, text_plural(r->renewals, "time", "times"));
	if (r->stuck)
		say(list, "It may be stuck: renewed %u times, the last %u without progress.", r->renewals,
		    r->without_progress);
	if (r->extensions)
		say(list, "It was extended %u of %d times for an operation in progress.", r->extensions,
		    LEASE_EXTENSIONS);
	if (r->progress >= 0)
		say(list, "It reported %d %% done.", r->progress);
	if (r->message[0])
		say(list, "Its last message: \"%s\".", r->message);
	say_binding(r, list);
	say_time(r, list);
}

/* the newest last; of a lease only its own */
static void say_salvage(struct slotd *d, const struct subject *s, json_object *list)
{
	char lease[ID_TEXT_SIZE], age[DURATION_TEXT_SIZE];

	for (struct salvage *v = salvage_next(d->pools, NULL); v; v = salvage_next(d->pools, v)) {
		const struct salvage_record *r = salvage_record(v);

		if (strcmp(r->slot, s->slot_name) != 0 ||
		    (s->lease_id[0] && strcmp(id_to_string(&r->lease, lease), s->lease_id) != 0))
			continue;
		say(list, "Saved of it%s%s, %s ago: %s; see: slotctl salvage show %s",
		    r->agent[0] ? ", as left by " : "", r->agent,
		    format_age(moment_age_usec(&r->known), age), r->summary, salvage_id(v));
	}
}

/* --- what happened --- */

static const char *words_of(const char *kind)
{
	static const struct {
		const char *kind, *words;
	} known[] = {
		{ "slot_creating", "its making began" },
		{ "slot_ready", "it is ready" },
		{ "slot_isolated", "it was isolated" },
		{ "seed_failed", "its seed files could not be copied" },
		{ "ports_failed", "there were no ports for it" },
		{ "ports_moved", "it got other ports" },
		{ "warmed", "it was warmed up" },
		{ "warmup_failed", "it could not be warmed up" },
		{ "slot_warm_asked", "an operator wants it warmed up" },
		{ "hook_failed", "a hook failed" },
		{ "slot_removed", "it was removed" },
		{ "lease_created", "it was leased" },
		{ "lease_renewed", "the lease was renewed" },
		{ "lease_released", "it was given back" },
		{ "lease_finished", "its holder declared the end" },
		{ "lease_forced", "an operator took it back" },
		{ "lease_expiring_soon", "the time of the lease runs out" },
		{ "lease_kept", "an inquiry kept the lease" },
		{ "lease_suspect", "its holder became suspect" },
		{ "lease_handoff", "its holder goes on with the work of another" },
		{ "late_report", "a report came after the end" },
		{ "lease_max_age", "the lease has become old" },
		{ "lease_stuck", "the lease may be stuck" },
		{ "lease_recovered", "the lease ended without its holder" },
		{ "salvaged", "what was not saved elsewhere was saved" },
		{ "salvage_special", "something was passed over in saving" },
		{ "salvage_found", "something that was saved was found in the store" },
		{ "salvage_lost", "something that was saved is gone from the store" },
		{ "salvage_dropped", "something that was saved was dropped" },
		{ "salvage_branched", "a branch was made of what was saved" },
		{ "merge_conflict_extension", "the lease was extended" },
		{ "processes_left", "processes were still in it" },
		{ "processes_ended", "the processes in it have ended" },
		{ "holder_ended", "its holder ended" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].kind, kind) == 0)
			return known[i].words;
	return kind;
}

static int tell_event(const struct event_record *e, void *userdata)
{
	struct telling *t = userdata;
	const struct subject *s = t->subject;
	time_t at = (time_t)(e->at_usec / USEC_PER_SEC);
	char when[32] = "";
	struct tm tm;

	/* slotctl events has that */
	if (strcmp(e->kind, "command_output") == 0)
		return 0;
	if (strcmp(e->slot, s->slot_name) != 0 || (s->lease_id[0] && strcmp(e->lease, s->lease_id) != 0))
		return 0;
	if (gmtime_r(&at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	say(t->sentences, "%s %s%s%s", when, words_of(e->kind), e->detail[0] ? ": " : "", e->detail);
	if (json_object_array_length(t->sentences) > MOST_EVENTS)
		json_object_array_del_idx(t->sentences, 0, 1);
	return 0;
}

/* --- the method --- */

static void answer(struct slotd *d, struct rpc_call *call, const struct subject *s, json_object *events)
{
	json_object *list = json_object_new_array(), *o = json_object_new_object();

	if (s->slot)
		say_slot(s, list);
	else
		say(list, "Slot %s of pool %s is gone.", s->slot_name, s->pool_name);
	if (s->lease)
		say_lease(s, list);
	else if (s->lease_id[0])
		say(list, "Lease %.8s has ended.", s->lease_id);
	say_salvage(d, s, list);
	json_set_string(o, "slot", s->slot_name);
	json_set_string(o, "pool", s->pool_name);
	json_set(o, "state", s->lease ? json_object_new_string(lease_status(s->lease)) : NULL);
	json_set(o, "sentences", list);
	json_set(o, "history", events);
	rpc_reply(call, o);
}

READ(explain)
{
	const char *what = json_get_string(params, "what");
	struct slotd *d = userdata;
	struct subject s = { 0 };
	struct telling t = { .subject = &s };
	int r = find_subject(d, what, &s, f);

	if (r < 0)
		return r;
	if (!s.is_found || !caller_may(d, call, pools_find(d->pools, s.pool_name), CONF_ACCESS_OBSERVE)) {
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "slot"),
			  "%s is no slot, no path in one, and no lease that is remembered", what);
		return 0;
	}
	t.sentences = json_object_new_array();
	r = ledger_read_events(pools_ledger(d->pools), begin_of_history(d), LOOK_BACK, tell_event, &t, f);
	if (r < 0) {
		json_object_put(t.sentences);
		return r;
	}
	answer(d, call, &s, t.sentences);
	return 0;
}

/* What the last holder left, as JSON and as the lines that the next one reads. */
#include <stdio.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/parse.h"
#include "util/text.h"

/* --- the lines --- */

/* what people call it: "origin/main", "main" */
static const char *short_ref(const char *ref)
{
	static const char *const prefixes[] = { "refs/heads/", "refs/remotes/", "refs/tags/" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (text_has_prefix(ref, prefixes[i]))
			return ref + strlen(prefixes[i]);
	return ref;
}

static void say_branch(json_object *lines, const struct handoff_record *r, const struct pool *pool,
		       const char *branch)
{
	const char *ref = pool && pool_record(pool)->full_ref[0] ? pool_record(pool)->full_ref : r->base;
	_cleanup_(freep) char *theirs = text_quote_shell(r->branch);
	_cleanup_(freep) char *base = text_quote_shell(short_ref(ref));

	if (!theirs || !base)
		return;
	if (!r->branch[0]) {
		say(lines, "It worked on no branch, from commit %.12s.", r->base);
		return;
	}
	if (branch && strcmp(branch, r->branch) == 0)
		say(lines, "You are on its branch %s: there is nothing to merge.", theirs);
	else
		say(lines, "Take its commits over: git merge %s", theirs);
	say(lines, "Read them: git log %s..%s", base, theirs);
	say(lines, "What they change: git diff %s %s", base, theirs);
}

static void say_reports(json_object *lines, const struct handoff_record *r)
{
	if (r->progress >= 0)
		say(lines, "It had come to %d %%.", r->progress);
	else
		say(lines, "It reported no progress.");
	if (r->declared)
		say(lines, "It declared its work %s.",
		    lease_declared_to_string((enum lease_declared)r->declared));
	if (r->message[0])
		say(lines, "Its last note: \"%s\"", r->message);
	else
		say(lines, "It left no notes.");
}

/* is what was not saved still where it was left? */
static bool is_in_isolation(struct slotd *d, const struct handoff_record *r)
{
	struct slot *slot = pools_find_slot(d->pools, r->slot);
	const struct handoff *last = handoff_find_by_slot(d->pools, r->slot);

	return slot && slot_record(slot)->state == SLOT_STATE_ISOLATED && last &&
	       id_is_equal(&handoff_record(last)->lease, &r->lease);
}

static bool is_on_its_way(const struct slot *slot)
{
	enum slot_state s = slot_record(slot)->state;

	return s == SLOT_STATE_CLEANING || s == SLOT_STATE_RECOVERING;
}

static void say_saved(json_object *lines, const struct salvage *s, unsigned n)
{
	if (n > 1)
		say(lines, "What it had not saved is kept in %u parts, the newest is %s (%s); all: slotctl salvage list", n,
		    salvage_id(s), salvage_record(s)->summary);
	else
		say(lines, "What it had not saved is kept: %s", salvage_record(s)->summary);
	say(lines, "Put it into your own slot, while that is clean: slotctl salvage restore %s", salvage_id(s));
}

static void say_work(struct slotd *d, json_object *lines, const struct handoff_record *r)
{
	struct slot *slot = pools_find_slot(d->pools, r->slot);
	_cleanup_(freep) char *path = slot ? slot_path(slot) : NULL;
	unsigned n;
	const struct salvage *saved = salvage_find_by_lease(d->pools, &r->lease, &n);

	if (saved)
		say_saved(lines, saved, n);
	if (r->discarded)
		say(lines, "What was not saved was thrown away, as its holder asked.");
	else if (path && is_in_isolation(d, r))
		say(lines, "What it had not saved is in %s, as it was left (slot %s is isolated: %s)", path,
		    r->slot, slot_record(slot)->reason);
	else if (slot && is_on_its_way(slot))
		say(lines, "Whether anything was not saved is being found out: slotctl explain %s", r->slot);
	else if (!saved)
		say(lines, "Nothing was left that is not saved.");
}

static json_object *instructions_of(struct slotd *d, const struct handoff_record *r, const char *branch)
{
	json_object *lines = json_object_new_array();

	say_branch(lines, r, pools_find(d->pools, r->pool), branch);
	say_reports(lines, r);
	say_work(d, lines, r);
	if (r->declared == LEASE_DECLARED_DONE)
		say(lines, "Its holder said that it was done: look whether anything is left to do; do not start again.");
	else
		say(lines, "Continue from there; do not start again.");
	return lines;
}

/* --- the JSON --- */

static const char *reason_of(const struct handoff_record *r)
{
	switch ((enum lease_end)r->end) {
	case LEASE_END_EXPIRED:
		return "recovered";
	case LEASE_END_FORCED:
		return "forced";
	case LEASE_END_FINISHED:
		return r->declared ? lease_declared_to_string((enum lease_declared)r->declared) : "done";
	default:
		return "released";
	}
}

json_object *handoff_to_json(struct slotd *d, const struct id *lease, const char *branch)
{
	const struct handoff *h = id_is_null(lease) ? NULL : handoff_find(d->pools, lease);
	const struct handoff_record *r = h ? handoff_record(h) : NULL;
	json_object *o = h ? json_object_new_object() : NULL;
	char id[ID_TEXT_SIZE];

	if (!h)
		return NULL;
	json_set(o, "agent", string_or_null(r->agent));
	json_set_string(o, "lease", id_to_string(&r->lease, id));
	json_set(o, "task", string_or_null(r->task));
	json_set(o, "branch", string_or_null(r->branch));
	json_set(o, "salvage", salvage_to_json(d, &r->lease));
	json_set(o, "progress", r->progress >= 0 ? json_object_new_int(r->progress) : NULL);
	json_set(o, "message", string_or_null(r->message));
	json_set_int(o, "heldUsec", (int64_t)r->held_usec);
	json_set_string(o, "reason", reason_of(r));
	json_set_int(o, "recoveredAtUsec", (int64_t)moment_wall_usec(&r->ended));
	json_set_int(o, "expiresAtUsec", (int64_t)handoff_expires_usec(d->pools, h));
	json_set(o, "checkpoint", NULL);
	json_set(o, "instructions", instructions_of(d, r, branch));
	return o;
}

/* --- the method --- */

/* of a slot that is leased: what its holder was given */
static const struct handoff *find_given(struct slotd *d, const char *what, struct lease **ret)
{
	struct slot *slot = what[0] == '/' ? pools_find_slot_by_path(d->pools, what) :
					     pools_find_slot(d->pools, what);
	const struct handoff *h;
	struct id id;

	if (id_from_string(what, &id) == 0)
		*ret = pools_find_lease(d->pools, &id);
	else
		*ret = slot ? slot_lease(slot) : NULL;
	if (*ret && !id_is_null(&lease_record(*ret)->handoff))
		return handoff_find(d->pools, &lease_record(*ret)->handoff);
	if (*ret)
		return NULL;
	if (id_from_string(what, &id) == 0)
		h = handoff_find(d->pools, &id);
	else if (slot)
		h = handoff_find_by_slot(d->pools, slot_record(slot)->name);
	else
		h = handoff_find_by_name(d->pools, what);
	return h && handoff_is_offered(d->pools, h) ? h : NULL;
}

READ(handoff)
{
	const char *what = json_get_string(params, "what");
	struct slotd *d = userdata;
	struct lease *lease = NULL;
	const struct handoff *h = find_given(d, what, &lease);
	const struct pool *pool = h ? pools_find(d->pools, handoff_record(h)->pool) : NULL;

	if (!h || !caller_may(d, call, pool, CONF_ACCESS_OBSERVE)) {
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "handoff"),
			  lease ? "whoever has %s went on with nobody's work" :
				  "nobody left anything under the name %s; what leases leave is kept for "
				  "lease.handoff_for", what);
		return 0;
	}
	rpc_reply(call, json_set(json_object_new_object(), "handoff",
				 handoff_to_json(d, &handoff_record(h)->lease,
						 lease ? lease_record(lease)->branch : NULL)));
	return 0;
}

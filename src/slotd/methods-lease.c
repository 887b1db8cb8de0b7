/* Release, renew, finish: what a holder does with its lease. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotd/methods.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/parse.h"
#include "util/process.h"
#include "util/text.h"

/* --- release and finish --- */

struct release_call {
	struct slotd *d;
	struct rpc_call *call;
	json_object *reply;
	struct id lease;
};

static void release_answer(struct release_call *rc)
{
	rpc_reply(rc->call, rc->reply);
	rpc_call_unref(rc->call);
	free(rc);
}

static void add_process(const struct process_found *p, void *userdata)
{
	json_object *o = json_object_new_object();

	json_set_int(o, "pid", p->id.pid);
	json_set_string(o, "name", p->name);
	json_set_string(o, "use", process_use_to_string(p->use));
	json_object_array_add(userdata, o);
}

/* who was in it after the lease had ended, as far as is known by now */
static json_object *processes_to_json(struct slotd *d, const char *slot_name, const struct id *lease)
{
	struct slot *slot = pools_find_slot(d->pools, slot_name);
	json_object *list = json_object_new_array();

	if (slot)
		slot_each_leftover(slot, lease, add_process, list);
	return list;
}

/* others are in it, and so it will take a while: who listens hears it now */
static void on_left(struct slot *slot, void *userdata)
{
	const struct slot_record *r = slot_record(slot);
	struct release_call *rc = userdata;
	json_object *o = NULL;

	if (!rpc_call_wants_more(rc->call) || !rpc_call_has_room(rc->call) ||
	    json_object_deep_copy(rc->reply, &o, NULL) < 0)
		return;
	json_set_string(o, "reason", r->reason);
	json_set(o, "processes", processes_to_json(rc->d, r->name, &rc->lease));
	(void)rpc_reply_more(rc->call, o);
}

static void on_settled(const char *slot, enum slot_state state, const char *reason,
		       const struct refusal *refusal, void *userdata)
{
	struct release_call *rc = userdata;

	if (refusal) {
		answer_refusal(rc->call, refusal);
		json_object_put(rc->reply);
		rpc_call_unref(rc->call);
		free(rc);
		return;
	}
	json_set_string(rc->reply, "state",
			state == SLOT_STATE_REMOVING ? "gone" : slot_state_to_string(state));
	json_set(rc->reply, "reason",
		 state == SLOT_STATE_READY || state == SLOT_STATE_REMOVING ? NULL :
									     string_or_null(reason));
	json_set(rc->reply, "salvage", salvage_to_json(rc->d, &rc->lease));
	json_set(rc->reply, "processes", processes_to_json(rc->d, slot, &rc->lease));
	release_answer(rc);
}

/* the lease that a call means by id, slot or path; answers and returns NULL when it may not be */
static struct lease *find_lease_by_place(struct slotd *d, struct rpc_call *call, const char *what)
{
	struct slot *slot = what[0] == '/' ? pools_find_slot_by_path(d->pools, what) :
					     pools_find_slot(d->pools, what);

	if (!slot)
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "lease"),
			  "%s is no lease, no slot and no path in one", what);
	else if (!slot_lease(slot))
		rpc_error(call, "io.slotd.pool.LeaseGone", NULL, "slot %s is not leased (it is %s)",
			  slot_record(slot)->name, slot_state_to_string(slot_record(slot)->state));
	return slot ? slot_lease(slot) : NULL;
}

static struct lease *find_lease(struct slotd *d, struct rpc_call *call, const char *text, bool *by_id)
{
	struct lease *lease;
	struct id id;

	*by_id = id_from_string(text, &id) == 0;
	if (!*by_id)
		return find_lease_by_place(d, call, text);
	lease = pools_find_lease(d->pools, &id);
	if (!lease)
		rpc_error(call, "io.slotd.pool.LeaseGone", NULL,
			  "lease %.8s has ended: expired, released or never given", text);
	return lease;
}

/* what a holder reports of its work */
struct report {
	int32_t progress; /* -1: nothing */
	const char *message; /* NULL: nothing */
	enum lease_declared declared;
};

static const struct report no_report = { -1, NULL, LEASE_DECLARED_NONE };

/* the lease is gone, and whoever goes on with the work has a use for what its holder says */
static void answer_gone(struct slotd *d, struct rpc_call *call, const struct id *id,
			const struct report *report)
{
	const struct handoff *left = handoff_find(d->pools, id);
	char text[ID_TEXT_SIZE], ago[DURATION_TEXT_SIZE];

	id_to_string(id, text);
	if (handoff_report(d->pools, id, rpc_call_peer(call)->uid, report->progress, report->message,
			   report->declared))
		answer_error_after_commit(d, call, "io.slotd.pool.LeaseGone",
					  "lease %.8s has ended; the report is kept for whoever goes on with "
					  "its work: slotctl acquire --resume %s", text, text);
	else if (left)
		rpc_error(call, "io.slotd.pool.LeaseGone", NULL,
			  "lease %.8s ended %s ago (%s); see: slotctl explain %s", text,
			  format_age(moment_age_usec(&handoff_record(left)->ended), ago),
			  handoff_record(left)->reason[0] ? handoff_record(left)->reason : "released", text);
	else
		rpc_error(call, "io.slotd.pool.LeaseGone", NULL,
			  "lease %.8s has ended: expired, released or never given", text);
}

/* a well-formed id that is not known is gone; what is no id at all is not found */
static struct lease *find_lease_by_id(struct slotd *d, struct rpc_call *call, json_object *params,
				      const struct report *report)
{
	const char *text = json_get_string(params, "lease");
	struct lease *lease;
	struct id id;

	if (id_from_string(text, &id) < 0) {
		rpc_error(call, "io.slotd.pool.NotFound",
			  json_set_string(json_object_new_object(), "what", "lease"),
			  "%s is no lease id (32 hex digits)", text);
		return NULL;
	}
	lease = pools_find_lease(d->pools, &id);
	if (!lease)
		answer_gone(d, call, &id, report);
	return lease;
}

/* who does not name the lease must be its process, a descendant of it, or its agent */
static bool may_end(struct slotd *d, struct rpc_call *call, const struct lease *lease, bool by_id,
		    const char *agent, bool force)
{
	const struct lease_record *r = lease_record(lease);
	const struct pool *pool = slot_pool(lease_slot(lease));
	bool is_operator = caller_may(d, call, pool, CONF_ACCESS_OPERATE);

	if (force && is_operator)
		return true;
	if (by_id && (is_operator || rpc_call_peer(call)->uid == r->uid))
		return true;
	if (is_operator && agent && r->agent[0] && strcmp(agent, r->agent) == 0)
		return true;
	if (is_operator && process_descends_from(rpc_call_peer(call)->pid, (pid_t)r->pid, r->pid_start))
		return true;
	rpc_error(call, "io.slotd.pool.NotPermitted", NULL,
		  "slot %s is held by %s: name the lease, or its agent, or take it with --force", r->slot,
		  r->agent[0] ? r->agent : "another process");
	return false;
}

static void end_lease(struct slotd *d, struct rpc_call *call, json_object *params,
		      struct lease *lease, enum lease_end how, const char *detail)
{
	const struct lease_record *r = lease_record(lease);
	struct slot *slot = lease_slot(lease);
	json_object *reply = json_object_new_object();
	struct id id = r->id;
	struct release_call *rc;
	uint64_t sequence;

	json_set_string(reply, "lease", lease_id(lease));
	json_set_string(reply, "slot", r->slot);
	json_set_string(reply, "pool", r->pool);
	json_set(reply, "salvage", NULL);
	json_set_string(reply, "state", "cleaning");
	json_set(reply, "reason", NULL);
	json_set(reply, "processes", NULL);
	slot_note_leaver(slot, rpc_call_peer(call)->pid);
	sequence = lease_finish(lease, how, json_get_bool(params, "discard", false),
				rpc_call_peer(call)->uid, detail);
	json_set_int(reply, "sequence", (int64_t)sequence);
	rc = json_get_bool(params, "wait", true) ? calloc(1, sizeof(*rc)) : NULL;
	if (rc) {
		rc->d = d;
		rc->call = rpc_call_ref(call);
		rc->reply = reply;
		rc->lease = id;
		if (slot_follow(slot, on_settled, on_left, rc) == 0) {
			pools_commit_if_large(d->pools);
			return;
		}
		rpc_call_unref(rc->call);
		free(rc);
	}
	answer_after_commit(d, call, reply);
}

METHOD(release)
{
	const char *text = json_get_string(params, "lease");
	bool force = json_get_bool(params, "force", false), by_id;
	struct slotd *d = userdata;
	struct lease *lease = find_lease(d, call, text, &by_id);

	if (!lease || !may_end(d, call, lease, by_id, json_get_string(params, "agent"), force))
		return 0;
	end_lease(d, call, params, lease,
		  force && !by_id ? LEASE_END_FORCED : LEASE_END_RELEASED, "");
	return 0;
}

METHOD(finish)
{
	const char *state = json_get_string(params, "state");
	struct report report = { -1, json_get_string(params, "message"), LEASE_DECLARED_DONE };
	struct slotd *d = userdata;
	char detail[REASON_SIZE];
	struct lease *lease;

	if (state && lease_declared_from_string(state, &report.declared) < 0) {
		rpc_error_parameter(call, "state");
		return 0;
	}
	if (report.message && strlen(report.message) >= REASON_SIZE) {
		rpc_error_parameter(call, "message");
		return 0;
	}
	lease = find_lease_by_id(d, call, params, &report);
	if (!lease || !may_end(d, call, lease, true, NULL, false))
		return 0;
	lease_declare(lease, report.declared, report.message);
	snprintf(detail, sizeof(detail), "%s%s%.200s", lease_declared_to_string(report.declared),
		 report.message ? ": " : "", report.message ? report.message : "");
	end_lease(d, call, params, lease, LEASE_END_FINISHED, detail);
	return 0;
}

/* --- renew and touch --- */

static json_object *renewal_reply(const struct lease *lease)
{
	const struct lease_record *r = lease_record(lease);
	json_object *o = json_object_new_object();

	json_set_string(o, "lease", lease_id(lease));
	json_set_int(o, "token", (int64_t)r->token);
	json_set(o, "expiresAtUsec", usec_or_null(moment_wall_usec(&r->deadline)));
	return o;
}

/*
 * What somebody sent may be read only after his end, and then it prolongs nothing. Who connected may have
 * handed the connection on: as long as it is open, somebody is there.
 */
static bool caller_lives(const struct rpc_call *call)
{
	pid_t pid = rpc_call_peer(call)->pid;

	/* 0: of a PID namespace that is not ours; nothing is known of it */
	return pid <= 0 || process_lives(pid) || !rpc_call_peer_has_left(call);
}

METHOD(renew)
{
	struct slotd *d = userdata;
	const char *message = json_get_string(params, "message");
	int64_t progress = json_get_int(params, "progress", -1);
	struct lease *lease;
	json_object *reply;
	uint64_t sequence;

	if (json_object_object_get(params, "progress") && (progress < 0 || progress > 100)) {
		rpc_error_parameter(call, "progress");
		return 0;
	}
	if (message && strlen(message) >= REASON_SIZE) {
		rpc_error_parameter(call, "message");
		return 0;
	}
	lease = find_lease_by_id(d, call, params,
				 &(struct report){ (int32_t)progress, message, LEASE_DECLARED_NONE });
	if (!lease || !may_end(d, call, lease, true, NULL, false))
		return 0;
	if (caller_lives(call))
		sequence = lease_renew(lease, (int32_t)progress, message, false);
	else
		sequence = lease_note_last_words(lease, (int32_t)progress, message);
	reply = renewal_reply(lease);
	json_set_int(reply, "renewals", lease_record(lease)->renewals);
	json_set_int(reply, "sequence", (int64_t)sequence);
	answer_after_commit(d, call, reply);
	return 0;
}

METHOD(touch)
{
	struct slotd *d = userdata;
	struct lease *lease = find_lease_by_id(d, call, params, &no_report);

	if (!lease || !may_end(d, call, lease, true, NULL, false))
		return 0;
	if (caller_lives(call))
		lease_renew(lease, -1, NULL, true);
	answer_after_commit(d, call, renewal_reply(lease));
	return 0;
}

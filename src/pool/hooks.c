/*
 * The operator's commands when a slot is given out, and when it comes back.
 *
 * acquire.run runs in a slot that is prepared for somebody and not his yet: when it fails, the slot is cleaned and
 * another one is tried. release.run runs when the lease has ended, before anything is looked at in the slot; that it is
 * due is in the ledger with the end of the lease, so it runs once, or again after a crash. Its failure is told,
 * and keeps nobody.
 */
#include <stdio.h>

#include "pool/private.h"
#include "util/crash.h"
#include "util/json.h"
#include "util/log.h"

#define RETRY_USEC (500 * USEC_PER_MSEC)

static void set_optional(json_object *env, const char *name, const char *value)
{
	if (value[0])
		json_set_string(env, name, value);
}

static void set_token(json_object *env, uint64_t token)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)token);
	json_set_string(env, "SLOT_TOKEN", text);
}

static void set_lease(json_object *env, const struct id *lease)
{
	char text[ID_TEXT_SIZE];

	json_set_string(env, "SLOT_LEASE", id_to_string(lease, text));
}

static void note_failure(struct slot *slot, const char *which, const struct job_result *r, char *why,
			 size_t size)
{
	char ended[REASON_SIZE];

	slot_describe_run(slot, r, ended, sizeof(ended));
	snprintf(why, size, "%s: %.200s", which, ended);
	log_warning("%s slot=%s", why, slot->rec.name);
	slot_note_output(slot, r);
	pools_event(slot->pool->pools, "hook_failed", slot->pool, slot, NULL, UID_SLOTD, "%s", why);
	pools_changed(slot->pool->pools);
}

/* --- acquire.run --- */

static void answer(struct waiter *w, struct slot *slot, const struct job_result *r)
{
	char why[REASON_SIZE];
	struct job_result failed = { .outcome = JOB_REFUSED, .error = "HookFailed", .message = why };

	if (run_is_ok(r)) {
		waiter_grant(w, slot, slot->rec.head, slot->rec.branch);
		return;
	}
	if (r->outcome == JOB_CANCELED) {
		waiter_prepared(w, r);
		return;
	}
	note_failure(slot, "acquire.run", r, why, sizeof(why));
	failed.params = r->params;
	waiter_prepared(w, &failed);
}

static void on_acquire_run(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;

	slot->job = NULL;
	CRASH_POINT("pool.hook.acquire");
	if (slot->waiter)
		answer(slot->waiter, slot, r);
	else if (r->outcome != JOB_CANCELED)
		slot_clean(slot, true, "its acquire is gone");
}

bool pool_has_acquire_run(const struct pool *pool)
{
	return pool->conf->acquire.run.n > 0;
}

bool slot_start_acquire_run(struct slot *slot, struct waiter *w)
{
	const struct conf_pool *conf = slot->pool->conf;
	struct run_wish wish = { &conf->acquire.run, conf->acquire.timeout_usec, false };
	json_object *env;

	if (!pool_has_acquire_run(slot->pool))
		return false;
	if (id_is_null(&w->lease_id))
		id_random(&w->lease_id);
	env = slot_run_environment(slot);
	set_lease(env, &w->lease_id);
	set_token(env, lease_next_token(slot));
	set_optional(env, "SLOT_BRANCH", slot->rec.branch);
	set_optional(env, "SLOT_TASK", w->spec.task);
	set_optional(env, "SLOT_AGENT", w->spec.agent);
	slot_put(slot);
	if (slot_start_run(slot, &wish, env, on_acquire_run) < 0)
		slot_repeat_later(slot, USEC_PER_SEC);
	return true;
}

/* --- release.run --- */

/* lost before it could say how it ended: that says nothing about the command */
static bool try_again(struct slot *slot, const struct job_result *r)
{
	if (r->outcome == JOB_DONE || slot->rec.attempts + 1 >= pool_retry_attempts(slot->pool))
		return false;
	log_info("release.run: %s; run again slot=%s", r->message, slot->rec.name);
	slot_edit(slot);
	slot->rec.attempts++;
	slot_put(slot);
	slot_repeat_later(slot, RETRY_USEC);
	return true;
}

static void on_release_run(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;
	char why[REASON_SIZE];

	slot->job = NULL;
	CRASH_POINT("pool.hook.release");
	if (r->outcome == JOB_CANCELED)
		return; /* stopping: it is due at the next start */
	if (try_again(slot, r))
		return;
	if (!run_is_ok(r))
		note_failure(slot, "release.run", r, why, sizeof(why));
	slot_edit(slot);
	slot->rec.hook_due = false;
	slot->rec.attempts = 0;
	slot_put(slot);
	batch_after(slot->pool->pools->batch, slot_work_after, slot);
}

static void set_last_lease(json_object *env, const struct slot *slot)
{
	const struct handoff *h = handoff_find_by_slot(slot->pool->pools, slot->rec.name);
	const struct handoff_record *r = h ? handoff_record(h) : NULL;

	set_token(env, slot->rec.token);
	set_optional(env, "SLOT_AGENT", slot->rec.last_agent);
	set_optional(env, "SLOT_BRANCH", slot->rec.last_branch);
	if (!r)
		return;
	set_lease(env, &r->lease);
	set_optional(env, "SLOT_TASK", r->task);
}

bool slot_start_release_run(struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;
	struct run_wish wish = { &conf->release.run, conf->release.timeout_usec, false };
	json_object *env;

	if (!slot->rec.hook_due || slot->rec.state != SLOT_STATE_CLEANING || conf->release.run.n == 0)
		return false;
	env = slot_run_environment(slot);
	set_last_lease(env, slot);
	if (slot_start_run(slot, &wish, env, on_release_run) < 0)
		slot_repeat_later(slot, USEC_PER_SEC);
	return true;
}

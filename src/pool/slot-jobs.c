/*
 * What workers do to slots, and what becomes of it.
 *
 * The state says which job is due; slot_work() starts it when none runs, so it may be called
 * at any time: after a commit, after a restart, when a pause is over. The order is always:
 * intent committed, job sent, job over, outcome committed, others told.
 *
 * Cleaning is one job. Unless the holder said that it may go, the worker saves what is not safe
 * elsewhere before it discards the first byte, and says what it saved: that is recorded in the
 * commit that makes the slot ready. What it cannot save it leaves alone, and the slot is isolated.
 * A crash in the middle makes no half-reset tree look like somebody's work: the slot carries a
 * mark (git/worktree.h) until it is clean, and the job is simply repeated.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define RETRY_FIRST_USEC  (500 * USEC_PER_MSEC)
#define RETRY_MOST_USEC	  (60 * USEC_PER_SEC)
#define TRANSIENT_RETRIES 10
#define CREATE_PAUSE_FIRST (10 * USEC_PER_SEC)
#define CREATE_PAUSE_MOST  (10 * USEC_PER_MIN)

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

/* --- outcomes shared by all jobs of a slot --- */

/* what failed once will mostly fail again: the pool makes no more of them for a while */
static void note_failed_creation(struct pool *pool, const char *reason)
{
	pool_note_trouble(pool, "%s", reason);
	pool->create_failures++;
	pool->create_after_usec = clock_boot_usec() + backoff_usec(pool->create_failures,
								   CREATE_PAUSE_FIRST,
								   CREATE_PAUSE_MOST);
}

static void isolate(struct slot *slot, const char *what, const char *why)
{
	char reason[REASON_SIZE];

	snprintf(reason, sizeof(reason), "%.60s: %.180s", what, why);
	if (slot->rec.state == SLOT_STATE_CREATING)
		note_failed_creation(slot->pool, reason);
	slot_move(slot, SLOT_STATE_ISOLATED, reason);
}

/* one that was never made has nothing to keep: it goes, and its number with it */
static void give_up(struct slot *slot, const char *what, const char *why)
{
	char reason[REASON_SIZE];

	if (slot->rec.state != SLOT_STATE_CREATING) {
		isolate(slot, what, why);
		return;
	}
	snprintf(reason, sizeof(reason), "%.60s: %.180s", what, why);
	note_failed_creation(slot->pool, reason);
	slot_edit(slot);
	slot->rec.discard = true;
	slot_move(slot, SLOT_STATE_REMOVING, reason);
}

static void repeat_later(struct slot *slot, uint64_t usec)
{
	slot->retry_after_usec = clock_boot_usec() + usec;
	pools_look_later(slot->pool->pools, usec);
}

static void count_attempt(struct slot *slot)
{
	slot_edit(slot);
	slot->rec.attempts++;
	slot_put(slot);
}

/* no room, no store: the slot's neighbours would fare no better, and it will pass */
static void wait_until_it_passes(struct slot *slot, const char *what, const struct job_result *r)
{
	pool_note_trouble(slot->pool, "%s: %.180s", what, r->message);
	if (slot->rec.state == SLOT_STATE_CREATING && slot->pool->rec.state == POOL_STATE_REMOVING) {
		give_up(slot, what, r->message);
		return;
	}
	slot_tell_delay(slot, slot->pool->trouble);
	repeat_later(slot, RETRY_MOST_USEC / 6);
}

static bool is_one_of(const char *error, const char *const *names)
{
	for (; error && *names; names++)
		if (strcmp(error, *names) == 0)
			return true;
	return false;
}

static void failed_by_itself(struct slot *slot, const char *what, const struct job_result *r)
{
	static const char *const passing[] = { "NoSpace", "StoreGone", NULL };
	static const char *const final[] = { "Damaged", "Unsupported", "InTheWay", NULL };
	bool transient = text_is_equal(r->error, "Transient");

	if (is_one_of(r->error, passing)) {
		wait_until_it_passes(slot, what, r);
		return;
	}
	count_attempt(slot);
	if (is_one_of(r->error, final) ||
	    slot->rec.attempts >= (transient ? TRANSIENT_RETRIES : pool_retry_attempts(slot->pool))) {
		give_up(slot, what, r->message);
		return;
	}
	log_info("%s: %s; tried again slot=%s attempts=%u", what, r->message, slot->rec.name,
		 slot->rec.attempts);
	repeat_later(slot, backoff_usec(slot->rec.attempts, RETRY_FIRST_USEC, RETRY_MOST_USEC));
}

static void lost_its_worker(struct slot *slot, const char *what, const struct job_result *r)
{
	char why[REASON_SIZE];

	count_attempt(slot);
	if (slot->rec.attempts < pool_retry_attempts(slot->pool)) {
		log_info("%s: %s; tried again with a fresh worker slot=%s attempts=%u", what,
			 r->message, slot->rec.name, slot->rec.attempts);
		repeat_later(slot, backoff_usec(slot->rec.attempts, RETRY_FIRST_USEC, RETRY_MOST_USEC));
		return;
	}
	snprintf(why, sizeof(why), "%u %s: %.150s", slot->rec.attempts,
		 text_plural(slot->rec.attempts, "worker lost over it",
			     "workers lost over it, the last"), r->message);
	isolate(slot, what, why);
}

/* a worker that the kernel cannot end still has the lock: the next job waits for it */
static void stuck(struct slot *slot, const struct job_result *r)
{
	enum slot_state s = slot->rec.state;

	if (s == SLOT_STATE_CLEANING || s == SLOT_STATE_PREPARING)
		slot_move(slot, SLOT_STATE_RECOVERING, r->message);
	else
		repeat_later(slot, RETRY_MOST_USEC);
}

static void job_failed(struct slot *slot, const char *what, const struct job_result *r)
{
	switch (r->outcome) {
	case JOB_REFUSED:
		failed_by_itself(slot, what, r);
		break;
	case JOB_LOST:
	case JOB_LATE:
		lost_its_worker(slot, what, r);
		break;
	case JOB_STUCK:
		stuck(slot, r);
		break;
	case JOB_DONE:
	case JOB_CANCELED:
		break; /* stopping: the ledger knows what is to be done at the next start */
	}
}

/* --- the jobs --- */

static json_object *slot_params(const struct slot *slot)
{
	json_object *o = json_object_new_object();

	json_set_string(o, "slot", slot->rec.name);
	json_set_int(o, "dev", (int64_t)slot->rec.dev);
	json_set_int(o, "ino", (int64_t)slot->rec.ino);
	return o;
}

static void start(struct slot *slot, const char *method, json_object *params, uint64_t deadline,
		  job_done_fn done)
{
	struct job_spec spec = {
		.method = method,
		.params = params,
		.lock = slot->rec.name,
		.deadline_usec = deadline,
		.done = done,
		.userdata = slot,
	};

	CRASH_POINT("pool.job.before-start");
	if (job_start(slot->pool->site, &spec, &slot->job) < 0)
		repeat_later(slot, RETRY_FIRST_USEC);
}

static void on_created(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;

	slot->job = NULL;
	CRASH_POINT("pool.create.done");
	if (r->outcome != JOB_DONE) {
		job_failed(slot, "cannot make the worktree", r);
		return;
	}
	slot->pool->create_failures = 0;
	slot->pool->trouble[0] = '\0';
	slot_edit(slot);
	copy_text(slot->rec.head, sizeof(slot->rec.head), json_get_string(r->params, "head"));
	slot->rec.dev = (uint64_t)json_get_int(r->params, "dev", 0);
	slot->rec.ino = (uint64_t)json_get_int(r->params, "ino", 0);
	slot->rec.disk_bytes = (uint64_t)json_get_int(r->params, "diskBytes", 0);
	slot_furnish(slot);
}

static void start_create(struct slot *slot)
{
	json_object *params = json_object_new_object();

	json_set_string(params, "slot", slot->rec.name);
	json_set_string(params, "commit", slot->rec.target);
	start(slot, "SlotCreate", params, DEADLINE_TREE, on_created);
}

/* "not saved: 2 changed files: a, b; 1 commit on no branch: ..." */
static void isolate_unsaved(struct slot *slot, json_object *unsaved)
{
	char reason[REASON_SIZE];
	size_t n = json_object_array_length(unsaved), at;

	at = (size_t)snprintf(reason, sizeof(reason), "not saved: ");
	for (size_t i = 0; i < n && at < sizeof(reason); i++)
		at += (size_t)snprintf(reason + at, sizeof(reason) - at, "%s%s", i ? "; " : "",
				       json_object_get_string(
					       json_object_array_get_idx(unsaved, i)));
	while (!text_is_utf8(reason, strlen(reason)))
		reason[strlen(reason) - 1] = '\0'; /* cut in mid character */
	slot_move(slot, SLOT_STATE_ISOLATED, reason);
}

/* the holder that the ledger has lost finds his work where he left it; and it is in the store as well */
static void isolate_unsure(struct slot *slot, json_object *salvage)
{
	size_t n = salvage ? json_object_array_length(salvage) : 0;
	const char *summary = n ? json_get_string(json_object_array_get_idx(salvage, n - 1), "summary") : NULL;
	char reason[REASON_SIZE];

	snprintf(reason, sizeof(reason), "%.80s, and it holds work (%.90s), saved as well: whoever had it may "
		 "still be at it", slot->rec.reason[0] ? slot->rec.reason : "its lease was lost",
		 summary ? summary : "");
	slot_move(slot, SLOT_STATE_ISOLATED, reason);
}

/*
 * What was saved is recorded whatever becomes of the slot. true: the slot was left as it is, and so it is
 * isolated: not all could be saved, or it may be in use.
 */
static bool take_saved(struct slot *slot, json_object *reply)
{
	json_object *unsaved = json_get_array(reply, "unsaved");

	salvages_take(slot, json_get_array(reply, "salvage"));
	if (json_get_bool(reply, "left", false)) {
		isolate_unsure(slot, json_get_array(reply, "salvage"));
		return true;
	}
	if (!unsaved || json_object_array_length(unsaved) == 0)
		return false;
	isolate_unsaved(slot, unsaved);
	return true;
}

static json_object *string_or_null(const char *s)
{
	return s[0] ? json_object_new_string(s) : NULL;
}

/* whose work it is, and what it began from: the commits that are made of it say so */
static json_object *save_params(const struct slot *slot)
{
	const struct slot_record *r = &slot->rec;
	bool held = !id_is_null(&r->left_lease);
	json_object *o = json_object_new_object();
	char lease[ID_TEXT_SIZE];

	json_set_string(o, "lease", held ? id_to_string(&r->left_lease, lease) : NULL);
	json_set_string(o, "pool", r->pool);
	json_set(o, "agent", held ? string_or_null(r->last_agent) : NULL);
	json_set(o, "task", held ? string_or_null(r->left_task) : NULL);
	json_set(o, "branch", held ? string_or_null(r->last_branch) : NULL);
	json_set(o, "base", held ? string_or_null(r->left_base) : NULL);
	json_set(o, "fallback", string_or_null(r->head[0] ? r->head : r->left_base));
	json_set_int(o, "sinceUsec", (int64_t)r->left_since_usec);
	json_set_int(o, "atUsec", (int64_t)(r->left_usec ? r->left_usec : r->since_usec));
	return o;
}

/* of both jobs that discard what is in a slot */
static json_object *discarding_params(const struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;
	const char *to = slot->rec.target[0] ? slot->rec.target : slot->rec.head;
	json_object *params = slot_params(slot);

	json_set_string(params, "commit", to);
	json_set_bool(params, "discard", slot->rec.discard);
	json_set(params, "save", slot->rec.discard ? NULL : save_params(slot));
	json_set(params, "keep", conf_list_to_json(&conf->clean.keep));
	json_set(params, "wipe", conf_list_to_json(&conf->clean.wipe));
	json_set(params, "precious", conf_list_to_json(&conf->clean.precious));
	return params;
}

static void on_cleaned(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;

	slot->job = NULL;
	CRASH_POINT("pool.clean.done");
	if (r->outcome != JOB_DONE) {
		job_failed(slot, "cannot clean", r);
		return;
	}
	if (take_saved(slot, r->params))
		return;
	slot->pool->trouble[0] = '\0';
	slot_edit(slot);
	copy_text(slot->rec.head, sizeof(slot->rec.head), json_get_string(r->params, "head"));
	slot->rec.branch[0] = '\0';
	slot->rec.disk_bytes = (uint64_t)json_get_int(r->params, "diskBytes", 0);
	slot_furnish(slot);
}

static void start_clean(struct slot *slot)
{
	json_object *params = discarding_params(slot);

	/* files of slots are not synced: after a crash of the machine stat data proves nothing */
	json_set_bool(params, "content", !boot_id_is_same(&slot->rec.boot, clock_boot_id()));
	json_set_bool(params, "forgetLog", slot->rec.forget);
	json_set_bool(params, "wipeIgnored",
		      slot->pool->conf->clean.ignored == CONF_IGNORED_REMOVE);
	json_set_bool(params, "leave", slot->rec.unsure);
	start(slot, "SlotClean", params, DEADLINE_TREE, on_cleaned);
}

static void on_removed(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;

	slot->job = NULL;
	CRASH_POINT("pool.remove.done");
	if (r->outcome != JOB_DONE)
		job_failed(slot, "cannot remove", r);
	else if (!take_saved(slot, r->params))
		slot_forget(slot);
}

static void start_remove(struct slot *slot)
{
	start(slot, "SlotRemove", discarding_params(slot), DEADLINE_TREE, on_removed);
}

static void on_prepared(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;
	struct waiter *w = slot->waiter;

	slot->job = NULL;
	CRASH_POINT("pool.prepare.done");
	slot_edit(slot);
	if (r->outcome == JOB_DONE) {
		copy_text(slot->rec.head, sizeof(slot->rec.head), json_get_string(r->params, "head"));
		copy_text(slot->rec.branch, sizeof(slot->rec.branch),
			  json_get_string(r->params, "branch"));
	}
	if (w && r->outcome == JOB_DONE && slot_start_acquire_run(slot, w))
		return;
	if (w) {
		waiter_prepared(w, r);
	} else if (r->outcome == JOB_STUCK) {
		stuck(slot, r);
	} else if (r->outcome != JOB_CANCELED) {
		slot_clean(slot, true, "its acquire is gone");
	}
}

static void start_prepare(struct slot *slot)
{
	struct waiter *w = slot->waiter;
	json_object *params;
	const char *ref;

	if (!w) {
		slot_clean(slot, true, "its acquire is gone");
		return;
	}
	params = slot_params(slot);
	ref = w->spec.ref[0] ? w->spec.ref : slot->pool->rec.full_ref;
	json_set_string(params, "ref", ref);
	json_set_string(params, "commit", NULL);
	json_set_string(params, "base", slot->pool->rec.full_ref);
	json_set_string(params, "branch", w->spec.branch[0] ? w->spec.branch : NULL);
	start(slot, "SlotPrepare", params, DEADLINE_SLOT, on_prepared);
}

/* a slot that was found on disk goes where its pool stands, once that is known */
static bool has_target(struct slot *slot)
{
	if (slot->rec.target[0] || slot->rec.head[0])
		return true;
	if (!slot->pool->rec.head[0])
		return false;
	slot_edit(slot);
	memcpy(slot->rec.target, slot->pool->rec.head, sizeof(slot->rec.target));
	slot_put(slot);
	return true;
}

void slot_work(struct slot *slot)
{
	uint64_t now = clock_boot_usec();

	if (slot->gone || slot->job || !slot->pool->site || slot->pool->cloning ||
	    slot->pool->pools->stopping)
		return; /* looked at again when the store was opened */
	if (now < slot->retry_after_usec) {
		pools_look_later(slot->pool->pools, slot->retry_after_usec - now);
		return;
	}
	if (!has_target(slot))
		return; /* looked at again when the store was opened */
	if (slot->furnish) {
		slot_furnish_work(slot);
		return;
	}
	switch ((enum slot_state)slot->rec.state) {
	case SLOT_STATE_CREATING:
		/* made, and then something else was missing: it is enough to clean it */
		slot->rec.ino ? start_clean(slot) : start_create(slot);
		break;
	case SLOT_STATE_PREPARING:
		start_prepare(slot);
		break;
	case SLOT_STATE_CLEANING:
	case SLOT_STATE_RECOVERING:
		if (slot_start_release_run(slot) || leftovers_hold(slot) || slot_stamp_before_clean(slot))
			break;
		start_clean(slot);
		break;
	case SLOT_STATE_REMOVING:
		if (!leftovers_hold(slot))
			start_remove(slot);
		break;
	case SLOT_STATE_READY:
	case SLOT_STATE_LEASED:
	case SLOT_STATE_ISOLATED:
		break;
	}
}

static void aim(struct slot *slot, bool discard)
{
	const char *to = slot->pool->rec.head[0] ? slot->pool->rec.head : slot->rec.head;

	slot_edit(slot);
	slot->rec.discard = discard;
	slot->waiter = NULL;
	snprintf(slot->rec.target, sizeof(slot->rec.target), "%s", to);
}

void slot_clean(struct slot *slot, bool discard, const char *reason)
{
	aim(slot, discard);
	slot_move(slot, SLOT_STATE_CLEANING, reason);
}

void slot_recover(struct slot *slot, bool discard, const char *reason)
{
	aim(slot, discard);
	slot_move(slot, SLOT_STATE_RECOVERING, reason);
}

/* --- for the jobs that are started elsewhere --- */

void slot_start_job(struct slot *slot, const char *method, json_object *params, uint64_t deadline,
		    job_done_fn done)
{
	json_object *o = slot_params(slot);

	json_object_object_foreach(params, key, value)
		json_set(o, key, json_object_get(value));
	json_object_put(params);
	start(slot, method, o, deadline, done);
}

void slot_job_failed(struct slot *slot, const char *what, const struct job_result *r)
{
	job_failed(slot, what, r);
}

void slot_repeat_later(struct slot *slot, uint64_t usec)
{
	repeat_later(slot, usec);
}

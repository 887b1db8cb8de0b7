/*
 * Warm-up: the operator's command makes a slot usable, and the slot remembers for what.
 *
 * What it remembers is a digest of the files that "when_changed" names. It is forgotten when the
 * command is about to run, when a holder left other files than those (what it built is for them), and when
 * cleaning takes away what the command has made. So a slot that remembers is warm, whatever
 * was killed when.
 *
 * A warm-up that fails leaves a slot that is not ready and says so. It is tried again, from a clean tree,
 * less and less often and for as long as it takes: most often it is a registry that is away for a while.
 */
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/json.h"
#include "util/text.h"

#define LOST_FIRST  USEC_PER_SEC /* nothing is known against the command */
#define RETRY_FIRST (10 * USEC_PER_SEC)
#define RETRY_MOST  (10 * USEC_PER_MIN)
#define ROOM_RETRY  (10 * USEC_PER_SEC)

static bool has_files(const struct slot *slot)
{
	return slot->pool->conf->warmup.when_changed.n > 0;
}

bool slot_wants_warmup(const struct slot *slot)
{
	return slot->pool->conf->warmup.run.n > 0;
}

bool slot_is_cold(const struct slot *slot)
{
	return slot_wants_warmup(slot) && !slot->rec.warmed[0];
}

/* in this batch, after slot_edit() */
static void forget(struct slot *slot)
{
	slot->rec.warmed[0] = '\0';
}

/* --- is it warm, and for what? --- */

static bool is_warm_for(const struct slot *slot, const struct job_result *r)
{
	const char *digest = json_get_string(r->params, "digest");

	return r->outcome == JOB_DONE && text_is_equal(digest, slot->rec.warmed);
}

static void start_stamp(struct slot *slot, job_done_fn done)
{
	json_object *params = json_set(json_object_new_object(), "files",
				       conf_list_to_json(&slot->pool->conf->warmup.when_changed));

	slot_start_job(slot, "SlotStamp", params, DEADLINE_SLOT, done);
}

/* of the tree that was just cleaned */
static void on_stamped(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;

	slot->job = NULL;
	if (r->outcome == JOB_CANCELED)
		return;
	if (is_warm_for(slot, r)) {
		slot_furnished(slot);
		return;
	}
	slot_edit(slot);
	forget(slot);
	slot_put(slot);
	batch_after(slot->pool->pools->batch, slot_work_after, slot);
}

/* of what the holder left: whatever it could not tell, the cleaning that follows will */
static void on_stamped_before(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;
	bool same = is_warm_for(slot, r);

	slot->job = NULL;
	if (r->outcome == JOB_CANCELED)
		return;
	slot_edit(slot);
	if (!same)
		forget(slot);
	slot_put(slot);
	batch_save(slot->pool->pools->batch, &slot->stamped, sizeof(slot->stamped));
	slot->stamped = true;
	batch_after(slot->pool->pools->batch, slot_work_after, slot);
}

bool slot_stamp_before_clean(struct slot *slot)
{
	if (slot->stamped || !slot_wants_warmup(slot) || !has_files(slot) || !slot->rec.warmed[0])
		return false;
	start_stamp(slot, on_stamped_before);
	return true;
}

/* --- running it --- */

static unsigned count_running(const struct pool *pool)
{
	const struct slot *slot;
	unsigned n = 0;

	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each(slot, &pool->slots[i], link)
			n += slot->warming;
	return n;
}

/* those that waited for one to end */
static void start_next(struct pool *pool)
{
	struct slot *slot, *tmp;

	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each_safe(slot, tmp, &pool->slots[i], link)
			if (slot->furnish == FURNISH_WARM && !slot->job)
				slot_work(slot);
}

/* the next try begins with a clean tree */
static void begin_again(struct slot *slot)
{
	slot_edit(slot);
	slot_put(slot);
	batch_save(slot->pool->pools->batch, &slot->furnish, sizeof(slot->furnish));
	slot->furnish = FURNISH_NONE;
}

static void fail(struct slot *slot, const char *why, uint64_t first)
{
	begin_again(slot);
	slot_put_off(slot, "warmup_failed", "warm-up failed", why, first, RETRY_MOST);
}

/* "it left untracked files: a, b; ..." */
static void fail_unclean(struct slot *slot, json_object *left)
{
	_cleanup_(text_deinit) struct text why = { 0 };
	size_t n = json_object_array_length(left);

	text_add_string(&why, "it left ");
	for (size_t i = 0; i < n; i++)
		text_addf(&why, "%s%.80s", i ? "; " : "",
			  json_object_get_string(json_object_array_get_idx(left, i)));
	text_add_string(&why, " (have git ignore them, or name them in clean.keep)");
	fail(slot, why.data ? why.data : "out of memory", RETRY_FIRST);
}

static void on_proved(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;
	json_object *left = json_get_array(r->params, "left");

	slot->job = NULL;
	CRASH_POINT("pool.warm.proved");
	if (r->outcome == JOB_CANCELED)
		return;
	if (r->outcome != JOB_DONE) {
		begin_again(slot);
		slot_job_failed(slot, "cannot prove what the warm-up left", r);
		return;
	}
	if (left && json_object_array_length(left) > 0) {
		fail_unclean(slot, left);
		return;
	}
	slot_edit(slot);
	snprintf(slot->rec.warmed, sizeof(slot->rec.warmed), "%s", json_get_string(r->params, "digest"));
	pools_event(slot->pool->pools, "warmed", slot->pool, slot, NULL, UID_SLOTD, "%s", slot->ran);
	slot_furnished(slot);
}

static void start_prove(struct slot *slot)
{
	json_object *params = json_object_new_object();

	json_set_string(params, "commit", slot->rec.head);
	json_set(params, "files", conf_list_to_json(&slot->pool->conf->warmup.when_changed));
	json_set(params, "keep", conf_list_to_json(&slot->pool->conf->clean.keep));
	slot_start_job(slot, "SlotProve", params, DEADLINE_TREE, on_proved);
}

static void on_ran(const struct job_result *r, void *userdata)
{
	struct slot *slot = userdata;
	struct pool *pool = slot->pool;

	slot->job = NULL;
	slot->warming = false;
	CRASH_POINT("pool.warm.ran");
	if (r->outcome == JOB_CANCELED && pool->pools->stopping)
		return;
	slot_describe_run(slot, r, slot->ran, sizeof(slot->ran));
	slot_note_output(slot, r);
	if (run_is_ok(r)) {
		start_prove(slot);
		pools_changed(pool->pools);
	} else if (r->outcome == JOB_CANCELED) {
		begin_again(slot);
		batch_after(pool->pools->batch, slot_work_after, slot);
	} else if (r->outcome == JOB_REFUSED && text_is_equal(r->error, "Damaged")) {
		begin_again(slot);
		slot_job_failed(slot, "cannot warm up", r);
	} else {
		fail(slot, slot->ran, r->outcome == JOB_DONE ? RETRY_FIRST : LOST_FIRST);
	}
	start_next(pool);
}

static void start_run(struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;
	struct run_wish wish = { &conf->warmup.run, conf->warmup.timeout_usec, true };

	CRASH_POINT("pool.warm.start");
	if (slot_start_run(slot, &wish, slot_run_environment(slot), on_ran) < 0)
		slot_repeat_later(slot, USEC_PER_SEC);
	else
		slot->warming = true;
}

static void wait_for_room(struct slot *slot)
{
	slot_edit(slot);
	snprintf(slot->rec.reason, sizeof(slot->rec.reason), "not warmed up: %.200s", slot->pool->disk_low);
	text_mend_utf8(slot->rec.reason);
	slot_put(slot);
	slot->put_offs++;
	slot_tell_delay(slot, slot->rec.reason);
	slot_repeat_later(slot, ROOM_RETRY);
}

void slot_warm_work(struct slot *slot)
{
	const struct conf_pool *conf = slot->pool->conf;

	if (!slot_wants_warmup(slot)) {
		slot_furnished(slot);
	} else if (slot->rec.warmed[0]) {
		has_files(slot) ? start_stamp(slot, on_stamped) : slot_furnished(slot);
	} else if (pool_disk_is_low(slot->pool)) {
		wait_for_room(slot);
	} else if (count_running(slot->pool) < conf->warmup.concurrent) {
		start_run(slot);
	} /* else: when one of them has ended */
}

void slot_stop_warming(struct slot *slot)
{
	if (slot->warming && slot->job)
		job_cancel(slot->job);
}

void pool_stop_warming(struct pool *pool)
{
	struct slot *slot, *tmp;

	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each_safe(slot, tmp, &pool->slots[i], link)
			slot_stop_warming(slot);
}

/* --- by hand --- */

int slot_warm(struct slot *slot, uint32_t uid, struct refusal *ret_refusal)
{
	static const char why[] = "to be warmed up, as an operator asked";
	enum slot_state state = slot->rec.state;
	bool on_its_way = state == SLOT_STATE_CREATING || state == SLOT_STATE_CLEANING ||
			  state == SLOT_STATE_RECOVERING;

	if (!slot_wants_warmup(slot))
		return refuse(ret_refusal, "Conflict", "pool %s has no warmup.run", slot->rec.pool);
	if (state == SLOT_STATE_LEASED)
		return refuse(ret_refusal, "Conflict", "slot %s is leased: slotctl release %s first",
			      slot->rec.name, slot->rec.name);
	if (state != SLOT_STATE_READY && !on_its_way)
		return refuse(ret_refusal, "Conflict", "slot %s is %s, and cannot be warmed up",
			      slot->rec.name, slot_state_to_string(state));
	pools_event(slot->pool->pools, "slot_warm_asked", slot->pool, slot, NULL, uid, "%s", "");
	slot_edit(slot);
	if (!slot->warming)
		forget(slot);
	if (state == SLOT_STATE_READY) {
		slot_recover(slot, false, why);
		return 0;
	}
	slot_put(slot);
	slot->retry_after_usec = 0;
	slot->put_offs = 0;
	batch_after(slot->pool->pools->batch, slot_work_after, slot);
	return 0;
}

/*
 * A store of ours is looked after when nobody needs anything.
 *
 * The worker knows when it is due, by a file in the store: so a restart neither hastens nor delays
 * it, and nothing of it is in the ledger. Here it is asked now and then, in a quiet moment: nobody
 * waits, and no slot of the pool is on its way anywhere. What comes after that does not wait for it: it
 * is a job beside all others, with a lock of its own, which takes nothing that a lease, a fetch or a
 * slot under way could need (git/maintain.h says how). Killed at any point, by a crash or because the
 * pool goes, it leaves a store that is whole, and is asked again.
 *
 * The oldest lease counts from its begin by the wall clock, as it was then or as it is reckoned now,
 * whichever is earlier: times of files are by that clock too, and it may have been set since.
 */
#include <stdio.h>
#include <string.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define FIRST_USEC   USEC_PER_MIN	/* after the store was opened */
#define ASK_USEC     USEC_PER_HOUR	/* it may have become due before its time */
#define QUIET_USEC   (5 * USEC_PER_SEC) /* it was not, look again */
#define FAILED_FIRST USEC_PER_SEC
#define FAILED_MOST  USEC_PER_HOUR
#define STALL_USEC   (10 * USEC_PER_MIN)

static void ask_in(struct pool *pool, uint64_t usec)
{
	pool->maintain_after_usec = clock_boot_usec() + usec;
	pools_look_later(pool->pools, usec);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- what came of it --- */

/* "; 2 half-written files, 3 MiB, removed"; NULL: there was none, or no memory */
static char *describe_litter(json_object *r)
{
	int64_t n = json_get_int(r, "litter", 0);
	char size[SIZE_TEXT_SIZE];

	if (n == 0)
		return NULL;
	return text_printf("; %lld half-written %s, %s, removed", (long long)n, text_plural((unsigned)n, "file", "files"),
			   format_size((uint64_t)json_get_int(r, "litterBytes", 0), size));
}

static void tell_done(struct pool *pool, json_object *r)
{
	int64_t before = json_get_int(r, "bytesBefore", 0),
		after = json_get_int(r, "bytesAfter", 0);
	int64_t dropped = json_get_int(r, "dropped", 0);
	char was[SIZE_TEXT_SIZE], is[SIZE_TEXT_SIZE];
	const char *reason = json_get_string(r, "reason");
	_cleanup_(freep) char *litter = describe_litter(r);

	pools_event(pool->pools, "maintenance_done", pool, NULL, NULL, UID_SLOTD,
		    "%s became %s: %lld packs and %lld loose objects before, %lld and %lld after; "
		    "%lld thrown away%s%s%s",
		    format_size((uint64_t)before, was), format_size((uint64_t)after, is),
		    (long long)json_get_int(r, "packsBefore", 0),
		    (long long)json_get_int(r, "looseBefore", 0),
		    (long long)json_get_int(r, "packsAfter", 0),
		    (long long)json_get_int(r, "looseAfter", 0), (long long)dropped,
		    litter ? litter : "", reason ? "; " : "", reason ? reason : "");
}

/* once, until it says something else */
static void tell_skipped(struct pool *pool, const char *reason)
{
	if (strcmp(pool->maintain_said, reason) == 0)
		return;
	snprintf(pool->maintain_said, sizeof(pool->maintain_said), "%s", reason);
	if (reason[0] == '\0')
		return;
	log_info("the store is not maintained: %s pool=%s", reason, pool->rec.name);
	pools_event(pool->pools, "maintenance_skipped", pool, NULL, NULL, UID_SLOTD, "%s", reason);
}

static bool has_changed(json_object *r)
{
	static const char *const pairs[][2] = { { "packsBefore", "packsAfter" },
						{ "looseBefore", "looseAfter" },
						{ "bytesBefore", "bytesAfter" } };

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (json_get_int(r, pairs[i][0], 0) != json_get_int(r, pairs[i][1], 0))
			return true;
	return json_get_int(r, "litter", 0) > 0;
}

static void on_maintained(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;
	const char *reason = json_get_string(r->params, "reason");
	uint64_t next;

	pool->maintain_job = NULL;
	pool_kick(pool); /* a removal waits for it */
	if (r->outcome == JOB_CANCELED)
		return;
	if (r->outcome != JOB_DONE) {
		tell_skipped(pool, r->message);
		ask_in(pool, backoff_usec(++pool->maintain_failures, FAILED_FIRST, FAILED_MOST));
		return;
	}
	pool->maintain_failures = 0;
	if (json_get_bool(r->params, "done", false)) {
		tell_skipped(pool, "");
		if (has_changed(r->params))
			tell_done(pool, r->params);
	} else if (reason) {
		tell_skipped(pool, reason);
	}
	next = (uint64_t)json_get_int(r->params, "nextUsec", ASK_USEC);
	ask_in(pool, earlier(next > USEC_PER_SEC ? next : USEC_PER_SEC, ASK_USEC));
}

/* --- when --- */

bool pool_is_quiet(const struct pool *pool)
{
	const unsigned *n = pool->count;

	return pool->n_waiting == 0 && !pool->store_job &&
	       n[SLOT_STATE_CREATING] + n[SLOT_STATE_PREPARING] + n[SLOT_STATE_CLEANING] +
			       n[SLOT_STATE_RECOVERING] + n[SLOT_STATE_REMOVING] ==
		       0;
}

static uint64_t oldest_lease(const struct pool *pool)
{
	uint64_t oldest = UINT64_MAX;
	const struct slot *slot;

	for (int i = 0; i < SLOT_STATES; i++)
		list_for_each (slot, &pool->slots[i], link)
			if (slot->lease)
				oldest = earlier(
					oldest,
					earlier(slot->lease->rec.acquired.wall_usec,
						moment_wall_usec(&slot->lease->rec.acquired)));
	return oldest == UINT64_MAX ? 0 : oldest;
}

/* it is not dead; nobody wants to know more */
static void on_progress(json_object *params, void *userdata)
{
}

static void start(struct pool *pool)
{
	uint64_t lease = oldest_lease(pool);
	_cleanup_(freep) char *lock =
		text_printf("%s+maintenance", pool->rec.name); /* no name has a "+" */
	struct job_spec spec = {
		.method = "StoreMaintain",
		.params = json_object_new_object(),
		.lock = lock,
		.background = true,
		.idle = true,
		.deadline_usec = STALL_USEC,
		.done = on_maintained,
		.progress = on_progress,
		.userdata = pool,
	};

	json_set_int(spec.params, "everyUsec", (int64_t)pool->conf->maintenance.every_usec);
	json_set(spec.params, "oldestLeaseAtUsec",
		 lease ? json_object_new_int64((int64_t)lease) : NULL);
	json_set_int(spec.params, "reserveBytes", (int64_t)pool->pools->conf->disk.reserve_bytes);
	if (!lock)
		json_object_put(spec.params);
	if (!lock || job_start(pool->site, &spec, &pool->maintain_job) < 0)
		ask_in(pool, FAILED_FIRST);
}

void maintain_look(struct pool *pool)
{
	uint64_t every = pool->conf->maintenance.every_usec, now = clock_boot_usec();

	if (every == 0 || pool_is_adopted(pool) || pool->maintain_job || pool->pools->stopping)
		return;
	if (pool->rec.state != POOL_STATE_ACTIVE || !pool->opened || !pool->site || pool->cloning)
		return;
	if (pool->maintain_after_usec == 0)
		ask_in(pool, earlier(every, FIRST_USEC));
	else if (now < pool->maintain_after_usec)
		pools_look_later(pool->pools, pool->maintain_after_usec - now);
	else if (pool_is_quiet(pool) && !pool_disk_is_low(pool))
		start(pool);
	else
		pools_look_later(pool->pools, QUIET_USEC);
}

bool maintain_is_over(struct pool *pool)
{
	if (pool->maintain_job)
		job_cancel(pool->maintain_job);
	return !pool->maintain_job;
}

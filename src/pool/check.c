/*
 * Is everything whole? A worker looks, for whoever asks, and by itself now and then.
 *
 * Of a store one check runs at a time. Who asks for a plain check joins a plain or a full one under way, who
 * asks for a full one a full one; else he waits for the next, which begins when this one is over, and is as deep
 * as the deepest that is wanted by then. Quick ones look at slots alone and take milliseconds: each is a job of
 * its own, beside all others, and nobody joins it.
 *
 * A check that nobody waits for any more is ended. Those of the background (every integrity.check_every, and the
 * nightly reading of what was read longest ago) run when nothing else is wanted, after everybody else for
 * processor and disk, and make way as soon as somebody asks: nobody joins them. What they, and any other, have
 * verified by then is in the ledger, so that the next one does not begin anew.
 *
 * A check begins after a commit: the notes that it is given are all that there are, so that what it says of their
 * changes holds for what the ledger has.
 *
 * A worker that is lost says nothing about the store: another one begins anew, with what was verified by then,
 * as often as the pool's strategy says.
 *
 * All take a lock of their own, which keeps nobody from the store or the slots: checking changes nothing. What it
 * found of a slot that moved meanwhile is not told (check-record.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pool/store-private.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define STALL_USEC   (10 * USEC_PER_MIN) /* without a word of progress */
#define QUIET_USEC   (5 * USEC_PER_SEC)	 /* it was not, look again */
#define LOOK_USEC    (10 * USEC_PER_MIN) /* whether it is night */
#define FAILED_FIRST USEC_PER_MIN
#define FAILED_MOST  (6 * USEC_PER_HOUR)

#define NIGHT_FROM   1 /* o'clock, local time */
#define NIGHT_UNTIL  5
#define NIGHTLY_USEC (20 * USEC_PER_HOUR) /* a night may be read a little earlier than the last one */
#define LATE_USEC    (36 * USEC_PER_HOUR) /* then it is read by day: this machine has no nights */

/* --- who waits --- */

static void asker_tell(struct check_asker *a, struct pool *pool, const struct pool_check_result *result,
		       const struct refusal *refusal)
{
	list_del(&a->link);
	a->fn(pool, result, refusal, a->userdata);
	free(a);
}

static void tell_all(struct list *askers, struct pool *pool, const struct pool_check_result *result,
		     const struct refusal *refusal)
{
	struct check_asker *a;

	while ((a = list_first(askers, struct check_asker, link)))
		asker_tell(a, pool, result, refusal);
}

/* one that is to begin anew is freed when it would; see checks_serve() */
static void cancel(struct check *check)
{
	check->canceled = true;
	if (check->job)
		job_cancel(check->job);
	else
		pool_kick(check->pool);
}

void check_asker_forget(struct check_asker *a)
{
	struct check *check;

	if (!a)
		return;
	check = a->check;
	list_del(&a->link);
	free(a);
	if (check && list_is_empty(&check->askers) && !check->background)
		cancel(check);
}

/* --- life --- */

static void check_free(struct check *check)
{
	struct pool *pool = check->pool;

	list_del(&check->link);
	if (pool->check == check)
		pool->check = NULL;
	json_object_put(check->result.findings);
	json_object_put(check->result.meanings);
	json_object_put(check->result.unsettled);
	free(check->slots);
	free(check);
}

static struct check *check_new(struct pool *pool, enum pool_check_depth depth)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->pool = pool;
	check->depth = depth;
	list_init(&check->askers);
	list_append(&pool->checks, &check->link);
	return check;
}

/* told, and gone; then the next one may begin */
static void end(struct check *check, const struct refusal *refusal)
{
	static const struct refusal none;
	struct pool *pool = check->pool;

	if (pool->check == check)
		pool->check = NULL; /* who asks from inside the answer waits for the next one */
	tell_all(&check->askers, pool, refusal ? NULL : &check->result, refusal ? refusal : &none);
	check_free(check);
	pool_kick(pool); /* the next one, or a removal, waits for it */
	checks_look(pool);
}

/* --- what the worker is asked --- */

static bool is_on_its_way(const struct slot *slot)
{
	return slot->rec.state != SLOT_STATE_READY && slot->rec.state != SLOT_STATE_LEASED &&
	       slot->rec.state != SLOT_STATE_ISOLATED;
}

static json_object *slot_to_json(const struct slot *slot)
{
	json_object *o = json_set_string(json_object_new_object(), "name", slot->rec.name);

	json_set_int(o, "dev", (int64_t)slot->rec.dev);
	json_set_int(o, "ino", (int64_t)slot->rec.ino);
	json_set_string(o, "head", slot->rec.head[0] ? slot->rec.head : NULL);
	return json_set_bool(o, "leased", slot->lease || is_on_its_way(slot));
}

static void add_slot(struct check *check, const struct slot *slot, json_object *list)
{
	struct check_slot *s = &check->slots[check->n_slots++];

	snprintf(s->name, sizeof(s->name), "%s", slot->rec.name);
	s->since_usec = is_on_its_way(slot) ? 0 : slot->rec.since_usec;
	json_object_array_add(list, slot_to_json(slot));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct check_slot *)a)->name, ((const struct check_slot *)b)->name);
}

/* NULL: all of the pool */
static int add_slots(struct check *check, struct slot *const *slots, size_t n, json_object *list)
{
	struct pool *pool = check->pool;
	struct slot *slot;

	check->slots = calloc((slots ? n : pool->total) + 1, sizeof(*check->slots));
	if (!check->slots)
		return -ENOMEM;
	for (size_t i = 0; slots && i < n; i++)
		add_slot(check, slots[i], list);
	for (int state = 0; !slots && state < SLOT_STATES; state++)
		list_for_each(slot, &pool->slots[state], link)
			if (!slot->gone && check->n_slots < pool->total)
				add_slot(check, slot, list);
	qsort(check->slots, check->n_slots, sizeof(*check->slots), compare_names);
	return 0;
}

static int add_note(const struct note_record *r, void *userdata)
{
	json_object *o = json_set_string(json_object_new_object(), "name", r->name);

	json_set_bytes(o, "note", r->note.data, r->note.len);
	json_object_array_add(userdata, o);
	return 0;
}

/* without them it takes longer, and that is all */
static json_object *notes_of(const struct check *check)
{
	json_object *list = json_object_new_array();
	struct pool *pool = check->pool;
	struct fault f = FAULT_NONE;

	if (check->depth == POOL_CHECK_QUICK ||
	    ledger_each_note(pool->pools->ledger, pool->rec.name, add_note, list, &f) == 0)
		return list;
	log_error("what was verified cannot be read, so all is verified again: %s pool=%s", f.text,
		  pool->rec.name);
	json_object_put(list);
	return json_object_new_array();
}

static const char *depth_name(enum pool_check_depth depth)
{
	static const char *const names[] = { "", "quick", "plain", "full" };

	return names[depth];
}

static json_object *params_of(const struct check *check, json_object *slots)
{
	const struct conf *c = check->pool->pools->conf;
	json_object *o = json_object_new_object();

	json_set_string(o, "commonDir", check->pool->rec.common_dir);
	json_set_string(o, "depth", depth_name(check->depth));
	json_set(o, "slots", slots);
	json_set(o, "notes", notes_of(check));
	json_set_int(o, "memoryBytes", (int64_t)c->integrity.memory_bytes);
	json_set_int(o, "threads", check->background ? 1 : 0);
	json_set_int(o, "scrubUsec", check->scrubs ? (int64_t)c->integrity.scrub_budget_usec : 0);
	json_set_int(o, "overdueUsec", check->scrubs ? (int64_t)(c->integrity.scrub_days * USEC_PER_DAY) : 0);
	return json_set_bool(o, "background", check->background);
}

static void on_progress(json_object *params, void *userdata)
{
	struct check *check = userdata;
	json_object *progress = json_get_object(params, "progress");
	struct check_asker *a;

	check_keep_notes(check, json_get_array(params, "notes"));
	if (!progress || check->canceled)
		return;
	list_for_each(a, &check->askers, link)
		if (a->progress)
			a->progress(progress, a->userdata);
}

static void on_checked(const struct job_result *r, void *userdata);

/* 0; -ENOMEM: nothing was started. Not of a store while notes are in the batch */
static int start(struct check *check, struct slot *const *slots, size_t n)
{
	_cleanup_json_ json_object *list = json_object_new_array();
	struct pool *pool = check->pool;
	_cleanup_(freep) char *lock = NULL;
	struct job_spec spec = {
		.method = "StoreCheck",
		.background = check->background,
		.idle = check->background,
		.deadline_usec = STALL_USEC,
		.done = on_checked,
		.progress = on_progress,
		.userdata = check,
	};
	bool quick = check->depth == POOL_CHECK_QUICK;

	if (add_slots(check, slots, n, list) == 0) /* no name has a "+" */
		lock = text_printf("%s+check", quick && check->n_slots ? check->slots[0].name : pool->rec.name);
	if (lock) {
		spec.lock = lock;
		spec.params = params_of(check, TAKE(list));
		if (job_start(pool->site, &spec, &check->job) == 0)
			return 0;
	}
	return -ENOMEM;
}

/* --- its end --- */

/* by those that are still there; a quick one of no slots looks at none */
static int start_again(struct check *check)
{
	size_t n = check->n_slots;
	_cleanup_(freep) struct check_slot *before = TAKE(check->slots);
	_cleanup_(freep) struct slot **slots = calloc(n + 1, sizeof(*slots));
	size_t found = 0;

	check->n_slots = 0;
	if (!slots)
		return -ENOMEM;
	if (check->depth != POOL_CHECK_QUICK)
		return start(check, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		slots[found] = pools_find_slot(check->pool->pools, before[i].name);
		found += slots[found] != NULL;
	}
	return start(check, slots, found);
}

static bool is_tried_again(struct check *check, const struct job_result *r)
{
	struct pool *pool = check->pool;

	if (r->outcome != JOB_LOST || check->canceled || pool->pools->stopping ||
	    ++check->attempts >= pool_retry_attempts(pool))
		return false;
	log_info("%s; checked anew with a fresh worker pool=%s attempts=%u", r->message, pool->rec.name,
		 check->attempts);
	check->again = true;
	pool_kick(pool);
	return true;
}

static void recorded(void *arg, int error, const struct fault *why)
{
	/* the ledger could not be written, which was logged: what was found is true all the same */
	end(arg, NULL);
}

static void fail(struct check *check, const struct job_result *r)
{
	struct pool *pool = check->pool;
	struct refusal no = { 0 };

	if (r->outcome == JOB_CANCELED)
		refuse(&no, "ShuttingDown", "slotd is stopping; ask again in a moment");
	else if (r->outcome == JOB_REFUSED)
		refuse(&no, store_job_error(r), "pool %s could not be checked: %.200s", pool->rec.name, r->message);
	else
		refuse(&no, "Internal", "pool %s could not be checked: %.200s", pool->rec.name, r->message);
	if (r->outcome != JOB_CANCELED) {
		log_warning("%s", no.why.text);
		pools_event(pool->pools, "check_failed", pool, NULL, NULL, UID_SLOTD, "%s", r->message);
	}
	if (check->background && !check->canceled)
		pool->check_after_usec = clock_boot_usec() + backoff_usec(++pool->check_failures, FAILED_FIRST,
									  FAILED_MOST);
	end(check, &no);
}

static void on_checked(const struct job_result *r, void *userdata)
{
	struct check *check = userdata;
	struct pool *pool = check->pool;
	struct refusal no = { 0 };

	check->job = NULL;
	if (r->outcome != JOB_DONE) {
		if (!is_tried_again(check, r))
			fail(check, r);
		return;
	}
	if (check->background)
		pool->check_failures = 0;
	if (check_judge(check, r->params) < 0) {
		refuse(&no, "Internal", "out of memory");
		end(check, &no);
		return;
	}
	pools_after_commit(pool->pools, recorded, check);
}

/* --- when it is time for one in the background --- */

/* by the clock that nobody sets, where it can tell; never: since the pool is there */
static uint64_t age_of(const struct pool *pool, const struct moment *m)
{
	uint64_t now = clock_wall_usec(), created = pool->rec.created_usec;

	if (m->wall_usec)
		return moment_age_usec(m);
	return now > created ? now - created : 0;
}

static bool is_night(void)
{
	time_t now = (time_t)(clock_wall_usec() / USEC_PER_SEC);
	struct tm tm;

	return localtime_r(&now, &tm) && tm.tm_hour >= NIGHT_FROM && tm.tm_hour < NIGHT_UNTIL;
}

static bool scrub_is_due(const struct pool *pool)
{
	uint64_t age = age_of(pool, &pool->checked.scrubbed);

	if (pool->pools->conf->integrity.scrub_days == 0)
		return false;
	return age >= LATE_USEC || (age >= NIGHTLY_USEC && is_night());
}

/* until a plain one is due; UINT64_MAX: it never is */
static uint64_t plain_in(const struct pool *pool)
{
	uint64_t every = pool->pools->conf->integrity.check_every_usec, age = age_of(pool, &pool->checked.at);

	if (every == 0)
		return UINT64_MAX;
	return age >= every ? 0 : every - age;
}

/* --- starting --- */

static void join(struct check_asker *a, struct check *check)
{
	list_del(&a->link);
	a->check = check;
	list_append(&check->askers, &a->link);
}

static int check_possible(struct pool *pool, struct refusal *ret)
{
	const char *problem = pool_problem(pool);

	if (pool->pools->stopping)
		return refuse(ret, "ShuttingDown", "slotd is stopping; ask again in a moment");
	if (pool_is_going(pool) || pool->gone)
		return refuse(ret, "Unavailable", "pool %s is being removed", pool->rec.name);
	if (!pool->site || pool->cloning || pool->rec.common_dir[0] == '\0')
		return refuse(ret, "Unavailable", "pool %s has no store yet that could be checked%s%.200s",
			      pool->rec.name, *problem ? ": " : "", problem);
	return 0;
}

static void begin_in_background(struct pool *pool)
{
	struct refusal no;
	struct check *check = check_possible(pool, &no) == 0 ? check_new(pool, POOL_CHECK_PLAIN) : NULL;

	if (!check)
		return; /* looked at again */
	check->background = true;
	check->scrubs = scrub_is_due(pool);
	if (start(check, NULL, 0) == 0)
		pool->check = check;
	else
		check_free(check);
}

/* the deepest that somebody waits for */
static void begin_next(struct pool *pool)
{
	enum pool_check_depth depth = POOL_CHECK_PLAIN;
	struct check_asker *a, *tmp;
	struct check *check = NULL;
	struct refusal no = { 0 };

	list_for_each(a, &pool->check_askers, link)
		depth = a->depth > depth ? a->depth : depth;
	if (check_possible(pool, &no) == 0) {
		refuse(&no, "Internal", "out of memory");
		check = check_new(pool, depth);
	}
	if (!check || start(check, NULL, 0) < 0) {
		if (check)
			check_free(check);
		tell_all(&pool->check_askers, pool, NULL, &no);
		return;
	}
	pool->check = check;
	list_for_each_safe(a, tmp, &pool->check_askers, link)
		join(a, check);
}

static void begin_again(struct check *check)
{
	struct refusal no = { 0 };

	check->again = false;
	if (check->canceled)
		refuse(&no, "ShuttingDown", "slotd is stopping; ask again in a moment");
	else if (check_possible(check->pool, &no) == 0 && start_again(check) < 0)
		refuse(&no, "Internal", "out of memory");
	if (no.error)
		end(check, &no);
}

void checks_serve(struct pool *pool)
{
	struct check *check, *tmp;

	list_for_each_safe(check, tmp, &pool->checks, link)
		if (check->again)
			begin_again(check);
	if (!pool->check && !list_is_empty(&pool->check_askers))
		begin_next(pool);
	if (!pool->check && pool->check_is_due)
		begin_in_background(pool);
	pool->check_is_due = false;
}

static bool does_enough(const struct check *check, enum pool_check_depth depth)
{
	return (check->job || check->again) && !check->canceled && !check->background && check->depth >= depth;
}

static int check_quickly(struct check_asker *a, struct pool *pool, struct slot *const *slots, size_t n)
{
	struct check *check = check_new(pool, POOL_CHECK_QUICK);

	if (!check)
		return -ENOMEM;
	if (start(check, slots, n) < 0) {
		check_free(check);
		return -ENOMEM;
	}
	join(a, check);
	return 0;
}

/* joins, or waits for the next one, which begins at the end of the turn if none is under way */
static void line_up(struct check_asker *a, struct pool *pool)
{
	if (pool->check && does_enough(pool->check, a->depth)) {
		join(a, pool->check);
		return;
	}
	list_append(&pool->check_askers, &a->link);
	if (pool->check && pool->check->background && !pool->check->canceled)
		cancel(pool->check);
	pool_kick(pool);
}

int pool_check(struct pool *pool, enum pool_check_depth depth, struct slot *const *slots, size_t n,
	       pool_progress_fn progress, pool_checked_fn fn, void *userdata, struct check_asker **ret,
	       struct refusal *ret_refusal)
{
	struct check_asker *a;
	int r = check_possible(pool, ret_refusal);

	if (r < 0)
		return r;
	a = calloc(1, sizeof(*a));
	if (!a)
		return refuse(ret_refusal, "Internal", "out of memory");
	*a = (struct check_asker){ .depth = depth, .progress = progress, .fn = fn, .userdata = userdata };
	list_init(&a->link);
	if (depth != POOL_CHECK_QUICK) {
		line_up(a, pool);
	} else if (check_quickly(a, pool, slots, n) < 0) {
		free(a);
		return refuse(ret_refusal, "Internal", "out of memory");
	}
	*ret = a;
	return 0;
}

void checks_look(struct pool *pool)
{
	uint64_t in = scrub_is_due(pool) ? 0 : plain_in(pool), now = clock_boot_usec();
	struct refusal no;

	if (pool->check || pool->rec.state != POOL_STATE_ACTIVE || !pool->opened || check_possible(pool, &no) < 0)
		return;
	if (in == 0 && now < pool->check_after_usec)
		in = pool->check_after_usec - now;
	if (in > 0)
		pools_look_later(pool->pools, in < LOOK_USEC ? in : LOOK_USEC);
	else if (!pool_is_quiet(pool))
		pools_look_later(pool->pools, QUIET_USEC);
	else {
		pool->check_is_due = true;
		pool_kick(pool);
	}
}

/* --- the pool --- */

int check_load(struct pool *pool, struct fault *f)
{
	int r = ledger_find_check(pool->pools->ledger, pool->rec.name, &pool->checked, f);

	return r == -ENOENT ? 0 : r;
}

const struct check_record *pool_last_check(const struct pool *pool)
{
	return pool->checked.at.wall_usec ? &pool->checked : NULL;
}

static void refuse_askers(struct pool *pool, const struct refusal *no)
{
	struct check *check;

	tell_all(&pool->check_askers, pool, NULL, no);
	list_for_each(check, &pool->checks, link)
		tell_all(&check->askers, pool, NULL, no);
}

bool checks_are_over(struct pool *pool)
{
	struct refusal no = { 0 };
	struct check *check;

	refuse(&no, "Unavailable", "pool %s is being removed", pool->rec.name);
	refuse_askers(pool, &no);
	list_for_each(check, &pool->checks, link)
		if (!check->canceled)
			cancel(check);
	return list_is_empty(&pool->checks);
}

void checks_stop(struct pool *pool)
{
	struct refusal no = { 0 };
	struct check *check;

	refuse(&no, "ShuttingDown", "slotd is stopping; ask again in a moment");
	refuse_askers(pool, &no);
	list_for_each(check, &pool->checks, link)
		cancel(check);
}

/* what is just being recorded is freed by that */
void checks_lose_jobs(struct pool *pool)
{
	struct check *check, *tmp;
	struct refusal no = { 0 };

	refuse(&no, "Unavailable", "the store of pool %s was closed", pool->rec.name);
	refuse_askers(pool, &no);
	list_for_each_safe(check, tmp, &pool->checks, link)
		if (check->job || check->again)
			check_free(check);
}

/**
 * DOC: pools - pools of slots, and who holds which
 *
 * What is decided is decided here, by one thread, in memory that follows the ledger:
 * a decision changes memory, records itself in the batch of this turn of the loop,
 * and whoever waits for it is told after the commit. Git work is a job of a worker;
 * its intent is committed before it is sent, so a crash at any point leaves a state
 * from which pools_start() goes on.
 *
 * Objects
 * -------
 * struct pools	everything; struct pool; struct slot, in exactly one state, on the list of
 * that state; struct lease, at most one a slot; struct waiter, an acquire not answered yet.
 *
 * Who owns a slot's directory
 * ---------------------------
 * ready, isolated: nobody writes. leased: its holder. creating, preparing, cleaning, removing: the
 * one job that runs for it (slot.job), under the slot's lock file. The move into one of
 * these states is committed before the job starts; the move out of it is committed before
 * anyone is told.
 *
 * Calling sequence
 * ----------------
 * pools_new(), pools_start(), then methods; pools_stop(), pools_free().
 */
#ifndef POOL_POOLS_H
#define POOL_POOLS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "config/conf.h"
#include "jobs/jobs.h"
#include "ledger/batch.h"
#include "ledger/ledger.h"
#include "lease/processes.h"
#include "util/list.h"

struct pools;
struct pool;
struct slot;
struct lease;
struct waiter;
struct handoff;
struct salvage;
struct check_asker;

/* a "no" with its reason: the error's name in io.slotd.pool and a sentence */
struct refusal {
	const char *error; /* "Busy"; NULL: no refusal */
	struct fault why;
	uint64_t retry_after_usec; /* 0: no idea */
	char detail[PATH_SIZE];	   /* BranchInUse: the place, "" when not known; else empty */
	char branch[REF_SIZE];	   /* BranchInUse: which; else empty */
};

/* fills a refusal and returns -ECANCELED, for "return refuse(...)" */
__attribute__((format(printf, 3, 4))) int refuse(struct refusal *ret, const char *error,
						 const char *fmt, ...);

/* --- everything --- */

/**
 * pools_new
 * @event, @jobs, @ledger: borrowed until pools_free()
 * @conf: referenced
 */
int pools_new(sd_event *event, struct jobs *jobs, struct ledger *ledger, struct conf *conf,
	      struct pools **ret, struct fault *f);

/* reads the ledger, takes up what was under way, brings in the pools of the configuration;
 * rebuilt: the ledger was, so slots are also looked for on disk, and inquired about */
int pools_start(struct pools *p, bool rebuilt, struct fault *f);

/* takes the new configuration as a whole; -EINVAL: it contradicts what exists, nothing was changed */
int pools_reload(struct pools *p, struct conf *conf, struct fault *f);

/* waiters are refused, timers end; returns how many waited. Jobs go on. */
unsigned pools_stop(struct pools *p);
void pools_free(struct pools *p); /* accepts NULL */

/* what was changed in this turn is committed at its end; commit now when it has become much */
void pools_commit_if_large(struct pools *p);
int pools_commit(struct pools *p, struct fault *f);
/* run when what this turn has changed is on disk, or could not be written; also when it has changed nothing */
void pools_after_commit(struct pools *p, batch_after_fn fn, void *arg);
const char *pools_unwritten(const struct pools *p); /* why the last commit failed; "": it did not */
bool pools_commit_is_due(const struct pools *p); /* this turn has changed something, or is about to */

struct pool *pools_find(struct pools *p, const char *name);
struct slot *pools_find_slot(struct pools *p, const char *name);
struct lease *pools_find_lease(struct pools *p, const struct id *id);

/* the pool whose slots or repository this place belongs to; NULL: none */
struct pool *pools_find_by_place(struct pools *p, const char *directory, const char *common_dir);

/* the slot that contains this absolute path */
struct slot *pools_find_slot_by_path(struct pools *p, const char *path);

struct conf *pools_conf(struct pools *p);
struct batch *pools_batch(struct pools *p);
struct ledger *pools_ledger(struct pools *p);
struct jobs *pools_jobs(struct pools *p);
unsigned pools_count_waiters(const struct pools *p);
unsigned pools_count_leases(const struct pools *p);

/* told after each commit that left events; one listener */
void pools_on_events(struct pools *p, void (*fn)(void *userdata), void *userdata);

/* records an event; pool, slot and lease may be NULL; uid UINT32_MAX: slotd itself */
__attribute__((format(printf, 7, 8))) uint64_t pools_event(struct pools *p, const char *kind,
							   struct pool *pool, struct slot *slot,
							   struct lease *lease, uint32_t uid,
							   const char *fmt, ...);

/* --- a pool --- */

struct pool *pool_next(struct pools *p, struct pool *pool); /* NULL: the first; in order of name */
const struct pool_record *pool_record(const struct pool *pool);
const struct conf_pool *pool_conf(const struct pool *pool);
json_object *conf_list_to_json(const struct conf_list *list);
bool pool_is_draining(const struct pool *pool); /* asked to, or gone from the file */
const char *pool_problem(const struct pool *pool); /* in one sentence; "": none that is known */
unsigned pool_ready_wanted(const struct pool *pool);
unsigned pool_max(const struct pool *pool);
unsigned pool_count(const struct pool *pool, enum slot_state state);
unsigned pool_total(const struct pool *pool);
unsigned pool_waiting(const struct pool *pool);
const char *pool_store(const struct pool *pool);     /* directory of the store */
const char *pool_slots_dir(const struct pool *pool); /* where its slots are */

/* told once: refusal->error NULL: the pool is as wanted. Progress may come before. */
typedef void (*pool_done_fn)(struct pool *pool, const struct refusal *refusal, void *userdata);
typedef void (*pool_progress_fn)(json_object *progress, void *userdata);

/* a call of pool_watch_done(); the handle of one who waits for a pool */
struct pool_waiter;
void pool_waiter_forget(struct pool_waiter *w); /* the asker is gone; accepts NULL */

/**
 * pool_add - make a pool at run time and open its store
 * @ready, @max: negative: the default
 *
 * 0: it is on its way, and @fn is told when it is active or could not be made (it is gone
 * then). -ECANCELED: refused.
 */
int pool_add(struct pools *p, const char *name, const char *url, const char *path, const char *ref,
	     int64_t ready, int64_t max, uint32_t uid, pool_progress_fn progress, pool_done_fn fn,
	     void *userdata, struct pool_waiter **ret, struct refusal *ret_refusal);

struct pool_removal {
	char *store; /* where it is now; NULL: deleted, or an operator's repository */
	bool deleted;
	char **branches; /* that the origin lacks */
	size_t n_branches;
	char **salvage; /* refs of saved work in it */
	size_t n_salvage;
};
typedef void (*pool_removed_fn)(const char *name, const struct pool_removal *removal,
				const struct refusal *refusal, void *userdata);

int pool_remove(struct pool *pool, bool delete_store, uint32_t uid, pool_removed_fn fn,
		void *userdata, struct refusal *ret_refusal);

/* whoever has just had it removed, by its process: that one and its ancestors are not ended */
void pool_note_remover(struct pool *pool, pid_t pid);

int pool_resize(struct pool *pool, int64_t ready, int64_t max, uint32_t uid,
		struct refusal *ret_refusal);
void pool_set_paused(struct pool *pool, bool paused, bool draining, uint32_t uid);

/* fetches from the origin, or looks at the repository's refs anew */
int pool_fetch(struct pool *pool, pool_done_fn fn, void *userdata, struct pool_waiter **ret,
	       struct refusal *ret_refusal);

/* --- a slot --- */

struct slot *slot_first(const struct pool *pool, enum slot_state state); /* NULL: none is in it */
struct slot *slot_next(struct pools *p, struct pool *pool, struct slot *slot);
const struct slot_record *slot_record(const struct slot *slot);
struct pool *slot_pool(const struct slot *slot);
struct lease *slot_lease(const struct slot *slot);
char *slot_path(const struct slot *slot); /* allocated; NULL: no memory */
char *slot_tmp_path(const struct slot *slot); /* its directory for temporary files; likewise */

/*
 * Told once when the slot is ready, isolated or gone, after the commit that says so; or with a
 * refusal: what was asked in this turn could not be recorded, or slotd stops.
 */
typedef void (*slot_settled_fn)(const char *slot, enum slot_state state, const char *reason,
				const struct refusal *refusal, void *userdata);
int slot_on_settled(struct slot *slot, slot_settled_fn fn, void *userdata);

/* likewise; before that fn_left, which may be NULL, each time that other processes hold it up */
typedef void (*slot_left_fn)(struct slot *slot, void *userdata);
int slot_follow(struct slot *slot, slot_settled_fn fn, slot_left_fn fn_left, void *userdata);

/*
 * Whoever is about to give it back, or has just had it removed, by its process: that one and its ancestors
 * are done with it, or at least not ended.
 */
void slot_note_leaver(struct slot *slot, pid_t pid);
bool slot_is_held_by_processes(const struct slot *slot); /* it is isolated since they stayed in it */

/* the processes that were in it after that lease had ended, by now or earlier */
void slot_each_leftover(const struct slot *slot, const struct id *lease,
			void (*fn)(const struct process_found *p, void *userdata), void *userdata);

int slot_add(struct pool *pool, uint32_t uid, struct slot **ret, struct refusal *ret_refusal);
/* warmup.run once more, or now instead of later */
int slot_warm(struct slot *slot, uint32_t uid, struct refusal *ret_refusal);
int slot_remove(struct slot *slot, bool discard, uint32_t uid, struct refusal *ret_refusal);

/* --- a lease --- */

struct acquire_spec {
	struct pool *pool;
	char ref[REF_SIZE], branch[REF_SIZE], agent[LABEL_SIZE], task[LABEL_SIZE], key[LABEL_SIZE];
	char meta[META_SIZE];
	bool has_wait;
	uint64_t wait_usec;
	uint64_t ttl_usec; /* 0: the pool's */
	uint64_t estimate_usec; /* of the whole work; 0: none */
	char labels[LABEL_SIZE]; /* separated by commas */
	int32_t priority;
	uint8_t bind; /* enum lease_bind, or-ed; 0: by ttl */
	uint32_t bound_pid; /* LEASE_BIND_PROCESS */
	uint64_t bound_start;
	uint64_t conn_id; /* LEASE_BIND_CONNECTION */
	bool branch_by_pool, bind_by_pool; /* the request left them to the pool's configuration */
	char resume[REF_SIZE]; /* a lease, task or branch that has ended; "": none */
	struct id resumed;	 /* the lease that it means; filled in by lease_acquire() */
	char wanted_slot[NAME_SIZE]; /* likewise: the one that lease had */
	uint32_t uid, pid;
	uint64_t pid_start;
};

/* told once; lease: granted and durable, valid during the call; else the refusal says why not */
typedef void (*acquire_fn)(struct lease *lease, const struct refusal *refusal, void *userdata);

/**
 * lease_acquire - ask for a slot
 * @fn: told once, possibly before this returns
 * @ret: for waiter_abandon(); NULL when it was answered already
 */
void lease_acquire(struct pools *p, const struct acquire_spec *spec, acquire_fn fn, void *userdata,
		   struct waiter **ret);

/* the asker is gone: no answer, and what was reserved is given back; accepts NULL */
void waiter_abandon(struct waiter *w);

/* a connection is gone: what was bound to it has lost its holder */
void pools_conn_gone(struct pools *p, uint64_t conn_id);

struct lease *lease_next(struct pools *p, struct lease *lease);
const struct lease_record *lease_record(const struct lease *lease);
struct slot *lease_slot(const struct lease *lease);
const char *lease_id(const struct lease *lease);
/* how many commits of its pool's ref it was given without; negative: not known, or not any more */
int64_t lease_behind(const struct lease *lease);
const char *lease_status(const struct lease *lease); /* "active", "grace", ... */

/* prolongs; progress below 0: not reported; message NULL: none. Returns the event's sequence. */
uint64_t lease_renew(struct lease *lease, int32_t progress, const char *message, bool touch);

/* what a process has reported that has ended since: it counts, and it is no sign of life */
uint64_t lease_note_last_words(struct lease *lease, int32_t progress, const char *message);

/* ends it and sends the slot to be cleaned. Returns the event's sequence. */
uint64_t lease_finish(struct lease *lease, enum lease_end how, bool discard, uint32_t uid,
		      const char *detail);

/* its holder says how the work has ended; lease_finish() follows in the same turn */
void lease_declare(struct lease *lease, enum lease_declared declared, const char *message);

/* --- what leases leave --- */

/* what a lease that has ended left; NULL: not known any more. Valid in this turn of the loop. */
struct handoff *handoff_find(const struct pools *p, const struct id *lease);
/* the newest of a task or a branch, in any pool; of a slot */
struct handoff *handoff_find_by_name(struct pools *p, const char *name);
struct handoff *handoff_find_by_slot(struct pools *p, const char *slot);
const struct handoff_record *handoff_record(const struct handoff *h);
bool handoff_is_offered(struct pools *p, const struct handoff *h); /* its time has not passed */
uint64_t handoff_expires_usec(struct pools *p, const struct handoff *h); /* wall clock */

/* what a holder says after the end of its lease; true: it is kept, by now or since it was said before. Progress
 * below 0 and NULL: nothing. */
bool handoff_report(struct pools *p, const struct id *lease, uint32_t uid, int32_t progress,
		    const char *message, enum lease_declared declared);

/* --- what was saved of slots --- */

#define SALVAGE_ID_SIZE (NAME_SIZE + 32)

enum salvage_outcome { SALVAGE_E_ABSENT = 1, SALVAGE_E_AMBIGUOUS };

/**
 * salvage_find - by its id, its full ref, or the beginning of its commit (7 hex digits at least)
 * @may: whether the asker may know of what is in that pool; nothing else is looked at
 * @ret: valid in this turn of the loop
 */
int salvage_find(struct pools *p, const char *what, bool (*may)(const char *pool, void *userdata),
		 void *userdata, struct salvage **ret);
struct salvage *salvage_next(struct pools *p, struct salvage *s); /* NULL: the first; oldest first */
/* the newest of a lease; NULL: none. @ret_n (may be NULL): how many there are */
struct salvage *salvage_find_by_lease(struct pools *p, const struct id *lease, unsigned *ret_n);
const struct salvage_record *salvage_record(const struct salvage *s);
const char *salvage_id(const struct salvage *s); /* "<slot>/<begin of the lease>/<n>" */
char *salvage_ref(const struct salvage *s);	 /* allocated; NULL: no memory */
uint64_t salvages_bytes(struct pools *p);	 /* of all pools */

/* what is above salvage.max_size and salvage.max_count, and not on its way out */
struct salvage_excess {
	uint64_t bytes;
	size_t n;
};

struct salvage_excess salvages_excess(struct pools *p);
/* "2MiB more than salvage.max_size (1MiB)", allocated; NULL: there is none, or no memory */
char *salvages_excess_sentence(const struct pools *p, struct salvage_excess excess);

/* told once; reply: of the worker, borrowed, NULL for a drop */
typedef void (*salvage_done_fn)(json_object *reply, const struct refusal *refusal, void *userdata);

/* a method of io.slotd.worker on the store that has it; params are taken over. 0, or -ECANCELED: refused. */
int salvage_ask(struct salvage *s, const char *method, json_object *params, salvage_done_fn fn,
		void *userdata, struct refusal *ret_refusal);

/**
 * salvage_drop - its ref goes, then its record
 * @why: in a few words, for the history
 * @fn: told when both are gone; may be NULL
 *
 * 0: it is on its way, also across a restart. -ECANCELED: refused.
 */
int salvage_drop(struct salvage *s, uint32_t uid, const char *why, salvage_done_fn fn, void *userdata,
		 struct refusal *ret_refusal);

/* --- is everything whole? --- */

enum pool_check_depth { POOL_CHECK_QUICK = 1, POOL_CHECK_PLAIN, POOL_CHECK_FULL };

/* what a check came to; valid during the call that tells it */
struct pool_check_result {
	/* array, the gravest first: as "findings" of Check, with "pool", and "sinceLast": the last check of the
	 * store had not found it */
	json_object *findings;
	json_object *meanings;	/* object: of ids in it */
	json_object *unsettled; /* array: slots that moved meanwhile, so that what was found of them is not told */
	uint64_t errors, warnings, infos; /* also those beyond what was kept */
	bool truncated;
	uint64_t objects, packs, objects_read, elapsed_usec;
};

/* told once, when what it found is on disk, too, or could not be written; refusal->error NULL: there is a result */
typedef void (*pool_checked_fn)(struct pool *pool, const struct pool_check_result *result,
				const struct refusal *refusal, void *userdata);

/**
 * pool_check - look whether the store and all that hangs on it is as it should be
 * @slots, @n: POOL_CHECK_QUICK: which; NULL: all. Else nothing
 * @progress: what a worker tells, as often as it does
 * @ret: for check_asker_forget()
 *
 * Whoever comes meanwhile joins one that does as much; see the head of check.c. -ECANCELED: refused.
 */
int pool_check(struct pool *pool, enum pool_check_depth depth, struct slot *const *slots, size_t n,
	       pool_progress_fn progress, pool_checked_fn fn, void *userdata, struct check_asker **ret,
	       struct refusal *ret_refusal);

/* the asker is gone: a check that nobody waits for any more ends; accepts NULL */
void check_asker_forget(struct check_asker *a);

/* of its store, whoever asked for it; NULL: there was none */
const struct check_record *pool_last_check(const struct pool *pool);

/* what happened to leases since the ledger was made */
const struct lease_stats_record *pools_lease_stats(const struct pools *p);

/* --- clearing --- */

struct clear_spec {
	bool everyone;		/* what waits without its asker, and delays; else: what the caller asked for */
	char agent[LABEL_SIZE]; /* the caller's, by this name; "": asked for by an ancestor of pid */
	uint32_t uid, pid;
	bool (*may)(const struct pool *pool, void *userdata); /* everyone: in which pools */
};

struct cleared {
	const char *what; /* "acquire": one that waited; "retry": a delay before the next try */
	const char *pool, *slot, *agent, *task; /* NULL or "": none */
};
typedef void (*clear_fn)(const struct cleared *c, void *userdata);

/* fn and may get userdata; requests that wait are refused, and with everyone whatever waits for its next try has it at once */
void pools_clear(struct pools *p, const struct clear_spec *spec, clear_fn fn, void *userdata);

/* back to its pool's ref, whoever has it or waits for it, as a release does; false: it is being removed */
bool slot_reset(struct slot *slot, uint32_t uid);

/* --- who waits --- */
struct waiter_info {
	const struct acquire_spec *spec;
	unsigned position;
	uint64_t since_usec, deadline_usec; /* wall clock */
	int32_t priority;		    /* with what waiting has added */
	char reason[REASON_SIZE];
};
/* calls fn for each waiter of the pool in order; @ret is valid during the call */
void pool_each_waiter(struct pool *pool, void (*fn)(const struct waiter_info *w, void *userdata),
		      void *userdata);

#endif

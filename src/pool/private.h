/* What the files of pool/ share. See pools.h for who owns what. */
#ifndef POOL_PRIVATE_H
#define POOL_PRIVATE_H

#include "jobs/command.h"
#include "lease/policy.h"
#include "lease/processes.h"
#include "pool/pools.h"
#include "util/clock.h"
#include "util/map.h"
#include "watch/watch.h"

/* the commit comes after everything that is ready was read; see pools_commit_if_large() */
#define PRIORITY_COMMIT	 (SD_EVENT_PRIORITY_NORMAL + 20)
#define PRIORITY_JANITOR (SD_EVENT_PRIORITY_NORMAL + 30)

#define DEADLINE_SHORT (30 * USEC_PER_SEC)  /* resolve a ref */
#define DEADLINE_SLOT  (120 * USEC_PER_SEC) /* prepare or look at a slot */
#define DEADLINE_TREE  (15 * USEC_PER_MIN)  /* make, clean or delete a whole slot */

#define DEFAULT_WAIT_USEC USEC_PER_MIN

#define UID_SLOTD UINT32_MAX

struct pools {
	sd_event *event;
	struct jobs *jobs;
	struct commands *commands; /* of the operator, that are told about things */
	struct ledger *ledger;
	struct batch *batch;
	struct conf *conf;
	struct map *by_name;   /* of pools */
	struct map *slots;     /* by name */
	struct map *leases;    /* by id */
	struct map *keys;      /* by "uid:key" */
	struct list pools;     /* in order of name */
	struct list all_leases;
	struct list inquiries;
	unsigned n_inquiries;
	struct list ended_keys; /* oldest first */
	struct list handoffs;	/* oldest first */
	struct map *handoffs_by_lease; /* by id */
	struct map *handoff_names;     /* the newest of a task, of a branch */
	unsigned n_handoffs;
	struct list salvages; /* oldest first */
	struct map *salvages_by_name;
	unsigned salvage_looks; /* at what the stores have, begun so far */
	struct list salvage_calls; /* jobs on them that are under way */
	unsigned n_salvage_drops; /* under way */
	uint64_t salvage_round_usec; /* CLOCK_BOOTTIME; when it is looked next at what may go */
	bool salvage_is_over; /* its limit, and that was said */
	uint64_t last_ticket;
	char unwritten[REASON_SIZE]; /* why the last commit failed; "": it did not */
	struct lease_stats_record stats;
	bool stats_changed; /* in this batch */
	unsigned n_ended_keys;
	unsigned n_leases;
	bool stopping;
	sd_event_source *commit;  /* defer: the turn ends */
	sd_event_source *monitor; /* timer: how the leases are */
	unsigned n_recovered; /* leases that ended without their holder since its last round */
	uint64_t slept_usec; /* the machine, as far as was noticed */
	uint64_t slept_before_usec; /* likewise, before it woke last */
	uint64_t woke_usec; /* CLOCK_BOOTTIME; since then it is awake; 0: since slotd runs */
	sd_event_source *janitor; /* timer: what has to be looked at again */
	uint64_t batch_since_usec; /* CLOCK_BOOTTIME; when the batch got its first change */
	uint64_t announced; /* events up to this sequence were told to the listener */
	void (*on_events)(void *userdata);
	void *on_events_userdata;
	/* the periodic copy */
	sd_event_source *copy_timer;
	sd_event_source *copy_child;
	uint64_t copied_sequence;
};

/* what is due between a clean tree and a ready slot */
enum furnish { FURNISH_NONE, FURNISH_PORTS, FURNISH_SEED, FURNISH_WARM };

#define POOL_HOMES "homes" /* below the state directory: HOME of the operator's commands, by pool */

enum ask { ASK_OPEN, ASK_FETCH };

struct pool_waiter {
	struct list link; /* pool.askers */
	enum ask ask;
	bool begun; /* the job whose end answers it; ASK_FETCH */
	pool_progress_fn progress;
	pool_done_fn done; /* NULL: forgotten */
	void *userdata;
};

struct pool {
	struct pool_record rec;
	struct pools *pools;
	struct list link;		/* pools.pools */
	const struct conf_pool *conf;	/* of the file; or own */
	struct conf_pool *own_conf;	/* of a run-time pool */
	struct list slots[SLOT_STATES]; /* by state; ready: least recently used first */
	unsigned count[SLOT_STATES];
	unsigned total;
	uint64_t next_n;     /* number of the next slot */
	struct list waiters; /* acquires, by ticket */
	unsigned n_waiting;
	struct list askers; /* pool_waiter: until the job under way on the store ends */
	struct look *look;	/* who is in its slots: being found out; NULL: it is not */
	struct list look_asks;	/* look_ask: of the next one */
	struct job_site *site;
	struct job_site *run_site; /* of the operator's commands; there when site is */
	struct job *store_job; /* opening, fetching, resolving: one at a time */
	unsigned store_attempts; /* of that job; workers were lost over it */
	struct watch *watch;
	char *store, *slots_dir;
	bool opened;	      /* a worker has looked at the store since slotd started */
	bool reopen;	      /* what was asked of the store has changed since the last look began */
	bool cloning;	      /* the site is that of a clone under way: no slot is worked on */
	bool absent;	      /* of the file, but not in it any more: drains */
	char disk_low[REASON_SIZE]; /* less room than disk.reserve, in a sentence; "": enough */
	char trouble[REASON_SIZE]; /* why slots cannot be made or cleaned for now; "": nothing */
	bool refs_moved;      /* since the last look at them began */
	bool head_is_stale;   /* rec.head may not be what the refs say */
	bool fetch_wanted;
	bool fetch_is_due;    /* acquires wait for a fetch: see fresh.c */
	bool fetch_is_late;   /* they have waited long enough for the one under way */
	unsigned fetch_failures;     /* in a row */
	uint64_t fetch_failed_usec;  /* CLOCK_BOOTTIME; the last try came to nothing; 0: it did not */
	bool gone;	      /* removed, in this batch */
	bool fresh;	      /* added at run time, in this batch */
	struct removal *removal; /* pool_remove() under way */
	struct refusal *failure; /* made at run time, could not be opened, is being taken away */
	bool taken_away;	 /* all but its record */
	uint64_t create_after_usec; /* CLOCK_BOOTTIME; creation failed: not before */
	unsigned create_failures;
	uint64_t open_after_usec; /* CLOCK_BOOTTIME; opening failed: try again then */
	unsigned open_failures;
	uint64_t fetch_after_usec; /* CLOCK_BOOTTIME; next periodic fetch */
	uint64_t granted_usec;	   /* CLOCK_BOOTTIME; the last grant */
	uint64_t burst_since_usec; /* CLOCK_BOOTTIME; the first of those that came close together */
	struct job *maintain_job;
	uint64_t maintain_after_usec; /* CLOCK_BOOTTIME; its store is looked after then; 0: not known yet */
	unsigned maintain_failures;   /* in a row */
	char maintain_said[REASON_SIZE]; /* why it is not; told once */
	struct list checks;	  /* check: under way, or just being recorded */
	struct check *check;	  /* the one of them that is of the whole store */
	struct list check_askers; /* who waits for the next one */
	struct check_record checked; /* the last one; at.wall_usec 0: there was none */
	bool check_is_due; /* one in the background */
	uint64_t check_after_usec; /* CLOCK_BOOTTIME; in the background it failed: not before */
	unsigned check_failures;   /* in a row */
	bool kicked; /* pool_serve() is due at the end of the turn */
	bool salvages_known; /* the store was asked what it has, or is just being asked */
	unsigned salvage_look;	/* the number of the last look, by pools.salvage_looks */
	unsigned salvage_drops; /* that have come to their end, so far */
	unsigned salvage_look_drops; /* likewise, when that look began */
	uint64_t salvage_after_usec; /* CLOCK_BOOTTIME; looking failed: not before */
};

/* one who waits for a check */
struct check_asker {
	struct list link; /* check.askers, or pool.check_askers */
	struct check *check; /* NULL: the next one */
	enum pool_check_depth depth;
	pool_progress_fn progress;
	pool_checked_fn fn;
	void *userdata;
};

/* a slot as it was when a check of it began */
struct check_slot {
	char name[NAME_SIZE];
	uint64_t since_usec; /* in its state; 0: it was on its way somewhere */
};

struct check {
	struct list link; /* pool.checks */
	struct pool *pool;
	enum pool_check_depth depth;
	struct list askers;
	struct job *job; /* NULL: it is over, and being recorded */
	bool background, scrubs;
	bool canceled;
	bool again; /* its worker was lost: it begins anew after the commit of what is known by now */
	unsigned attempts; /* workers were lost over it */
	struct check_slot *slots; /* in order of name */
	size_t n_slots;
	struct pool_check_result result;
};

#define SALVAGE_REFS	  "refs/slotd/salvage/"
#define SALVAGE_NAME_SIZE (NAME_SIZE + ID_TEXT_SIZE + 24)

struct salvage {
	struct salvage_record rec;
	struct pools *pools;
	struct list link; /* pools.salvages */
	char name[SALVAGE_NAME_SIZE]; /* "<slot>/<lease>/<n>", as its ref ends */
	char id[SALVAGE_ID_SIZE];
	unsigned since_look; /* it was recorded when so many looks had begun: those do not judge it */
	unsigned seen_by;    /* the last look that found it */
	bool busy;	     /* a call that drops it is under way */
	bool gone; /* in this batch */
};

struct settle_waiter {
	struct list link; /* slot.settle */
	struct slot *slot;
	slot_settled_fn fn;
	slot_left_fn left; /* NULL: not wanted */
	void *userdata;
};

struct slot {
	struct slot_record rec;
	struct pool *pool;
	struct list link; /* pool.slots[listed] */
	enum slot_state listed;
	struct lease *lease;
	struct job *job;	/* that works on it */
	struct waiter *waiter;	/* it is being prepared for */
	struct list settle;	/* settle_waiter */
	bool gone;		/* removed, in this batch */
	uint64_t retry_after_usec; /* CLOCK_BOOTTIME; a failed job is not repeated before */
	struct leftovers *left;	   /* who is, or was, in it since its last lease ended; NULL: nobody */
	enum furnish furnish; /* its tree is clean, and this is due; in no state but on the way to ready */
	unsigned put_offs; /* how often it could not be made ready, since it last was */
	bool stamped; /* what its holder left of warmup.when_changed has been looked at, before it is cleaned */
	bool warming; /* warmup.run runs */
	uint64_t run_since_usec; /* CLOCK_BOOTTIME; the operator's command */
	char ran[REASON_SIZE];	 /* what became of warmup.run */
};

struct lease {
	struct lease_record rec;
	struct list link; /* pools.all_leases */
	char id_text[ID_TEXT_SIZE];
	struct slot *slot;
	struct key *key;
	bool ended; /* in this batch */
	uint8_t declared; /* enum lease_declared; in this batch */
	sd_event_source *timer; /* next of: warning, end of grace, the next inquiry */
	struct inquiry *inquiry; /* under way */
	sd_event_source *bound; /* the pidfd of the process that it is bound to */
	uint64_t conn_id; /* that it is bound to; 0: none, or it is gone */
	bool bound_due; /* that its holder has ended could not be recorded */
	uint64_t again_usec; /* CLOCK_BOOTTIME; grace has passed: not asked about before */
	uint64_t age_again_usec; /* likewise, for its age */
	int64_t behind; /* commits of the pool's ref that it was given without; negative: not known */
};

/* what was found out about a holder */
struct inquiry_result {
	struct lease_evidence evidence; /* what inquiry.c knows of it */
	char operation[40];
	unsigned n_processes;
	bool has_written, has_written_ahead; /* by the wall clock and the times of files: */
	uint64_t written_ago_usec;
	uint64_t written_ahead_usec; /* when that time is still to come: the clock was set back */
};

struct key {
	struct key_record rec;
	struct pools *pools;
	struct list link; /* pools.ended_keys, when its lease has ended */
	uint64_t keep_until_usec; /* CLOCK_BOOTTIME; of one that has ended */
	bool dropping; /* in this batch */
	char name[LABEL_SIZE + 16];
};

struct waiter {
	struct acquire_spec spec;
	uint8_t request[32];
	struct list link; /* pool.waiters */
	struct pools *pools;
	acquire_fn fn; /* NULL: abandoned */
	void *userdata;
	uint64_t since_usec; /* CLOCK_BOOTTIME */
	uint64_t since_wall_usec;
	uint64_t deadline_usec; /* CLOCK_BOOTTIME */
	struct slot *slot; /* being prepared for it */
	struct lease *lease; /* granted; told after the commit */
	uint64_t number;     /* of its ticket: the lower was first */
	bool has_ticket;     /* in the ledger */
	struct id lease_id;  /* that it will have, as acquire.run was told; null: any */
	uint64_t away_until_usec; /* CLOCK_BOOTTIME; its asker is gone, and may come back with its key; 0: it is there */
	uint64_t fetch_until_usec; /* CLOCK_BOOTTIME; it waits for a fetch, no longer than that; 0: it does not */
	int64_t behind; /* of the slot that it gets; as in struct lease */
	unsigned attempts;
	sd_event_source *timer;
};

/* pools.c */
void pools_changed(struct pools *p);	     /* something is in the batch */
void pools_count(struct pools *p, uint64_t *counter); /* one more of p->stats */
/* the janitor's next round comes then at the latest; who is not due in it asks again */
void pools_look_later(struct pools *p, uint64_t usec);
void pool_look_at_slots(struct pool *pool); /* starts the jobs that are due */
void pools_copy_soon(struct pools *p); /* something was made that no directory tells of */

/* an operator's own repository; else a clone that slotd made */
static inline bool pool_is_adopted(const struct pool *pool)
{
	return pool->rec.path[0] != '\0';
}

/* pool.c */
struct pool *pool_new(struct pools *p, const struct pool_record *rec, struct fault *f);
void pool_free(struct pool *pool);
int pool_bind_conf(struct pool *pool, struct conf *conf, struct fault *f);
void pool_edit(struct pool *pool); /* before a change of rec */
void pool_put(struct pool *pool);  /* after it */
void pool_kick(struct pool *pool); /* slots, waiters or limits changed: serve at the end of the turn */
void pool_refill(struct pool *pool);
void pool_note_grant(struct pool *pool); /* a ready slot has just gone */
bool pool_is_open_for_acquire(struct pool *pool, struct refusal *ret);
void pool_tell(struct pool *pool, enum ask ask, const struct refusal *refusal); /* its askers */
/* what looks at the origin begins: its end answers those who ask by now, and nobody who asks later */
void pool_fetch_begins(struct pool *pool);
void pool_fetch_ends(struct pool *pool, const struct refusal *refusal);
int pool_ask(struct pool *pool, enum ask ask, pool_progress_fn progress, pool_done_fn fn, void *userdata,
	     struct pool_waiter **ret);
int64_t pool_retry_attempts(const struct pool *pool);
bool pool_disk_is_low(struct pool *pool); /* no new slots, no fetches; said in pool_problem() */
bool pool_waits_for_room(struct pool *pool); /* it is to be cloned, and the disk is low */
__attribute__((format(printf, 2, 3))) void pool_note_trouble(struct pool *pool, const char *fmt, ...);
uint64_t backoff_usec(unsigned failures, uint64_t first, uint64_t most);

/* store.c */
void pool_run_store_jobs(struct pool *pool); /* what is due: open, fetch, resolve */

/* fresh.c */
bool pool_has_origin(const struct pool *pool); /* that fetches come from */
void fresh_look(struct pool *pool); /* before it is served: who has to wait for a fetch? */
bool fresh_is_waited_for(const struct waiter *w);
void fresh_gives_up(struct waiter *w); /* its time for that has passed */
void fresh_fetch_tried(struct pool *pool, bool done); /* a fetch is over, and may be tried again */
void fresh_fetch_ended(struct pool *pool, bool done); /* it will not */

/* maintain.c */
void maintain_look(struct pool *pool); /* is it time, and quiet enough? */
bool maintain_is_over(struct pool *pool); /* it is ended, where it runs, and the pool kicked when it is over */

bool pool_is_quiet(const struct pool *pool); /* nobody waits, and no slot is on its way */

/* check.c */
void checks_serve(struct pool *pool); /* after each commit: begins what is to begin */
void checks_look(struct pool *pool); /* is it time for one in the background, and quiet enough? */
bool checks_are_over(struct pool *pool); /* they are ended, and the pool kicked when the last is over */
void checks_stop(struct pool *pool); /* slotd ends */
void checks_lose_jobs(struct pool *pool); /* its site goes, and they with it */
int check_load(struct pool *pool, struct fault *f); /* what is known of the last one */

/* check-record.c */
/* what a worker has found: check->result, and what is new, in this batch; 0 or -ENOMEM */
int check_judge(struct check *check, json_object *params);
void check_keep_notes(struct check *check, json_object *changes); /* in this batch */

/* store-open.c */
int pool_open_site(struct pool *pool, struct fault *f);
void pool_open_store(struct pool *pool);
void pool_close_store(struct pool *pool);

/* remove.c */
void pool_removal_step(struct pool *pool);
void pools_finish_deletions(struct pools *p); /* of stores, begun before a restart */
void pool_removal_abandon(struct pool *pool); /* tells who waits that slotd stops */
void pool_drop(struct pool *pool); /* its record goes, the object after the commit */
/* deletes a directory in a child process, then calls fn (may be NULL) */
int tree_delete_start(struct pools *p, const char *path, void (*fn)(void *userdata), void *userdata);

/* slot.c */
struct slot *slot_new(struct pool *pool, const struct slot_record *rec);
void slot_free(struct slot *slot);
void slot_edit(struct slot *slot);
void slot_put(struct slot *slot);
void slot_move(struct slot *slot, enum slot_state to, const char *reason); /* edit, move and put */
/* after slot_edit(): what is in it from now on is not known to be the last holder's */
void slot_forget_holder(struct slot *slot);
void slot_tell_left(struct slot *slot); /* who waits for it is told who is still in it */
void slot_tell_delay(struct slot *slot, const char *reason); /* who waits for it need not wait on */
void slot_forget(struct slot *slot); /* its record goes, the object after the commit */
struct slot *slot_create(struct pool *pool, uint32_t uid);
void slot_work_after(void *arg, int error, const struct fault *why); /* batch_after: slot_work() */

/* slot-jobs.c */
void slot_work(struct slot *slot); /* starts the job that its state asks for, if none runs */
/* on its way back to the pool's ref; discard: what is in it is nobody's work */
void slot_clean(struct slot *slot, bool discard, const char *reason);
void slot_recover(struct slot *slot, bool discard, const char *reason);
/* a job on the slot, under its lock; @params: those besides which slot it is; taken over */
void slot_start_job(struct slot *slot, const char *method, json_object *params, uint64_t deadline,
		    job_done_fn done);
void slot_job_failed(struct slot *slot, const char *what, const struct job_result *r);
void slot_repeat_later(struct slot *slot, uint64_t usec);

/* look.c */
struct look_ask {
	struct list link; /* empty: nothing is being found out */
	struct slot *slot;
	const struct process_id *but; /* these and their ancestors do not count */
	size_t n_but;
	/* once, from the loop; no more than PROCESSES_MOST of them by name; not known: it took too long, ... */
	void (*fn)(struct look_ask *a, bool is_known, size_t n, const struct process_found *found);
	void *userdata;
	unsigned place; /* its own */
};
int look_ask(struct look_ask *a); /* -ENOMEM; whoever does not want to know any more takes it off its list */
void look_stop(struct pool *pool); /* nobody there wants to know any more */

/* leftovers.c */
/* somebody may be in it: slot_work() is called again when nobody is; false: the job may start now */
bool leftovers_hold(struct slot *slot);
void leftovers_settle(struct slot *slot); /* it is clean; who was in it is kept, if anybody was */
void leftovers_free(struct slot *slot);

/* furnish.c */
/* its tree has just been made or cleaned, in this batch after slot_edit(): ready, or what is due first */
void slot_furnish(struct slot *slot);
void slot_furnish_work(struct slot *slot); /* starts the job that is due, if none runs */
/* nobody will have it: ready as it is, and what is in it is nobody's; false: nothing was due, or a job is at it */
bool slot_stop_furnishing(struct slot *slot);
void pool_stop_furnishing(struct pool *pool); /* those that wait are removed; a warm-up ends */

void slot_furnished(struct slot *slot); /* it is ready */
/* it is not, says why, and is tried again after @first, then twice that, ... */
void slot_put_off(struct slot *slot, const char *event, const char *what, const char *why,
		  uint64_t first, uint64_t most);
void pool_furnish_at_once(struct pool *pool); /* what was put off: the reason may be gone */

/* run.c */
struct run_wish {
	const struct conf_list *run;
	uint64_t timeout_usec;
	bool low; /* others first */
};
json_object *slot_run_environment(const struct slot *slot); /* {"SLOT_PATH": ...}, to be added to */
/* @env: taken over; 0 or -ENOMEM. For pool.run_site alone is it that commands run. */
int slot_start_run(struct slot *slot, const struct run_wish *wish, json_object *env, job_done_fn done);
bool run_is_ok(const struct job_result *r);
/* "npm exited with 1: the last line" */
void slot_describe_run(const struct slot *slot, const struct job_result *r, char *ret, size_t size);
void slot_note_output(struct slot *slot, const struct job_result *r); /* what it said, into the history */

/* warm.c */
bool slot_wants_warmup(const struct slot *slot);
bool slot_is_cold(const struct slot *slot); /* it has not been warmed up, and should have been */
void slot_warm_work(struct slot *slot); /* FURNISH_WARM is due */
bool slot_stamp_before_clean(struct slot *slot); /* true: a job looks at what the holder left, first */
void slot_stop_warming(struct slot *slot); /* if it is at it */
void pool_stop_warming(struct pool *pool);

/* hooks.c */
bool pool_has_acquire_run(const struct pool *pool);
/* true: it runs, and then the waiter is answered */
bool slot_start_acquire_run(struct slot *slot, struct waiter *w);
bool slot_start_release_run(struct slot *slot); /* true: it runs, and then the slot is cleaned */

/* ports.c */
/* it has the block that the configuration asks for, and nobody else listens there; false: there is none */
bool slot_take_ports(struct slot *slot);

/* lease.c */
struct lease *lease_new(struct slot *slot, const struct lease_record *rec);
void lease_free(struct lease *lease);
uint64_t lease_next_token(const struct slot *slot); /* of its next grant */
struct lease *lease_grant(struct slot *slot, struct waiter *w, const char *head, const char *branch);

/* lease-term.c */
void lease_set_timer(struct lease *lease);
int lease_on_timer(sd_event_source *s, uint64_t usec, void *userdata);
void lease_timer_follows(struct lease *lease); /* a rollback sets it by what is back by then */
void lease_edit(struct lease *lease); /* before a change of rec */
void lease_ask_later(struct lease *lease); /* too many are asked about just now */
void lease_hear(struct lease *lease); /* its holder has called: a new term, after lease_edit() */
void lease_begin_term(struct lease_record *rec, const struct conf_pool *conf);
struct lease_settings lease_settings_of(const struct conf_pool *conf);
void leases_note_sleep(struct pools *p); /* of the machine, if there was one */

bool lease_is_past_grace(const struct lease *lease);

/* lease-judge.c */
void lease_judge_now(struct lease *lease, const struct inquiry_result *found);
uint64_t lease_age_look(const struct lease *lease); /* CLOCK_BOOTTIME; its age is inquired about; UINT64_MAX: never */

/* lease-bind.c */
void lease_bind(struct lease *lease, const struct acquire_spec *spec); /* at the grant, or anew by its key */
void lease_bind_again(struct lease *lease); /* after a restart */
void lease_unbind(struct lease *lease); /* nothing is watched any more */
void lease_forgive(struct lease *lease); /* its holder reports, though what it was bound to has ended */
void leases_look_at_bound(struct pools *p); /* at what could not be recorded, or not be watched */
enum lease_sign lease_bound_sign(const struct lease *lease);

/* monitor.c */
int monitor_start(struct pools *p, struct fault *f);

/* recovered.c */
/* its end is on disk: lease.recovered.run is told */
void recovered_tell(struct lease *lease, uint64_t held_usec, const char *reason);

/* inquiry.c */
void lease_inquire(struct lease *lease); /* ends in lease_judge_now(), from the loop, within 10 s */
void lease_stop_inquiry(struct lease *lease); /* nobody wants to know any more */
void inquiries_lose_jobs(struct pool *pool); /* its site goes, and they with it */
void inquiries_free(struct pools *p);

/* handoff.c */
int handoff_load(struct pools *p, const struct handoff_record *rec, struct handoff **ret); /* -ENOMEM */
void handoff_is_given(struct pools *p, const struct id *lease, int change); /* 1: to one more lease; -1 */
int handoffs_sort(struct pools *p); /* after the last was loaded; -ENOMEM */
void handoffs_free(struct pools *p);
void handoffs_expire(struct pools *p);
/* of a lease that ends in this batch */
void handoff_leave(struct lease *lease, enum lease_end how, bool discarded, uint64_t held_usec,
		   const char *reason);
/* what a grant gets of who was there before; NULL: nothing */
const struct handoff *handoff_offer(struct pools *p, const struct acquire_spec *spec);
/* the same request again: it means what it meant then */
void handoff_resume_as(struct acquire_spec *spec, const struct acquire_spec *first);
/* fills in what spec->resume means; -ECANCELED: refused */
int handoff_resume(struct pools *p, struct acquire_spec *spec, struct refusal *ret);

/* salvage.c */
int salvage_load(struct pools *p, const struct salvage_record *rec); /* -ENOMEM */
int salvages_sort(struct pools *p); /* after the last was loaded; -ENOMEM */
void salvages_free(struct pools *p);
/* a worker has saved these, of the slot that it had: recorded with what becomes of the slot */
void salvages_take(struct slot *slot, json_object *list);
int salvage_read(json_object *from, struct salvage_record *ret); /* -EINVAL: it is none */
/* recorded in this batch, if it is not yet; NULL: it could not be */
struct salvage *salvage_enter(struct pools *p, const struct salvage_record *rec, bool *ret_new);
struct salvage *salvage_find_by_name(struct pools *p, const char *slot, const struct id *lease, uint64_t n);
void salvage_delete(struct salvage *s); /* its record, in this batch */
__attribute__((format(printf, 4, 5))) void salvage_event(const struct salvage *s, const char *kind,
							  uint32_t uid, const char *fmt, ...);

/* salvage-keep.c */
bool pool_salvages_look(struct pool *pool); /* a store's job, if it is due; true: it was started */
void salvages_look_again(struct pool *pool); /* accepts NULL */
void salvages_expire(struct pools *p); /* drops what may go, and goes on with drops that were killed */
void salvages_expire_soon(struct pools *p); /* there is more than before */
void salvages_lose_jobs(struct pool *pool); /* its site goes, and they with it */
/* its records go, in this batch, with the pool's own; the refs stay: allocated, and how many */
size_t salvages_leave(struct pool *pool, char ***ret_refs);

/* key.c */
struct key *key_load(struct pools *p, const struct key_record *rec);
struct key *key_find(struct pools *p, uint32_t uid, const char *key);
struct key *key_grant(struct pools *p, const struct waiter *w, const struct lease_record *lease);
void key_end(struct pools *p, struct key *key, enum lease_end how);
void keys_expire(struct pools *p);
void key_hash_request(const struct acquire_spec *spec, uint8_t *ret);
void key_free(struct key *key);

/* queue.c */
struct waiter *waiter_new(struct pools *p, const struct acquire_spec *spec, const uint8_t *request,
			  acquire_fn fn, void *userdata);
void waiter_set_timer(struct waiter *w); /* of its deadline, or of the time that its place is kept */
int64_t waiter_priority(const struct waiter *w, uint64_t now); /* with what waiting has added */
/* these end it; it is told at once why not, or after the commit what it got */
void waiter_refuse_with(struct waiter *w, const struct refusal *no);
void waiter_refuse(struct waiter *w, const char *error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void waiter_grant(struct waiter *w, struct slot *slot, const char *head, const char *branch);
void waiter_requeue(struct waiter *w); /* not with this slot: it waits on for another */
void pool_refuse_waiters(struct pool *pool, const struct refusal *why);

/* ticket.c */
void ticket_put(struct waiter *w);  /* it has to wait: its place is kept, if it can come back */
void ticket_prolong(struct waiter *w); /* it was asked again, and waits anew */
void ticket_drop(struct waiter *w); /* it waits no more */
bool waiter_goes_away(struct waiter *w); /* its asker is gone; false: nothing is kept */
bool ticket_load(struct pools *p, const struct ticket_record *rec); /* false: nobody can come back for it */

/* serve.c */
/* no slot has it, or whoever has it will let go of it soon */
bool pool_branch_is_free(struct pool *pool, const char *branch);
void pool_serve(struct pool *pool); /* at the end of a turn: who is next gets a slot */
void waiter_prepared(struct waiter *w, const struct job_result *result);

/* place.c */
int pool_make_slots_dir(struct pool *pool, struct fault *f); /* -EUSERS: another slotd has it */
int pool_drop_slots_dir(struct pool *pool); /* unless something is in it; -errno */
void pool_adopt_directories(struct pool *pool, const char *reason); /* of slots nobody knows */
void slot_inquire(struct slot *slot, const char *why); /* a record that may not be believed */

/* start.c */
int pools_load(struct pools *p, bool rebuilt, struct fault *f);
int pools_bring_in_conf(struct pools *p, struct conf *conf, struct fault *f);
void pools_bring_back(struct pools *p, const char *name); /* a pool has gone: does the file want it? */

#endif

/*
 * A pool goes: first what contradicts it is said, then its slots go, then its store moves
 * aside, then its record. Killed anywhere in between, the next start goes on: the state
 * "removing" is in the ledger before the first slot goes, and the record is the last to leave.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/private.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define REMOVED_DIR "removed"
#define DELETING    ".deleting" /* at the end of a store's name in there */

struct removal {
	enum pool_state was; /* what the pool goes back to when something keeps it */
	bool recorded; /* that it goes; before, nothing is done about it */
	bool listed; /* the store's last job is over */
	bool over;
	char asker[LINE_SIZE]; /* the process that asked, and its ancestors; "": not known */
	pool_removed_fn fn; /* NULL: nobody waits */
	void *userdata;
	struct pool_removal result;
};

/* after a restart nobody knows what the pool was; a worker will see */
static struct removal *removal_new(const struct pool *pool)
{
	struct removal *rm = calloc(1, sizeof(*rm));
	bool has_store = pool->rec.common_dir[0] != '\0';

	if (!rm)
		return NULL;
	rm->was = pool->rec.state != POOL_STATE_REMOVING ? (enum pool_state)pool->rec.state :
		  has_store				 ? POOL_STATE_ACTIVE :
							   POOL_STATE_OPENING;
	return rm;
}

static void removal_free(struct removal *rm)
{
	if (!rm)
		return;
	for (size_t i = 0; i < rm->result.n_branches; i++)
		free(rm->result.branches[i]);
	free(rm->result.branches);
	for (size_t i = 0; i < rm->result.n_salvage; i++)
		free(rm->result.salvage[i]);
	free(rm->result.salvage);
	free(rm->result.store);
	free(rm);
}

/* --- a whole tree goes, in a child: it may take long --- */

struct deletion {
	void (*fn)(void *userdata);
	void *userdata;
};

static int on_deleted(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct deletion *d = userdata;

	if (si->si_code != CLD_EXITED || si->si_status != 0)
		log_warning("a directory could not be deleted whole status=%d", si->si_status);
	if (d->fn)
		d->fn(d->userdata);
	free(d);
	sd_event_source_unref(s);
	return 0;
}

int tree_delete_start(struct pools *p, const char *path, void (*fn)(void *userdata), void *userdata)
{
	struct deletion *d = calloc(1, sizeof(*d));
	sd_event_source *source;
	struct fault f = FAULT_NONE;
	sigset_t none;
	pid_t pid = d ? fork() : -1;
	int r;

	if (pid < 0) {
		free(d);
		return -EAGAIN;
	}
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		_exit(fs_remove_tree(path, &f) < 0);
	}
	d->fn = fn;
	d->userdata = userdata;
	r = sd_event_add_child(p->event, &source, pid, WEXITED, on_deleted, d);
	if (r < 0)
		free(d);
	return r < 0 ? r : 0;
}

/* --- the record --- */

static void pool_gone(void *arg, int error, const struct fault *why)
{
	struct pool *pool = arg;
	struct pools *p = pool->pools;
	char name[NAME_SIZE];

	if (error)
		return;
	memcpy(name, pool->rec.name, sizeof(name));
	pool_free(pool);
	pools_bring_back(p, name);
}

void pool_drop(struct pool *pool)
{
	struct pools *p = pool->pools;

	batch_save(p->batch, &pool->gone, sizeof(pool->gone));
	pool->gone = true;
	batch_delete_pool(p->batch, pool->rec.name);
	batch_clear_verified(p->batch, pool->rec.name);
	batch_after(p->batch, pool_gone, pool);
	pools_changed(p);
	pools_copy_soon(p);
}

/* --- the steps --- */

static void tell(struct pool *pool, const struct refusal *refusal)
{
	static const struct refusal none;
	struct removal *rm = TAKE(pool->removal);

	if (rm && rm->fn)
		rm->fn(pool->rec.name, &rm->result, refusal ? refusal : &none, rm->userdata);
	removal_free(rm);
}

static void tell_removed(void *arg, int error, const struct fault *why)
{
	struct pool *pool = arg;
	struct refusal no = { 0 };

	if (error)
		refuse(&no, "LedgerFailed", "%s", why->text);
	tell(pool, error ? &no : NULL);
}

void pool_removal_abandon(struct pool *pool)
{
	struct refusal no = { 0 };

	refuse(&no, "ShuttingDown", "slotd is stopping; the removal goes on when it starts again");
	tell(pool, &no);
}

/* from here on it happens; or it did not even begin */
static void removal_recorded(void *arg, int error, const struct fault *why)
{
	struct pool *pool = arg;
	struct refusal no = { 0 };

	if (error) {
		tell_removed(pool, error, why);
		return;
	}
	refuse(&no, "Unavailable", "pool %s is being removed", pool->rec.name);
	pool_tell(pool, ASK_OPEN, &no);
	pool_tell(pool, ASK_FETCH, &no);
	pool->removal->recorded = true;
	pool_kick(pool);
}

/* something in a slot is not saved: the pool stays */
static void take_back(struct pool *pool)
{
	const struct slot *slot = list_first(&pool->slots[SLOT_STATE_ISOLATED], struct slot, link);
	struct refusal no = { 0 };

	refuse(&no, "Conflict",
	       "slot %s is isolated (%.120s): see to it, then slotctl slot remove %s --discard",
	       slot->rec.name, slot->rec.reason, slot->rec.name);
	pool_edit(pool);
	pool->rec.state = pool->removal->was;
	pool->rec.delete_store = false;
	pool_put(pool);
	pools_event(pool->pools, "pool_remove_failed", pool, NULL, NULL, UID_SLOTD, "%s",
		    no.why.text);
	tell(pool, &no);
	pool_kick(pool);
}

static void on_unpushed(const struct job_result *r, void *userdata)
{
	struct pool *pool = userdata;
	json_object *list = json_get_array(r->params, "branches");
	struct removal *rm = pool->removal;
	size_t n = list ? json_object_array_length(list) : 0;

	pool->store_job = NULL;
	if (r->outcome == JOB_CANCELED || !rm)
		return;
	if (r->outcome != JOB_DONE)
		log_warning("the store did not take its leave: %s pool=%s", r->message,
			    pool->rec.name);
	rm->listed = true;
	rm->result.branches = calloc(n + 1, sizeof(char *));
	for (size_t i = 0; i < n && rm->result.branches; i++) {
		char *name = text_dup(json_object_get_string(json_object_array_get_idx(list, i)));

		if (name)
			rm->result.branches[rm->result.n_branches++] = name;
	}
	pool_kick(pool);
}

/* a cloned store is asked what only it has; an operator's repository gets our mark taken off */
static void say_goodbye(struct pool *pool)
{
	bool adopted = pool_is_adopted(pool);
	const char *owner = pool->pools->conf->state_dir;
	struct job_spec spec = {
		.method = adopted ? "StoreRelease" : "StoreUnpushed",
		.params = json_object_new_object(),
		.lock = pool->rec.name,
		.deadline_usec = DEADLINE_SLOT,
		.done = on_unpushed,
		.userdata = pool,
	};

	if (adopted)
		json_set_string(spec.params, "owner", owner);
	if (job_start(pool->site, &spec, &pool->store_job) < 0)
		pools_look_later(pool->pools, USEC_PER_SEC);
}

/*
 * <state_dir>/removed/<pool>-<time>.git; one that has moved already is fine. What is to be deleted
 * says so by its name: the pool's record is gone when that ends, and after a crash the next start
 * goes on with it.
 */
static int move_store(struct pool *pool, struct fault *f)
{
	_cleanup_(freep) char *dir = text_printf("%s/" REMOVED_DIR, pool->pools->conf->state_dir);
	_cleanup_(freep) char *to = NULL;
	struct removal *rm = pool->removal;
	int r;

	if (!dir)
		return fault_oom(f);
	to = text_printf("%s/%s-%llu.git%s", dir, pool->rec.name,
			 (unsigned long long)(clock_wall_usec() / USEC_PER_SEC),
			 pool->rec.delete_store ? DELETING : "");
	if (!to)
		return fault_oom(f);
	r = fs_mkdir_all(dir, 0700, f);
	if (r < 0)
		return r;
	CRASH_POINT("pool.remove.before-rename");
	if (renameat2(AT_FDCWD, pool->store, AT_FDCWD, to, RENAME_NOREPLACE) < 0) {
		if (errno == ENOENT)
			return 0;
		return fault_errno(f, -errno, "cannot move %s to %s", pool->store, to);
	}
	CRASH_POINT("pool.remove.after-rename");
	fs_sync_dir_at(AT_FDCWD, dir);
	rm->result.deleted = pool->rec.delete_store;
	if (pool->rec.delete_store)
		return tree_delete_start(pool->pools, to, NULL, NULL);
	rm->result.store = TAKE(to);
	return 0;
}

void pools_finish_deletions(struct pools *p)
{
	_cleanup_(freep) char *dir = text_printf("%s/" REMOVED_DIR, p->conf->state_dir);
	DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		_cleanup_(freep) char *path = NULL;

		if (!text_has_suffix(e->d_name, DELETING))
			continue;
		path = text_printf("%s/%s", dir, e->d_name);
		if (!path || tree_delete_start(p, path, NULL, NULL) < 0)
			log_warning("a store that is to be deleted stays path=%s/%s", dir, e->d_name);
	}
	if (d)
		closedir(d);
}

/* its clone had not come to its end */
static void delete_half_clone(struct pool *pool)
{
	_cleanup_(freep) char *clone = text_printf("%s.new", pool->store);

	if (clone && access(clone, F_OK) == 0 &&
	    tree_delete_start(pool->pools, clone, NULL, NULL) < 0)
		log_warning("an unfinished clone stays path=%s", clone);
}

/* caches of commands that nobody runs any more; one that the configuration names is the operator's */
static void delete_home(struct pool *pool)
{
	_cleanup_(freep) char *home = text_printf("%s/" POOL_HOMES "/%s", pool->pools->conf->state_dir,
						  pool->rec.name);

	if (home && access(home, F_OK) == 0 && tree_delete_start(pool->pools, home, NULL, NULL) < 0)
		log_warning("the home of a pool's commands stays path=%s", home);
}

static void finish(struct pool *pool)
{
	bool adopted = pool_is_adopted(pool);
	struct fault f = FAULT_NONE;

	pool_close_store(pool);
	if (!adopted && move_store(pool, &f) < 0) {
		log_error("pool cannot be removed: %s pool=%s", f.text, pool->rec.name);
		pools_look_later(pool->pools, 10 * USEC_PER_SEC);
		return;
	}
	if (!adopted)
		delete_half_clone(pool);
	delete_home(pool);
	if (pool_drop_slots_dir(pool) < 0 && errno != ENOENT)
		log_warning("the directory of slots is not empty and stays path=%s", pool->slots_dir);
	pool->removal->over = true;
	pool->removal->result.n_salvage = salvages_leave(pool, &pool->removal->result.salvage);
	pools_event(pool->pools, "pool_removed", pool, NULL, NULL, UID_SLOTD, "%s",
		    pool->removal->result.store ? pool->removal->result.store : "");
	batch_after(pool->pools->batch, tell_removed, pool);
	pool_drop(pool);
}

static void send_away(struct slot *slot)
{
	slot_move(slot, SLOT_STATE_REMOVING, "its pool is removed");
	slot_edit(slot);
	memcpy(slot->rec.left_by, slot->pool->removal->asker, sizeof(slot->rec.left_by));
	slot_put(slot);
}

/* true: all slots are gone or going */
static bool send_slots_away(struct pool *pool)
{
	struct slot *slot, *tmp;

	pool_stop_furnishing(pool);
	list_for_each_safe(slot, tmp, &pool->slots[SLOT_STATE_READY], link)
		if (!slot->gone)
			send_away(slot);
	return list_is_empty(&pool->slots[SLOT_STATE_ISOLATED]);
}

void pool_removal_step(struct pool *pool)
{
	bool has_store = pool->rec.common_dir[0] != '\0';

	if (pool->gone || pool->rec.state != POOL_STATE_REMOVING)
		return;
	if (!pool->removal) {
		pool->removal = removal_new(pool); /* begun before a restart */
		if (pool->removal)
			pool->removal->recorded = true;
	}
	if (!pool->removal || !pool->removal->recorded || pool->removal->over || pool->store_job ||
	    !maintain_is_over(pool) || !checks_are_over(pool))
		return;
	if (!send_slots_away(pool))
		take_back(pool);
	else if (pool->total > 0)
		return; /* the last one that goes kicks the pool */
	else if (has_store && pool->site && !pool->removal->listed)
		say_goodbye(pool);
	else
		finish(pool);
}

/* --- asking --- */

static int check_removable(struct pool *pool, struct refusal *ret)
{
	unsigned leased = pool->count[SLOT_STATE_LEASED] + pool->count[SLOT_STATE_PREPARING];
	const struct pool_record *r = &pool->rec;

	if (r->from_file && conf_find_pool(pool->pools->conf, r->name))
		return refuse(ret, "Conflict", "pool %s is defined in %s:%u; delete it there, then "
			      "slotctl pool remove %s", r->name, pool->pools->conf->file,
			      pool->conf->line, r->name);
	if (r->state == POOL_STATE_REMOVING)
		return refuse(ret, "Conflict", "pool %s is being removed already", r->name);
	if (pool->failure)
		return refuse(ret, "Conflict", "%s; it is just being taken away",
			      pool->failure->why.text);
	if (pool->fresh)
		return refuse(ret, "Conflict", "pool %s is just being added; try again", r->name);
	if (leased > 0)
		return refuse(ret, "Conflict", "%u %s of pool %s %s leased: slotctl leases", leased,
			      text_plural(leased, "slot", "slots"), r->name,
			      text_plural(leased, "is", "are"));
	if (!list_is_empty(&pool->slots[SLOT_STATE_ISOLATED])) {
		const struct slot *slot =
			list_first(&pool->slots[SLOT_STATE_ISOLATED], struct slot, link);

		return refuse(ret, "Conflict", "slot %s is isolated (%.120s): see to it, then "
			      "slotctl slot remove %s --discard", slot->rec.name, slot->rec.reason,
			      slot->rec.name);
	}
	return 0;
}

int pool_remove(struct pool *pool, bool delete_store, uint32_t uid, pool_removed_fn fn,
		void *userdata, struct refusal *ret_refusal)
{
	struct refusal no = { 0 };
	struct removal *rm;
	int r = check_removable(pool, ret_refusal);

	if (r < 0)
		return r;
	rm = removal_new(pool);
	if (!rm)
		return refuse(ret_refusal, "Internal", "out of memory");
	rm->fn = fn;
	rm->userdata = userdata;
	pool->removal = rm;
	refuse(&no, "Unavailable", "pool %s is being removed", pool->rec.name);
	pool_refuse_waiters(pool, &no);
	pool_edit(pool);
	pool->rec.state = POOL_STATE_REMOVING;
	pool->rec.delete_store = delete_store;
	pool_put(pool);
	batch_after(pool->pools->batch, removal_recorded, pool);
	pools_event(pool->pools, "pool_removing", pool, NULL, NULL, uid, "%s",
		    delete_store ? "store included" : "");
	pool_kick(pool);
	return 0;
}

void pool_note_remover(struct pool *pool, pid_t pid)
{
	struct process_id line[LINE_MOST];
	size_t n = process_line(pid, line, LINE_MOST);

	if (pool->removal)
		process_line_to_string(line, n, pool->removal->asker, sizeof(pool->removal->asker));
}

/*
 * A slot goes back to its pool, or goes altogether: what is in it is saved first.
 *
 * Saving and discarding are one job, for what is discarded must be what was saved. Cleaning leaves alone
 * whatever is not; then that is saved as well, and cleaning goes on. A job that was killed had either
 * discarded nothing, or left a mark that says what was saved (git/worktree.h).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "git/admin-work.h"
#include "git/branch.h"
#include "git/ignore.h"
#include "git/salvage.h"
#include "git/store.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"
#include "worker/site.h"

#define SENTENCES_MAX  20
#define SPECIAL_MAX    100
#define ROUNDS	       12 /* against somebody who goes on writing */
#define PAUSE_MSEC     20 /* after the first of them; each is twice as long as the one before ... */
#define PAUSE_MAX_MSEC 320 /* ... up to this: 2.5 s in all */

struct clean {
	struct work *work;
	struct site *site;
	git_oid target;
	struct tree_policy policy;
	struct ignore *keep, *wipe, *precious; /* of the policy */
	struct tree_saved *saved; /* NULL: all may go */
	bool resumed;		  /* by the mark of a job that was killed */
	bool saves;		  /* nothing was thrown away by who had it */
	struct salvage_spec spec;
	json_object *special;
};

static void clean_deinit(struct clean *c)
{
	ignore_free(c->keep);
	ignore_free(c->wipe);
	ignore_free(c->precious);
	tree_saved_free(c->saved);
	json_object_put(c->special);
}

/* --- parameters --- */

static int read_policy(struct clean *c)
{
	int r = site_read_patterns(c->work, "keep", &c->keep);

	if (r == 0)
		r = site_read_patterns(c->work, "wipe", &c->wipe);
	if (r == 0)
		r = site_read_patterns(c->work, "precious", &c->precious);
	c->policy = (struct tree_policy){
		.wipe_ignored = json_get_bool(c->work->params, "wipeIgnored", false),
		.keep = c->keep,
		.wipe = c->wipe,
		.precious = c->precious,
	};
	return r;
}

static void read_oid(json_object *o, const char *key, git_oid *ret)
{
	const char *hex = json_get_string(o, key);

	if (!hex || git_oid_fromstr(ret, hex) < 0)
		memset(ret, 0, sizeof(*ret));
}

static void read_save(struct clean *c)
{
	json_object *o = json_get_object(c->work->params, "save");

	c->saves = !json_get_bool(c->work->params, "discard", false);
	c->spec = (struct salvage_spec){
		.lease = json_get_string(o, "lease"),
		.pool = json_get_string(o, "pool"),
		.agent = json_get_string(o, "agent"),
		.task = json_get_string(o, "task"),
		.branch = json_get_string(o, "branch"),
		.target = c->target,
		.since_usec = (uint64_t)json_get_int(o, "sinceUsec", 0),
		.at_usec = (uint64_t)json_get_int(o, "atUsec", 0),
		.policy = &c->policy,
		.threads = c->work->worker->threads,
	};
	read_oid(o, "base", &c->spec.held);
	read_oid(o, "fallback", &c->spec.fallback);
}

/* --- the reply --- */

static void add_sentence(struct work *work, const char *sentence)
{
	json_object *list = json_get_array(work->reply, "unsaved");

	if (json_object_array_length(list) < SENTENCES_MAX)
		json_object_array_add(list, json_object_new_string(sentence));
}

static bool has_unsaved(struct work *work)
{
	return json_object_array_length(json_get_array(work->reply, "unsaved")) > 0;
}

static int on_note(enum salvage_note note, const char *text, void *userdata)
{
	struct clean *c = userdata;
	_cleanup_(freep) char *quoted = NULL;

	if (note == SALVAGE_NOTE_CANNOT) {
		add_sentence(c->work, text);
		return 0;
	}
	quoted = text_quote_path(text);
	if (quoted && json_object_array_length(c->special) < SPECIAL_MAX)
		json_object_array_add(c->special, json_object_new_string(quoted));
	return 0;
}

static int add_salvage(const struct salvage_taken *s, void *userdata)
{
	struct clean *c = userdata;
	json_object *o = json_object_new_object();
	char hex[GIT_OID_HEXSZ + 1];

	json_set_string(o, "ref", s->ref);
	json_set_int(o, "n", s->n);
	json_set_string(o, "commit", git_oid_tostr(hex, sizeof(hex), &s->commit));
	json_set_int(o, "takenAtUsec", (int64_t)s->taken_usec);
	json_set_string(o, "summary", s->summary ? s->summary : "");
	json_set_int(o, "bytes", (int64_t)s->bytes);
	json_set(o, "special", json_object_get(c->special));
	json_object_array_add(json_get_array(c->work->reply, "salvage"), o);
	return 0;
}

/* all of the lease, for a job that was killed could not tell of its own */
static int set_salvages(struct clean *c)
{
	return c->saves ? salvage_foreach_taken(c->site->repo, c->site->slot, c->spec.lease, add_salvage, c,
						&c->work->fault) :
			  0;
}

/* --- save --- */

/* 1: it cannot be saved, and the reply says what; or it was, and the slot is not to be touched */
static int save(struct clean *c)
{
	struct salvage_taken taken = { 0 };
	int r = salvage_take(c->site->worktree, &c->spec, c->saved, on_note, c, &taken, &c->work->fault);

	if (r == 0)
		log_info("saved: %s slot=%s ref=%s", taken.summary, c->site->slot, taken.ref);
	salvage_taken_deinit(&taken);
	CRASH_POINT("clean.saved");
	if (r < 0)
		return r;
	if (r == 0 && json_get_bool(c->work->params, "leave", false)) {
		json_set_bool(c->work->reply, "left", true);
		return 1;
	}
	return r == SALVAGE_E_CANNOT;
}

/* false: the parameters are wrong, and the error says so */
static bool read_all(struct clean *c, int *ret)
{
	struct work *work = c->work;

	json_set(work->reply, "unsaved", json_object_new_array());
	json_set(work->reply, "salvage", json_object_new_array());
	c->special = json_object_new_array();
	if (!site_read_slot(work, c->site) || !site_read_commit(work, &c->target))
		return false;
	*ret = read_policy(c);
	read_save(c);
	return true;
}

/* what an earlier try knew to be saved is gone on with */
static int prepare(struct clean *c)
{
	struct work *work = c->work;
	int r = 0;

	if (!c->saves)
		return 0;
	r = worktree_is_switching(c->site->worktree, &work->fault);
	if (r < 0)
		return r;
	c->resumed = r > 0;
	r = worktree_read_saved(c->site->worktree, &c->saved, &work->fault);
	if (r < 0)
		return r;
	if (!c->saved && !c->resumed) {
		c->saved = tree_saved_new();
		r = c->saved ? 0 : fault_oom(&work->fault);
	}
	return r;
}

/* --- clean --- */

static int clean_once(struct clean *c, bool is_first, struct tree_stats *ret)
{
	git_oid head;
	_cleanup_(freep) char *branch = NULL;
	struct worktree_clean_options options = {
		.policy = c->policy,
		.threads = c->work->worker->threads,
		.prove_content = json_get_bool(c->work->params, "content", false),
		.forget = json_get_bool(c->work->params, "forgetLog", false),
		.saved = c->saved,
		.locks_are_stale = c->resumed && is_first,
	};

	/* what salvage compares with: files that equal it are held by it */
	if (worktree_head(c->site->worktree, &branch, &head, NULL) == 0 && !git_oid_is_zero(&head))
		options.held = &head;
	else if (!git_oid_is_zero(&c->spec.fallback))
		options.held = &c->spec.fallback;
	return worktree_clean(c->site->worktree, &c->target, &options, ret, &c->work->fault);
}

/* whoever writes may pause, or end; nobody tells when, but slotd's end is told */
static int pause_after(struct clean *c, int round)
{
	struct pollfd end = { .fd = c->work->worker->fd, .events = POLLRDHUP };
	int msec = PAUSE_MSEC << round;

	if (poll(&end, 1, msec < PAUSE_MAX_MSEC ? msec : PAUSE_MAX_MSEC) > 0)
		return fault(&c->work->fault, -EPIPE, "slotd has gone away");
	return 0;
}

/* the set of a job that was killed may have been too large for its mark, and then says nothing */
static bool knows_all(const struct clean *c)
{
	return c->resumed && admin_work_is_noted(c->saved);
}

/*
 * 1: not all could be saved, and the reply says what. Without a set there is nothing to save: its holder
 * threw it away, or nobody has had the slot since it was being moved.
 */
static int save_and_clean(struct clean *c, struct tree_stats *ret)
{
	int r = 0;

	for (int round = 0; round < ROUNDS; round++) {
		if (round > 0)
			r = pause_after(c, round - 1);
		if (r < 0)
			return r;
		if (c->saved && (round > 0 || !knows_all(c))) {
			r = save(c);
			if (r != 0)
				return r;
		}
		r = clean_once(c, round == 0, ret);
		if (r != WORKTREE_E_UNSAVED && (r != -EBUSY || !c->saved))
			return r;
	}
	add_sentence(c->work, c->work->fault.text[0] ? c->work->fault.text : "somebody goes on writing in it");
	return 1;
}

/* after the job HEAD is where the reply says, cleaned or left alone */
static void set_head(struct clean *c)
{
	_cleanup_(freep) char *branch = NULL;
	git_oid head;

	/* a HEAD that is broken was left alone with the rest */
	if (worktree_head(c->site->worktree, &branch, &head, NULL) < 0)
		memset(&head, 0, sizeof(head));
	site_set_head(c->work, &head, branch);
}

int job_slot_clean(struct work *work)
{
	_cleanup_site_ struct site s = { 0 };
	_cleanup_(clean_deinit) struct clean c = { .work = work, .site = &s };
	struct tree_stats stats = { 0 };
	int r = 0;

	if (!read_all(&c, &r))
		return 0;
	if (r == 0)
		r = site_open_slot(work, &s);
	if (r == 0)
		r = prepare(&c);
	if (r == 0)
		r = save_and_clean(&c, &stats);
	if (r == 0)
		r = branch_pin(s.repo, s.slot, &c.target, &work->fault);
	if (r == 0)
		r = job_reset_tmp(work, s.slot);
	if (r < 0)
		return r;
	set_head(&c);
	json_set_int(work->reply, "diskBytes", (int64_t)stats.disk_bytes);
	return set_salvages(&c);
}

/* --- remove --- */

/* whose ignore rules say what is worth nothing: not HEAD's, which the agent made, if that can be helped */
static int find_judge(struct clean *c)
{
	_cleanup_(freep) char *ref = NULL;
	_cleanup_(freep) char *branch = NULL;

	if (!git_oid_is_zero(&c->target))
		return 0;
	if (store_resolve(c->site->repo, c->work->worker->adopted, NULL, &ref, &c->target, NULL) == 0 &&
	    !git_oid_is_zero(&c->target))
		return 0;
	return worktree_head(c->site->worktree, &branch, &c->target, &c->work->fault);
}

/* a slot that cannot be looked into may hold anything; one that is not there holds nothing */
static int save_before_removal(struct clean *c)
{
	struct work *work = c->work;
	struct worker *w = work->worker;
	struct tree_stats stats;
	int r;

	if (!worktree_exists(w->slots_fd, c->site->slot))
		return 0;
	r = worktree_is_unfinished(c->site->repo, c->site->slot, &work->fault);
	if (r != 0)
		return r < 0 ? r : 0;
	r = site_open_slot(work, c->site);
	if (r == 0)
		r = prepare(c);
	if (r == 0)
		r = find_judge(c);
	c->spec.target = c->target;
	c->spec.all_goes = true;
	if (r == 0)
		r = save_and_clean(c, &stats);
	if (r == -EUCLEAN) {
		add_sentence(work, work->fault.text);
		return 0;
	}
	return r < 0 ? r : 0;
}

int job_slot_remove(struct work *work)
{
	struct worker *w = work->worker;
	_cleanup_site_ struct site s = { 0 };
	_cleanup_(clean_deinit) struct clean c = { .work = work, .site = &s };
	int r = 0;

	if (!read_all(&c, &r))
		return 0;
	if (r == 0)
		r = site_open_store(work, &s);
	if (r == 0 && c.saves)
		r = save_before_removal(&c);
	if (r == 0)
		r = set_salvages(&c);
	if (r < 0 || has_unsaved(work))
		return r;
	r = job_remove_tmp(work, s.slot);
	if (r < 0)
		return r;
	return worktree_remove(s.repo, w->slots_fd, w->slots, s.slot, s.dev, s.ino, &work->fault);
}

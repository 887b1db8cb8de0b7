/* What is done to slots. */
#include "worker/site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/branch.h"
#include "git/store.h"
#include "git/worktree.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/text.h"

#define OBSERVE_USEC  (5 * USEC_PER_SEC) /* for what was written last */

/* --- create --- */

int job_slot_create(struct work *work)
{
	struct worker *w = work->worker;
	_cleanup_site_ struct site s = { 0 };
	struct tree_stats stats = { 0 };
	git_oid commit;
	int r;

	if (!site_read_slot(work, &s) || !site_read_commit(work, &commit))
		return 0;
	r = site_open_store(work, &s);
	if (r == 0)
		r = worktree_create(s.repo, w->slots_fd, w->slots, s.slot, &commit, w->threads,
				    &s.dev, &s.ino, &stats, &work->fault);
	if (r == 0)
		r = job_reset_tmp(work, s.slot);
	if (r < 0)
		return r;
	json_set_string(work->reply, "head", git_oid_tostr_s(&commit));
	json_set_int(work->reply, "dev", (int64_t)s.dev);
	json_set_int(work->reply, "ino", (int64_t)s.ino);
	json_set_int(work->reply, "diskBytes", (int64_t)stats.disk_bytes);
	return 0;
}

/* --- prepare --- */

struct target {
	git_oid commit;
	const char *branch; /* NULL: detached */
	bool absent;	    /* the branch is to be made, at commit */
};

/* the commit that was asked for; the branch may stand elsewhere and then wins */
static int find_base(struct work *work, struct site *s, struct target *t)
{
	const char *name = json_get_string(work->params, "ref");
	_cleanup_(freep) char *ref = NULL;
	int r;

	if (!name) {
		site_read_commit(work, &t->commit);
		return git_oid_is_zero(&t->commit) ?
			       fault(&work->fault, -EINVAL, "neither a ref nor a commit was named") :
			       0;
	}
	r = store_resolve(s->repo, work->worker->adopted, name, &ref, &t->commit, &work->fault);
	if (r == 0 && git_oid_is_zero(&t->commit))
		return fault(&work->fault, -ENOENT, "%s has no commit yet", ref);
	return r;
}

static int refuse_branch(struct work *work, const char *branch, const char *path)
{
	_cleanup_(freep) char *message =
		text_printf("the branch %s is checked out, or being rebased or bisected, in %s",
			    branch, path);

	if (!message)
		return fault_oom(&work->fault);
	work->error = "io.slotd.worker.BranchInUse";
	json_set_string(work->reply, "message", message);
	json_set_string(work->reply, "branch", branch);
	json_set_path(work->reply, "path", path);
	json_object_object_del(work->reply, "pathBase64");
	return 0;
}

/* is the branch there, and free? work->error is set when it is not free */
static int find_branch(struct work *work, struct site *s, struct target *t)
{
	_cleanup_(freep) char *path = NULL;
	int r = branch_check_name(t->branch, &work->fault);

	if (r == 0)
		r = branch_find_user(s->repo, t->branch, s->slot, &path, &work->fault);
	if (r == BRANCH_E_IN_USE)
		return refuse_branch(work, t->branch, path);
	if (r == 0)
		r = branch_find(s->repo, t->branch, &t->commit, &work->fault);
	t->absent = r == BRANCH_E_ABSENT;
	return r == BRANCH_E_ABSENT ? find_base(work, s, t) : r;
}

static int find_target(struct work *work, struct site *s, struct target *t)
{
	t->branch = json_get_string(work->params, "branch");
	return t->branch ? find_branch(work, s, t) : find_base(work, s, t);
}

/* the pin first: from then on no maintenance takes the commit away */
static int move(struct work *work, struct site *s, const struct target *t, bool *ret_created)
{
	struct tree_stats stats;
	int r = branch_pin(s->repo, s->slot, &t->commit, &work->fault);

	if (r == 0 && t->absent)
		r = branch_create(s->repo, s->slot, t->branch, &t->commit, ret_created,
				  &work->fault);
	if (r == 0)
		r = worktree_switch(s->worktree, t->branch, &t->commit, work->worker->threads,
				    &stats, &work->fault);
	return r;
}

/* the branch may have stood elsewhere, and the ref be another one: how far is it from what the pool has? */
static int set_behind(struct work *work, struct site *s, const git_oid *commit)
{
	const char *name = json_get_string(work->params, "base");
	_cleanup_(freep) char *ref = NULL;
	int64_t behind = -1;
	git_oid base;
	int r = 0;

	if (name)
		r = store_resolve(s->repo, work->worker->adopted, name, &ref, &base, &work->fault);
	if (r == 0 && name && !git_oid_is_zero(&base))
		r = store_behind(s->repo, commit, &base, &behind, &work->fault);
	json_set(work->reply, "behind", behind >= 0 ? json_object_new_int64(behind) : NULL);
	return r;
}

int job_slot_prepare(struct work *work)
{
	_cleanup_site_ struct site s = { 0 };
	struct target t = { 0 };
	bool created = false;
	int r;

	if (!site_read_slot(work, &s) || !site_read_commit(work, &t.commit))
		return 0;
	r = site_open_slot(work, &s);
	if (r == 0)
		r = find_target(work, &s, &t);
	if (r < 0 || work->error)
		return r;
	r = move(work, &s, &t, &created);
	if (r < 0)
		return r;
	if (set_behind(work, &s, &t.commit) < 0)
		log_warning("cannot tell how far a slot is behind: %s slot=%s", work->fault.text, s.slot);
	site_set_head(work, &t.commit, t.branch);
	json_set_bool(work->reply, "created", created);
	return 0;
}

/* --- observe --- */

/* the clock may have been set while it was looked */
static json_object *since_or_null(uint64_t from, uint64_t to)
{
	if (from == 0 || to == 0)
		return NULL;
	return json_object_new_int64(to > from ? (int64_t)(to - from) : 0);
}

int job_slot_observe(struct work *work)
{
	struct worker *w = work->worker;
	struct worktree_observation seen;
	_cleanup_site_ struct site s = { 0 };
	uint64_t now = clock_wall_usec();
	int r;

	if (!site_read_slot(work, &s))
		return 0;
	r = site_open_store(work, &s);
	if (r == 0)
		r = worktree_observe(s.repo, w->slots_fd, w->slots, s.slot, s.dev, s.ino, OBSERVE_USEC, &seen,
				     &work->fault);
	if (r < 0)
		return r;
	json_set_string(work->reply, "operation", seen.operation);
	json_set(work->reply, "writtenAgoUsec", since_or_null(seen.written_usec, now));
	json_set(work->reply, "writtenAheadUsec", since_or_null(now, seen.to_come_usec));
	json_set_bool(work->reply, "sawAll", seen.saw_all);
	return 0;
}

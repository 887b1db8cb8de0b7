/*
 * What was saved: listed, shown, dropped, made a branch, and brought back.
 *
 * The last two methods are for a worker that slotctl starts as its caller: into a directory of his, which is
 * then this worker's slots directory, or into the slot that he has leased.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/ignore.h"
#include "git/ref-write.h"
#include "git/salvage-read.h"
#include "git/salvage-restore.h"
#include "git/tree-summary.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"
#include "worker/confine.h"
#include "worker/site.h"

#define LIST_MAX      20000 /* what fits into one reply */
#define NAMES_MAX     100
#define BYTES_MAX     ((int64_t)1 << 50)
#define WORDS_BYTES   512 /* of one string that somebody else has written */
#define SUMMARY_LINES 100

/* --- what the meta says; anybody may have written it --- */

static json_object *new_words(const char *text)
{
	_cleanup_(freep) char *words = text_printf("%.*s", WORDS_BYTES, text);

	if (!words)
		return NULL;
	text_mend_utf8(words);
	return json_object_new_string(words);
}

static void set_words(json_object *to, const char *key, const char *text)
{
	json_set(to, key, text ? new_words(text) : NULL);
}

/* the strings of a list, the first of them */
static json_object *names_of(json_object *meta, const char *key)
{
	json_object *from = json_get_array(meta, key), *to = json_object_new_array();
	size_t n = from ? json_object_array_length(from) : 0;

	for (size_t i = 0; i < n && i < NAMES_MAX; i++) {
		json_object *name = json_object_array_get_idx(from, i);

		if (json_object_is_type(name, json_type_string))
			json_object_array_add(to, new_words(json_object_get_string(name)));
	}
	return to;
}

static json_object *stashes_of(json_object *meta)
{
	json_object *from = json_get_array(meta, "stashes"), *to = json_object_new_array();
	size_t n = from ? json_object_array_length(from) : 0;

	for (size_t i = 0; i < n && i < NAMES_MAX; i++) {
		json_object *stash = json_object_array_get_idx(from, i), *o;
		const char *commit = json_get_string(stash, "commit");
		const char *message = json_get_string(stash, "message");

		if (!commit)
			continue;
		o = json_object_new_object();
		set_words(o, "commit", commit);
		set_words(o, "message", message ? message : "");
		json_object_array_add(to, o);
	}
	return to;
}

static json_object *counts_of(json_object *meta)
{
	json_object *from = json_get_object(meta, "counts"), *to = json_object_new_object();
	size_t n = 0;

	if (!from)
		return to;
	json_object_object_foreach (from, key, value) {
		if (json_object_is_type(value, json_type_int) && n++ < NAMES_MAX)
			json_set_int(to, key, json_object_get_int64(value));
	}
	return to;
}

static void set_entry(json_object *o, const struct salvage *s)
{
	const char *summary = json_get_string(s->meta, "summary");
	int64_t bytes = json_get_int(s->meta, "bytes", 0); /* anybody may have written it */
	_cleanup_(freep) char *subject = strndup(s->message, strcspn(s->message, "\n"));

	json_set_string(o, "commit", git_oid_tostr_s(&s->commit));
	set_words(o, "agent", json_get_string(s->meta, "agent"));
	set_words(o, "task", json_get_string(s->meta, "task"));
	json_set_int(o, "takenAtUsec", json_get_int(s->meta, "takenAtUsec", (int64_t)s->time_usec));
	set_words(o, "summary", summary ? summary : subject ? subject : "");
	json_set_int(o, "bytes", bytes > 0 && bytes <= BYTES_MAX ? bytes : 0);
}

/* --- list --- */

struct listing {
	struct repo *repo;
	json_object *salvage, *damaged;
};

/* one that cannot be read is no reason not to tell of the others */
static int list_one(const char *ref, const struct salvage_name *name, const git_oid *commit,
		    void *userdata, struct fault *f)
{
	_cleanup_(salvage_freep) struct salvage *s = NULL;
	struct listing *l = userdata;
	struct fault why = FAULT_NONE;
	json_object *o;
	int r = salvage_open(l->repo, commit, &s, &why);

	if (r == -ENOMEM)
		return fault_oom(f);
	if (json_object_array_length(l->salvage) + json_object_array_length(l->damaged) >= LIST_MAX)
		return fault(f, -EFBIG, "there are more than %d refs below %s in the store",
			     LIST_MAX, SALVAGE_REFS);
	o = json_set_string(json_object_new_object(), "ref", ref);
	if (r == 0)
		set_entry(o, s);
	else
		set_words(o, "message", why.text);
	json_object_array_add(r == 0 ? l->salvage : l->damaged, o);
	return 0;
}

int job_salvage_list(struct work *work)
{
	_cleanup_site_ struct site s = { 0 };
	struct listing l = { .salvage = json_object_new_array(),
			     .damaged = json_object_new_array() };
	int r;

	json_set(work->reply, "salvage", l.salvage);
	json_set(work->reply, "damaged", l.damaged);
	r = site_open_store(work, &s);
	l.repo = s.repo;
	return r < 0 ? r : salvage_foreach_ref(s.repo, list_one, &l, &work->fault);
}

/* --- show --- */

int job_salvage_show(struct work *work)
{
	_cleanup_(salvage_freep) struct salvage *salvage = NULL;
	_cleanup_(text_deinit) struct text diffstat = { 0 };
	_cleanup_site_ struct site s = { 0 };
	json_object *o = work->reply;
	git_oid commit;
	int r;

	if (!site_read_commit(work, &commit))
		return 0;
	r = site_open_store(work, &s);
	if (r == 0)
		r = salvage_open(s.repo, &commit, &salvage, &work->fault);
	if (r == 0)
		r = tree_summary(s.repo, &salvage->base_tree, &salvage->tree, SUMMARY_LINES,
				 &diffstat, &work->fault);
	if (r < 0)
		return r;
	if (diffstat.failed)
		return fault_oom(&work->fault);
	json_set_string(o, "base", git_oid_tostr_s(&salvage->base));
	set_words(o, "head", salvage->head);
	set_words(o, "branch", json_get_string(salvage->meta, "branch"));
	json_set(o, "operations", names_of(salvage->meta, "operations"));
	json_set(o, "special", names_of(salvage->meta, "special"));
	json_set(o, "hidden", names_of(salvage->meta, "hidden"));
	json_set(o, "unstable", names_of(salvage->meta, "unstable"));
	json_set(o, "stashes", stashes_of(salvage->meta));
	json_set_int(o, "commits", json_get_int(salvage->meta, "commits", 0));
	json_set(o, "counts", counts_of(salvage->meta));
	json_set_string(o, "diffstat", diffstat.data ? diffstat.data : "");
	return 0;
}

/* --- drop --- */

/* where a ref is; 1: there is none */
static int find_ref(struct repo *repo, const char *ref, git_oid *ret, struct fault *f)
{
	int rc = git_reference_name_to_id(ret, repo_git(repo), ref);

	if (rc == GIT_ENOTFOUND)
		return 1;
	return rc < 0 ? git_fault(f, rc, "cannot read %s", ref) : 0;
}

static int drop(struct work *work, struct repo *repo, const char *ref,
		const struct salvage_name *name, const git_oid *commit)
{
	git_oid at;
	int r = ref_recover(repo, name->slot, &work->fault);

	if (r == 0)
		r = find_ref(repo, ref, &at, &work->fault);
	if (r == 0 && !git_oid_equal(&at, commit))
		return fault(&work->fault, -EBUSY, "%s is at another commit by now: %s", ref,
			     git_oid_tostr_s(&at));
	if (r == 0)
		r = ref_delete(repo, name->slot, ref, &work->fault);
	return r < 0 ? r : 0;
}

int job_salvage_drop(struct work *work)
{
	const char *ref = json_get_string(work->params, "ref");
	_cleanup_site_ struct site s = { 0 };
	struct salvage_name name;
	git_oid commit;
	int r;

	if (salvage_name_parse(ref, &name) < 0)
		return work_invalid(work, "ref");
	if (!site_read_commit(work, &commit))
		return 0;
	r = site_open_store(work, &s);
	return r < 0 ? r : drop(work, s.repo, ref, &name, &commit);
}

/* --- a branch --- */

int job_salvage_branch(struct work *work)
{
	const char *branch = json_get_string(work->params, "branch");
	_cleanup_site_ struct site s = { 0 };
	git_oid commit, made;
	int r;

	if (!site_read_commit(work, &commit))
		return 0;
	r = site_open_store(work, &s);
	if (r == 0)
		r = salvage_branch(s.repo, &commit, branch, &made, &work->fault);
	if (r == -EINVAL)
		return work_invalid(work, "branch");
	if (r == -EEXIST)
		work->error = "io.slotd.worker.Conflict";
	if (r < 0)
		return r;
	json_set_string(work->reply, "commit", git_oid_tostr_s(&made));
	return 0;
}

/* --- back --- */

/* the sentences of a text, one a line */
static json_object *lines_of(const struct text *t)
{
	json_object *list = json_object_new_array();
	const char *line = t->data ? t->data : "";

	for (; *line; line += *line == '\n') {
		size_t len = strcspn(line, "\n");

		json_object_array_add(list, json_object_new_string_len(line, (int)len));
		line += len;
	}
	return list;
}

/* writes to @dir, and to @store unless it is NULL */
static int open_confined(struct work *work, const char *store, const char *dir, struct site *s)
{
	const char *const places[] = { dir, store };
	struct worker *w = work->worker;
	bool active;
	int r;

	/* with what is the caller's own, and nothing else of his */
	if (!w->common_dir) {
		r = landlock_restrict_to(places, store ? 2 : 1, &active, &work->fault);
		if (r == 0 && !active)
			log_debug("worker", "this kernel has no Landlock with the right to rename");
		w->common_dir = r == 0 ? strdup(w->store) : NULL;
		if (r == 0 && !w->common_dir)
			r = fault_oom(&work->fault);
		if (r < 0)
			return r;
	}
	return site_open_store(work, s);
}

int job_salvage_restore_dir(struct work *work)
{
	struct worker *w = work->worker;
	_cleanup_site_ struct site s = { 0 };
	struct tree_stats stats = { 0 };
	git_oid commit;
	int r;

	if (!site_read_commit(work, &commit))
		return 0;
	r = open_confined(work, NULL, w->slots, &s);
	if (r == 0)
		r = salvage_restore_dir(s.repo, &commit, w->slots_fd, w->threads, &stats,
					&work->fault);
	if (r == -EEXIST || r == -EBUSY)
		work->error = "io.slotd.worker.InTheWay";
	if (r < 0)
		return r;
	json_set_int(work->reply, "files", (int64_t)stats.files);
	return 0;
}

static int restore_slot(struct work *work, struct site *s, const git_oid *commit)
{
	struct salvage_restored done = { 0 };
	struct ignore *keep = NULL;
	int r = site_read_patterns(work, "keep", &keep);

	if (r == 0)
		r = salvage_restore_slot(s->worktree, commit, keep, work->worker->threads, &done, &work->fault);
	ignore_free(keep);
	if (r == -EBUSY)
		work->error = "io.slotd.worker.InTheWay";
	if (r < 0)
		return r;
	site_set_head(work, &done.head, done.branch);
	json_set(work->reply, "notes", lines_of(&done.notes));
	salvage_restored_deinit(&done);
	return 0;
}

int job_salvage_restore_slot(struct work *work)
{
	struct worker *w = work->worker;
	_cleanup_(freep) char *dir = NULL;
	_cleanup_site_ struct site s = { 0 };
	git_oid commit;
	int r;

	if (!site_read_slot(work, &s) || !site_read_commit(work, &commit))
		return 0;
	dir = text_printf("%s/%s", w->slots, s.slot);
	if (!dir)
		return fault_oom(&work->fault);
	r = open_confined(work, w->store, dir, &s);
	if (r == 0)
		r = site_open_slot(work, &s);
	return r < 0 ? r : restore_slot(work, &s, &commit);
}

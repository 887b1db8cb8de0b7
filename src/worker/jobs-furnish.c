/* What a slot gets between a clean tree and its being ready. */
#include "git/seed.h"
#include "git/stamp.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"
#include "worker/site.h"

int job_slot_seed(struct work *work)
{
	const char *from = json_get_string(work->params, "from");
	_cleanup_(freep) const char **files = NULL;
	_cleanup_site_ struct site s = { 0 };
	unsigned copied = 0;
	git_oid commit;
	size_t n;
	int r;

	if (!site_read_slot(work, &s) || !site_read_commit(work, &commit))
		return 0;
	r = site_read_words(work, "files", &files, &n);
	if (r == 0)
		r = site_open_slot(work, &s);
	if (r == 0)
		r = seed_copy(s.repo, worktree_tree(s.worktree), &commit, from, files, n, &copied,
			      &work->fault);
	if (r == 0)
		json_set_int(work->reply, "copied", copied);
	return r;
}

/* --- what a warm-up is for, and what it left --- */

static int add_digest(struct work *work, const struct site *s)
{
	_cleanup_(freep) const char **files = NULL;
	git_oid digest;
	size_t n;
	int r = site_read_words(work, "files", &files, &n);

	if (r == 0)
		r = stamp_files(worktree_tree(s->worktree)->slot_fd, files, n, &digest, &work->fault);
	if (r == 0)
		json_set_string(work->reply, "digest", git_oid_tostr_s(&digest));
	return r;
}

int job_slot_stamp(struct work *work)
{
	_cleanup_site_ struct site s = { 0 };
	int r;

	if (!site_read_slot(work, &s))
		return 0;
	r = site_open_slot(work, &s);
	return r < 0 ? r : add_digest(work, &s);
}

#define NAMES_SHOWN 3

struct left {
	const struct tree_slot *slot;
	struct seed_notes *seeds;
	struct ignore *keep;
	struct {
		size_t count;
		struct text names;
	} untracked, changed;
};

static void left_deinit(struct left *left)
{
	seed_notes_free(left->seeds);
	ignore_free(left->keep);
	text_deinit(&left->untracked.names);
	text_deinit(&left->changed.names);
}

static int note_left(enum tree_change change, const char *path, void *userdata)
{
	struct left *left = userdata;
	bool untracked = change == TREE_CHANGE_UNTRACKED || change == TREE_CHANGE_NESTED;
	size_t *count = untracked ? &left->untracked.count : &left->changed.count;
	struct text *names = untracked ? &left->untracked.names : &left->changed.names;
	_cleanup_(freep) char *quoted = text_quote_path(path);

	if (change == TREE_CHANGE_UNTRACKED && seed_notes_cover(left->seeds, left->slot->slot_fd, path))
		return 0;
	if ((*count)++ < NAMES_SHOWN)
		text_addf(names, "%s%s", names->len ? ", " : "", quoted ? quoted : "?");
	return 0;
}

static void say_left(json_object *list, const char *what, size_t count, const struct text *names)
{
	_cleanup_(freep) char *text = NULL;

	if (count == 0)
		return;
	text = text_printf("%s: %s%s", what, names->data ? names->data : "?",
			   count > NAMES_SHOWN ? ", ..." : "");
	json_object_array_add(list, json_object_new_string(text ? text : what));
}

int job_slot_prove(struct work *work)
{
	_cleanup_(left_deinit) struct left left = { 0 };
	json_object *list = json_object_new_array();
	_cleanup_site_ struct site s = { 0 };
	git_oid commit;
	int r;

	json_set(work->reply, "left", list);
	if (!site_read_slot(work, &s) || !site_read_commit(work, &commit))
		return 0;
	r = site_open_slot(work, &s);
	if (r < 0)
		return r;
	left.slot = worktree_tree(s.worktree);
	if (seed_notes_load(left.slot->admin_fd, &left.seeds) < 0)
		return fault_oom(&work->fault);
	r = site_read_patterns(work, "keep", &left.keep);
	if (r == 0)
		r = tree_sweep(left.slot, &commit,
			       &(struct tree_sweep_options){ .policy.keep = left.keep, .threads = work->worker->threads },
			       note_left, &left, NULL, &work->fault);
	if (r < 0)
		return r;
	say_left(list, "untracked files", left.untracked.count, &left.untracked.names);
	say_left(list, "changed files", left.changed.count, &left.changed.names);
	return add_digest(work, &s);
}

/* Whatever is in the slot: afterwards it is the commit. */
#include "git/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/index-write.h"
#include "git/tree-apply.h"
#include "git/tree-clear.h"
#include "git/tree-file.h"
#include "git/tree-walk.h"
#include "util/cleanup.h"
#include "util/crash.h"
#include "util/fs.h"

struct reset {
	struct repo *repo;
	struct tree_list commit; /* what is to be */
	struct index index;	 /* what was believed so far; empty if it cannot be read */
	struct tree_list list;	 /* the commit's files, and what is only in the index, to be gone */
	struct ignore *ignore;
	struct convert *convert;
	struct convert *index_convert; /* of the index; NULL: its attributes cannot be read */
	struct tree_walk walk;
	struct tree_picks picks; /* entries to be written */
	struct tree_stats stats;
	size_t left; /* names that may not go, and entries that have no place because of them */
};

static void reset_deinit(struct reset *x)
{
	tree_picks_deinit(&x->picks);
	tree_walk_deinit(&x->walk);
	convert_free(x->index_convert);
	convert_free(x->convert);
	ignore_free(x->ignore);
	free(x->list.entries); /* its paths belong to the other two */
	index_deinit(&x->index);
	tree_list_deinit(&x->commit);
	repo_close(x->repo);
}

/* stat data of the index proves something only if entry, and conversion, are the same */
static void adopt_stat(struct tree_entry *e, const struct tree_entry *old,
		       const struct convert *now, const struct convert *before)
{
	if ((old->flags & (TREE_ENTRY_STAGE | TREE_ENTRY_INTENT_TO_ADD)) == 0 &&
	    old->mode == e->mode && git_oid_equal(&old->oid, &e->oid) && before &&
	    convert_is_same(now, before, e->path))
		e->stat = old->stat;
}

static int list_add(struct tree_list *list, const struct tree_entry *from, uint32_t flags)
{
	struct tree_entry *e = tree_list_add(list);

	if (!e)
		return -ENOMEM;
	*e = *from;
	e->flags = flags;
	return 0;
}

/* one pass over both: the commit's entries with the index's stat data, and what is to go */
static int list_merge(struct reset *x, bool prove_content)
{
	size_t i = 0, c = 0;
	int r = 0;

	while (r == 0 && (i < x->index.list.n || c < x->commit.n)) {
		struct tree_entry *old = i < x->index.list.n ? &x->index.list.entries[i] : NULL;
		struct tree_entry *e = c < x->commit.n ? &x->commit.entries[c] : NULL;
		int order = tree_entry_order(old, e);

		if (order < 0) {
			/* a conflict has up to three of the same path */
			if (i == 0 || strcmp(old[-1].path, old->path) != 0)
				r = list_add(&x->list, old, TREE_ENTRY_GONE);
			i++;
			continue;
		}
		if (order == 0) {
			if (!prove_content)
				adopt_stat(e, old, x->convert, x->index_convert);
			while (i < x->index.list.n &&
			       strcmp(x->index.list.entries[i].path, e->path) == 0)
				i++;
		}
		r = list_add(&x->list, e, 0);
		c++;
	}
	return r;
}

/* an index that cannot be read is no obstacle: it is replaced, and content decides */
static int index_load(struct reset *x, const struct tree_slot *slot, struct fault *f)
{
	int r = index_read(slot->admin_fd, &x->index, f);

	return r == -ENOMEM ? r : 0;
}

static int reset_load(struct reset *x, const struct tree_slot *slot, const git_oid *commit,
		      bool prove_content, struct fault *f)
{
	int r;

	r = repo_open(slot->common_dir, &x->repo, f);
	if (r == 0)
		r = tree_list_load(x->repo, commit, &x->commit, f);
	if (r == 0)
		r = ignore_load(x->repo, &x->commit, &x->ignore, f);
	if (r == 0)
		r = convert_load(x->repo, &x->commit, &x->convert, f);
	if (r == 0)
		r = index_load(x, slot, f);
	if (r < 0)
		return r;
	/* without the old attributes every file's content is looked at */
	(void)convert_load(x->repo, &x->index.list, &x->index_convert, NULL);
	return list_merge(x, prove_content) < 0 ? fault_oom(f) : 0;
}

static int find_changes(struct reset *x, const struct tree_slot *slot,
			const struct tree_reset_options *options, struct fault *f)
{
	x->walk = (struct tree_walk){
		.slot = slot,
		.repo = x->repo,
		.list = &x->list,
		.checker = { .index = &x->index,
			     .convert = x->convert,
			     .want_bytes = true,
			     .trust_filemode = tree_trust_filemode(x->repo),
			     .want_access = true },
		.ignore = x->ignore,
		.policy = options->policy,
		.make_writable = true,
		.want_disk = true,
		.threads = options->threads,
	};
	return tree_walk_run(&x->walk, f);
}

static bool is_untouched(const struct reset *x)
{
	for (size_t i = 0; i < x->walk.n_found; i++)
		if (x->walk.found[i].change != TREE_CHANGE_IGNORED)
			return false;
	return x->stats.removed == 0 && x->picks.n == 0 && x->left == 0;
}

/* what is to be written; a mount ends it all before anything was touched */
static int plan(struct reset *x, struct fault *f)
{
	for (size_t i = 0; i < x->walk.n_found; i++) {
		const struct tree_found *found = &x->walk.found[i];

		if (found->change == TREE_CHANGE_MOUNT)
			return fault(f, -EXDEV, "something is mounted on %s", found->path);
		if (found->entry && tree_picks_add(&x->picks, found->entry) < 0)
			return fault_oom(f);
	}
	return tree_apply_verify(x->repo, &x->picks, f);
}

/* directories that lost their last name; those that the commit needs are made again */
static void prune_directories(struct reset *x, struct tree_worker *w)
{
	for (size_t i = x->walk.n_found; i-- > 0;) {
		const struct tree_found *found = &x->walk.found[i];

		if (!found->entry && found->change != TREE_CHANGE_IGNORED)
			tree_apply_prune(w, found->path);
	}
}

static int put(struct reset *x, const struct tree_reset_options *o, struct tree_worker *w)
{
	struct tree_apply_how how = { x->convert, o->threads, w->beside_fd, 0 };
	int r = tree_apply_write(w->slot, x->repo, &x->picks, &how, &x->stats, w->f);

	if (r == 0)
		r = tree_apply_gitlinks(w, &x->list, &how.blocked);
	x->left += how.blocked;
	return r;
}

/* all may go */
static int apply(struct reset *x, const struct tree_reset_options *options, struct tree_worker *w)
{
	struct tree_clear clear = {
		.worker = w, .walk = &x->walk, .commit = &x->commit, .policy = &options->policy
	};
	int r = tree_clear(&clear);

	prune_directories(x, w);
	return r == 0 ? put(x, options, w) : r;
}

/* by way of the trash */
static int apply_with_care(struct reset *x, const struct tree_reset_options *options,
			   struct tree_trash *trash)
{
	struct tree_worker *w = trash->proof->worker;
	struct tree_clear clear = { .worker = w,
				    .walk = &x->walk,
				    .commit = &x->commit,
				    .policy = &options->policy,
				    .proof = trash->proof,
				    .trash = trash };
	bool any;
	int r;

	r = tree_clear_check(&clear, &any);
	if (r != 0 || (!any && x->picks.n == 0))
		return r;
	r = tree_trash_open(trash, w->slot, options->trash_dir_fd, options->trash, w->f);
	if (r == 0)
		r = tree_clear(&clear);
	x->left = trash->left;
	prune_directories(x, w);
	w->beside_fd = trash->new_fd;
	return r == 0 ? put(x, options, w) : r;
}

static int apply_saved(struct reset *x, const struct tree_reset_options *options,
		       struct tree_worker *w)
{
	struct tree_proof proof = { .worker = w,
				    .repo = x->repo,
				    .saved = options->saved,
				    .index = &x->index,
				    .index_convert = x->index_convert,
				    .commit = &x->commit,
				    .convert = x->convert,
				    .held = options->held,
				    .trust_filemode = x->walk.checker.trust_filemode,
				    .distrust_stat = options->prove_content };
	struct tree_trash trash = TREE_TRASH_NONE;
	int r;

	trash.proof = &proof;
	trash.saved = options->saved;
	trash.precious = options->policy.precious;
	trash.stats = &w->stats;
	r = apply_with_care(x, options, &trash);
	tree_trash_close(&trash);
	tree_proof_deinit(&proof);
	return r;
}

static int carry_out(struct reset *x, const struct tree_slot *slot,
		     const struct tree_reset_options *options, struct fault *f)
{
	struct tree_worker w;
	int r;

	tree_worker_init(&w, slot, x->repo, f);
	r = options->saved ? apply_saved(x, options, &w) : apply(x, options, &w);
	x->stats.removed = w.stats.removed;
	tree_worker_deinit(&w);
	return r;
}

/* a try that was killed may have had something in its hands */
static int empty_trash(const struct tree_slot *slot, const struct tree_reset_options *options,
		       struct fault *f)
{
	if (!options->trash)
		return 0;
	if (!options->saved)
		return fs_remove_tree_at(options->trash_dir_fd, options->trash, f);
	return tree_trash_recover(slot, options->trash_dir_fd, options->trash, options->saved, f);
}

int tree_reset(const struct tree_slot *slot, const git_oid *commit,
	       const struct tree_reset_options *given, struct tree_stats *ret, struct fault *f)
{
	struct tree_reset_options options = given ? *given : (struct tree_reset_options){ 0 };
	_cleanup_(reset_deinit) struct reset x = { 0 };
	int r;

	options.threads = options.threads ? options.threads : 1;
	r = empty_trash(slot, &options, f);
	if (r == 0)
		r = reset_load(&x, slot, commit, options.prove_content, f);
	if (r == 0)
		r = find_changes(&x, slot, &options, f);
	if (r == 0)
		r = plan(&x, f);
	if (r == 0)
		r = carry_out(&x, slot, &options, f);
	CRASH_POINT("tree.reset.index");
	if (r == 0)
		r = options.index_lock > 0 ?
			    index_write_locked(slot->admin_fd, options.index_lock, &x.list, &x.commit, f) :
			    index_write(slot->admin_fd, &x.list, &x.commit, f);
	if (r != 0)
		return r;
	if (x.left > 0)
		return TREE_E_LEFT;
	x.stats.files = x.commit.n;
	x.stats.untouched = is_untouched(&x);
	if (x.stats.untouched)
		x.stats.disk_bytes = x.walk.disk_bytes + tree_file_disk(slot->slot_fd, ".git");
	*ret = x.stats;
	return 0;
}

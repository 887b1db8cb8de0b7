/* Whatever is in the slot: afterwards it is the commit. */
#include "git/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/index-write.h"
#include "git/tree-apply.h"
#include "git/tree-walk.h"
#include "util/cleanup.h"
#include "util/crash.h"

struct reset {
	struct repo *repo;
	struct tree_list commit; /* what is to be */
	struct index index;	 /* what was believed so far; empty if it cannot be read */
	struct tree_list list;	 /* the commit's files, and what is only in the index, to be gone */
	struct ignore *ignore;
	struct convert *convert;
	struct tree_walk walk;
	struct tree_picks picks; /* entries to be written */
	struct tree_stats stats;
};

static void reset_deinit(struct reset *x)
{
	tree_picks_deinit(&x->picks);
	tree_walk_deinit(&x->walk);
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
static int list_merge(struct reset *x, const struct convert *before)
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
			adopt_stat(e, old, x->convert, before);
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

static void convert_freep(struct convert **c)
{
	convert_free(*c);
}

static int reset_load(struct reset *x, const struct tree_slot *slot, const git_oid *commit,
		      struct fault *f)
{
	_cleanup_(convert_freep) struct convert *before = NULL;
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
	(void)convert_load(x->repo, &x->index.list, &before, NULL);
	return list_merge(x, before) < 0 ? fault_oom(f) : 0;
}

static int find_changes(struct reset *x, const struct tree_slot *slot,
			const struct tree_policy *policy, unsigned threads, struct fault *f)
{
	x->walk = (struct tree_walk){
		.slot = slot,
		.repo = x->repo,
		.list = &x->list,
		.checker = { .index = &x->index,
			     .convert = x->convert,
			     .trust_filemode = tree_trust_filemode(x->repo),
			     .want_access = true },
		.ignore = x->ignore,
		.policy = *policy,
		.make_writable = true,
		.threads = threads,
	};
	return tree_walk_run(&x->walk, f);
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

/* does the commit have files in that directory ("a/b/")? */
static bool is_tracked_dir(const struct reset *x, const char *path)
{
	size_t len = strlen(path), at = tree_list_lower(&x->commit, path, len);

	return at < x->commit.n && strncmp(x->commit.entries[at].path, path, len) == 0;
}

/* a repository inside: all of it, or, where files of ours are beside it, its ".git" alone */
static int remove_nested(struct reset *x, struct tree_worker *w, const struct tree_found *found)
{
	_cleanup_(freep) char *git = NULL;

	if (!is_tracked_dir(x, found->path))
		return tree_apply_remove(w, found->path);
	git = text_printf("%s.git", found->path);
	return git ? tree_apply_remove(w, git) : fault_oom(w->f);
}

static int remove_one(struct reset *x, struct tree_worker *w, const struct tree_found *found)
{
	switch (found->change) {
	case TREE_CHANGE_NESTED:
		return remove_nested(x, w, found);
	case TREE_CHANGE_UNTRACKED:
	case TREE_FOUND_EMPTY_DIR:
	case TREE_FOUND_WIPED:
		return tree_apply_remove(w, found->path);
	case TREE_CHANGE_SPECIAL:
	case TREE_CHANGE_UNREADABLE:
		if (found->change == TREE_CHANGE_UNREADABLE && is_tracked_dir(x, found->path))
			return fault(w->f, -EACCES, "cannot open %s", found->path);
		/* what is tracked is written over */
		return found->entry ? 0 : tree_apply_remove(w, found->path);
	default:
		return 0;
	}
}

static int remove_untracked(struct reset *x, struct tree_worker *w)
{
	for (size_t i = 0; i < x->walk.n_found; i++) {
		int r = remove_one(x, w, &x->walk.found[i]);

		if (r < 0)
			return r;
	}
	return 0;
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

static int apply(struct reset *x, const struct tree_slot *slot, unsigned threads, struct fault *f)
{
	struct tree_worker w;
	int r;

	tree_worker_init(&w, slot, x->repo, f);
	r = remove_untracked(x, &w);
	prune_directories(x, &w);
	if (r == 0)
		r = tree_apply_write(slot, x->repo, &x->picks, x->convert, threads, &x->stats, f);
	if (r == 0)
		r = tree_apply_gitlinks(&w, &x->list);
	x->stats.removed = w.stats.removed;
	tree_worker_deinit(&w);
	return r;
}

int tree_reset(const struct tree_slot *slot, const git_oid *commit,
	       const struct tree_reset_options *options, struct tree_stats *ret, struct fault *f)
{
	static const struct tree_reset_options none = { 0 };
	_cleanup_(reset_deinit) struct reset x = { 0 };
	unsigned threads;
	int r;

	options = options ? options : &none;
	threads = options->threads ? options->threads : 1;
	r = reset_load(&x, slot, commit, f);
	if (r == 0)
		r = find_changes(&x, slot, &options->policy, threads, f);
	if (r == 0)
		r = plan(&x, f);
	if (r == 0)
		r = apply(&x, slot, threads, f);
	CRASH_POINT("tree.reset.index");
	if (r == 0)
		r = index_write(slot->admin_fd, &x.list, &x.commit, f);
	if (r < 0)
		return r;
	x.stats.files = x.commit.n;
	*ret = x.stats;
	return 0;
}

/* Is it clean? Nothing is believed that can be looked at. */
#include "git/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-file.h"
#include "git/tree-walk.h"
#include "util/cleanup.h"

struct sweep {
	struct repo *repo;
	struct index index;
	struct tree_list commit;
	struct ignore *ignore;
	struct convert *convert;
	struct tree_walk walk;
};

static void sweep_deinit(struct sweep *s)
{
	tree_walk_deinit(&s->walk);
	convert_free(s->convert);
	ignore_free(s->ignore);
	tree_list_deinit(&s->commit);
	index_deinit(&s->index);
	repo_close(s->repo);
}

const char *tree_change_to_string(enum tree_change c)
{
	static const char *const names[] = {
		[TREE_CHANGE_MODIFIED] = "modified",	 [TREE_CHANGE_DELETED] = "deleted",
		[TREE_CHANGE_STAGED] = "staged",	 [TREE_CHANGE_UNTRACKED] = "untracked",
		[TREE_CHANGE_IGNORED] = "ignored",	 [TREE_CHANGE_CONFLICT] = "conflict",
		[TREE_CHANGE_HIDDEN] = "hidden",	 [TREE_CHANGE_NESTED] = "nested",
		[TREE_CHANGE_SPECIAL] = "special",	 [TREE_CHANGE_MOUNT] = "mount",
		[TREE_CHANGE_UNREADABLE] = "unreadable",
	};

	return c >= TREE_CHANGE_MODIFIED && c < (int)ARRAY_SIZE(names) ? names[c] : "unknown";
}

/*
 * The attributes are those of the index, for that is what git compares with; if their blobs
 * are lost, those of the commit.
 */
static int load_attributes(struct sweep *s, const git_oid *commit, struct fault *f)
{
	int r = convert_load(s->repo, &s->index.list, &s->convert, f);

	return r == -EUCLEAN && commit ? convert_load(s->repo, &s->commit, &s->convert, f) : r;
}

static int sweep_load(struct sweep *s, const struct tree_slot *slot, const git_oid *commit,
		      struct fault *f)
{
	int r;

	r = repo_open(slot->common_dir, &s->repo, f);
	if (r == 0)
		r = index_read(slot->admin_fd, &s->index, f);
	if (r == -ENOENT)
		r = fault(f, -EUCLEAN, "the slot has no index");
	if (r == 0 && commit)
		r = tree_list_load(s->repo, commit, &s->commit, f);
	if (r == 0 && commit)
		r = ignore_load(s->repo, &s->commit, &s->ignore, f);
	return r < 0 ? r : load_attributes(s, commit, f);
}

/* a report that joins what the walk found */
struct staged {
	const char **paths;
	size_t n, size;
};

static int staged_add(struct staged *staged, const char *path)
{
	if (staged->n == staged->size) {
		size_t size = staged->size ? staged->size * 2 : 64;
		const char **more = realloc(staged->paths, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		staged->paths = more;
		staged->size = size;
	}
	staged->paths[staged->n++] = path;
	return 0;
}

/* a merged entry that the commit has, too */
static bool is_committed(const struct tree_entry *index, const struct tree_entry *commit)
{
	return (index->flags & (TREE_ENTRY_STAGE | TREE_ENTRY_INTENT_TO_ADD)) == 0 &&
	       index->mode == commit->mode && git_oid_equal(&index->oid, &commit->oid);
}

/* both lists are sorted: one pass; an unmerged path is a conflict, no staged change */
static int staged_find(const struct tree_list *index, const struct tree_list *commit,
		       struct staged *ret)
{
	size_t i = 0, c = 0;
	int r = 0;

	while (r == 0 && (i < index->n || c < commit->n)) {
		const struct tree_entry *x = i < index->n ? &index->entries[i] : NULL;
		const struct tree_entry *y = c < commit->n ? &commit->entries[c] : NULL;
		int order = tree_entry_order(x, y);
		bool unmerged = x && order <= 0 && (x->flags & TREE_ENTRY_STAGE);

		if (order < 0 ? !unmerged : order > 0 || (!unmerged && !is_committed(x, y)))
			r = staged_add(ret, order <= 0 ? x->path : y->path);
		i += order <= 0;
		/* the further stages of a conflict belong to the same path */
		while (unmerged && i < index->n && index->entries[i].path_len == x->path_len &&
		       memcmp(index->entries[i].path, x->path, x->path_len) == 0)
			i++;
		c += order >= 0;
	}
	return r;
}

/* both kinds of reports in path order */
static int tell(const struct sweep *s, const struct staged *staged, bool want_ignored,
		tree_change_fn fn, void *userdata)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (r >= 0 && (i < s->walk.n_found || k < staged->n)) {
		const struct tree_found *found = i < s->walk.n_found ? &s->walk.found[i] : NULL;

		if (k < staged->n && (!found || strcmp(staged->paths[k], found->path) <= 0)) {
			r = fn(TREE_CHANGE_STAGED, staged->paths[k++], userdata);
			continue;
		}
		i++;
		if (found->change == TREE_FOUND_EMPTY_DIR ||
		    (found->change == TREE_CHANGE_IGNORED && !want_ignored))
			continue;
		r = fn(found->change == TREE_FOUND_WIPED ? TREE_CHANGE_UNTRACKED
							 : (enum tree_change)found->change,
		       found->path, userdata);
	}
	return r < 0 ? r : 0;
}

int tree_sweep(const struct tree_slot *slot, const git_oid *commit,
	       const struct tree_sweep_options *options, tree_change_fn fn, void *userdata,
	       uint64_t *ret_disk_bytes, struct fault *f)
{
	static const struct tree_sweep_options none = { 0 };
	_cleanup_(sweep_deinit) struct sweep s = { 0 };
	struct staged staged = { 0 };
	int r;

	options = options ? options : &none;
	r = sweep_load(&s, slot, commit, f);
	if (r < 0)
		return r;
	s.walk = (struct tree_walk){
		.slot = slot,
		.repo = s.repo,
		.list = &s.index.list,
		.checker = { .index = &s.index,
			     .convert = s.convert,
			     .trust_filemode = tree_trust_filemode(s.repo) },
		.ignore = s.ignore,
		.policy = options->policy,
		.want_disk = ret_disk_bytes != NULL,
		.threads = options->threads ? options->threads : 1,
	};
	r = tree_walk_run(&s.walk, f);
	if (r == 0 && commit && staged_find(&s.index.list, &s.commit, &staged) < 0)
		r = fault_oom(f);
	if (r == 0)
		r = tell(&s, &staged, options->want_ignored, fn, userdata);
	free(staged.paths);
	if (r == 0 && ret_disk_bytes)
		*ret_disk_bytes = s.walk.disk_bytes + tree_file_disk(slot->slot_fd, ".git");
	return r;
}

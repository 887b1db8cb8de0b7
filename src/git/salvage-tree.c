/*
 * What the files say: one walk, under the ignore rules of the commit that cleaning goes to.
 *
 * The walk holds the slot against the index, as git status does; what the index has that the base has
 * not is staged. Without an index that can be read the base takes its place, and content decides.
 */
#include "git/salvage-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define NAME_SHOWN_BYTES 120

static bool is_dir_path(const char *path)
{
	return text_has_suffix(path, "/");
}

static int found_untracked(struct salvage_tree *t, const char *path, struct fault *f)
{
	return is_dir_path(path) ? salvage_tree_dir(t, SALVAGE_KIND_UNTRACKED, path, f) :
				   salvage_tree_leaf(t, SALVAGE_KIND_UNTRACKED, path);
}

static int found_ignored(struct salvage_tree *t, const char *path, struct fault *f)
{
	if (!t->spec->policy || !t->spec->policy->precious)
		return 0;
	return is_dir_path(path) ? salvage_tree_dir(t, SALVAGE_KIND_PRECIOUS, path, f) :
				   salvage_tree_leaf(t, SALVAGE_KIND_PRECIOUS, path);
}

/* a sparse checkout: what is not there is not work */
static int found_hidden(struct salvage_tree *t, const struct tree_found *found)
{
	_cleanup_(closep) int fd = fs_open_beneath(t->w->tree.slot_fd, found->path, O_PATH | O_NOFOLLOW, 0);

	if (fd == -ENOENT && found->entry->flags & TREE_ENTRY_SKIP_WORKTREE)
		return salvage_paths_add(&t->absent, found->path);
	if (salvage_paths_add(&t->hidden, found->path) < 0)
		return -ENOMEM;
	return salvage_tree_file(t, SALVAGE_KIND_CHANGED, found->path);
}

static int found_one(struct salvage_tree *t, const struct tree_found *found, struct fault *f)
{
	switch (found->change) {
	case TREE_CHANGE_MODIFIED:
	case TREE_CHANGE_DELETED:
		return salvage_tree_file(t, SALVAGE_KIND_CHANGED, found->path);
	case TREE_CHANGE_HIDDEN:
		return found_hidden(t, found);
	case TREE_CHANGE_CONFLICT:
		return salvage_tree_file(t, SALVAGE_KIND_CONFLICT, found->path);
	case TREE_CHANGE_UNTRACKED:
		return found_untracked(t, found->path, f);
	case TREE_CHANGE_IGNORED:
		return found_ignored(t, found->path, f);
	case TREE_CHANGE_SPECIAL:
		if (found->entry && salvage_paths_add(&t->paths, found->path) < 0)
			return -ENOMEM;
		return salvage_tree_special(t, found->path);
	case TREE_CHANGE_NESTED:
		return salvage_tree_nested(t, found->path, found->entry, f);
	case TREE_CHANGE_MOUNT:
		return salvage_tree_count(t, SALVAGE_KIND_MOUNT, found->path);
	case TREE_CHANGE_UNREADABLE:
		return salvage_tree_count(t, SALVAGE_KIND_UNREADABLE, found->path);
	default:
		return 0;
	}
}

/* --- what is staged --- */

/* an entry that the base has as well */
static bool is_in_base(const struct tree_entry *e, const struct tree_entry *base)
{
	return (e->flags & TREE_ENTRY_INTENT_TO_ADD) == 0 && e->mode == base->mode &&
	       git_oid_equal(&e->oid, &base->oid);
}

/* of a conflict's stages the one that stands for it: ours, else theirs; NULL: neither */
static const struct tree_entry *stage_of(const struct tree_entry *first, size_t n)
{
	const struct tree_entry *best = NULL;

	for (size_t i = 0; i < n; i++)
		if ((first[i].flags & TREE_ENTRY_STAGE) > 1 && !best)
			best = &first[i];
	return best;
}

/* is one of the directories above a file? */
static bool has_above(const struct tree_list *list, const struct tree_entry *e)
{
	size_t len = e->path_len;

	while ((len = tree_path_dir(e->path, len)) > 0)
		if (tree_list_find(list, e->path, len))
			return true;
	return false;
}

typedef int (*staged_fn)(const char *path, const struct tree_entry *e, void *userdata);

/* both lists are sorted: one pass. @fn: an entry that is to be there, or NULL: it is to go */
static int staged_foreach(const struct salvage_tree *t, staged_fn fn, void *userdata)
{
	const struct tree_list *index = &t->index.list, *base = &t->base_list;
	size_t i = 0, b = 0;
	int r = 0;

	while (r == 0 && (i < index->n || b < base->n)) {
		const struct tree_entry *x = i < index->n ? &index->entries[i] : NULL;
		const struct tree_entry *y = b < base->n ? &base->entries[b] : NULL;
		int order = tree_entry_order(x, y);
		size_t n = order <= 0;

		if (order > 0) {
			r = fn(y->path, NULL, userdata);
		} else if (x->flags & TREE_ENTRY_STAGE) {
			while (i + n < index->n && strcmp(index->entries[i + n].path, x->path) == 0)
				n++;
			/* a directory may have the place of ours: then the stages alone have it */
			r = fn(x->path, tree_list_has_below(index, x) || has_above(index, x) ? NULL : stage_of(x, n), userdata);
		} else if (x->flags & TREE_ENTRY_INTENT_TO_ADD) {
			r = order == 0 ? fn(x->path, NULL, userdata) : 0;
		} else if (order < 0 || !is_in_base(x, y)) {
			r = fn(x->path, x, userdata);
		}
		i += n;
		b += order >= 0;
	}
	return r;
}

static bool is_conflict(const struct salvage_tree *t, const char *path)
{
	const struct tree_entry *e = tree_list_find(&t->index.list, path, strlen(path));

	return e && e->flags & TREE_ENTRY_STAGE;
}

static int count_staged(const char *path, const struct tree_entry *e, void *userdata)
{
	struct salvage_tree *t = userdata;

	if (is_conflict(t, path))
		return 0; /* counted by itself */
	/* what the slot has is not what is staged, byte for byte */
	if (e && e->mode != TREE_MODE_GITLINK && !convert_is_plain(t->convert, path) && salvage_paths_add(&t->paths, path) < 0)
		return -ENOMEM;
	return salvage_tree_count(t, SALVAGE_KIND_STAGED, path);
}

static int add_staged(const char *path, const struct tree_entry *e, void *userdata)
{
	return salvage_edits_add(userdata, path, e ? e->mode : 0, e ? &e->oid : NULL);
}

int salvage_tree_staged(const struct salvage_tree *t, struct salvage_edits *ret)
{
	return t->has_index ? staged_foreach(t, add_staged, ret) : 0;
}

/* flags that a new index would not have, and files that are only meant to be added */
static bool is_listed(const struct salvage_paths *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i], path) == 0)
			return true;
	return false;
}

/* an unmerged path below what is a file by now: the walk does not come there */
static int look_at_conflict(struct salvage_tree *t, const struct tree_entry *e)
{
	if (!has_above(&t->index.list, e) || is_listed(&t->paths, e->path))
		return 0;
	return salvage_tree_file(t, SALVAGE_KIND_CONFLICT, e->path);
}

static int look_at_flags(struct salvage_tree *t)
{
	for (size_t i = 0; i < t->index.list.n; i++) {
		const struct tree_entry *e = &t->index.list.entries[i];

		if (e->flags)
			t->has_flags = true;
		if (e->flags & TREE_ENTRY_STAGE && look_at_conflict(t, e) < 0)
			return -ENOMEM;
		if (e->flags & TREE_ENTRY_INTENT_TO_ADD &&
		    salvage_tree_file(t, SALVAGE_KIND_UNTRACKED, e->path) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* --- loading --- */

/* -EUCLEAN and -ENOENT mean that there is none, for whatever reason */
static int load_index(struct salvage_tree *t, struct fault *f)
{
	int r = index_read(t->w->tree.admin_fd, &t->index, f);

	if (r < 0 && r != -EUCLEAN && r != -ENOENT)
		return r;
	t->has_index = r == 0;
	t->list = t->has_index ? &t->index.list : &t->base_list;
	return 0;
}

static int load_rules(struct salvage_tree *t, const git_oid *base, struct fault *f)
{
	struct repo *repo = t->w->repo;
	const struct tree_list *rules = &t->base_list;
	int r = 0;

	if (!git_oid_equal(base, &t->spec->target)) {
		r = tree_list_load(repo, &t->spec->target, &t->target_list, f);
		rules = &t->target_list;
	}
	if (r == 0)
		r = ignore_load(repo, rules, &t->ignore, f);
	if (r == 0)
		r = convert_load(repo, t->list, &t->convert, f);
	/* attributes that were staged may be lost with their blob */
	if (r == -EUCLEAN && t->has_index)
		r = convert_load(repo, &t->base_list, &t->convert, f);
	return r;
}

static int walk(struct salvage_tree *t, struct fault *f)
{
	t->walk = (struct tree_walk){
		.slot = &t->w->tree,
		.repo = t->w->repo,
		.list = t->list,
		.checker = { .index = t->has_index ? &t->index : NULL,
			     .convert = t->convert,
			     .want_bytes = true,
			     .trust_filemode = tree_trust_filemode(t->w->repo) },
		.ignore = t->ignore,
		.threads = t->spec->threads,
	};
	return tree_walk_run(&t->walk, f);
}

int salvage_tree_look(struct salvage_tree *t, struct worktree *w, const struct salvage_spec *spec,
		      const git_oid *base, struct fault *f)
{
	int r;

	t->w = w;
	t->spec = spec;
	git_oid_cpy(&t->base, base);
	r = seed_notes_load(w->tree.admin_fd, &t->seeds);
	if (r == 0)
		r = tree_list_load(w->repo, base, &t->base_list, f);
	if (r == 0)
		r = load_index(t, f);
	if (r == 0)
		r = load_rules(t, base, f);
	if (r == 0)
		r = walk(t, f);
	for (size_t i = 0; r == 0 && i < t->walk.n_found; i++)
		r = found_one(t, &t->walk.found[i], f);
	if (r == 0)
		r = salvage_tree_modules(t, f);
	if (r == 0 && t->has_index)
		r = staged_foreach(t, count_staged, t);
	if (r == 0 && t->has_index)
		r = look_at_flags(t);
	return r == -ENOMEM ? fault_oom(f) : r;
}

void salvage_tree_deinit(struct salvage_tree *t)
{
	seed_notes_free(t->seeds);
	tree_walk_deinit(&t->walk);
	convert_free(t->convert);
	ignore_free(t->ignore);
	tree_list_deinit(&t->target_list);
	tree_list_deinit(&t->base_list);
	index_deinit(&t->index);
	salvage_paths_deinit(&t->paths);
	salvage_paths_deinit(&t->verbatim);
	salvage_paths_deinit(&t->dirs);
	salvage_paths_deinit(&t->absent);
	salvage_paths_deinit(&t->modules);
	salvage_paths_deinit(&t->safe_modules);
	salvage_paths_deinit(&t->special);
	salvage_paths_deinit(&t->hidden);
	for (int i = 0; i < SALVAGE_KINDS; i++)
		salvage_paths_deinit(&t->names[i]);
}

/* --- words --- */

static const char *const kind_names[SALVAGE_KINDS][2] = {
	[SALVAGE_KIND_CHANGED] = { "changed file", "changed files" },
	[SALVAGE_KIND_CONFLICT] = { "file in conflict", "files in conflict" },
	[SALVAGE_KIND_STAGED] = { "staged file", "staged files" },
	[SALVAGE_KIND_UNTRACKED] = { "untracked file", "untracked files" },
	[SALVAGE_KIND_PRECIOUS] = { "precious file", "precious files" },
	[SALVAGE_KIND_SPECIAL] = { "special file", "special files" },
	[SALVAGE_KIND_NESTED] = { "nested repository", "nested repositories" },
	[SALVAGE_KIND_MOUNT] = { "mounted directory", "mounted directories" },
	[SALVAGE_KIND_UNREADABLE] = { "unreadable name", "unreadable names" },
};

/* a quoted name of bounded length, cut at a character */
static void add_name(struct text *names, const char *path)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);
	size_t len;

	if (!quoted) {
		names->failed = true;
		return;
	}
	len = strlen(quoted);
	if (len > NAME_SHOWN_BYTES) {
		len = NAME_SHOWN_BYTES;
		while (len > 0 && ((unsigned char)quoted[len] & 0xC0) == 0x80)
			len--;
	}
	text_add(names, quoted, len);
	if (quoted[len])
		text_add_string(names, "...");
}

char *salvage_kind_sentence(const struct salvage_tree *t, enum salvage_kind kind, bool with_names)
{
	const struct salvage_paths *names = &t->names[kind];
	size_t n = t->counts[kind];
	struct text s = { 0 };

	text_addf(&s, "%zu %s", n, kind_names[kind][n != 1]);
	for (size_t i = 0; with_names && i < names->n; i++) {
		text_add_string(&s, i ? ", " : ": ");
		add_name(&s, names->v[i]);
	}
	if (with_names && n > names->n)
		text_addf(&s, " and %zu more", n - names->n);
	return text_take(&s);
}

/*
 * Edits and trees are merged, one directory at a time.
 *
 * Sorted by the bytes of their paths, the edits of a directory stand together, and the names that
 * they make in it come in git's order: a file "a" before "a-b", and "a-b" before what is in "a/". So
 * one pass over the edits is enough, with a stack of the directories that are open.
 */
#include "git/tree-build.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-list.h"
#include "git/tree-name.h"
#include "git/tree-object.h"
#include "util/cleanup.h"
#include "util/text.h"

/* a name that a directory gets; in git's order within it */
struct added {
	const char *name; /* in the path of an edit */
	size_t len;
	uint32_t mode;
	git_oid oid;
};

/* a directory while edits are applied to it */
struct level {
	struct tree_object base;
	bool *gone; /* for each item of base */
	struct added *added;
	size_t n_gone, n_added, added_size;
	size_t at, end;	  /* the edits that are left in it */
	const char *path; /* in the path of an edit; not NUL-terminated */
	size_t path_len;  /* with its slash; 0 for the top */
	bool changed;
};

struct build {
	struct repo *repo;
	const struct tree_edit *edits;
	tree_build_write_fn write;
	void *userdata;
	struct level *levels; /* the top first */
	size_t n, size;
	struct text out;
	struct fault *f;
};

static int edit_fault(struct fault *f, int code, const char *path, const char *why)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	if (!quoted)
		return fault_oom(f);
	return fault(f, code, "the path %s: %s", why, quoted);
}

static size_t path_depth(const char *path)
{
	size_t depth = 1;

	while ((path = strchr(path, '/'))) {
		depth++;
		path++;
	}
	return depth;
}

static bool mode_is_known(uint32_t mode)
{
	return mode == TREE_MODE_FILE || mode == TREE_MODE_EXEC || mode == TREE_MODE_LINK ||
	       mode == TREE_MODE_GITLINK;
}

int tree_edit_check(const struct tree_edit *edit, struct fault *f)
{
	const char *why = tree_path_objection(edit->path, edit->mode);

	if (why)
		return edit_fault(f, -EINVAL, edit->path, why);
	if (path_depth(edit->path) > TREE_BUILD_MAX_DEPTH)
		return edit_fault(f, -ENAMETOOLONG, edit->path, "has too many directories in it");
	if (edit->mode == 0)
		return 0;
	if (!mode_is_known(edit->mode))
		return edit_fault(f, -EINVAL, edit->path,
				  "is to get a mode that git does not know");
	if (git_oid_is_zero(&edit->oid))
		return edit_fault(f, -EINVAL, edit->path, "is to get content without a name");
	return 0;
}

static int edit_compare(const void *a, const void *b)
{
	return strcmp(((const struct tree_edit *)a)->path, ((const struct tree_edit *)b)->path);
}

static bool edit_is_same(const struct tree_edit *a, const struct tree_edit *b)
{
	return a->mode == b->mode && (a->mode == 0 || git_oid_equal(&a->oid, &b->oid));
}

/* 0 when it is @path with a slash behind it, or below that; else where it stands beside those */
static int place_below(const char *path, size_t len, const char *other)
{
	int c = strncmp(other, path, len);

	return c ? c : (unsigned char)other[len] - '/';
}

/* the first edit of a sorted list that is below a path, or behind what would be */
static size_t first_below(const struct tree_edit *edits, size_t low, size_t n, const char *path,
			  size_t len)
{
	size_t high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (place_below(path, len, edits[mid].path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* a file has nothing below it; most paths do not even begin like one before them */
static int check_below(const struct tree_edit *edits, size_t i, size_t n, struct fault *f)
{
	size_t len = strlen(edits[i].path);

	if (edits[i].mode == 0 || i + 1 == n || strncmp(edits[i].path, edits[i + 1].path, len) != 0)
		return 0;
	for (size_t j = first_below(edits, i + 1, n, edits[i].path, len);
	     j < n && place_below(edits[i].path, len, edits[j].path) == 0; j++)
		if (edits[j].mode != 0)
			return edit_fault(f, -EINVAL, edits[i].path,
					  "is to be a file and a directory");
	return 0;
}

static int check_edits(struct tree_edit *edits, size_t n, struct fault *f)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = tree_edit_check(&edits[i], f);
	if (r < 0)
		return r;
	if (n > 1)
		qsort(edits, n, sizeof(*edits), edit_compare);
	for (size_t i = 1; i < n; i++)
		if (strcmp(edits[i - 1].path, edits[i].path) == 0 &&
		    !edit_is_same(&edits[i - 1], &edits[i]))
			return edit_fault(f, -EINVAL, edits[i].path,
					  "is there twice, with different content");
	for (size_t i = 0; i < n && r == 0; i++)
		r = check_below(edits, i, n, f);
	return r;
}

static void level_deinit(struct level *level)
{
	tree_object_deinit(&level->base);
	free(level->gone);
	free(level->added);
}

static void build_deinit(struct build *b)
{
	while (b->n > 0)
		level_deinit(&b->levels[--b->n]);
	free(b->levels);
	text_deinit(&b->out);
}

/* a directory is opened, with the edits from @at to @end */
static int level_push(struct build *b, const git_oid *base, size_t at, size_t end, size_t path_len)
{
	const char *path = path_len > 0 ? b->edits[at].path : "";
	struct level *level;
	int r;

	if (b->n == b->size) {
		size_t size = b->size ? b->size * 2 : 16;
		struct level *more = realloc(b->levels, size * sizeof(*more));

		if (!more)
			return fault_oom(b->f);
		b->levels = more;
		b->size = size;
	}
	level = &b->levels[b->n];
	*level = (struct level){ .at = at, .end = end, .path = path, .path_len = path_len };
	r = tree_object_load(b->repo, base, path, path_len > 0 ? path_len - 1 : 0, &level->base,
			     b->f);
	if (r < 0)
		return r;
	b->n++;
	level->gone = calloc(level->base.n + 1, sizeof(*level->gone));
	return level->gone ? 0 : fault_oom(b->f);
}

/* an item of the base that is still there; base.n if there is none */
static size_t level_find(const struct level *level, const char *name, size_t len, bool is_dir)
{
	size_t i = tree_object_find(&level->base, name, len, is_dir);

	return i < level->base.n && level->gone[i] ? level->base.n : i;
}

static void level_drop(struct level *level, const char *name, size_t len, bool is_dir)
{
	size_t i = level_find(level, name, len, is_dir);

	if (i == level->base.n)
		return;
	level->gone[i] = true;
	level->n_gone++;
	level->changed = true;
}

static bool level_has(const struct level *level, const struct added *entry)
{
	size_t i = level_find(level, entry->name, entry->len, entry->mode == TREE_MODE_DIR);
	const struct tree_item *item;

	if (i == level->base.n)
		return false;
	item = &level->base.items[i];
	return item->mode == entry->mode && git_oid_equal(tree_item_oid(item), &entry->oid);
}

/* a file or a directory takes the place of whatever was there */
static int level_put(struct build *b, struct level *level, const struct added *entry)
{
	if (level_has(level, entry))
		return 0;
	if (level->n_added == level->added_size) {
		size_t size = level->added_size ? level->added_size * 2 : 8;
		struct added *more = realloc(level->added, size * sizeof(*more));

		if (!more)
			return fault_oom(b->f);
		level->added = more;
		level->added_size = size;
	}
	level_drop(level, entry->name, entry->len, false);
	level_drop(level, entry->name, entry->len, true);
	level->added[level->n_added++] = *entry;
	level->changed = true;
	return 0;
}

static int apply_file(struct build *b, struct level *level, const char *name)
{
	const struct tree_edit *edit = &b->edits[level->at];
	struct added entry = { name, strlen(name), edit->mode, edit->oid };

	while (level->at < level->end && strcmp(b->edits[level->at].path, edit->path) == 0)
		level->at++;
	if (edit->mode != 0)
		return level_put(b, level, &entry);
	level_drop(level, name, entry.len, false);
	return 0;
}

/* all edits below a name of this directory go into a level of their own */
static int open_dir(struct build *b, struct level *level, const char *name, size_t len)
{
	size_t found = level_find(level, name, len, true), path_len = level->path_len;
	const git_oid *base = NULL;
	size_t at = level->at, end = at + 1;

	while (end < level->end && place_below(name, len, b->edits[end].path + path_len) == 0)
		end++;
	level->at = end;
	if (found < level->base.n)
		base = tree_item_oid(&level->base.items[found]);
	return level_push(b, base, at, end, path_len + len + 1);
}

static int level_step(struct build *b, struct level *level)
{
	const char *name = b->edits[level->at].path + level->path_len;
	const char *slash = strchr(name, '/');

	return slash ? open_dir(b, level, name, (size_t)(slash - name))
		     : apply_file(b, level, name);
}

static void write_added(struct text *out, const struct added *a)
{
	text_addf(out, "%o ", a->mode);
	text_add(out, a->name, a->len);
	text_add(out, "", 1);
	text_add(out, a->oid.id, GIT_OID_RAWSZ);
}

/* what is left of the base and what was added, both sorted, as one */
static int level_write(struct build *b, const struct level *level, git_oid *ret)
{
	const struct tree_object *base = &level->base;
	size_t j = 0;

	b->out.len = 0;
	for (size_t i = 0; i <= base->n; i++) {
		const struct tree_item *item = i < base->n ? &base->items[i] : NULL;
		const char *bytes;
		size_t len;

		if (item && level->gone[i])
			continue;
		for (; j < level->n_added; j++) {
			const struct added *a = &level->added[j];

			if (item &&
			    tree_name_order(a->name, a->len, a->mode == TREE_MODE_DIR, item->name,
					    item->name_len, tree_item_is_dir(item)) > 0)
				break;
			write_added(&b->out, a);
		}
		if (!item)
			break;
		bytes = tree_item_bytes(base, i, &len);
		text_add(&b->out, bytes, len);
	}
	if (b->out.failed)
		return fault_oom(b->f);
	return b->write(b->out.data ? b->out.data : "", b->out.len, ret, b->userdata, b->f);
}

/* what became of a directory, in the one that it is in */
static int dir_apply(struct build *b, const struct level *dir, struct level *parent)
{
	struct added entry = {
		.name = dir->path + parent->path_len,
		.len = dir->path_len - parent->path_len - 1,
		.mode = TREE_MODE_DIR,
	};
	int r;

	if (!dir->changed)
		return 0;
	if (dir->n_gone == dir->base.n && dir->n_added == 0) {
		level_drop(parent, entry.name, entry.len, true);
		return 0;
	}
	r = level_write(b, dir, &entry.oid);
	return r < 0 ? r : level_put(b, parent, &entry);
}

/* from the top down and up again, until the top has no edits left */
static int build_run(struct build *b)
{
	for (;;) {
		struct level *level = &b->levels[b->n - 1];
		int r = 0;

		if (level->at < level->end) {
			r = level_step(b, level);
		} else if (b->n > 1) {
			r = dir_apply(b, level, level - 1);
			level_deinit(level);
			b->n--;
		} else {
			return 0;
		}
		if (r < 0)
			return r;
	}
}

int tree_build(struct repo *repo, const git_oid *base, struct tree_edit *edits, size_t n,
	       tree_build_write_fn write, void *userdata, git_oid *ret, struct fault *f)
{
	_cleanup_(build_deinit) struct build b = {
		.repo = repo, .edits = edits, .write = write, .userdata = userdata, .f = f
	};
	bool has_base = base && !git_oid_is_zero(base);
	git_oid tree;
	int r;

	r = check_edits(edits, n, f);
	if (r == 0)
		r = level_push(&b, base, 0, n, 0);
	if (r == 0)
		r = build_run(&b);
	if (r < 0)
		return r;
	if (!b.levels[0].changed && has_base) {
		*ret = *base;
		return 0;
	}
	r = level_write(&b, &b.levels[0], &tree);
	if (r == 0)
		*ret = tree;
	return r;
}

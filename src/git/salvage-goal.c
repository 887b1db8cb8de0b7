/* Three lists become one. */
#include "git/salvage-goal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/text.h"

static int bad_path(struct fault *f, const char *path, const char *why)
{
	_cleanup_(freep) char *quoted = text_quote_path(path);

	return fault(f, -EUCLEAN, "the salvage has \"%s\", which %s", quoted ? quoted : "?", why);
}

/* the slot's own .git is not the salvage's; it is kept apart */
static bool is_own_git(const char *path)
{
	return strncmp(path, ".git", 4) == 0 && (path[4] == '\0' || path[4] == '/');
}

static int add(struct tree_list *list, const char *path, uint32_t mode, const git_oid *oid,
	       struct fault *f)
{
	size_t len = strlen(path);
	struct tree_entry *e;

	if (is_own_git(path))
		return bad_path(f, path, "would replace the slot's own .git");
	e = tree_list_add(list);
	if (!e)
		return fault_oom(f);
	e->path = tree_list_path(list, path, len);
	if (!e->path)
		return fault_oom(f);
	e->path_len = (uint32_t)len;
	e->mode = mode;
	if (oid)
		e->oid = *oid;
	return 0;
}

static int add_file(const char *path, uint32_t mode, const git_oid *oid, void *userdata,
		    struct fault *f)
{
	int r = add(userdata, path, mode, oid, f);

	if (r == 0) {
		struct tree_list *list = userdata;

		list->entries[list->n - 1].flags = SALVAGE_ENTRY_VERBATIM;
	}
	return r;
}

static int add_record(uint32_t value, const char *path, void *userdata, struct fault *f)
{
	return add(userdata, path, value, NULL, f);
}

static int order(const void *a, const void *b)
{
	return tree_entry_order(a, b);
}

static int sort(struct tree_list *list, const char *part, struct fault *f)
{
	if (list->n > 1)
		qsort(list->entries, list->n, sizeof(*list->entries), order);
	for (size_t i = 1; i < list->n; i++)
		if (order(&list->entries[i - 1], &list->entries[i]) == 0)
			return bad_path(f, list->entries[i].path, part);
	return 0;
}

/* it is as B has it, so B's attributes write it */
static bool is_of_base(const struct tree_list *base, size_t *at, const struct tree_entry *e)
{
	while (*at < base->n && tree_entry_order(&base->entries[*at], e) < 0)
		++*at;
	return *at < base->n && tree_entry_order(&base->entries[*at], e) == 0 &&
	       base->entries[*at].mode == e->mode &&
	       git_oid_equal(&base->entries[*at].oid, &e->oid);
}

static int take(struct tree_list *to, const struct tree_entry *from, struct fault *f)
{
	int r = add(to, from->path, from->mode, &from->oid, f);

	if (r == 0)
		to->entries[to->n - 1].flags = from->flags;
	return r;
}

/* both are sorted; of a path in both, the bytes win */
static int merge(const struct tree_list *base, const struct tree_list *tree,
		 const struct tree_list *bytes, struct tree_list *ret, struct fault *f)
{
	size_t i = 0, k = 0, at = 0;
	int r = 0;

	while (r == 0 && (i < tree->n || k < bytes->n)) {
		struct tree_entry *x = i < tree->n ? &tree->entries[i] : NULL;
		struct tree_entry *y = k < bytes->n ? &bytes->entries[k] : NULL;
		int o = tree_entry_order(x, y);

		i += o <= 0;
		k += o >= 0;
		if (o < 0)
			x->flags = is_of_base(base, &at, x) ? 0 : SALVAGE_ENTRY_VERBATIM;
		r = take(ret, o < 0 ? x : y, f);
	}
	return r;
}

/* no file is a directory of another at once; a submodule's directory may have files in it */
static int check_parents(const struct tree_list *list, struct fault *f)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct tree_entry *e = &list->entries[i];
		size_t len = e->path_len;

		if (!(e->flags & SALVAGE_ENTRY_VERBATIM))
			continue;
		while ((len = tree_path_dir(e->path, len)) > 0) {
			const struct tree_entry *above = tree_list_find(list, e->path, len);

			if (above && above->mode != TREE_MODE_GITLINK)
				return bad_path(f, above->path, "is a file and a directory in it");
		}
	}
	return 0;
}

/* nor may anything be below a file that comes from files/ */
static int check_bytes(const struct tree_list *list, const struct tree_list *bytes, struct fault *f)
{
	for (size_t i = 0; i < bytes->n; i++) {
		const struct tree_entry *e = &bytes->entries[i];
		_cleanup_(freep) char *dir = text_printf("%s/", e->path);
		size_t at;

		if (!dir)
			return fault_oom(f);
		at = tree_list_lower(list, dir, e->path_len + 1);
		if (at < list->n && strncmp(list->entries[at].path, dir, e->path_len + 1) == 0)
			return bad_path(f, e->path, "is a file and a directory in it");
	}
	return check_parents(list, f);
}

static int load_files(struct salvage *s, struct salvage_goal *goal, struct fault *f)
{
	_cleanup_(tree_list_deinit) struct tree_list tree = { 0 };
	_cleanup_(tree_list_deinit) struct tree_list bytes = { 0 };
	int r = tree_list_load(s->repo, &s->commit, &tree, f);

	if (r == 0)
		r = salvage_foreach(s, "files", add_file, &bytes, f);
	if (r == 0)
		r = sort(&bytes, "is in it twice", f);
	if (r == 0)
		r = merge(&goal->base, &tree, &bytes, &goal->files, f);
	return r == 0 ? check_bytes(&goal->files, &bytes, f) : r;
}

/* what a sparse checkout had left out is left out again */
static int drop_absent(struct salvage *s, struct tree_list *files, struct fault *f)
{
	_cleanup_(tree_list_deinit) struct tree_list absent = { 0 };
	size_t kept = 0;
	int r = salvage_foreach_record(s, "absent", add_record, &absent, f);

	if (r == 0)
		r = sort(&absent, "is in it twice", f);
	if (r < 0)
		return r;
	for (size_t i = 0; i < files->n; i++)
		if (!tree_list_find(&absent, files->entries[i].path, files->entries[i].path_len))
			files->entries[kept++] = files->entries[i];
	files->n = kept;
	return 0;
}

/* the same record twice says no more than once */
static int sort_modes(struct tree_list *modes, struct fault *f)
{
	size_t kept = 0;

	if (modes->n > 1)
		qsort(modes->entries, modes->n, sizeof(*modes->entries), order);
	for (size_t i = 0; i < modes->n; i++)
		if (kept == 0 || order(&modes->entries[kept - 1], &modes->entries[i]) != 0 ||
		    modes->entries[kept - 1].mode != modes->entries[i].mode)
			modes->entries[kept++] = modes->entries[i];
	modes->n = kept;
	return sort(modes, "has permissions twice", f);
}

int salvage_goal_load(struct salvage *s, struct salvage_goal *ret, struct fault *f)
{
	int r = tree_list_load(s->repo, &s->base, &ret->base, f);

	if (r == 0)
		r = convert_load(s->repo, &ret->base, &ret->convert, f);
	if (r == 0)
		r = load_files(s, ret, f);
	if (r == 0)
		r = drop_absent(s, &ret->files, f);
	if (r == 0)
		r = salvage_foreach_record(s, "modes", add_record, &ret->modes, f);
	if (r == 0)
		r = sort_modes(&ret->modes, f);
	if (r == 0)
		r = salvage_foreach_record(s, "dirs", add_record, &ret->dirs, f);
	return r == 0 ? sort(&ret->dirs, "is in it twice", f) : r;
}

void salvage_goal_deinit(struct salvage_goal *goal)
{
	tree_list_deinit(&goal->base);
	tree_list_deinit(&goal->files);
	tree_list_deinit(&goal->modes);
	tree_list_deinit(&goal->dirs);
	convert_free(goal->convert);
	*goal = (struct salvage_goal){ 0 };
}

uint32_t salvage_goal_mode(const struct salvage_goal *goal, const char *path, bool is_dir)
{
	const struct tree_entry *e = tree_list_find(&goal->modes, path, strlen(path));

	if (!e || S_ISDIR(e->mode) != is_dir || (!is_dir && !S_ISREG(e->mode)))
		return 0;
	return e->mode & (is_dir ? 07777 : 01777);
}

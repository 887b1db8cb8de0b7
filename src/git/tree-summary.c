/*
 * Two trees side by side, without those parts that are the same.
 *
 * A tree can have more files than a store has bytes (the same directory, in itself, again and again),
 * so what was seen is counted, and how much was read.
 */
#include "git/tree-summary.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git/diffstat.h"
#include "git/line-count.h"
#include "git/tree-list.h"
#include "git/tree-object.h"
#include "util/cleanup.h"

#define MAX_DEPTH     4096
#define MAX_DIFF_WORK 500000 /* lines; some seconds at worst */

/* a directory of both trees; one that is in one of them only is empty in the other */
struct pair {
	struct tree_object old, now;
	size_t i, j;	 /* the next item of each */
	size_t path_len; /* with its slash */
};

struct summary {
	struct repo *repo;
	struct diffstat stat;
	struct pair *pairs; /* the top first */
	size_t n, size;
	size_t seen;	   /* files and directories */
	size_t bytes_left; /* to be read */
	size_t work_left;  /* lines to be compared */
	struct text path;
	struct fault *f;
};

enum side_state {
	SIDE_READ,
	SIDE_TOO_LARGE,
	SIDE_UNREADABLE,
};

/* a file before or after */
struct side {
	enum side_state state;
	struct content content; /* data is NULL when it was not read */
	git_odb_object *object;
	char gitlink[64];
};

static void side_deinit(struct side *side)
{
	git_odb_object_free(side->object);
}

static void pair_deinit(struct pair *pair)
{
	tree_object_deinit(&pair->old);
	tree_object_deinit(&pair->now);
}

static void summary_deinit(struct summary *s)
{
	while (s->n > 0)
		pair_deinit(&s->pairs[--s->n]);
	free(s->pairs);
	diffstat_deinit(&s->stat);
	text_deinit(&s->path);
}

static void side_set_gitlink(struct side *side, const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];

	side->content.len =
		(size_t)snprintf(side->gitlink, sizeof(side->gitlink), "Subproject commit %s\n",
				 git_oid_tostr(hex, sizeof(hex), oid));
	side->content.data = side->gitlink;
}

/* a file that is missing or damaged is one line of the summary, not its end */
static int side_failed(struct summary *s, struct side *side, int rc)
{
	struct fault why = FAULT_NONE;

	if (rc < 0 && git_fault(&why, rc, "a file cannot be read") == -ENOMEM)
		return fault_oom(s->f);
	side->state = SIDE_UNREADABLE;
	return 0;
}

static int side_read_blob(struct summary *s, const git_oid *oid, struct side *side)
{
	git_odb *odb = repo_odb(s->repo);
	git_object_t type;
	int rc;

	rc = git_odb_read_header(&side->content.len, &type, odb, oid);
	if (rc < 0 || type != GIT_OBJECT_BLOB)
		return side_failed(s, side, rc);
	if (side->content.len > TREE_SUMMARY_MAX_FILE_BYTES || side->content.len > s->bytes_left) {
		side->state = SIDE_TOO_LARGE;
		return 0;
	}
	s->bytes_left -= side->content.len;
	rc = git_odb_read(&side->object, odb, oid);
	if (rc < 0)
		return side_failed(s, side, rc);
	side->content.data = git_odb_object_data(side->object);
	side->content.len = git_odb_object_size(side->object);
	return 0;
}

/* @item: NULL: there is no file */
static int side_read(struct summary *s, const struct tree_item *item, struct side *ret)
{
	ret->content = (struct content){ "", 0 };
	if (!item)
		return 0;
	if (item->mode != TREE_MODE_GITLINK)
		return side_read_blob(s, tree_item_oid(item), ret);
	side_set_gitlink(ret, tree_item_oid(item));
	return 0;
}

static bool side_is_binary(const struct side *side)
{
	return side->state == SIDE_TOO_LARGE || content_is_binary(&side->content);
}

static int compare_sides(struct summary *s, const struct side *old, const struct side *now,
			 struct diffstat_file *ret)
{
	size_t added = 0, deleted = 0;
	int r = 0;

	if (old->state == SIDE_UNREADABLE || now->state == SIDE_UNREADABLE) {
		ret->kind = DIFFSTAT_UNREADABLE;
	} else if (side_is_binary(old) || side_is_binary(now)) {
		ret->kind = DIFFSTAT_BINARY;
		added = now->content.len;
		deleted = old->content.len;
	} else {
		r = line_count(&old->content, &now->content, &s->work_left, &added, &deleted, s->f);
	}
	ret->added = added;
	ret->deleted = deleted;
	return r;
}

/* only the mode changed: the content is looked at to tell "Bin" from "0" */
static int compare_modes(struct summary *s, const struct tree_item *item, struct diffstat_file *ret)
{
	_cleanup_(side_deinit) struct side side = { 0 };
	int r = side_read(s, item, &side);

	if (r == 0 && side.state == SIDE_UNREADABLE)
		ret->kind = DIFFSTAT_UNREADABLE;
	else if (r == 0 && side_is_binary(&side))
		ret->kind = DIFFSTAT_BINARY;
	return r;
}

static int compare_files(struct summary *s, const struct tree_item *old,
			 const struct tree_item *now, struct diffstat_file *ret)
{
	_cleanup_(side_deinit) struct side before = { 0 }, after = { 0 };
	int r;

	if (old && now && git_oid_equal(tree_item_oid(old), tree_item_oid(now)))
		return compare_modes(s, now, ret);
	r = side_read(s, old, &before);
	if (r == 0)
		r = side_read(s, now, &after);
	return r < 0 ? r : compare_sides(s, &before, &after, ret);
}

/* as git diff --compact-summary says it */
static const char *mode_note(uint32_t old, uint32_t now)
{
	if (old == 0)
		return now == TREE_MODE_LINK ? "new +l" : now == TREE_MODE_EXEC ? "new +x" : "new";
	if (now == 0)
		return "gone";
	if (old != now && old == TREE_MODE_LINK)
		return "mode -l";
	if (old != now && now == TREE_MODE_LINK)
		return "mode +l";
	if (old == TREE_MODE_FILE && now == TREE_MODE_EXEC)
		return "mode +x";
	if (old == TREE_MODE_EXEC && now == TREE_MODE_FILE)
		return "mode -x";
	return NULL;
}

/* the path, grown by a name until the next one */
static int path_set(struct summary *s, const struct pair *pair, const struct tree_item *item)
{
	s->path.len = pair->path_len;
	text_add(&s->path, item->name, item->name_len);
	return s->path.failed ? fault_oom(s->f) : 0;
}

static int file_changed(struct summary *s, const struct tree_item *old, const struct tree_item *now)
{
	struct diffstat_file file = { .kind = DIFFSTAT_TEXT };
	int r = compare_files(s, old, now, &file);

	if (r < 0)
		return r;
	return diffstat_add(&s->stat, s->path.data,
			    mode_note(old ? old->mode : 0, now ? now->mode : 0), &file, s->f);
}

static int pair_push(struct summary *s, const git_oid *old, const git_oid *now)
{
	struct pair *pair;
	int r;

	if (s->n == MAX_DEPTH)
		return fault(s->f, -EUCLEAN, "the directories are more than %d deep", MAX_DEPTH);
	if (s->n == s->size) {
		size_t size = s->size ? s->size * 2 : 16;
		struct pair *more = realloc(s->pairs, size * sizeof(*more));

		if (!more)
			return fault_oom(s->f);
		s->pairs = more;
		s->size = size;
	}
	pair = &s->pairs[s->n];
	*pair = (struct pair){ 0 };
	r = tree_object_load(s->repo, old, s->path.data, s->path.len, &pair->old, s->f);
	if (r < 0)
		return r;
	s->n++;
	r = tree_object_load(s->repo, now, s->path.data, s->path.len, &pair->now, s->f);
	if (s->n > 1)
		text_add(&s->path, "/", 1);
	pair->path_len = s->path.len;
	return r < 0 ? r : s->path.failed ? fault_oom(s->f) : 0;
}

/* an item of one tree, or of both: they have the same name and are both directories or both not */
static int item_differs(struct summary *s, const struct pair *pair, const struct tree_item *old,
			const struct tree_item *now)
{
	const struct tree_item *any = old ? old : now;
	int r;

	if (old && now && old->mode == now->mode &&
	    git_oid_equal(tree_item_oid(old), tree_item_oid(now)))
		return 0;
	s->seen++;
	r = path_set(s, pair, any);
	if (r < 0)
		return r;
	if (tree_item_is_dir(any))
		return pair_push(s, old ? tree_item_oid(old) : NULL,
				 now ? tree_item_oid(now) : NULL);
	return file_changed(s, old, now);
}

static int pair_step(struct summary *s, struct pair *pair)
{
	const struct tree_item *old = pair->i < pair->old.n ? &pair->old.items[pair->i] : NULL;
	const struct tree_item *now = pair->j < pair->now.n ? &pair->now.items[pair->j] : NULL;
	int c = 0;

	if (!old || !now)
		c = old ? -1 : 1;
	else
		c = tree_name_order(old->name, old->name_len, tree_item_is_dir(old), now->name,
				    now->name_len, tree_item_is_dir(now));
	pair->i += c <= 0;
	pair->j += c >= 0;
	return item_differs(s, pair, c <= 0 ? old : NULL, c >= 0 ? now : NULL);
}

static int summary_run(struct summary *s)
{
	int r = 0;

	while (s->n > 0 && s->seen < TREE_SUMMARY_MAX_FILES && r == 0) {
		struct pair *pair = &s->pairs[s->n - 1];

		if (pair->i < pair->old.n || pair->j < pair->now.n) {
			r = pair_step(s, pair);
		} else {
			pair_deinit(pair);
			s->n--;
		}
	}
	s->stat.incomplete = s->n > 0;
	return r;
}

int tree_summary(struct repo *repo, const git_oid *from, const git_oid *to, unsigned max_lines,
		 struct text *ret, struct fault *f)
{
	_cleanup_(text_deinit) struct text out = { 0 };
	_cleanup_(summary_deinit) struct summary s = {
		.repo = repo,
		.stat = { .max_files = max_lines },
		.bytes_left = TREE_SUMMARY_MAX_TOTAL_BYTES,
		.work_left = MAX_DIFF_WORK,
		.f = f,
	};
	int r = 0;

	text_add_string(&s.path, "");
	if (s.path.failed)
		return fault_oom(f);
	if (!from || !to || !git_oid_equal(from, to))
		r = pair_push(&s, from, to);
	if (r == 0)
		r = summary_run(&s);
	if (r < 0)
		return r;
	diffstat_print(&s.stat, &out);
	text_add(ret, out.data, out.len);
	return out.failed || ret->failed ? fault_oom(f) : 0;
}

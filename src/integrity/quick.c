/* A slot, at once: its pointers, HEAD and index, and that what is checked out is there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "git/odb.h"
#include "integrity/worktrees-check.h"
#include "util/cleanup.h"

#define TREE_BYTES (64 << 20)

struct tree_todo {
	git_oid oid;
	char *path; /* below the root's name, with a "/" at its end */
};

struct quick {
	struct check_run *run;
	git_odb *odb;
	const struct root *root;
	struct oid_set seen; /* that are there; trees and commits: and whose content was looked at */
	struct oid_set told; /* each once a slot */
	bool has_told;	     /* since the last root: then nothing of @seen is taken for good */
	struct tree_todo *todo;
	size_t n, size;
	const char *path; /* of the object at hand */
};

/* by object and slot: HEAD and index need the same, and so do other slots */
static int tell_once(struct quick *q, const git_oid *oid)
{
	git_oid key = *oid;
	size_t i = 0;

	for (const char *p = q->root->slot; p && *p; p++)
		key.id[i++ % GIT_OID_RAWSZ] ^= (unsigned char)*p;
	return oid_set_add(&q->told, &key, 0);
}

static int tell(struct quick *q, const char *id, const git_oid *oid, const char *path, const char *what)
{
	_cleanup_(freep) char *full = text_printf("%s%s", q->root->name, path);
	char hex[GIT_OID_HEXSZ + 1];
	struct finding_place place = { .where = q->root->file, .slot = q->root->slot,
				       .object = oid_hex(oid->id, hex), .path = full };
	int r = tell_once(q, oid);

	q->has_told = true;
	if (r <= 0)
		return r;
	return full ? finding_add(q->run->c.findings, id, &place, "%s", what) : -ENOMEM;
}

static int push(struct quick *q, const git_oid *oid, char *path)
{
	if (q->n == q->size) {
		size_t size = q->size ? q->size * 2 : 64;
		struct tree_todo *todo = reallocarray(q->todo, size, sizeof(*todo));

		if (!todo)
			return -ENOMEM;
		q->todo = todo;
		q->size = size;
	}
	q->todo[q->n++] = (struct tree_todo){ *oid, path };
	return 0;
}

static int on_link(const struct content_link *link, void *userdata)
{
	struct quick *q = userdata;
	_cleanup_(freep) char *path = NULL;
	git_oid oid;
	int r;

	if (link->type == GIT_OBJECT_COMMIT) /* the history is for a longer look */
		return 0;
	git_oid_fromraw(&oid, link->oid);
	if (oid_set_has(&q->seen, &oid))
		return 0;
	path = link->name ? text_printf("%s%s%.*s", q->path, *q->path && !strchr(":/", q->path[strlen(q->path) - 1]) ? "/" : "",
					(int)link->name_len, link->name) :
			    strdup(":");
	if (!path)
		return -ENOMEM;
	if (link->type == GIT_OBJECT_TREE) {
		r = push(q, &oid, path);
		if (r == 0)
			(void)TAKE(path);
		return r;
	}
	if (!git_odb_exists(q->odb, &oid))
		return tell(q, "missing-object", &oid, path, "a blob that is not there");
	return oid_set_add(&q->seen, &oid, 0) < 0 ? -ENOMEM : 0;
}

/* commits, tags and trees: their content is looked at, too */
static int check_one(struct quick *q, const git_oid *oid, const char *path)
{
	struct content_sink sink = { .on_link = on_link, .userdata = q };
	git_odb_object *object = NULL;
	int r = git_odb_read(&object, q->odb, oid);

	if (r == GIT_ENOTFOUND)
		return tell(q, "missing-object", oid, path, "an object that is not there");
	if (r < 0)
		return tell(q, "corrupt-object", oid, path, "it cannot be read");
	q->path = path;
	r = oid_set_add(&q->seen, oid, 0) < 0 ? -ENOMEM : 0;
	if (r == 0)
		r = content_check(q->run->c.rules, git_odb_object_type(object), oid, git_odb_object_data(object),
				  git_odb_object_size(object), &sink);
	git_odb_object_free(object);
	return r;
}

static int check_root(struct quick *q)
{
	int r = 0;

	if (oid_set_has(&q->seen, &q->root->oid))
		return 0;
	if (q->root->kind != ROOT_HEAD && q->root->type != GIT_OBJECT_TREE) {
		if (git_odb_exists(q->odb, &q->root->oid))
			return oid_set_add(&q->seen, &q->root->oid, 0) < 0 ? -ENOMEM : 0;
		if (q->root->kind == ROOT_INDEX)
			return tell(q, "missing-object", &q->root->oid, "", "an object that is not there");
		return 0; /* of a log or the like: for a longer look */
	}
	if (q->root->kind != ROOT_HEAD && q->root->kind != ROOT_INDEX)
		return 0;
	r = check_one(q, &q->root->oid, "");
	while (r == 0 && q->n > 0) {
		struct tree_todo todo = q->todo[--q->n];

		r = check_one(q, &todo.oid, todo.path);
		free(todo.path);
	}
	return r;
}

/* HEAD first: what it leads to is most of what an index names */
static int check_roots(struct quick *q)
{
	int r = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; r == 0 && i < roots_count(q->run->c.roots); i++) {
			q->root = roots_at(q->run->c.roots, i);
			if ((q->root->kind == ROOT_HEAD) == (pass == 0))
				r = check_root(q);
			if (q->has_told)
				oid_set_deinit(&q->seen);
			q->has_told = false;
			if (r == 0)
				r = check_tell(&q->run->c);
		}
	return r;
}

int check_quick(struct check_run *run, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/objects", run->c.spec->common_dir);
	struct quick q = { .run = run };
	int r = path ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < run->c.spec->n_slots; i++)
		r = worktree_check_slot(&run->c, &run->c.spec->slots[i]);
	if (r == 0)
		r = odb_open(path, &q.odb, f);
	if (r == 0)
		r = check_roots(&q);
	while (q.n > 0)
		free(q.todo[--q.n].path);
	free(q.todo);
	oid_set_deinit(&q.seen);
	oid_set_deinit(&q.told);
	git_odb_free(q.odb);
	return r;
}

/* A slot, at once: its pointers, HEAD and index, and that what is checked out is there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "git/odb.h"
#include "integrity/worktrees-check.h"
#include "util/cleanup.h"

#define PATH_MOST 4096
#define NAME_MOST 255 /* of a name in a path */
#define TELL_EVERY 256 /* links */

/* stays until all below it was looked at */
struct tree_todo {
	git_oid oid;
	size_t above; /* the one that leads here; NOT_BELOW: the root does */
	char *name;   /* in the tree above; NULL: it is the tree of a commit or tag */
	bool is_open; /* it was looked at, what is above it in the stack is below it in the tree */
};

#define NOT_BELOW SIZE_MAX

struct quick {
	struct check_run *run;
	git_odb *odb;
	const struct root *root;
	struct oid_set seen; /* that are there; trees and commits: and whose content was looked at */
	struct oid_set told; /* each once a slot */
	bool has_told;	     /* since the last root: then nothing of @seen is taken for good */
	struct tree_todo *todo;
	size_t n, size;
	size_t at; /* the object at hand; NOT_BELOW: the root */
	uint64_t links;
	size_t n_told;
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

/* --- the way, spelled out when something is told: it may be deep --- */

/* from its end to its beginning */
struct way {
	char text[PATH_MOST + 1];
	size_t at;
	bool is_in_tree; /* it begins with the name of an entry */
};

static void prepend(struct way *w, const char *s, size_t len)
{
	w->at -= len;
	memcpy(w->text + w->at, s, len);
}

static void prepend_name(struct way *w, const char *name)
{
	if (w->is_in_tree && name)
		prepend(w, "/", 1);
	prepend(w, name ? name : ":", name ? strnlen(name, NAME_MOST) : 1);
	w->is_in_tree = name != NULL;
}

/* a way that is too long begins at the tree where it is short enough */
static void spell(const struct quick *q, struct way *w, size_t at)
{
	const size_t enough = NAME_MOST + GIT_OID_HEXSZ + 2;
	size_t len = strnlen(q->root->name, PATH_MOST);
	char hex[GIT_OID_HEXSZ + 1];

	for (; at != NOT_BELOW && w->at >= enough; at = q->todo[at].above)
		prepend_name(w, q->todo[at].name);
	if (at == NOT_BELOW && len <= w->at) {
		prepend(w, q->root->name, len);
		return;
	}
	prepend(w, "/", 1);
	prepend(w, oid_hex(at == NOT_BELOW ? q->root->oid.id : q->todo[at].oid.id, hex), GIT_OID_HEXSZ);
}

/* @at: as in struct quick; @name: of what is in it; NULL: it is told of itself */
static int tell(struct quick *q, const char *id, const git_oid *oid, size_t at, const char *name, const char *what)
{
	struct way w = { .at = PATH_MOST };
	char hex[GIT_OID_HEXSZ + 1];
	struct finding_place place = { .where = q->root->file, .slot = q->root->slot,
				       .object = oid_hex(oid->id, hex), .path = q->root->name };
	int r = tell_once(q, oid);

	q->has_told = true;
	if (r <= 0)
		return r;
	/* what is not kept is counted alone */
	if (q->n_told++ < FINDINGS_MAX) {
		if (name)
			prepend_name(&w, name);
		spell(q, &w, at);
		place.path = w.text + w.at;
	}
	return finding_add(q->run->c.findings, id, &place, "%s", what);
}

/* --- objects --- */

static int push(struct quick *q, const git_oid *oid, const char *name)
{
	char *copy = name ? strndup(name, NAME_MOST) : NULL;

	if (name && !copy)
		return -ENOMEM;
	if (q->n == q->size) {
		size_t size = q->size ? q->size * 2 : 64;
		struct tree_todo *todo = reallocarray(q->todo, size, sizeof(*todo));

		if (!todo) {
			free(copy);
			return -ENOMEM;
		}
		q->todo = todo;
		q->size = size;
	}
	q->todo[q->n++] = (struct tree_todo){ .oid = *oid, .above = q->at, .name = copy };
	return 0;
}

static void pop(struct quick *q)
{
	free(q->todo[--q->n].name);
}

static int on_link(const struct content_link *link, void *userdata)
{
	struct quick *q = userdata;
	git_oid oid;
	int r = ++q->links % TELL_EVERY == 0 ? check_tell(&q->run->c) : 0;

	if (r < 0 || link->type == GIT_OBJECT_COMMIT) /* the history is for a longer look */
		return r;
	git_oid_fromraw(&oid, link->oid);
	if (oid_set_has(&q->seen, &oid))
		return 0;
	if (link->type == GIT_OBJECT_TREE)
		return push(q, &oid, link->name);
	if (!git_odb_exists(q->odb, &oid))
		return tell(q, "missing-object", &oid, q->at, link->name ? link->name : ":", "a blob that is not there");
	return oid_set_add(&q->seen, &oid, 0) < 0 ? -ENOMEM : 0;
}

/* commits, tags and trees: their content is looked at, too; @at: of itself, as in struct quick */
static int check_one(struct quick *q, const git_oid *oid, size_t at)
{
	struct content_sink sink = { .on_link = on_link, .userdata = q };
	git_odb_object *object = NULL;
	int r = git_odb_read(&object, q->odb, oid);

	if (r == GIT_ENOTFOUND)
		return tell(q, "missing-object", oid, at, NULL, "an object that is not there");
	if (r < 0)
		return tell(q, "corrupt-object", oid, at, NULL, "it cannot be read");
	q->at = at;
	r = oid_set_add(&q->seen, oid, 0) < 0 ? -ENOMEM : 0;
	if (r == 0)
		r = content_check(q->run->c.rules, git_odb_object_type(object), oid, git_odb_object_data(object),
				  git_odb_object_size(object), &sink);
	git_odb_object_free(object);
	return r;
}

/* what is below it comes first; then it goes itself */
static int check_last(struct quick *q)
{
	size_t at = q->n - 1;
	git_oid oid = q->todo[at].oid;

	if (q->todo[at].is_open || oid_set_has(&q->seen, &oid)) {
		pop(q);
		return 0;
	}
	q->todo[at].is_open = true;
	return check_one(q, &oid, at);
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
			return tell(q, "missing-object", &q->root->oid, NOT_BELOW, NULL, "an object that is not there");
		return 0; /* of a log or the like: for a longer look */
	}
	if (q->root->kind != ROOT_HEAD && q->root->kind != ROOT_INDEX)
		return 0;
	r = check_one(q, &q->root->oid, NOT_BELOW);
	while (r == 0 && q->n > 0)
		r = check_last(q);
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
		pop(&q);
	free(q.todo);
	oid_set_deinit(&q.seen);
	oid_set_deinit(&q.told);
	git_odb_free(q.odb);
	return r;
}

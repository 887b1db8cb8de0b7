/*
 * How one gets from something in use to what is missing.
 *
 * A search in width from the roots, so that the shortest way is found: first from what belongs to the store,
 * then from what each slot has for itself, so that what one slot alone needs is told as its own. Only done
 * when something is missing: all commits and trees are inflated once more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "util/cleanup.h"

#define STEPS_MOST 10000 /* of a path that is spelled out */

struct trace {
	struct check_run *run;
	uint32_t n;
	uint8_t *seen;	  /* a bit an object */
	uint32_t *parent; /* the object that led here; from n on: the root, and n */
	uint32_t *queue;
	uint32_t first, end;
	const char *slot; /* whose roots these are; NULL: the store's */
	/* the object at hand */
	uint32_t from;
	git_object_t type;
	bool is_shallow;
	bool tree_only;	 /* no parents: what is checked out */
};

static bool is_seen(const struct trace *t, uint32_t number)
{
	return t->seen[number / 8] >> number % 8 & 1;
}

static void push(struct trace *t, uint32_t number, uint32_t parent)
{
	t->seen[number / 8] |= (uint8_t)(1 << number % 8);
	t->parent[number] = parent;
	t->queue[t->end++] = number;
}

/* is it a gap for somebody who wants this type? */
static struct gap *open_gap(struct trace *t, const unsigned char *oid, git_object_t type)
{
	struct gap *gap = gaps_find(t->run, oid);
	uint32_t number;

	if (!gap || gap->is_closed)
		return NULL;
	if (!gap->is_wrong_type || type == GIT_OBJECT_ANY)
		return gap->is_wrong_type ? NULL : gap;
	number = objects_find(t->run->objects, oid);
	return number != OBJECTS_NONE && (objects_marks(t->run->objects, number) & OBJECTS_TYPE) != (unsigned)type ? gap : NULL;
}

static int add_user(struct gap *gap, const char *slot)
{
	const char *last = gap->users.data ? strrchr(gap->users.data, ' ') : NULL;

	/* by its whole name: one may end as another does */
	last = last ? last + 1 : gap->users.data;
	if (last && strcmp(last, slot) == 0)
		return 0;
	text_addf(&gap->users, "%s%s", gap->users.len ? ", " : "", slot);
	return gap->users.failed ? -ENOMEM : 0;
}

static int reach_gap(struct trace *t, struct gap *gap, uint32_t parent)
{
	if (t->tree_only)
		return add_user(gap, t->slot);
	if (gap->root) {
		/* the second slot that needs it */
		if (t->slot && gap->slot && strcmp(gap->slot, t->slot) != 0)
			gap->slot = NULL;
		return 0;
	}
	gap->from = parent;
	gap->slot = t->slot;
	gap->root = roots_at(t->run->c.roots, 0); /* until its path is spelled out */
	return 0;
}

static int on_link(const struct content_link *link, void *userdata)
{
	struct trace *t = userdata;
	struct gap *gap;
	uint32_t number;
	int r = 0;

	if (link->type == GIT_OBJECT_COMMIT && t->type == GIT_OBJECT_COMMIT && (t->is_shallow || t->tree_only))
		return 0;
	gap = open_gap(t, link->oid, link->type);
	if (gap)
		r = reach_gap(t, gap, t->from);
	number = objects_find(t->run->objects, link->oid);
	if (r == 0 && number != OBJECTS_NONE && !is_seen(t, number))
		push(t, number, t->from);
	return r;
}

/* -EBADMSG and the like: it cannot be read, which was told */
static int read_and_follow(struct check_run *run, uint32_t number, git_object_t *ret_type, const struct content_sink *sink)
{
	unsigned marks = objects_marks(run->objects, number);
	_cleanup_(freep) void *data = NULL;
	size_t len;
	git_oid oid;
	int r;

	*ret_type = (git_object_t)(marks & OBJECTS_TYPE);
	/* what is no blob by what leads to it may be one all the same; what is one leads nowhere */
	if (*ret_type == GIT_OBJECT_BLOB || marks & OBJECTS_BAD || (!*ret_type && marks & OBJECTS_WANT_BLOB))
		return 0;
	git_oid_fromraw(&oid, objects_name(run->objects, number));
	r = object_read(run, &oid, memory_of(run->c.spec), ret_type, &data, &len);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return content_check(run->c.rules, *ret_type, &oid, data, len, sink);
}

/* content_check() learns the type only when the object is read, and so do we */
struct follow {
	struct trace *t;
	git_object_t *type;
};

static int on_followed(const struct content_link *link, void *userdata)
{
	struct follow *f = userdata;

	f->t->type = *f->type;
	return on_link(link, f->t);
}

static int search(struct trace *t)
{
	int r = 0;

	while (r == 0 && t->first < t->end) {
		git_object_t type = GIT_OBJECT_ANY;
		struct follow follow = { t, &type };
		struct content_sink sink = { .on_link = on_followed, .userdata = &follow };
		git_oid oid;

		t->from = t->queue[t->first++];
		git_oid_fromraw(&oid, objects_name(t->run->objects, t->from));
		t->is_shallow = roots_is_shallow(t->run->c.roots, &oid);
		r = read_and_follow(t->run, t->from, &type, &sink);
		if (r == 0 && t->first % 256 == 0)
			r = check_tell(&t->run->c);
	}
	return r;
}

static int begin_at(struct trace *t, size_t i)
{
	const struct root *root = roots_at(t->run->c.roots, i);
	struct gap *gap = open_gap(t, root->oid.id, root->type);
	uint32_t number = objects_find(t->run->objects, root->oid.id);
	int r = gap ? reach_gap(t, gap, t->n + (uint32_t)i) : 0;

	if (r == 0 && number != OBJECTS_NONE && !is_seen(t, number))
		push(t, number, t->n + (uint32_t)i);
	return r;
}

/* --- the way, spelled out --- */

struct step {
	const unsigned char *to;
	unsigned parents; /* of a commit that were passed */
	char name[256];	  /* of a tree's entry */
	bool is_found;
	bool to_tree;	  /* from a commit to its tree */
};

static int on_step(const struct content_link *link, void *userdata)
{
	struct step *s = userdata;
	size_t len = link->name_len < sizeof(s->name) - 1 ? link->name_len : sizeof(s->name) - 1;

	if (s->is_found)
		return 0;
	if (link->type == GIT_OBJECT_COMMIT && !link->name)
		s->parents++;
	if (memcmp(link->oid, s->to, GIT_OID_RAWSZ) != 0)
		return 0;
	s->is_found = true;
	s->to_tree = link->type == GIT_OBJECT_TREE;
	if (link->name)
		memcpy(s->name, link->name, len);
	return 0;
}

static void flush_tilde(struct text *text, unsigned *tilde)
{
	if (*tilde)
		text_addf(text, "~%u", *tilde);
	*tilde = 0;
}

static int add_step(struct check_run *run, uint32_t from, const unsigned char *to, struct text *text, unsigned *tilde)
{
	struct step s = { .to = to };
	struct content_sink sink = { .on_link = on_step, .userdata = &s };
	git_object_t type;
	int r = read_and_follow(run, from, &type, &sink);

	if (r < 0)
		return r;
	if (type == GIT_OBJECT_COMMIT && !s.to_tree && s.parents == 1) {
		++*tilde;
		return 0;
	}
	flush_tilde(text, tilde);
	if (type == GIT_OBJECT_COMMIT && s.to_tree)
		text_add_string(text, ":");
	else if (type == GIT_OBJECT_COMMIT)
		text_addf(text, "^%u", s.parents);
	else if (type == GIT_OBJECT_TAG)
		text_add_string(text, "^{}");
	else
		text_addf(text, "%s%s", text->len && strchr(":", text->data[text->len - 1]) ? "" : "/", s.name);
	return text->failed ? -ENOMEM : 0;
}

/* from the root to the gap; a way that is too long begins at the commit where it is short enough */
static int spell(struct trace *t, struct gap *gap)
{
	_cleanup_(freep) uint32_t *steps = malloc(STEPS_MOST * sizeof(*steps));
	_cleanup_(text_deinit) struct text text = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	uint32_t at = gap->from;
	unsigned n = 0, tilde = 0;
	bool is_cut = false;
	int r = steps ? 0 : -ENOMEM;

	while (r == 0 && at < t->n) {
		if (n < STEPS_MOST)
			steps[n++] = at;
		else
			is_cut = true;
		at = t->parent[at];
	}
	if (r == 0)
		gap->root = roots_at(t->run->c.roots, at - t->n);
	if (r == 0 && is_cut)
		text_add_string(&text, oid_hex(objects_name(t->run->objects, steps[n - 1]), hex));
	else if (r == 0)
		text_add_string(&text, gap->root->name);
	while (r == 0 && n-- > 0)
		r = add_step(t->run, steps[n], n ? objects_name(t->run->objects, steps[n - 1]) : gap->oid.id, &text, &tilde);
	flush_tilde(&text, &tilde);
	gap->path = r == 0 ? text_take(&text) : NULL;
	return r == 0 && !gap->path ? -ENOMEM : r;
}

static int spell_new(struct trace *t)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->run->gaps.n; i++)
		if (t->run->gaps.v[i].root && !t->run->gaps.v[i].path)
			r = spell(t, &t->run->gaps.v[i]);
	return r;
}

/* --- all roots --- */

static bool is_of(const struct root *root, const char *slot)
{
	return slot ? root->slot && strcmp(root->slot, slot) == 0 : !root->slot;
}

/* branches lead there by better names than what slotd holds, and refs by better ones than logs and indexes */
static unsigned rank_of(const struct root *root)
{
	if (root->kind == ROOT_REF)
		return text_has_prefix(root->name, "refs/slotd/") ? 1 : 0;
	return (unsigned)root->kind + 1;
}

static int trace_from(struct trace *t, const char *slot)
{
	int r = 0;

	t->slot = slot;
	t->first = t->end = 0;
	for (unsigned rank = 0; r == 0 && rank <= ROOT_FETCH_HEAD + 1; rank++) {
		for (size_t i = 0; r == 0 && i < roots_count(t->run->c.roots); i++)
			if (rank_of(roots_at(t->run->c.roots, i)) == rank && is_of(roots_at(t->run->c.roots, i), slot))
				r = begin_at(t, i);
		if (r == 0)
			r = search(t);
	}
	return r == 0 ? spell_new(t) : r;
}

/* what a slot has checked out, without the history of it */
static int trace_checkout(struct trace *t, const char *slot)
{
	int r = 0;

	memset(t->seen, 0, t->n / 8 + 1);
	t->slot = slot;
	t->tree_only = true;
	t->first = t->end = 0;
	for (size_t i = 0; r == 0 && i < roots_count(t->run->c.roots); i++) {
		const struct root *root = roots_at(t->run->c.roots, i);

		if (is_of(root, slot) && (root->kind == ROOT_HEAD || root->kind == ROOT_INDEX))
			r = begin_at(t, i);
	}
	if (r == 0)
		r = search(t);
	t->tree_only = false;
	return r;
}

static int trace_slots(struct trace *t)
{
	const struct check_spec *spec = t->run->c.spec;
	size_t bytes = t->n / 8 + 1;
	_cleanup_(freep) uint8_t *shared = malloc(bytes);
	int r = shared ? 0 : -ENOMEM;

	if (shared)
		memcpy(shared, t->seen, bytes);
	for (size_t i = 0; r == 0 && i < spec->n_slots; i++) {
		memcpy(t->seen, shared, bytes);
		r = trace_from(t, spec->slots[i].name);
	}
	for (size_t i = 0; r == 0 && i < spec->n_slots; i++)
		r = trace_checkout(t, spec->slots[i].name);
	return r;
}

int trace_gaps(struct check_run *run)
{
	uint32_t n = objects_count(run->objects);
	struct trace t = { .run = run, .n = n };
	int r;

	t.seen = calloc(1, n / 8 + 1);
	t.parent = calloc((size_t)n + 1, sizeof(*t.parent));
	t.queue = calloc((size_t)n + 1, sizeof(*t.queue));
	r = t.seen && t.parent && t.queue ? 0 : -ENOMEM;
	if (r == 0)
		r = trace_from(&t, NULL);
	if (r == 0)
		r = trace_slots(&t);
	free(t.seen);
	free(t.parent);
	free(t.queue);
	return r;
}

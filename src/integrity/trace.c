/*
 * How one gets from something in use to what is missing.
 *
 * A search in width from the roots, so that the shortest way is found: first from what belongs to the store,
 * then from what each slot has for itself, so that what one slot alone needs is told as its own. Only done
 * when something is missing: all commits and trees are inflated once more.
 *
 * The search notes by which link of an object it went on, so that ways through history are spelled out without a
 * look at it; trees are read again for the names in them. That is bounded (COST_MOST): where half of a repository is lost
 * nobody reads all the ways, and a check must come to its end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/check-private.h"

#include "util/cleanup.h"

#define PATH_MOST 4096 /* of a path that is spelled out */
#define NAME_MOST 255  /* of a name in it */
#define WAY_MOST (PATH_MOST - NAME_MOST) /* of what comes before the last name */
#define STEP_MOST (NAME_MOST + 64) /* a name, and what a way that is cut begins with */
#define NEAR_MOST 64 /* steps to the commit that is named in place of a way */
#define READ_COST 500 /* of a tree that is read for a name, in steps from one object to the next */
#define COST_MOST (20000 * READ_COST) /* of all ways */

/* the last step to a gap */
struct reach {
	uint32_t nth; /* as in struct trace */
	char *name;   /* in a tree */
};

struct trace {
	struct check_run *run;
	uint32_t n;
	uint8_t *seen;	  /* a bit an object */
	uint32_t *parent; /* the object that led here; from n on: the root, and n */
	uint32_t *root;	  /* where the way here begins */
	uint32_t *nth;	  /* by which link: 0: a commit's tree; else its nth parent, or a tree's nth entry */
	uint32_t *queue;
	uint32_t first, end;
	struct reach *reached; /* of the first gaps: those that findings are kept of */
	size_t n_reached;
	uint64_t cost;	     /* of what was spelled out so far */
	uint64_t told_cost;  /* when progress was told last */
	uint32_t prefix_of;  /* the tree whose way was spelled out last, or OBJECTS_NONE */
	char prefix[PATH_MOST]; /* that way, up to the name of an entry */
	const char *slot; /* whose roots these are; NULL: the store's */
	/* the object at hand */
	uint32_t from;
	git_object_t type;
	bool is_shallow;
	uint32_t links;	 /* that were passed, but for a commit's tree */
	bool tree_only;	 /* no parents: what is checked out */
};

static bool is_seen(const struct trace *t, uint32_t number)
{
	return t->seen[number / 8] >> number % 8 & 1;
}

static uint32_t root_of(const struct trace *t, uint32_t parent)
{
	return parent < t->n ? t->root[parent] : parent - t->n;
}

static void push(struct trace *t, uint32_t number, uint32_t parent, uint32_t nth)
{
	t->seen[number / 8] |= (uint8_t)(1 << number % 8);
	t->parent[number] = parent;
	t->root[number] = root_of(t, parent);
	t->nth[number] = nth;
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

static int note_reach(struct trace *t, const struct gap *gap, const struct content_link *link, uint32_t nth)
{
	size_t i = (size_t)(gap - t->run->gaps.v);
	size_t len = link && link->name_len < NAME_MOST ? link->name_len : NAME_MOST;

	if (i >= t->n_reached)
		return 0;
	t->reached[i].nth = nth;
	if (!link || !link->name)
		return 0;
	t->reached[i].name = strndup(link->name, len);
	return t->reached[i].name ? 0 : -ENOMEM;
}

/* @link: NULL: a root is the gap */
static int reach_gap(struct trace *t, struct gap *gap, uint32_t parent, const struct content_link *link, uint32_t nth)
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
	gap->root = roots_at(t->run->c.roots, root_of(t, parent));
	return note_reach(t, gap, link, nth);
}

static int on_link(const struct content_link *link, void *userdata)
{
	struct trace *t = userdata;
	bool is_main_tree = t->type == GIT_OBJECT_COMMIT && link->type == GIT_OBJECT_TREE;
	uint32_t nth = is_main_tree ? 0 : ++t->links;
	struct gap *gap;
	uint32_t number;
	int r = 0;

	if (link->type == GIT_OBJECT_COMMIT && t->type == GIT_OBJECT_COMMIT && (t->is_shallow || t->tree_only))
		return 0;
	gap = open_gap(t, link->oid, link->type);
	if (gap)
		r = reach_gap(t, gap, t->from, link, nth);
	number = objects_find(t->run->objects, link->oid);
	if (r == 0 && number != OBJECTS_NONE && !is_seen(t, number))
		push(t, number, t->from, nth);
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

	if (f->t->type == GIT_OBJECT_ANY) /* what no check has read yet: its way may be spelled out */
		objects_mark(f->t->run->objects, f->t->from, (unsigned)*f->type);
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
		t->type = GIT_OBJECT_ANY;
		t->links = 0;
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
	int r = gap ? reach_gap(t, gap, t->n + (uint32_t)i, NULL, 0) : 0;

	if (r == 0 && number != OBJECTS_NONE && !is_seen(t, number))
		push(t, number, t->n + (uint32_t)i, 0);
	return r;
}

/* --- the way, spelled out --- */

static git_object_t type_of(const struct trace *t, uint32_t number)
{
	return (git_object_t)(objects_marks(t->run->objects, number) & OBJECTS_TYPE);
}

/* one entry of a tree */
struct entry {
	uint32_t nth;
	uint32_t links; /* that were passed */
	char name[NAME_MOST + 1];
};

static int on_entry(const struct content_link *link, void *userdata)
{
	struct entry *e = userdata;

	if (++e->links == e->nth && link->name)
		snprintf(e->name, sizeof(e->name), "%s", link->name);
	return 0;
}

static int read_name(struct trace *t, uint32_t tree, uint32_t nth, char ret[NAME_MOST + 1])
{
	struct entry e = { .nth = nth };
	struct content_sink sink = { .on_link = on_entry, .userdata = &e };
	git_object_t type;
	int r = read_and_follow(t->run, tree, &type, &sink);

	t->cost += READ_COST + e.links;
	memcpy(ret, e.name, sizeof(e.name));
	if (r == 0 && t->cost - t->told_cost > 64 * READ_COST) {
		t->told_cost = t->cost;
		r = check_tell(&t->run->c);
	}
	return r;
}

/* from its end to its beginning: what is too long is cut at the front */
struct way {
	char text[WAY_MOST + 1];
	size_t at;	   /* where it begins */
	unsigned tilde;	   /* first parents that are not written yet */
	bool is_in_tree;   /* it begins with the name of an entry */
};

static void prepend(struct way *w, const char *s)
{
	size_t len = strlen(s);

	w->at -= len;
	memcpy(w->text + w->at, s, len);
}

static void prepend_number(struct way *w, const char *mark, unsigned n)
{
	char number[16];

	snprintf(number, sizeof(number), "%s%u", mark, n);
	prepend(w, number);
}

static void end_names(struct way *w)
{
	if (w->is_in_tree)
		prepend(w, "/");
	w->is_in_tree = false;
}

static void flush(struct way *w)
{
	end_names(w);
	if (w->tilde)
		prepend_number(w, "~", w->tilde);
	w->tilde = 0;
}

static void prepend_commit(struct way *w, uint32_t nth)
{
	if (nth == 0) {
		w->is_in_tree = false;
		prepend(w, ":");
	} else if (nth == 1) {
		end_names(w);
		w->tilde++;
	} else {
		flush(w);
		prepend_number(w, "^", nth);
	}
}

/* @name: of the entry; NULL: it is not known yet */
static int prepend_step(struct trace *t, struct way *w, uint32_t from, uint32_t nth, const char *name)
{
	git_object_t type = type_of(t, from);
	char read[NAME_MOST + 1];
	int r = 0;

	t->cost++;
	if (type == GIT_OBJECT_COMMIT) {
		prepend_commit(w, nth);
		return 0;
	}
	flush(w);
	if (type == GIT_OBJECT_TAG) {
		prepend(w, "^{}");
		return 0;
	}
	if (!name)
		r = read_name(t, from, nth, read);
	if (r == 0)
		prepend(w, name ? name : read);
	w->is_in_tree = true;
	return r;
}

static void prepend_root(struct way *w, const struct root *root)
{
	size_t len = strlen(root->name);

	if (len && strchr(":/", root->name[len - 1]))
		w->is_in_tree = false;
	flush(w);
	prepend(w, root->name);
}

/* from the root; from a commit or tree on the way where it is too long or costs too much */
static int spell_way(struct trace *t, struct way *w, uint32_t from, uint32_t nth, const char *name)
{
	char hex[GIT_OID_HEXSZ + 1];
	uint32_t at = from, last = from;
	const struct root *root;
	int r = 0;

	w->at = WAY_MOST;
	w->text[WAY_MOST] = '\0';
	while (r == 0 && at < t->n && w->at >= STEP_MOST && (at == from || t->cost < COST_MOST)) {
		r = prepend_step(t, w, at, nth, name);
		name = NULL;
		last = at;
		nth = t->nth[at];
		at = t->parent[at];
	}
	if (r < 0)
		return r;
	root = at < t->n ? NULL : roots_at(t->run->c.roots, at - t->n);
	if (root && strlen(root->name) + STEP_MOST <= w->at) {
		prepend_root(w, root);
		return 0;
	}
	flush(w);
	prepend(w, oid_hex(objects_name(t->run->objects, last), hex));
	return 0;
}

/* in place of a way: where it begins, and the commit that needs it */
static char *spell_short(const struct trace *t, const struct gap *gap)
{
	char hex[GIT_OID_HEXSZ + 1];
	uint32_t at = gap->from;

	for (int i = 0; i < NEAR_MOST && type_of(t, at) == GIT_OBJECT_TREE && t->parent[at] < t->n; i++)
		at = t->parent[at];
	return text_printf("%.*s (%s %s)", WAY_MOST, gap->root->name, git_object_type2string(type_of(t, at)),
			   oid_hex(objects_name(t->run->objects, at), hex));
}

static int spell_entry(struct trace *t, struct gap *gap, const char *name)
{
	struct way w = { 0 };
	int r = 0;

	if (t->prefix_of != gap->from) {
		t->prefix_of = OBJECTS_NONE;
		r = spell_way(t, &w, gap->from, 0, "");
		if (r < 0)
			return r;
		memcpy(t->prefix, w.text + w.at, WAY_MOST + 1 - w.at);
		t->prefix_of = gap->from;
	}
	gap->path = text_printf("%s%s", t->prefix, name);
	return gap->path ? 0 : -ENOMEM;
}

static int spell(struct trace *t, struct gap *gap)
{
	size_t i = (size_t)(gap - t->run->gaps.v);
	struct way w = { 0 };
	int r = 0;

	if (gap->from >= t->n)
		gap->path = text_printf("%.*s", PATH_MOST, gap->root->name);
	else if (i >= t->n_reached || t->cost >= COST_MOST)
		gap->path = spell_short(t, gap);
	else if (t->reached[i].name)
		return spell_entry(t, gap, t->reached[i].name);
	else {
		r = spell_way(t, &w, gap->from, t->reached[i].nth, NULL);
		gap->path = r == 0 ? strdup(w.text + w.at) : NULL;
	}
	return r == 0 && !gap->path ? -ENOMEM : r;
}

static int spell_new(struct trace *t)
{
	int r = 0;

	t->prefix_of = OBJECTS_NONE; /* another slot may have come there by another way */
	for (size_t i = 0; r == 0 && i < t->run->gaps.n; i++) {
		if (t->run->gaps.v[i].root && !t->run->gaps.v[i].path)
			r = spell(t, &t->run->gaps.v[i]);
		if (r == 0 && i % 256 == 255)
			r = check_tell(&t->run->c);
	}
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

/* up to the last gap of which a finding can be kept */
static size_t gaps_kept(const struct gaps *gaps)
{
	size_t i = 0;

	for (size_t open = 0; i < gaps->n && open < FINDINGS_MAX; i++)
		open += !gaps->v[i].is_closed;
	return i;
}

static int trace_init(struct trace *t, struct check_run *run)
{
	size_t n = objects_count(run->objects);

	*t = (struct trace){ .run = run, .n = (uint32_t)n, .n_reached = gaps_kept(&run->gaps) };
	t->seen = calloc(1, n / 8 + 1);
	t->parent = calloc(n + 1, sizeof(*t->parent));
	t->root = calloc(n + 1, sizeof(*t->root));
	t->nth = calloc(n + 1, sizeof(*t->nth));
	t->queue = calloc(n + 1, sizeof(*t->queue));
	t->reached = calloc(t->n_reached + 1, sizeof(*t->reached));
	return t->seen && t->parent && t->root && t->nth && t->queue && t->reached ? 0 : -ENOMEM;
}

static void trace_deinit(struct trace *t)
{
	for (size_t i = 0; t->reached && i < t->n_reached; i++)
		free(t->reached[i].name);
	free(t->reached);
	free(t->queue);
	free(t->nth);
	free(t->root);
	free(t->parent);
	free(t->seen);
}

int trace_gaps(struct check_run *run)
{
	struct trace t;
	int r = trace_init(&t, run);

	if (r == 0)
		r = trace_from(&t, NULL);
	if (r == 0)
		r = trace_slots(&t);
	trace_deinit(&t);
	return r;
}

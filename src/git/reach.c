/*
 * Paint the past from both sides, newest first.
 *
 * Every commit is either wanted (some tip reaches it) or held (something that stays reaches
 * it; held wins). A queue ordered by date paints parents like their children until all that
 * is queued is held. Dates may lie, so painting goes on for a while when only held commits
 * are left, and a commit that turns out to be held after its parents were painted as wanted
 * takes them along.
 */
#include "git/reach.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/map.h"
#include "util/text.h"

/* painted after only held ones are left, for clocks that were wrong */
#define REACH_SLOP 64

struct node {
	git_oid oid;
	char hex[GIT_OID_HEXSZ + 1]; /* key in reach.nodes */
	int64_t time;
	bool held;
	bool painted; /* parents known */
	bool queued;
	bool inner; /* reach_foreach_head(): a parent of another that is not held */
	size_t n_parents;
	struct node **parents; /* borrowed from reach.all */
};

struct reach {
	struct repo *repo;
	struct map *nodes;
	struct node **all; /* owned */
	size_t n_all, size_all;
	struct node **heap; /* newest first */
	size_t n_heap, size_heap;
	size_t n_heap_wanted;
	size_t limit; /* of n_all; 0: none */
};

int reach_new(struct repo *repo, struct reach **ret, struct fault *f)
{
	struct reach *r = calloc(1, sizeof(*r));

	if (!r)
		return fault_oom(f);
	r->repo = repo;
	r->nodes = map_new();
	if (!r->nodes) {
		free(r);
		return fault_oom(f);
	}
	*ret = r;
	return 0;
}

void reach_free(struct reach *r)
{
	if (!r)
		return;
	map_free(r->nodes);
	for (size_t i = 0; i < r->n_all; i++) {
		free(r->all[i]->parents);
		free(r->all[i]);
	}
	free(r->all);
	free(r->heap);
	free(r);
}

void reach_set_limit(struct reach *r, size_t commits)
{
	r->limit = commits;
}

static bool is_too_many(const struct reach *r)
{
	return r->limit && r->n_all > r->limit;
}

/* room for one more in a growing array of pointers */
static int make_room(struct node ***array, size_t n, size_t *size, struct fault *f)
{
	struct node **more;
	size_t want = *size ? *size * 2 : 64;

	if (n < *size)
		return 0;
	more = realloc(*array, want * sizeof(**array));
	if (!more)
		return fault_oom(f);
	*array = more;
	*size = want;
	return 0;
}

static void heap_swap(struct reach *r, size_t a, size_t b)
{
	struct node *tmp = r->heap[a];

	r->heap[a] = r->heap[b];
	r->heap[b] = tmp;
}

static int heap_push(struct reach *r, struct node *node, struct fault *f)
{
	size_t i = r->n_heap;
	int rc;

	if (node->queued || node->painted)
		return 0;
	rc = make_room(&r->heap, r->n_heap, &r->size_heap, f);
	if (rc < 0)
		return rc;
	node->queued = true;
	r->n_heap_wanted += !node->held;
	r->heap[r->n_heap++] = node;
	for (; i > 0 && r->heap[(i - 1) / 2]->time < r->heap[i]->time; i = (i - 1) / 2)
		heap_swap(r, i, (i - 1) / 2);
	return 0;
}

static struct node *heap_pop(struct reach *r)
{
	struct node *top = r->heap[0];
	size_t i = 0;

	r->heap[0] = r->heap[--r->n_heap];
	for (;;) {
		size_t big = i, left = 2 * i + 1, right = left + 1;

		if (left < r->n_heap && r->heap[left]->time > r->heap[big]->time)
			big = left;
		if (right < r->n_heap && r->heap[right]->time > r->heap[big]->time)
			big = right;
		if (big == i)
			break;
		heap_swap(r, i, big);
		i = big;
	}
	top->queued = false;
	r->n_heap_wanted -= !top->held;
	return top;
}

/* the node of a commit; *ret NULL: not there, or no commit */
static int node_get(struct reach *r, const git_oid *oid, struct node **ret, struct fault *f)
{
	git_commit *commit = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	struct node *node;
	int rc;

	*ret = map_find(r->nodes, git_oid_tostr(hex, sizeof(hex), oid));
	if (*ret)
		return 0;
	rc = git_commit_lookup(&commit, repo_git(r->repo), oid);
	if (rc < 0)
		return 0;
	node = calloc(1, sizeof(*node));
	rc = node ? make_room(&r->all, r->n_all, &r->size_all, f) : fault_oom(f);
	if (rc == 0) {
		git_oid_cpy(&node->oid, oid);
		memcpy(node->hex, hex, sizeof(hex));
		node->time = git_commit_time(commit);
		rc = map_put(r->nodes, node->hex, node) < 0 ? fault_oom(f) : 0;
	}
	git_commit_free(commit);
	if (rc < 0) {
		free(node);
		return rc;
	}
	r->all[r->n_all++] = node;
	*ret = node;
	return 0;
}

/* held spreads to parents that were painted already; iterative, histories are deep */
static int hold(struct reach *r, struct node *node, struct fault *f)
{
	_cleanup_(freep) struct node **stack = NULL;
	size_t n = 0, size = 0;
	int rc = make_room(&stack, n, &size, f);

	if (rc < 0)
		return rc;
	stack[n++] = node;
	while (n > 0) {
		struct node *top = stack[--n];

		if (top->held)
			continue;
		top->held = true;
		r->n_heap_wanted -= top->queued;
		for (size_t i = 0; top->painted && i < top->n_parents; i++) {
			rc = make_room(&stack, n, &size, f);
			if (rc < 0)
				return rc;
			stack[n++] = top->parents[i];
		}
	}
	return 0;
}

/* parents as the commit says; those that are not there are left out */
static int load_parents(struct reach *r, struct node *node, struct fault *f)
{
	git_commit *commit = NULL;
	unsigned n;
	int rc = 0;

	node->painted = true;
	if (git_commit_lookup(&commit, repo_git(r->repo), &node->oid) < 0)
		return 0;
	n = git_commit_parentcount(commit);
	node->parents = calloc(n ? n : 1, sizeof(*node->parents));
	if (!node->parents)
		rc = fault_oom(f);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		struct node *parent = NULL;

		rc = node_get(r, git_commit_parent_id(commit, i), &parent, f);
		if (rc == 0 && parent)
			node->parents[node->n_parents++] = parent;
	}
	git_commit_free(commit);
	return rc;
}

static int paint(struct reach *r, struct node *node, struct fault *f)
{
	int rc = load_parents(r, node, f);

	for (size_t i = 0; rc == 0 && i < node->n_parents; i++) {
		if (node->held)
			rc = hold(r, node->parents[i], f);
		if (rc == 0)
			rc = heap_push(r, node->parents[i], f);
	}
	return rc;
}

/* a commit's or tag's oid to the commit */
static int add(struct reach *r, const git_oid *oid, bool held, struct fault *f)
{
	git_object *object = NULL, *commit = NULL;
	struct node *node = NULL;
	int rc = 0;

	rc = git_object_lookup(&object, repo_git(r->repo), oid, GIT_OBJECT_ANY);
	/* what cannot be read holds nothing; but it must not be lost either */
	if (rc < 0 && !held && rc != GIT_ENOTFOUND)
		return git_fault(f, rc, "cannot read the commit %s", git_oid_tostr_s(oid));
	if (rc < 0)
		return 0;
	rc = 0;
	if (git_object_peel(&commit, object, GIT_OBJECT_COMMIT) == 0)
		rc = node_get(r, git_object_id(commit), &node, f);
	git_object_free(commit);
	git_object_free(object);
	if (rc < 0 || !node)
		return rc;
	if (held)
		rc = hold(r, node, f);
	return rc < 0 ? rc : heap_push(r, node, f);
}

int reach_add_tip(struct reach *r, const git_oid *oid, struct fault *f)
{
	return add(r, oid, false, f);
}

int reach_add_held(struct reach *r, const git_oid *oid, struct fault *f)
{
	return add(r, oid, true, f);
}

int reach_add_refs(struct reach *r, const char *only, struct fault *f)
{
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	int next, rc = 0;

	next = git_reference_iterator_new(&it, repo_git(r->repo));
	while (rc == 0 && next == 0 && (next = git_reference_next(&ref, it)) == 0) {
		const char *name = git_reference_name(ref);
		const git_oid *oid = git_reference_target(ref); /* NULL: symbolic, listed itself */

		if (oid && !text_has_prefix(name, "refs/slotd/") &&
		    (!only || text_has_prefix(name, only)))
			rc = reach_add_held(r, oid, f);
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	if (rc == 0 && next != 0 && next != GIT_ITEROVER)
		return git_fault(f, next, "cannot list the refs");
	return rc;
}

/* date of the oldest that is not held; INT64_MAX: all are */
static int64_t oldest_wanted(const struct reach *r)
{
	int64_t oldest = INT64_MAX;

	for (size_t i = 0; i < r->n_all; i++)
		if (!r->all[i]->held && r->all[i]->time < oldest)
			oldest = r->all[i]->time;
	return oldest;
}

/* only held ones are left: do they reach what was painted as wanted? */
static int paint_on(struct reach *r, struct fault *f)
{
	int64_t oldest = oldest_wanted(r);
	int slop = oldest == INT64_MAX ? 0 : REACH_SLOP;
	int rc = 0;

	while (rc == 0 && r->n_heap > 0 && slop > 0 && !is_too_many(r)) {
		struct node *node = heap_pop(r);

		slop -= node->time < oldest;
		rc = paint(r, node, f);
	}
	return rc;
}

int reach_run(struct reach *r, size_t *ret_count, git_oid *ret_newest, struct fault *f)
{
	const struct node *newest = NULL;
	size_t count = 0;
	int rc = 0;

	while (rc == 0 && r->n_heap > 0 && r->n_heap_wanted > 0 && !is_too_many(r))
		rc = paint(r, heap_pop(r), f);
	if (rc == 0)
		rc = paint_on(r, f);
	if (rc < 0)
		return rc;
	if (is_too_many(r))
		return REACH_E_MANY;
	for (size_t i = 0; i < r->n_all; i++) {
		const struct node *node = r->all[i];

		if (node->held)
			continue;
		count++;
		if (!newest || node->time > newest->time)
			newest = node;
	}
	*ret_count = count;
	if (newest)
		git_oid_cpy(ret_newest, &newest->oid);
	return 0;
}

int reach_foreach(const struct reach *r, int (*fn)(const git_oid *oid, void *userdata), void *userdata)
{
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < r->n_all; i++)
		if (!r->all[i]->held)
			rc = fn(&r->all[i]->oid, userdata);
	return rc < 0 ? rc : 0;
}

int reach_foreach_head(const struct reach *r, int (*fn)(const git_oid *oid, void *userdata), void *userdata)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_all; i++)
		for (size_t k = 0; !r->all[i]->held && k < r->all[i]->n_parents; k++)
			r->all[i]->parents[k]->inner = true;
	for (size_t i = 0; rc >= 0 && i < r->n_all; i++)
		if (!r->all[i]->held && !r->all[i]->inner)
			rc = fn(&r->all[i]->oid, userdata);
	return rc < 0 ? rc : 0;
}

bool reach_has(const struct reach *r, const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];
	const struct node *node = map_find(r->nodes, git_oid_tostr(hex, sizeof(hex), oid));

	return node && !node->held;
}

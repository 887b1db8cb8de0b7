/* What is made from what. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/pack-private.h"
#include "util/cleanup.h"

#define HEADERS_BYTES (256 << 10) /* read at once: headers of small objects lie close to each other */
#define BY_NAME	      (UINT32_MAX - 3) /* a delta whose base is looked for when all kinds are known */
#define COPIES_MAX    32	       /* of one object that are looked at, each way */

struct building {
	const struct pack *pack;
	const struct pack_order *order;
	struct pack_tree *tree;
	struct pack_reader reader;
	bool has_names; /* there are deltas by name, and so there may be cycles */
};

static void read_one(struct building *b, uint32_t i)
{
	const char *why;
	struct entry e;
	uint32_t base = TREE_ROOT;

	if (entry_read(&b->reader, b->order->starts[i], pack_order_end(b->order, i), &e, &why) == 0) {
		if (e.kind == ENTRY_OFS_DELTA) {
			base = pack_order_find(b->order, e.base_at, i);
			base = base == PACK_NONE ? TREE_ROOT : base;
		} else if (e.kind == ENTRY_REF_DELTA) {
			base = BY_NAME;
			b->has_names = true;
		}
	}
	b->tree->base[i] = base;
}

/* of several with that name rather one that is no delta: a delta could be made of this very one */
static uint32_t choose_base(const struct building *b, const git_oid *oid, uint32_t self)
{
	const struct pack *p = b->pack;
	int64_t any = pack_find(p, oid->id), pos = any - COPIES_MAX;
	uint32_t found = TREE_ROOT;

	if (any < 0)
		return TREE_ROOT;
	for (pos = pos < 0 ? 0 : pos; pos < p->n && pos < any + COPIES_MAX; pos++) {
		uint64_t start = pack_offset(p, (uint32_t)pos);
		uint32_t i;

		if (start == PACK_NO_OFFSET || memcmp(pack_name(p, (uint32_t)pos), oid->id, GIT_OID_RAWSZ) != 0)
			continue;
		i = pack_order_find(b->order, start, b->order->n);
		if (i == PACK_NONE)
			continue;
		if (b->tree->base[i] == TREE_ROOT)
			return i;
		if (found == TREE_ROOT || found == self)
			found = i;
	}
	return found;
}

static void resolve_names(struct building *b)
{
	const char *why;
	struct entry e;

	for (uint32_t i = 0; i < b->order->n; i++)
		if (b->tree->base[i] == BY_NAME)
			b->tree->base[i] =
				entry_read(&b->reader, b->order->starts[i], 0, &e, &why) == 0 &&
						e.kind == ENTRY_REF_DELTA ?
					choose_base(b, &e.base, i) :
					TREE_ROOT;
}

static bool is_entry(uint32_t base)
{
	return base < BY_NAME;
}

/* kids of each, in the order of the pack */
static void sort_kids(struct building *b)
{
	struct pack_tree *t = b->tree;
	uint32_t n = b->order->n, sum = 0;

	memset(t->first, 0, ((size_t)n + 1) * sizeof(*t->first));
	for (uint32_t i = 0; i < n; i++)
		if (is_entry(t->base[i]))
			t->first[t->base[i]]++;
	for (uint32_t i = 0; i < n; i++) {
		sum += t->first[i];
		t->first[i] = sum;
	}
	t->first[n] = sum;
	for (uint32_t i = n; i-- > 0;) /* backwards: each lands before those that came earlier */
		if (is_entry(t->base[i]))
			t->kids[--t->first[t->base[i]]] = i;
}

/* marks all that is made from @root; each is visited once, since it has one base */
static void mark_below(const struct pack_tree *t, uint32_t root, uint8_t *seen, uint32_t *todo)
{
	uint32_t n = 0;

	seen[root] = 1;
	todo[n++] = root;
	while (n > 0) {
		uint32_t i = todo[--n];

		for (uint32_t k = t->first[i]; k < t->first[i + 1]; k++) {
			if (!seen[t->kids[k]]) {
				seen[t->kids[k]] = 1;
				todo[n++] = t->kids[k];
			}
		}
	}
}

static uint32_t find_in_cycle(const struct pack_tree *t, uint32_t i, uint8_t *seen)
{
	/* up the chain until something comes again: that lies on the cycle */
	while (seen[i] == 0) {
		seen[i] = 2;
		i = t->base[i];
	}
	return i;
}

static int cut_cycles(struct building *b)
{
	uint32_t n = b->order->n;
	_cleanup_(freep) uint8_t *seen = calloc((size_t)n + 1, 1);
	_cleanup_(freep) uint32_t *todo = malloc(((size_t)n + 1) * sizeof(*todo));

	if (!seen || !todo)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (!is_entry(b->tree->base[i]))
			mark_below(b->tree, i, seen, todo);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t cut;

		if (seen[i])
			continue;
		cut = find_in_cycle(b->tree, i, seen);
		for (uint32_t k = i; seen[k] == 2; k = b->tree->base[k])
			seen[k] = 0;
		b->tree->base[cut] = TREE_CYCLE;
		mark_below(b->tree, cut, seen, todo);
	}
	sort_kids(b);
	return 0;
}

static int build(struct building *b)
{
	struct pack_tree *t = b->tree;
	size_t n = (size_t)b->order->n + 1;

	t->base = malloc(n * sizeof(*t->base));
	t->first = malloc(n * sizeof(*t->first));
	t->kids = malloc(n * sizeof(*t->kids));
	if (!t->base || !t->first || !t->kids)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->order->n; i++)
		read_one(b, i);
	if (b->has_names)
		resolve_names(b);
	sort_kids(b);
	return b->has_names ? cut_cycles(b) : 0;
}

int pack_tree_make(const struct pack *p, struct pack_tree *ret)
{
	struct building b = { .pack = p, .order = p->order, .tree = ret };
	int r = pack_reader_init(&b.reader, p, HEADERS_BYTES);

	*ret = (struct pack_tree){ 0 };
	if (r == 0)
		r = build(&b);
	pack_reader_deinit(&b.reader);
	if (r < 0)
		pack_tree_deinit(ret);
	return r;
}

void pack_tree_deinit(struct pack_tree *tree)
{
	free(tree->base);
	free(tree->first);
	free(tree->kids);
	*tree = (struct pack_tree){ 0 };
}

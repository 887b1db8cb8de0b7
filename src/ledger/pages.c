/* Every page has one owner. */
#include "ledger/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/text.h"

/* the layout of the file */

struct page_header {
	uint64_t pgno;
	uint16_t pad;
	uint16_t flags;
	union {
		struct {
			uint16_t lower, upper; /* bounds of the free space between */
		};
		uint32_t run; /* pages, of an overflow page */
	};
};

#define PAGE_BRANCH   0x01
#define PAGE_LEAF     0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META     0x08
#define PAGE_KINDS    0x6f

struct node_header {
	uint16_t lo, hi, flags, key_len; /* key and data follow */
};

#define NODE_BIG 0x01 /* the data is the number of an overflow page */
#define NODE_SUB 0x02 /* the data is a tree */

struct tree {
	uint32_t pad; /* of the list of free pages: the size of a page */
	uint16_t flags, depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
	uint32_t magic, version;
	uint64_t address, map_bytes;
	struct tree free_pages, names;
	uint64_t last_page, txnid;
};

_Static_assert(sizeof(struct page_header) == 16, "as in the file");
_Static_assert(sizeof(struct node_header) == 8, "as in the file");
_Static_assert(sizeof(struct tree) == 48, "as in the file");
_Static_assert(sizeof(struct meta) == 136, "as in the file");

#define META_MAGIC   0xBEEFC0DEu
#define META_VERSION 1
#define NO_PAGE	     UINT64_MAX
#define MAX_DEPTH    32
#define FEW_PAGES    65536

struct pages {
	const uint8_t *map;
	uint64_t bytes;
	uint32_t page_bytes;
	uint64_t n; /* numbers below it are in use or free */
	uint8_t *is_used;
	struct fault *fault;
};

/* what has been counted of a tree, to be held against what it says of itself */
struct count {
	uint64_t branch, leaf, overflow, entries;
	bool is_free_list;
	unsigned depth;
};

static int damage(const struct pages *p, const char *what, uint64_t page)
{
	return fault(p->fault, -EUCLEAN, "the ledger is damaged: %s (page %llu)", what,
		     (unsigned long long)page);
}

/* --- meta pages --- */

static int meta_read(const struct pages *p, uint64_t page, struct meta *ret)
{
	const uint8_t *at = p->map + page * p->page_bytes;
	struct page_header header;

	memcpy(&header, at, sizeof(header));
	memcpy(ret, at + sizeof(header), sizeof(*ret));
	if ((header.flags & PAGE_KINDS) != PAGE_META || header.pgno != page ||
	    ret->magic != META_MAGIC || ret->version != META_VERSION ||
	    ret->free_pages.pad != p->page_bytes)
		return damage(p, "this is not a meta page", page);
	return 0;
}

/*
 * Commits write to the two in turn, so their numbers are neighbours and each has its place.
 * Anything else, and the one that counts may be the older.
 */
static int meta_find(const struct pages *p, struct meta *ret)
{
	struct meta meta[2];
	int r;

	for (uint64_t i = 0; i < 2; i++) {
		r = meta_read(p, i, &meta[i]);
		if (r < 0)
			return r;
		if (meta[i].txnid > 0 && (meta[i].txnid & 1) != i)
			return damage(p, "a transaction is in the other's place", i);
	}
	if (meta[0].txnid + 1 != meta[1].txnid && meta[1].txnid + 1 != meta[0].txnid &&
	    (meta[0].txnid | meta[1].txnid) != 0)
		return damage(p, "the last two transactions do not follow each other", 0);
	*ret = meta[1].txnid > meta[0].txnid ? meta[1] : meta[0];
	return 0;
}

/* --- one owner for each --- */

static int claim(struct pages *p, uint64_t page, uint64_t run)
{
	if (page < 2 || run == 0 || page >= p->n || run > p->n - page)
		return damage(p, "a page is named that there is not", page);
	for (uint64_t i = page; i < page + run; i++) {
		if (p->is_used[i / 8] & 1 << i % 8)
			return damage(p, "a page is used twice", i);
		p->is_used[i / 8] |= (uint8_t)(1 << i % 8);
	}
	return 0;
}

/* claims it and reads its header; it lies within the file */
static int page_open(struct pages *p, uint64_t page, struct page_header *ret)
{
	int r = claim(p, page, 1);

	if (r < 0)
		return r;
	if (page >= p->bytes / p->page_bytes)
		return damage(p, "the file ends before a page of it", page);
	memcpy(ret, p->map + page * p->page_bytes, sizeof(*ret));
	return ret->pgno == page ? 0 : damage(p, "a page has another's number", page);
}

static int overflow_open(struct pages *p, uint64_t page, uint64_t len, const uint8_t **ret)
{
	uint64_t run = (sizeof(struct page_header) - 1 + len) / p->page_bytes + 1;
	struct page_header header;
	int r = page_open(p, page, &header);

	if (r < 0)
		return r;
	if ((header.flags & PAGE_KINDS) != PAGE_OVERFLOW || header.run != run ||
	    run > p->bytes / p->page_bytes - page)
		return damage(p, "a long record has a wrong length", page);
	if (run > 1) {
		r = claim(p, page + 1, run - 1);
		if (r < 0)
			return r;
	}
	*ret = p->map + page * p->page_bytes + sizeof(header);
	return (int)run;
}

/* --- trees --- */

static int tree_walk(struct pages *p, const uint8_t *where, bool is_free_list);
static int subtree_walk(struct pages *p, uint64_t page, unsigned level, struct count *c);

/* numbers of free pages: how many, and they */
static int free_claim(struct pages *p, const uint8_t *data, uint64_t len, uint64_t page)
{
	uint64_t n, number;
	int r = 0;

	if (len < sizeof(n))
		return damage(p, "a list of free pages is too short", page);
	memcpy(&n, data, sizeof(n));
	if (n != len / sizeof(n) - 1)
		return damage(p, "a list of free pages has a wrong length", page);
	for (uint64_t i = 1; r == 0 && i <= n; i++) {
		memcpy(&number, data + i * sizeof(number), sizeof(number));
		r = claim(p, number, 1);
	}
	return r;
}

/* a page that is being walked, and one of its nodes */
struct node {
	const uint8_t *page;
	uint64_t number; /* of the page */
	size_t at;
	struct node_header header;
};

static int leaf_node(struct pages *p, const struct node *node, struct count *c)
{
	uint64_t len = node->header.lo | (uint64_t)node->header.hi << 16;
	uint64_t inline_len = node->header.flags & NODE_BIG ? sizeof(uint64_t) : len;
	size_t at = node->at + sizeof(node->header) + node->header.key_len;
	const uint8_t *data = node->page + at;
	uint64_t overflow;
	int r;

	c->entries++;
	if (at > p->page_bytes || inline_len > p->page_bytes - at)
		return damage(p, "a record does not fit its page", node->number);
	if (node->header.flags & ~(NODE_BIG | NODE_SUB))
		return damage(p, "a record has flags that we never set", node->number);
	if (node->header.flags & NODE_BIG) {
		memcpy(&overflow, data, sizeof(overflow));
		r = overflow_open(p, overflow, len, &data);
		if (r < 0)
			return r;
		c->overflow += (uint64_t)r;
	}
	if (c->is_free_list)
		return free_claim(p, data, len, node->number);
	if (!(node->header.flags & NODE_SUB))
		return 0;
	if (len != sizeof(struct tree))
		return damage(p, "a database has a wrong length", node->number);
	return tree_walk(p, data, false);
}

static int node_walk(struct pages *p, const struct node *node, bool is_leaf, unsigned level,
		     struct count *c)
{
	if (is_leaf)
		return leaf_node(p, node, c);
	return subtree_walk(p,
			    node->header.lo | (uint64_t)node->header.hi << 16 |
				    (uint64_t)node->header.flags << 32,
			    level + 1, c);
}

static int nodes_walk(struct pages *p, uint64_t number, const struct page_header *header,
		      unsigned level, struct count *c)
{
	struct node node = { .page = p->map + number * p->page_bytes, .number = number };
	bool is_leaf = header->flags & PAGE_LEAF;
	int r = 0;

	if (header->lower < sizeof(*header) || header->lower > header->upper ||
	    header->upper > p->page_bytes)
		return damage(p, "a page is filled beyond its end", number);
	for (size_t i = sizeof(*header); r == 0 && i + 2 <= header->lower; i += 2) {
		uint16_t at;

		memcpy(&at, node.page + i, sizeof(at));
		if (at < header->upper || at + sizeof(node.header) > p->page_bytes)
			return damage(p, "a record lies outside of its page", number);
		node.at = at;
		memcpy(&node.header, node.page + at, sizeof(node.header));
		r = node_walk(p, &node, is_leaf, level, c);
	}
	return r;
}

static int subtree_walk(struct pages *p, uint64_t page, unsigned level, struct count *c)
{
	struct page_header header;
	uint16_t kind;
	int r;

	r = page_open(p, page, &header);
	if (r < 0)
		return r;
	kind = header.flags & PAGE_KINDS;
	if (level > c->depth || kind != (level == c->depth ? PAGE_LEAF : PAGE_BRANCH))
		return damage(p, "a tree is not as deep as it says", page);
	if (kind == PAGE_LEAF)
		c->leaf++;
	else
		c->branch++;
	return nodes_walk(p, page, &header, level, c);
}

static int tree_walk(struct pages *p, const uint8_t *where, bool is_free_list)
{
	struct count c = { .is_free_list = is_free_list };
	struct tree tree;
	int r = 0;

	memcpy(&tree, where, sizeof(tree));
	c.depth = tree.depth;
	if (tree.depth > MAX_DEPTH)
		return damage(p, "a tree is deeper than any can be", tree.root);
	if (tree.root != NO_PAGE)
		r = subtree_walk(p, tree.root, 1, &c);
	if (r < 0)
		return r;
	if (c.branch != tree.branch_pages || c.leaf != tree.leaf_pages ||
	    c.overflow != tree.overflow_pages || c.entries != tree.entries)
		return damage(p, "a tree has more or less than it says", tree.root);
	return 0;
}

/* --- the file --- */

static int check(struct pages *p)
{
	struct meta meta;
	int r;

	r = meta_find(p, &meta);
	if (r < 0)
		return r;
	/* the last pages may be free and were never written, but they are not most of them */
	if (meta.last_page < 1 || meta.last_page > p->bytes / p->page_bytes * 2 + FEW_PAGES)
		return damage(p, "the last page cannot be", meta.last_page);
	p->n = meta.last_page + 1;
	p->is_used = calloc(p->n / 8 + 1, 1);
	if (!p->is_used)
		return fault_oom(p->fault);
	r = tree_walk(p, (const uint8_t *)&meta.names, false);
	if (r == 0)
		r = tree_walk(p, (const uint8_t *)&meta.free_pages, true);
	free(p->is_used);
	return r;
}

static int check_map(const uint8_t *map, uint64_t bytes, struct fault *f)
{
	struct pages p = { .map = map, .bytes = bytes, .fault = f };
	struct meta meta;

	if (bytes < sizeof(struct page_header) + sizeof(meta))
		return damage(&p, "the file is too short", 0);
	memcpy(&meta, map + sizeof(struct page_header), sizeof(meta));
	p.page_bytes = meta.free_pages.pad;
	/* offsets within a page have 16 bits */
	if (p.page_bytes < 512 || p.page_bytes > 65536 || p.page_bytes & (p.page_bytes - 1) ||
	    bytes < 2 * (uint64_t)p.page_bytes)
		return damage(&p, "the size of a page cannot be", 0);
	return check(&p);
}

int pages_check(const char *dir, struct fault *f)
{
	_cleanup_(freep) char *path = text_printf("%s/data.mdb", dir);
	_cleanup_(closep) int fd = -1;
	struct stat st;
	void *map;
	int r;

	if (!path)
		return fault_oom(f);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(f, -errno, "cannot read %s", path);
	if (st.st_size == 0)
		return fault(f, -EUCLEAN, "%s is empty", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return fault_errno(f, -errno, "cannot read %s", path);
	r = check_map(map, (uint64_t)st.st_size, f);
	munmap(map, (size_t)st.st_size);
	return r;
}

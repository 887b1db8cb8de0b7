/* What stands behind the entries of an index. */
#include "integrity/index-parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "git/sha1.h"
#include "integrity/bitmap.h"
#include "util/cleanup.h"

#define HEADER_BYTES 8 /* of an extension: name and size */

static int bad(struct index_cursor *c, const char *name)
{
	return fault(c->f, -EUCLEAN, "its extension %s is damaged", name);
}

/* a decimal number that ends with a certain byte; false: it is none */
static bool get_number(const uint8_t **at, const uint8_t *end, char last, long *ret)
{
	bool is_negative = *at < end && **at == '-';
	long value = 0;
	int digits = 0;

	*at += is_negative;
	for (; *at < end && isdigit(**at) && digits < 10; digits++)
		value = value * 10 + *(*at)++ - '0';
	if (digits == 0 || *at == end || **at != last)
		return false;
	(*at)++;
	*ret = is_negative ? -value : value;
	return true;
}

/* the directories that lead to where one is in a cache-tree */
struct tree_walk {
	char path[INDEX_PATH_BYTES + 1];
	struct tree_level {
		size_t path_len; /* before its own name */
		long n_left;	 /* directories in it that are still to come */
		long n_room;	 /* entries of its own that these may have */
	} levels[INDEX_PATH_BYTES / 2 + 1];
	size_t n;
	long n_all; /* entries of the index */
};

/* of so many entries; -1: not known. A directory has no more than the one above: git would leave some out */
static bool take_room(struct tree_walk *w, long n_entries)
{
	long *room = w->n > 0 ? &w->levels[w->n - 1].n_room : &w->n_all;

	if (n_entries > *room)
		return false;
	if (*room != LONG_MAX && n_entries > 0)
		*room -= n_entries;
	return true;
}

static bool enter(struct tree_walk *w, const char *name, size_t len, long n_entries, long n_below)
{
	struct tree_level *level = &w->levels[w->n];
	size_t before = strlen(w->path);

	if (w->n > 0 && (len == 0 || memchr(name, '/', len)))
		return false;
	if (w->n == 0 && len > 0)
		return false;
	if (w->n == sizeof(w->levels) / sizeof(*w->levels) || before + len + 1 > INDEX_PATH_BYTES)
		return false;
	level->path_len = before;
	level->n_left = n_below;
	level->n_room = n_entries < 0 ? LONG_MAX : n_entries;
	memcpy(w->path + before, name, len);
	w->path[before + len] = '\0';
	if (len > 0)
		strcat(w->path, "/");
	w->n++;
	return true;
}

/* up to the next directory that has more to come */
static void leave(struct tree_walk *w)
{
	while (w->n > 0 && w->levels[w->n - 1].n_left == 0)
		w->path[w->levels[--w->n].path_len] = '\0';
	if (w->n > 0)
		w->levels[w->n - 1].n_left--;
}

/* one directory: "<name>\0<entries> <directories>\n<id>"; without id if it is out of date */
static int parse_tree_node(struct index_cursor *c, struct tree_walk *w, const uint8_t **at,
			   const uint8_t *end)
{
	const uint8_t *nul = memchr(*at, '\0', (size_t)(end - *at));
	long n_entries = 0, n_below = 0;
	const char *name = (const char *)*at;
	git_oid oid;

	if (!nul)
		return bad(c, "TREE");
	*at = nul + 1;
	if (!get_number(at, end, ' ', &n_entries) || !get_number(at, end, '\n', &n_below) ||
	    n_entries < -1 || n_below < 0 ||
	    !take_room(w, n_entries) ||
	    !enter(w, name, (size_t)((const char *)nul - name), n_entries, n_below))
		return bad(c, "TREE");
	if (n_entries < 0)
		return 0;
	if ((size_t)(end - *at) < GIT_OID_RAWSZ)
		return bad(c, "TREE");
	memcpy(oid.id, *at, GIT_OID_RAWSZ);
	*at += GIT_OID_RAWSZ;
	if (git_oid_is_zero(&oid))
		return bad(c, "TREE");
	return c->handler->tree ? c->handler->tree(w->path, &oid, c->handler->userdata) : 0;
}

static int parse_tree(struct index_cursor *c, const uint8_t *at, size_t len)
{
	_cleanup_(freep) struct tree_walk *w = calloc(1, sizeof(*w));
	const uint8_t *end = at + len;
	int r;

	if (!w)
		return -ENOMEM;
	if (len == 0)
		return 0;
	/* those of the shared index count as well */
	w->n_all = c->summary->is_split ? LONG_MAX : (long)c->summary->n_entries;
	do {
		r = parse_tree_node(c, w, &at, end);
		leave(w);
	} while (r == 0 && w->n > 0);
	return r == 0 && at != end ? bad(c, "TREE") : r;
}

static bool get_mode(const uint8_t **at, const uint8_t *end, uint32_t *ret)
{
	const uint8_t *nul = memchr(*at, '\0', (size_t)(end - *at));

	*ret = 0;
	if (!nul || nul == *at || nul - *at > 10)
		return false;
	for (; *at < nul; (*at)++) {
		if (**at < '0' || **at > '7')
			return false;
		*ret = *ret << 3 | (uint32_t)(**at - '0');
	}
	(*at)++;
	return true;
}

/* "<path>\0<mode>\0<mode>\0<mode>\0" and an id for each mode that is not zero */
static int parse_undo_node(struct index_cursor *c, const uint8_t **at, const uint8_t *end)
{
	const uint8_t *nul = memchr(*at, '\0', (size_t)(end - *at));
	const char *path = (const char *)*at;
	uint32_t modes[3];
	git_oid oid;

	if (!nul)
		return bad(c, "REUC");
	*at = nul + 1;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (!get_mode(at, end, &modes[i]))
			return bad(c, "REUC");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int r = 0;

		if (modes[i] == 0)
			continue;
		if ((size_t)(end - *at) < GIT_OID_RAWSZ)
			return bad(c, "REUC");
		memcpy(oid.id, *at, GIT_OID_RAWSZ);
		*at += GIT_OID_RAWSZ;
		/* git keeps only files alive */
		if (S_ISREG(modes[i]) && c->handler->undo)
			r = c->handler->undo(path, &oid, c->handler->userdata);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_undo(struct index_cursor *c, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;
	int r = 0;

	while (r == 0 && at < end)
		r = parse_undo_node(c, &at, end);
	return r;
}

static int parse_link(struct index_cursor *c, const uint8_t *at, size_t len)
{
	if (len < GIT_OID_RAWSZ || c->summary->is_split)
		return bad(c, "link");
	memcpy(c->summary->shared.id, at, GIT_OID_RAWSZ);
	c->summary->is_split = true;
	c->summary->link = at + GIT_OID_RAWSZ;
	c->summary->link_len = len - GIT_OID_RAWSZ;
	return 0;
}

static int parse_untracked(struct index_cursor *c, const uint8_t *at, size_t len)
{
	return len > 1 && at[len - 1] == '\0' ? 0 : bad(c, "UNTR");
}

/* version, time or token of the last query, and which entries may have changed */
static int parse_fsmonitor(struct index_cursor *c, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len, *nul;
	struct bitmap dirty = { 0 };
	uint32_t version, size;
	size_t used = 0;
	int r;

	if (len < 4)
		return bad(c, "FSMN");
	version = index_u32(at);
	at += 4;
	nul = version == 2 ? memchr(at, '\0', (size_t)(end - at)) : NULL;
	if ((version == 1 && end - at < 8) || (version == 2 && !nul) || version < 1 || version > 2)
		return bad(c, "FSMN");
	at = version == 1 ? at + 8 : nul + 1;
	if (end - at < 4)
		return bad(c, "FSMN");
	size = index_u32(at);
	at += 4;
	if (size != (size_t)(end - at))
		return bad(c, "FSMN");
	/* of a split index the entries are those of both, and how many is not known here */
	if (c->summary->is_split)
		return 0;
	r = bitmap_parse(at, size, (uint32_t)c->summary->n_entries, &dirty, &used);
	bitmap_deinit(&dirty);
	return r == -EUCLEAN || (r == 0 && used != size) ? bad(c, "FSMN") : r;
}

/* blocks of entries, for readers with several threads */
static int parse_blocks(struct index_cursor *c, const uint8_t *at, size_t len)
{
	size_t first = 0, n = c->summary->n_entries;

	if (len < 4 || index_u32(at) != 1 || (len - 4) % 8 != 0)
		return bad(c, "IEOT");
	for (at += 4, len -= 4; len > 0; at += 8, len -= 8) {
		uint32_t offset = index_u32(at), count = index_u32(at + 4);

		if (first >= n || count > n - first || offset != c->offsets[first])
			return bad(c, "IEOT");
		first += count;
	}
	return first == n ? 0 : bad(c, "IEOT");
}

/* where the entries end, and a hash over the names and sizes of the other extensions */
static int parse_end(struct index_cursor *c, const uint8_t *at, size_t len, const uint8_t *first)
{
	struct sha1 sha1;
	git_oid digest;

	if (len != 4 + GIT_OID_RAWSZ || index_u32(at) != (uint32_t)(first - c->data))
		return bad(c, "EOIE");
	sha1_init(&sha1);
	for (const uint8_t *p = first; p < at - HEADER_BYTES; p += HEADER_BYTES + index_u32(p + 4))
		sha1_update(&sha1, p, HEADER_BYTES);
	if (sha1_final(&sha1, &digest) < 0)
		return -ENOMEM;
	return memcmp(digest.id, at + 4, GIT_OID_RAWSZ) == 0 ? 0 : bad(c, "EOIE");
}

static bool is_name(const uint8_t *name)
{
	for (int i = 0; i < 4; i++)
		if (!isalnum(name[i]))
			return false;
	return true;
}

/* those that begin with a capital letter may be passed over */
static int parse_other(struct index_cursor *c, const uint8_t *name)
{
	if (!is_name(name))
		return index_damaged(c->f, "behind its entries is no extension");
	if ((name[0] < 'A' || name[0] > 'Z') && !c->summary->unknown[0])
		memcpy(c->summary->unknown, name, 4);
	return 0;
}

static int parse_one(struct index_cursor *c, const uint8_t *name, const uint8_t *at, size_t len,
		     const uint8_t *first)
{
	static const struct {
		const char *name;
		int (*parse)(struct index_cursor *c, const uint8_t *at, size_t len);
	} known[] = {
		{ "TREE", parse_tree },	     { "REUC", parse_undo },	 { "link", parse_link },
		{ "UNTR", parse_untracked }, { "FSMN", parse_fsmonitor }, { "IEOT", parse_blocks },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (memcmp(name, known[i].name, 4) == 0)
			return known[i].parse(c, at, len);
	if (memcmp(name, "EOIE", 4) == 0)
		return parse_end(c, at, len, first);
	if (memcmp(name, "sdir", 4) != 0)
		return parse_other(c, name);
	c->summary->is_sparse = true;
	return 0;
}

int index_parse_extensions(struct index_cursor *c)
{
	const uint8_t *first = c->at;
	int r = 0;

	while (r == 0 && c->at < c->end) {
		const uint8_t *name = c->at;
		size_t len;

		if (c->end - c->at < HEADER_BYTES)
			return index_damaged(c->f, "an extension ends early");
		len = index_u32(name + 4);
		c->at += HEADER_BYTES;
		if (len > (size_t)(c->end - c->at))
			return index_damaged(c->f, "an extension ends early");
		r = parse_one(c, name, c->at, len, first);
		c->at += len;
	}
	return r < 0 ? r : 0;
}

/* One commit: its tree, its parents, its date, and how deep it lies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/graph-private.h"
#include "integrity/pack-private.h"
#include "util/cleanup.h"

#define PARENT_NONE  0x70000000
#define EDGES	     0x80000000 /* of the second parent: the others are in EDGE */
#define EDGE_LAST    0x80000000 /* in EDGE */
#define DATE_LARGE   0x80000000 /* in GDA2: the number is in GDO2 */
#define LEVEL_MAX    0x3fffffff
#define DATE_BITS    34
#define PARENTS_MAX  65536

/* what the graph has about one */
struct row {
	const unsigned char *tree;
	uint32_t parents[2];
	uint32_t level;
	uint64_t date;
};

/* what the commit itself has */
struct commit_facts {
	git_oid tree;
	const char *parents; /* the first line "parent ...", or what follows */
	const char *end;
	uint64_t date;
	bool has_date;
};

static void row_read(const struct graph_layer *layer, uint32_t pos, struct row *ret)
{
	const unsigned char *at = layer->commits->data + (size_t)pos * GRAPH_COMMIT_BYTES;
	uint64_t packed;

	ret->tree = at;
	ret->parents[0] = pack_be32(at + GIT_OID_RAWSZ);
	ret->parents[1] = pack_be32(at + GIT_OID_RAWSZ + 4);
	packed = pack_be64(at + GIT_OID_RAWSZ + 8);
	ret->level = (uint32_t)(packed >> DATE_BITS);
	ret->date = packed & ((1ULL << DATE_BITS) - 1);
}

/* the date as it is used to sort, which is later than those of all parents. false: the graph has none */
static bool row_corrected_date(const struct graph_layer *layer, uint32_t pos, uint64_t date, uint64_t *ret)
{
	uint32_t more;

	if (!layer->dates)
		return false;
	more = pack_be32(layer->dates->data + (size_t)pos * 4);
	*ret = date + more;
	if (!(more & DATE_LARGE))
		return true;
	more &= ~DATE_LARGE;
	if (!layer->large_dates || more >= layer->large_dates->len / 8)
		return false;
	*ret = date + pack_be64(layer->large_dates->data + (size_t)more * 8);
	return true;
}

/* "<word> <name>\n" */
static bool parse_name(const char *at, const char *end, const char *word, git_oid *ret)
{
	size_t len = strlen(word);
	char hex[GIT_OID_HEXSZ + 1];

	if ((size_t)(end - at) < len + GIT_OID_HEXSZ + 1 || memcmp(at, word, len) != 0 ||
	    at[len + GIT_OID_HEXSZ] != '\n')
		return false;
	memcpy(hex, at + len, GIT_OID_HEXSZ);
	hex[GIT_OID_HEXSZ] = '\0';
	return git_oid_fromstr(ret, hex) == 0;
}

static const char *next_line(const char *at, const char *end)
{
	const char *eol = memchr(at, '\n', (size_t)(end - at));

	return eol ? eol + 1 : end;
}

/* the number behind the '>' of the line that follows the author's; only where there can be no doubt */
static void parse_date(const char *at, const char *end, struct commit_facts *ret)
{
	static const char word[] = "committer ";
	const char *eol, *p;

	at = next_line(at, end);
	eol = next_line(at, end);
	if ((size_t)(eol - at) < sizeof(word) || memcmp(at, word, sizeof(word) - 1) != 0)
		return;
	p = memchr(at, '>', (size_t)(eol - at));
	if (!p || p != memrchr(at, '>', (size_t)(eol - at)) || eol - p < 3 || p[1] != ' ')
		return;
	for (p += 2; p < eol && *p >= '0' && *p <= '9' && ret->date < UINT64_MAX / 100; p++) {
		ret->date = ret->date * 10 + (uint64_t)(*p - '0');
		ret->has_date = true;
	}
}

static bool commit_parse(const char *data, size_t len, struct commit_facts *ret)
{
	const char *at = data;
	git_oid parent;

	*ret = (struct commit_facts){ .end = data + len };
	if (!parse_name(at, ret->end, "tree ", &ret->tree))
		return false;
	at = ret->parents = next_line(at, ret->end);
	while (parse_name(at, ret->end, "parent ", &parent))
		at = next_line(at, ret->end);
	parse_date(at, ret->end, ret);
	return true;
}

/* --- parents --- */

/* the layer and the position there of a commit's number in the chain */
static const struct graph_layer *find_number(const struct graph *g, uint32_t number, uint32_t *ret_pos)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct graph_layer *layer = g->layers[i];

		if (number >= layer->first && number - layer->first < layer->file.n) {
			*ret_pos = (uint32_t)(number - layer->first);
			return layer;
		}
	}
	return NULL;
}

/* the number of the parent @i, or PARENT_NONE; false: it is not to be found */
static bool parent_number(const struct graph_layer *layer, const struct row *row, uint32_t i, uint32_t *ret)
{
	uint64_t at;

	*ret = PARENT_NONE;
	if (i < 2 && !(i == 1 && row->parents[1] & EDGES)) {
		*ret = row->parents[i];
		return true;
	}
	if (!(row->parents[1] & EDGES))
		return true;
	at = (uint64_t)(row->parents[1] & ~EDGES) + i - 1;
	if (!layer->edges || at - (i > 1) >= layer->edges->len / 4)
		return false;
	if (i > 1 && pack_be32(layer->edges->data + (at - 1) * 4) & EDGE_LAST)
		return true;
	if (at >= layer->edges->len / 4)
		return false;
	*ret = pack_be32(layer->edges->data + at * 4) & ~EDGE_LAST;
	return true;
}

/* what is known of all parents, for the rules about the child */
struct above {
	uint32_t level;
	uint64_t date;
	bool has_dates;
};

static void look_above(const struct graph_layer *layer, uint32_t pos, struct above *above)
{
	struct row row;
	uint64_t date;

	row_read(layer, pos, &row);
	if (row.level > above->level)
		above->level = row.level;
	if (!row_corrected_date(layer, pos, row.date, &date))
		above->has_dates = false;
	else if (date > above->date)
		above->date = date;
}

/* one after the other, as the commit has them. NULL: they are the same */
static const char *compare_parents(const struct graph *g, const struct graph_layer *layer,
				   const struct row *row, const struct commit_facts *facts, struct above *above)
{
	const char *at = facts->parents;
	git_oid parent;

	for (uint32_t i = 0; i < PARENTS_MAX; i++) {
		bool has_parent = parse_name(at, facts->end, "parent ", &parent);
		const struct graph_layer *its;
		uint32_t number, pos;

		if (!parent_number(layer, row, i, &number))
			return "its list of parents leads out of the chunk EDGE";
		if (number == PARENT_NONE)
			return has_parent ? "it has more parents than the graph says" : NULL;
		if (!has_parent)
			return "it has fewer parents than the graph says";
		its = find_number(g, number, &pos);
		if (!its)
			return "a parent has a number that no commit has";
		if (memcmp(chunk_file_name(&its->file, pos), parent.id, GIT_OID_RAWSZ) != 0)
			return "it has another parent than the graph says";
		look_above(its, pos, above);
		at = next_line(at, facts->end);
	}
	return NULL;
}

/* --- all --- */

/* how deep it lies: 0 in graphs of old versions, which do not say */
static const char *compare_order(const struct graph_layer *layer, uint32_t pos, const struct row *row,
				 const struct above *above)
{
	uint32_t level = above->level < LEVEL_MAX ? above->level + 1 : LEVEL_MAX;
	uint64_t date;

	if (row->level != level && row->level != 0)
		return "its generation is not one more than those of its parents";
	if (row->level == 0 && above->level != 0)
		return "it has no generation, and its parents do";
	if (!layer->dates)
		return NULL;
	if (!row_corrected_date(layer, pos, row->date, &date))
		return "its corrected date leads out of the chunk GDO2";
	if (above->has_dates && above->level > 0 && date <= above->date)
		return "its corrected date is not later than those of its parents";
	return NULL;
}

static const char *compare(struct graph *g, const struct graph_layer *layer, uint32_t pos, const void *data,
			   size_t len)
{
	struct above above = { .has_dates = true };
	struct commit_facts facts;
	const char *what;
	struct row row;

	row_read(layer, pos, &row);
	if (!commit_parse(data, len, &facts))
		return "it is no commit that can be read";
	if (memcmp(row.tree, facts.tree.id, GIT_OID_RAWSZ) != 0)
		return "it has another tree than the graph says";
	what = compare_parents(g, layer, &row, &facts, &above);
	if (what)
		return what;
	if (facts.has_date && (facts.date & ((1ULL << DATE_BITS) - 1)) != row.date)
		return "it has another date than the graph says";
	return compare_order(layer, pos, &row, &above);
}

int graph_check_commit(struct graph *g, struct graph_layer *layer, uint32_t pos)
{
	const unsigned char *name = chunk_file_name(&layer->file, pos);
	_cleanup_(freep) void *data = NULL;
	const char *what;
	size_t len = 0;
	git_oid oid;
	int r;

	git_oid_fromraw(&oid, name);
	r = g->reader->read_commit(&oid, &data, &len, g->reader->userdata);
	if (r == -ENOENT)
		return chunk_file_tell(&layer->file, name, "there is no such commit");
	if (r == -EBADMSG)
		return chunk_file_tell(&layer->file, name, "the commit cannot be read");
	if (r < 0)
		return r;
	what = compare(g, layer, pos, data, len);
	return what ? chunk_file_tell(&layer->file, name, "%s", what) : 0;
}

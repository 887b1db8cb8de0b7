/* One object, along its chain. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/pack-private.h"
#include "util/cleanup.h"

#define HOP_BYTES 256 /* a header, and with luck the next one */

/* a chain, from the object that is wanted to what is no delta any more */
struct chain {
	uint64_t *at;
	size_t n, size;
	git_object_t type; /* of all of it */
	unsigned char *data; /* what was made so far; owned */
	uint64_t len;
};

static void chain_deinit(struct chain *chain)
{
	free(chain->at);
	free(chain->data);
}

static int chain_add(struct chain *chain, uint64_t at, uint32_t limit)
{
	if (chain->n > limit)
		return -ELOOP;
	if (chain->n == chain->size) {
		size_t size = chain->size ? chain->size * 2 : 64;
		uint64_t *places = reallocarray(chain->at, size, sizeof(*places));

		if (!places)
			return -ENOMEM;
		chain->at = places;
		chain->size = size;
	}
	chain->at[chain->n++] = at;
	return 0;
}

static int bad(struct unpacker *u, const char *why)
{
	u->why = why;
	return -EBADMSG;
}

/* content from outside of this pack, with room for a NUL as all has */
static int take_foreign(struct unpacker *u, const struct pack_walker *bases, const git_oid *oid,
			struct chain *chain)
{
	_cleanup_(freep) void *data = NULL;
	size_t len = 0;
	int r = bases && bases->read_base ?
			bases->read_base(oid, &chain->type, &data, &len, bases->userdata) :
			0;

	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	if (r < 0 || !data)
		return bad(u, "the base of its delta is not there");
	chain->data = TAKE(data);
	chain->len = len;
	return 0;
}

/* what is no delta: the first content of the chain */
static int take_whole(struct unpacker *u, const struct entry *e, uint64_t max, struct chain *chain)
{
	if (e->len > max)
		return -EFBIG;
	if (e->len / DEFLATE_RATIO > e->bytes)
		return bad(u, "it claims more bytes than its data can have");
	chain->data = malloc((size_t)e->len + 1);
	if (!chain->data)
		return -ENOMEM;
	chain->type = (git_object_t)e->kind;
	chain->len = e->len;
	return unpack_data(u, e, chain->data);
}

/* down to what is no delta; all deltas on the way are noted */
static int follow(struct unpacker *u, uint64_t at, const struct pack_walker *bases, uint64_t max,
		  struct chain *chain)
{
	const struct pack *p = u->reader.pack;
	struct entry e;
	int r = 0;

	while (r == 0) {
		r = entry_read(&u->reader, at, 0, &e, &u->why);
		if (r < 0)
			return r;
		if (!entry_is_delta(e.kind))
			return take_whole(u, &e, chain->n ? PACK_BASE_MAX : max, chain);
		r = chain_add(chain, at, p->n);
		if (e.kind == ENTRY_OFS_DELTA) {
			at = e.base_at;
		} else {
			int64_t pos = pack_find(p, e.base.id);

			at = pos < 0 ? PACK_NO_OFFSET : pack_offset(p, (uint32_t)pos);
			if (r == 0 && at == PACK_NO_OFFSET)
				return take_foreign(u, bases, &e.base, chain);
		}
	}
	return r == -ELOOP ? bad(u, "its deltas lead round in a circle") : r;
}

/* one step up the chain */
static int climb(struct unpacker *u, uint64_t at, uint64_t max, struct chain *chain)
{
	_cleanup_(freep) unsigned char *data = NULL;
	struct delta delta;
	struct entry e;
	int r = entry_read(&u->reader, at, 0, &e, &u->why);

	if (r == 0)
		r = unpack_delta(u, &e, chain->len, &delta);
	if (r < 0)
		return r;
	if (delta.len > max)
		return -EFBIG;
	data = malloc((size_t)delta.len + 1);
	if (!data)
		return -ENOMEM;
	delta_apply(&delta, chain->data, data);
	data[delta.len] = '\0';
	free(chain->data);
	chain->data = TAKE(data);
	chain->len = delta.len;
	return 0;
}

int pack_make(struct unpacker *u, uint64_t at, const struct pack_walker *bases, uint64_t max,
	      git_object_t *ret_type, void **ret, size_t *ret_len)
{
	_cleanup_(chain_deinit) struct chain chain = { 0 };
	int r = follow(u, at, bases, max, &chain);

	while (r == 0 && chain.n > 0) {
		chain.n--;
		r = climb(u, chain.at[chain.n], chain.n ? PACK_BASE_MAX : max, &chain);
	}
	if (r < 0)
		return r;
	*ret_type = chain.type;
	*ret = TAKE(chain.data);
	*ret_len = (size_t)chain.len;
	return 0;
}

static int hash_is(git_object_t type, const void *data, size_t len, const unsigned char *name)
{
	struct hash hash;
	git_oid oid;
	int r = hash_init(&hash, false);

	if (r == 0)
		r = hash_object(&hash, type, data, len, &oid);
	hash_deinit(&hash);
	if (r < 0)
		return r;
	return memcmp(oid.id, name, GIT_OID_RAWSZ) == 0 ? 0 : -EBADMSG;
}

int pack_read(struct pack *p, uint32_t pos, const struct pack_walker *bases, uint64_t max,
	      git_object_t *ret_type, void **ret, size_t *ret_len)
{
	_cleanup_(unpacker_deinit) struct unpacker u = { 0 };
	_cleanup_(freep) void *data = NULL;
	uint64_t at = pack_offset(p, pos);
	int r = at == PACK_NO_OFFSET ? -EBADMSG : unpacker_init(&u, p);
	git_object_t type;
	size_t len;

	if (r == 0)
		r = pack_make(&u, at, bases, max, &type, &data, &len);
	if (r == 0)
		r = hash_is(type, data, len, pack_name(p, pos));
	if (r < 0)
		return r;
	*ret_type = type;
	*ret = TAKE(data);
	*ret_len = len;
	return 0;
}

/* @small: reads little at a time, for the headers of bases */
static int header_along(struct unpacker *u, struct pack_reader *small, uint64_t at, git_object_t *ret_type,
			uint64_t *ret_len)
{
	const struct pack *p = u->reader.pack;
	struct delta delta;
	struct entry e;

	for (uint32_t i = 0; i <= p->n; i++) {
		int r = entry_read(i == 0 ? &u->reader : small, at, 0, &e, &u->why);

		if (r == 0 && i == 0 && entry_is_delta(e.kind))
			r = unpack_delta_header(u, &e, &delta);
		if (r < 0)
			return r;
		if (i == 0)
			*ret_len = entry_is_delta(e.kind) ? delta.len : e.len;
		*ret_type = (git_object_t)e.kind;
		if (!entry_is_delta(e.kind))
			return 0;
		at = e.base_at;
		if (e.kind == ENTRY_REF_DELTA) {
			int64_t pos = pack_find(p, e.base.id);

			at = pos < 0 ? PACK_NO_OFFSET : pack_offset(p, (uint32_t)pos);
			if (at == PACK_NO_OFFSET)
				return -EBADMSG;
		}
	}
	return -EBADMSG;
}

int pack_read_header(struct pack *p, uint32_t pos, git_object_t *ret_type, uint64_t *ret_len)
{
	_cleanup_(unpacker_deinit) struct unpacker u = { 0 };
	_cleanup_(pack_reader_deinit) struct pack_reader small = { 0 };
	uint64_t at = pack_offset(p, pos);
	int r = at == PACK_NO_OFFSET ? -EBADMSG : unpacker_init(&u, p);

	if (r == 0)
		r = pack_reader_init(&small, p, HOP_BYTES);
	return r < 0 ? r : header_along(&u, &small, at, ret_type, ret_len);
}

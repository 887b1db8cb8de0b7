/* Checksums, and whether the index says what can be so. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "integrity/pack-private.h"
#include "util/cleanup.h"

#define BLOCK_BYTES (256 << 10)
#define TOLD_MAX    20 /* findings of a kind about one pack */
#define FAN_BYTES   (256 * 4)

/* --- the index --- */

static int check_index_sum(struct check *c, const struct pack *p)
{
	struct hash hash;
	git_oid sum;
	int r = hash_init(&hash, false);

	if (r == 0)
		r = hash_begin_plain(&hash);
	if (r == 0) {
		hash_update(&hash, p->idx, p->idx_len - GIT_OID_RAWSZ);
		r = hash_final(&hash, &sum);
	}
	hash_deinit(&hash);
	if (r == 0 && memcmp(sum.id, p->idx + p->idx_len - GIT_OID_RAWSZ, GIT_OID_RAWSZ) != 0)
		r = pack_tell_index(c, p, PACK_NONE, "corrupt-pack-index", "its checksum is wrong");
	return r;
}

/* sorted, and each where the fan-out table has it; names may come twice, as packs may have duplicates */
static int check_names(struct check *c, const struct pack *p)
{
	const unsigned char *fan = p->idx + (p->idx_version == 2 ? 8 : 0);
	unsigned told = 0;
	int r = 0;

	for (uint32_t pos = 0; pos < p->n && r == 0 && told < TOLD_MAX; pos++) {
		const unsigned char *name = pack_name(p, pos);
		uint32_t low = name[0] ? pack_be32(fan + (name[0] - 1) * 4) : 0;
		const char *what = NULL;

		if (pos > 0 && memcmp(pack_name(p, pos - 1), name, GIT_OID_RAWSZ) > 0)
			what = "its name is not in order";
		else if (pos < low || pos >= pack_be32(fan + name[0] * 4))
			what = "the fan-out table leads past its name";
		if (!what)
			continue;
		told++;
		r = pack_tell_index(c, p, pos, "corrupt-pack-index", "%s", what);
	}
	return r;
}

static int check_offsets(struct check *c, const struct pack *p)
{
	const struct pack_order *o = p->order;
	unsigned told = 0;
	int r = 0;

	for (uint32_t pos = 0; o->n < p->n && pos < p->n && r == 0 && told < TOLD_MAX; pos++) {
		if (pack_offset(p, pos) != PACK_NO_OFFSET)
			continue;
		told++;
		r = pack_tell_index(c, p, pos, "corrupt-pack-index", "its offset is outside of the pack");
	}
	for (uint32_t i = 1; i < o->n && r == 0 && told < TOLD_MAX; i++) {
		if (o->starts[i - 1] != o->starts[i])
			continue;
		told++;
		r = pack_tell_index(c, p, o->pos[i], "corrupt-pack-index",
				    "another object has the same offset");
	}
	if (r == 0 && o->n > 0 && o->starts[0] != PACK_HEADER_BYTES)
		r = pack_tell_index(c, p, PACK_NONE, "corrupt-pack-index",
				    "no object begins where the first one must");
	return r;
}

/* --- the pack --- */

/* reads all up to the trailer in blocks; @fn below 0 ends it. 1: not all of it could be read, and that is told */
static int each_block(struct check *c, const struct pack *p,
		      int (*fn)(const unsigned char *block, size_t len, void *userdata), void *userdata)
{
	_cleanup_(freep) unsigned char *block = malloc(BLOCK_BYTES);
	int r = block ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < p->end; at += BLOCK_BYTES) {
		size_t len = p->end - at < BLOCK_BYTES ? (size_t)(p->end - at) : BLOCK_BYTES;
		ssize_t n = pack_pread(p->fd, block, len, at);

		if (n != (ssize_t)len) {
			r = pack_tell(c, p, PACK_NONE, "corrupt-pack", "it cannot be read: %s",
				      n < 0 ? strerror((int)-n) : "it is shorter than it was");
			return r < 0 ? r : 1;
		}
		r = fn(block, len, userdata);
		if (r == 0 && check_is_stopped(c))
			r = c->stop;
	}
	return r;
}

static int sum_block(const unsigned char *block, size_t len, void *userdata)
{
	hash_update(userdata, block, len);
	return 0;
}

struct sum_work {
	struct check *check;
	struct pack *pack;
	int result;
};

static void *check_sum(void *userdata)
{
	struct sum_work *w = userdata;
	struct hash hash;
	git_oid sum;
	int r = hash_init(&hash, false);

	if (r == 0)
		r = hash_begin_plain(&hash);
	if (r == 0)
		r = each_block(w->check, w->pack, sum_block, &hash);
	if (r == 0)
		r = hash_final(&hash, &sum);
	if (r == 0 && !git_oid_equal(&sum, &w->pack->trailer))
		r = pack_tell(w->check, w->pack, PACK_NONE, "corrupt-pack", "its checksum is wrong");
	hash_deinit(&hash);
	w->result = r < 0 ? r : 0;
	return NULL;
}

struct crc_work {
	struct check *check;
	const struct pack *pack;
	uint64_t at; /* of the block */
	uint32_t i;  /* the entry that it begins in, or before */
	uint32_t crc; /* of that, so far */
	unsigned told;
};

static int end_entry(struct crc_work *w, uint64_t end)
{
	const struct pack_order *o = w->pack->order;
	int r = 0;

	/* those of the same offset end here as well */
	for (; w->i < o->n && pack_order_end(o, w->i) == end && r == 0; w->i++) {
		if (w->crc == pack_be32(w->pack->crcs + (size_t)o->pos[w->i] * 4) || w->told == TOLD_MAX)
			continue;
		w->told++;
		r = pack_tell(w->check, w->pack, o->pos[w->i], "corrupt-pack-entry",
			      "its bytes have another checksum than in the index");
	}
	w->crc = 0;
	return r;
}

static int crc_block(const unsigned char *block, size_t len, void *userdata)
{
	struct crc_work *w = userdata;
	const struct pack_order *o = w->pack->order;
	uint64_t at = w->at, until = w->at + len;
	int r = 0;

	while (at < until && w->i < o->n && r == 0) {
		uint64_t start = o->starts[w->i], end = pack_order_end(o, w->i);
		uint64_t stop = end < until ? end : until;

		if (at < start)
			at = start < until ? start : until;
		if (at < stop)
			w->crc = (uint32_t)crc32(w->crc, block + (at - w->at), (uInt)(stop - at));
		at = at < stop ? stop : at;
		if (at == end)
			r = end_entry(w, end);
	}
	w->at = until;
	if (r == 0 && check_is_stopped(w->check))
		r = w->check->stop;
	return r;
}

static int check_crcs(struct check *c, const struct pack *p)
{
	struct crc_work w = { .check = c, .pack = p };
	int r;

	if (!p->crcs)
		return 0;
	r = each_block(c, p, crc_block, &w);
	return r < 0 ? r : 0;
}

/* both checksums at once, if there may be two threads */
static int check_pack(struct check *c, struct pack *p)
{
	struct sum_work sum = { .check = c, .pack = p };
	pthread_t thread;
	bool is_started = c->spec->threads > 1 && pthread_create(&thread, NULL, check_sum, &sum) == 0;
	int r;

	if (!is_started)
		check_sum(&sum);
	r = check_crcs(c, p);
	if (is_started)
		pthread_join(thread, NULL);
	return r < 0 ? r : sum.result;
}

static int check_side_files(struct check *c, const struct pack *p)
{
	_cleanup_(freep) char *stem = strndup(p->where, strlen(p->where) - strlen(".pack"));
	struct side_owner owner = { stem, p->dir_fd, p->n, p->trailer.id, p->order->pos };

	if (!stem)
		return -ENOMEM;
	if (p->order->n != p->n) /* the index is damaged, and that was told */
		owner.order = NULL;
	return side_files_check(c, &owner);
}

int pack_check_files(struct check *c, struct pack *p)
{
	int r = pack_order_make(p);

	if (r == 0)
		r = check_index_sum(c, p);
	if (r == 0)
		r = check_names(c, p);
	if (r == 0)
		r = check_offsets(c, p);
	if (r == 0)
		r = check_pack(c, p);
	if (r == 0)
		r = check_side_files(c, p);
	return r == 0 ? check_tell(c) : r;
}
